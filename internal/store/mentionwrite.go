package store

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// mentionColumns are mentions, column by column. What is a list goes as lines: none of its members has a line end.
type mentionColumns struct {
	ids                                                        []int64
	keys                                                       [][]byte
	natives, kinds, visibilities                               []string
	authors                                                    []*int64
	created                                                    []time.Time
	revisions                                                  []string
	edited                                                     []*time.Time
	urls, titles, texts, languages, threads, parents, subjects []string
	tags, links                                                []string
	likes, reposts, replies, views                             []*int64
	ratings, bests                                             []*float64
	labels                                                     []string
	polarities, confidences                                    []float64
	ironic                                                     []bool
	deciding                                                   []*string
	engines, searched                                          []string
}

func columnsOfMentions(list []arrived) (c mentionColumns) {
	for _, m := range list {
		c.ids, c.keys, c.natives = append(c.ids, m.id), append(c.keys, m.key[:]), append(c.natives, m.ID)
		c.kinds, c.visibilities = append(c.kinds, string(m.Kind)), append(c.visibilities, string(m.Visibility))
		c.authors, c.created = append(c.authors, nullID(m.author)), append(c.created, m.CreatedAt)
		c.revisions, c.edited = append(c.revisions, m.Revision), append(c.edited, nullTime(m.EditedAt))
		c.urls, c.titles, c.texts = append(c.urls, m.URL), append(c.titles, m.Title), append(c.texts, m.Text)
		c.languages = append(c.languages, m.Language)
		c.threads, c.parents, c.subjects = append(c.threads, m.Thread), append(c.parents, m.Parent), append(c.subjects, m.Subject)
		c.tags, c.links = append(c.tags, strings.Join(m.Tags, "\n")), append(c.links, strings.Join(m.Links, "\n"))
		likes, reposts, replies, views := engagementOf(m.Engagement)
		c.likes, c.reposts, c.replies, c.views = append(c.likes, likes), append(c.reposts, reposts), append(c.replies, replies), append(c.views, views)
		var value, best *float64
		if m.Rating != nil {
			value, best = &m.Rating.Value, &m.Rating.Best
		}
		c.ratings, c.bests = append(c.ratings, value), append(c.bests, best)
		c.labels = append(c.labels, string(m.Sentiment.Label))
		c.polarities, c.confidences = append(c.polarities, m.Sentiment.Polarity), append(c.confidences, m.Sentiment.Confidence)
		c.ironic, c.deciding, c.engines = append(c.ironic, m.Sentiment.Ironic), append(c.deciding, wordsOf(m.Sentiment)), append(c.engines, m.Engine)
		c.searched = append(c.searched, searchText(strings.Join(slices.Concat([]string{m.Title, m.Text}, m.Tags), "\n")))
	}
	return c
}

func nullID(id int64) *int64 {
	if id == 0 {
		return nil
	}
	return &id
}

func engagementOf(e *listen.Engagement) (likes, reposts, replies, views *int64) {
	if e == nil {
		return nil, nil, nil, nil
	}
	return &e.Likes, &e.Reposts, &e.Replies, &e.Views
}

// maxDeciding is how many of the words that decided are kept: the weightiest.
const maxDeciding = 16

func wordsOf(v sentiment.Verdict) *string {
	if len(v.Words) == 0 {
		return nil
	}
	text, err := json.Marshal(v.Words[:min(len(v.Words), maxDeciding)])
	if err != nil { // a weight that is no number
		return nil
	}
	words := string(text)
	return &words
}

const mentionFields = `id, key, native_id, kind, visibility, author_id, created_at, revision, edited_at, url, title, text, language, thread, parent, subject,
	tags, links, likes, reposts, replies, views, rating, rating_best, label, polarity, confidence, ironic, deciding, engine`

const givenMentions = `unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[], $8::text[], $9::timestamptz[],
	$10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],
	$19::bigint[], $20::bigint[], $21::bigint[], $22::bigint[], $23::float8[], $24::float8[], $25::text[], $26::float8[], $27::float8[], $28::boolean[],
	$29::text[], $30::text[], $31::text[]) g (` + mentionFields + `, searched)`

func (c mentionColumns) arguments() []any {
	return []any{
		c.ids, c.keys, c.natives, c.kinds, c.visibilities, c.authors, c.created, c.revisions, c.edited, c.urls, c.titles, c.texts, c.languages,
		c.threads, c.parents, c.subjects, c.tags, c.links, c.likes, c.reposts, c.replies, c.views, c.ratings, c.bests, c.labels, c.polarities, c.confidences,
		c.ironic, c.deciding, c.engines, c.searched,
	}
}

// givenLines is a list that was given as lines.
func givenLines(column string) string { return "string_to_array(g." + column + `, E'\n')` }

var insertMentionsSQL = `
	insert into mention (` + mentionFields + `, network, source_id, words) overriding system value
	select g.id, g.key, g.native_id, g.kind, g.visibility, g.author_id, g.created_at, g.revision, g.edited_at, g.url, g.title, g.text, g.language,
		nullif(g.thread, ''), nullif(g.parent, ''), nullif(g.subject, ''), ` + givenLines("tags") + ", " + givenLines("links") + `,
		g.likes, g.reposts, g.replies, g.views, g.rating, g.rating_best, g.label, g.polarity, g.confidence, g.ironic, g.deciding::jsonb, g.engine,
		$32, $33, mention_words(g.language, g.searched)
	from ` + givenMentions

func queueMentions(queue *pgx.Batch, network string, source int64, p *mentionPlan) {
	if len(p.added) > 0 {
		queue.Queue(insertMentionsSQL, append(columnsOfMentions(p.added).arguments(), network, source)...)
	}
}

var reviseMentionsSQL = `
	update mention m set kind = g.kind, visibility = g.visibility, revision = g.revision, edited_at = g.edited_at, url = g.url, title = g.title,
		text = g.text, language = g.language, tags = ` + givenLines("tags") + ", links = " + givenLines("links") + `,
		likes = coalesce(g.likes, m.likes), reposts = coalesce(g.reposts, m.reposts), replies = coalesce(g.replies, m.replies),
		views = coalesce(g.views, m.views), rating = g.rating, rating_best = g.rating_best, label = g.label, polarity = g.polarity,
		confidence = g.confidence, ironic = g.ironic, deciding = g.deciding::jsonb, engine = g.engine, words = mention_words(g.language, g.searched)
	from ` + givenMentions + ` where m.id = g.id`

// queueRevised writes editions, and what networks count by now.
func queueRevised(queue *pgx.Batch, p *mentionPlan) {
	if len(p.older) > 0 {
		queueOlder(queue, p.older)
	}
	if len(p.revised) > 0 {
		c := columnsOfMentions(p.revised)
		queue.Queue(`
			insert into mention_revision (mention_id, revision, edited_at, received_at, title, text, language, label, polarity)
			select id, revision, edited_at, received_at, title, text, language, label, polarity from mention where id = any ($1) order by id
			on conflict do nothing`, c.ids)
		queue.Queue(reviseMentionsSQL, c.arguments()...)
	}
	if len(p.prune) > 0 {
		queue.Queue(`
			delete from mention_revision where id in (
				select id from (
					select id, row_number() over (partition by mention_id order by edited_at desc nulls last, id desc) place
					from mention_revision where mention_id = any ($1)) r where place > $2)`, p.prune, maxRevisions)
	}
	if len(p.counted) > 0 {
		var ids []int64
		var likes, reposts, replies, views []int64
		for _, m := range p.counted {
			ids, likes, reposts = append(ids, m.id), append(likes, m.Engagement.Likes), append(reposts, m.Engagement.Reposts)
			replies, views = append(replies, m.Engagement.Replies), append(views, m.Engagement.Views)
		}
		queue.Queue(`
			update mention m set likes = g.likes, reposts = g.reposts, replies = g.replies, views = g.views
			from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) g (id, likes, reposts, replies, views) where m.id = g.id`,
			ids, likes, reposts, replies, views)
	}
}

func queueOlder(queue *pgx.Batch, list []arrived) {
	c := columnsOfMentions(list)
	queue.Queue(`
		insert into mention_revision (mention_id, revision, edited_at, title, text, language, label, polarity)
		select * from unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::float8[])
		on conflict do nothing`, c.ids, c.revisions, c.edited, c.titles, c.texts, c.languages, c.labels, c.polarities)
}

// queueParts writes what hangs on mentions: sources, topics, whom they name, and media.
func queueParts(queue *pgx.Batch, source int64, p *mentionPlan) {
	if len(p.seen) > 0 {
		ids, created := make([]int64, len(p.seen)), make([]time.Time, len(p.seen))
		for i, s := range p.seen {
			ids[i], created[i] = s.mention, s.createdAt
		}
		queue.Queue(`
			insert into mention_source (mention_id, source_id, created_at)
			select g.id, $3, g.created_at from unnest($1::bigint[], $2::timestamptz[]) g (id, created_at)`, ids, created, source)
	}
	if len(p.topicDropped) > 0 {
		var mentions, topics []int64
		for _, r := range p.topicDropped {
			mentions, topics = append(mentions, r.mention), append(topics, r.topic)
		}
		queue.Queue(`delete from mention_topic t using unnest($1::bigint[], $2::bigint[]) g (mention, topic)
			where t.mention_id = g.mention and t.topic_id = g.topic`, mentions, topics)
	}
	if len(p.topicRows) > 0 {
		var mentions, topics, sources []int64
		var created []time.Time
		var terms []string
		for _, r := range p.topicRows {
			mentions, topics, sources = append(mentions, r.mention), append(topics, r.topic), append(sources, r.source)
			created, terms = append(created, r.createdAt), append(terms, strings.Join(r.terms, "\n"))
		}
		queue.Queue(`
			insert into mention_topic (mention_id, topic_id, source_id, created_at, terms)
			select g.mention, g.topic, g.source, g.created_at, string_to_array(g.terms, E'\n')
			from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[]) g (mention, topic, source, created_at, terms)`,
			mentions, topics, sources, created, terms)
	}
	changed := slices.Concat(p.added, p.revised)
	if len(p.revised) > 0 {
		var ids []int64
		for _, m := range p.revised {
			ids = append(ids, m.id)
		}
		queue.Queue("delete from mention_account where mention_id = any ($1)", ids)
		queue.Queue("delete from mention_media where mention_id = any ($1)", ids)
	}
	queueNamed(queue, changed)
	queueMedia(queue, changed)
}

func queueNamed(queue *pgx.Batch, list []arrived) {
	var mentions, authors []int64
	for _, m := range list {
		for _, author := range m.named {
			mentions, authors = append(mentions, m.id), append(authors, author)
		}
	}
	if len(mentions) > 0 {
		queue.Queue("insert into mention_account (mention_id, author_id) select * from unnest($1::bigint[], $2::bigint[])", mentions, authors)
	}
}

func queueMedia(queue *pgx.Batch, list []arrived) {
	var mentions []int64
	var places []int16
	var types, urls, descriptions []string
	for _, m := range list {
		for i, medium := range m.Media {
			mentions, places, types = append(mentions, m.id), append(places, int16(i)), append(types, string(medium.Type))
			urls, descriptions = append(urls, medium.URL), append(descriptions, medium.Description)
		}
	}
	if len(mentions) > 0 {
		queue.Queue(`
			insert into mention_media (mention_id, place, type, url, description)
			select * from unnest($1::bigint[], $2::smallint[], $3::text[], $4::text[], $5::text[])`, mentions, places, types, urls, descriptions)
	}
}
