package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/listen/match"
)

// MatchedStored is a part of what is stored that was compared with topics that are new or changed.
type MatchedStored struct {
	Mentions int // that were compared
	Changed  int // matches that came or left
	Finished int // topics that were compared with everything
	More     bool
}

// FindTopics tells which terms of each topic are found in each post: by topic, then by post; nil where the post is not about it.
type FindTopics func(topics []match.Topic, posts []match.Post) ([][][]string, error)

// MatchStored compares stored mentions with the topics that are new or changed, a part at a time, and counts what that changes. Where
// several workers call it, one of them works.
func (db *DB) MatchStored(ctx context.Context, limit int, find FindTopics) (done MatchedStored, err error) {
	if err = db.lookAgain(ctx); err != nil {
		return done, fmt.Errorf("look again for topics in what was stored around their change: %w", err)
	}
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		done = MatchedStored{}
		matching, err := nextMatching(ctx, tx)
		if err != nil || len(matching.topics) == 0 {
			return err
		}
		posts, err := storedPosts(ctx, tx, matching.after, limit)
		if err != nil {
			return err
		}
		if len(posts) == 0 {
			return matching.pass(ctx, tx, &done)
		}
		done.Mentions, done.More = len(posts), true
		if err := matching.compare(ctx, tx, posts, find, &done); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "update topic set matched_to = $2 where id = any ($1)", matching.ids, posts[len(posts)-1].id)
		return err
	})
	if err != nil {
		return MatchedStored{}, fmt.Errorf("compare what is stored with topics: %w", err)
	}
	return done, nil
}

// matching are topics that have been compared equally far.
type matching struct {
	ids    []int64
	topics []Topic
	after  int64 // the last mention that they were compared with
	again  *int64
}

// lookAgain takes topics up again that were compared with everything, from where on somebody was storing when they changed. Who stores compares
// the version of the topics with the one that posts were judged by, under a lock: when nobody has held it for a moment, everybody who may
// not have known of the change is done. While that cannot be had nobody waits for it.
func (db *DB) lookAgain(ctx context.Context) error {
	const due = "matched_to is null and match_again is not null"
	var is bool
	if err := db.Pool.QueryRow(ctx, "select exists (select from topic where "+due+")").Scan(&is); err != nil || !is {
		return err
	}
	return db.alone(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "update topic set matched_to = match_again, match_again = null where "+due)
		return err
	})
}

func nextMatching(ctx context.Context, tx pgx.Tx) (m matching, err error) {
	rows, err := tx.Query(ctx, `
		select t.id, m.name, t.name, t.definition, m.sources, t.matched_to, t.match_again
		from topic t join monitor m on m.id = t.monitor_id and `+topicInForce+` join (
			select matched_to, match_again from topic t join monitor m on m.id = t.monitor_id and `+topicInForce+`
			where matched_to is not null order by matched_to, match_again limit 1) first
			on t.matched_to = first.matched_to and t.match_again is not distinct from first.match_again
		where pg_try_advisory_xact_lock(1902115848, 29) order by t.id limit 500 for no key update of t`)
	if err != nil {
		return m, err
	}
	defer rows.Close()
	for rows.Next() {
		var t Topic
		var definition []byte
		if err := rows.Scan(&t.ID, &t.Monitor, &t.Name, &definition, &t.Sources, &m.after, &m.again); err != nil {
			return m, err
		}
		if err := json.Unmarshal(definition, &t.Definition); err != nil {
			return m, fmt.Errorf("topic %q of monitor %q: %w", t.Name, t.Monitor, err)
		}
		t.Definition.Name = t.Monitor + "/" + t.Name
		m.ids, m.topics = append(m.ids, t.ID), append(m.topics, t)
	}
	return m, rows.Err()
}

// pass ends a comparison: then the history of the topics is another one. A second look keeps nobody waiting: what is stored was compared, and
// little comes around a change.
func (m *matching) pass(ctx context.Context, tx pgx.Tx, done *MatchedStored) error {
	done.Finished, done.More = len(m.ids), m.again != nil
	_, err := tx.Exec(ctx, "update topic set matched_to = null where id = any ($1)", m.ids)
	if err == nil {
		_, err = tx.Exec(ctx, `insert into monitor_detector (topic_id) select unnest($1::bigint[]) on conflict (topic_id) do update set relearn = true`, m.ids)
	}
	if err != nil {
		return err
	}
	for _, t := range m.topics {
		if err := noteStatusChange(ctx, tx, MonitorKind, t.Monitor); err != nil {
			return err
		}
	}
	return nil
}

// storedPost is a mention as it is compared with topics.
type storedPost struct {
	id         int64
	createdAt  time.Time
	label      string
	engagement int64
	post       match.Post
	sources    []storedSource // those that brought it, the first one first
}

type storedSource struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// mentionEngagement is the engagement of a mention m.
const mentionEngagement = "coalesce(m.likes, 0) + coalesce(m.reposts, 0) + coalesce(m.replies, 0)"

// storedPosts reads the next mentions, and locks them in the order in which everybody does: nobody edits them until they are compared.
func storedPosts(ctx context.Context, tx pgx.Tx, after int64, limit int) ([]storedPost, error) {
	rows, err := tx.Query(ctx, `
		select m.id, m.created_at, m.label, `+mentionEngagement+`, m.title, m.text, m.tags, m.links,
			array_remove(array[nullif(a.handle, ''), a.native_id], null),
			array(select n.name from mention_account c join author b on b.id = c.author_id cross join unnest(array[nullif(b.handle, ''), b.native_id]) n (name)
				where c.mention_id = m.id and n.name is not null order by c.author_id),
			(select jsonb_agg(jsonb_build_object('id', s.id, 'name', s.name) order by s.id <> m.source_id, s.id)
				from mention_source o join social_source s on s.id = o.source_id where o.mention_id = m.id)
		from mention m left join author a on a.id = m.author_id
		where m.id in (select id from mention where id > $1 and forgotten_at is null order by id limit $2) and m.forgotten_at is null
		order by m.key for no key update of m`, after, limit)
	if err != nil {
		return nil, err
	}
	posts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p storedPost, err error) {
		var title, text string
		err = row.Scan(&p.id, &p.createdAt, &p.label, &p.engagement, &title, &text, &p.post.Tags, &p.post.Links, &p.post.Author, &p.post.Mentions, &p.sources)
		p.post.Text = title
		if title == "" || text == "" {
			p.post.Text += text
		} else {
			p.post.Text += "\n\n" + text
		}
		return p, err
	})
	slices.SortFunc(posts, func(a, b storedPost) int { return cmp.Compare(a.id, b.id) })
	return posts, err
}

// storedMatch is a row of mention_topic.
type storedMatch struct {
	source int64
	terms  []string
}

type matchKey struct{ mention, topic int64 }

// compare finds what differs between what is found in posts and what is stored of them, and writes it.
func (m *matching) compare(ctx context.Context, tx pgx.Tx, posts []storedPost, find FindTopics, done *MatchedStored) error {
	definitions := make([]match.Topic, len(m.topics))
	for i := range m.topics {
		definitions[i] = m.topics[i].Definition
	}
	read := make([]match.Post, len(posts))
	ids := make([]int64, len(posts))
	for i := range posts {
		read[i], ids[i] = posts[i].post, posts[i].id
	}
	found, err := find(definitions, read)
	if err != nil {
		return err
	}
	stored, err := storedMatches(ctx, tx, m.ids, ids)
	if err != nil {
		return err
	}
	plan := planMatches(m.topics, posts, found, stored)
	done.Changed = len(plan.removed) + len(plan.added)
	return plan.apply(ctx, tx)
}

func storedMatches(ctx context.Context, tx pgx.Tx, topics, mentions []int64) (map[matchKey]storedMatch, error) {
	rows, err := tx.Query(ctx, "select mention_id, topic_id, source_id, terms from mention_topic where mention_id = any ($1) and topic_id = any ($2)",
		mentions, topics)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	stored := map[matchKey]storedMatch{}
	for rows.Next() {
		var k matchKey
		var s storedMatch
		if err := rows.Scan(&k.mention, &k.topic, &s.source, &s.terms); err != nil {
			return nil, err
		}
		stored[k] = s
	}
	return stored, rows.Err()
}

// matchesPlan is what changes in mention_topic and in the counts.
type matchesPlan struct {
	removed []matchKey
	added   []addedMatch
	tally   []tallyChange
}

// addedMatch is a row to write, as jsonb_to_recordset reads it.
type addedMatch struct {
	Mention int64     `json:"mention"`
	Topic   int64     `json:"topic"`
	Source  int64     `json:"source"`
	At      time.Time `json:"at"`
	Terms   []string  `json:"terms"`
}

// planMatches compares what is found with what is stored. A match whose terms alone are others is written anew; its count stays.
func planMatches(topics []Topic, posts []storedPost, found [][][]string, stored map[matchKey]storedMatch) (p matchesPlan) {
	for t := range topics {
		for i := range posts {
			post := &posts[i]
			k := matchKey{post.id, topics[t].ID}
			was, is := stored[k]
			terms := found[t][i]
			source, counts := countingSource(post.sources, topics[t].Sources, was.source)
			wanted := counts && len(terms) > 0
			change := tallyChange{Topic: k.topic, At: post.createdAt, Label: post.label, Engagement: post.engagement}
			if is && wanted && was.source == source && slices.Equal(was.terms, terms) {
				continue
			}
			if is {
				change.Source, change.N = was.source, -1
				p.removed, p.tally = append(p.removed, k), append(p.tally, change)
			}
			if wanted {
				change.Source, change.N = source, 1
				p.added = append(p.added, addedMatch{k.mention, k.topic, source, post.createdAt, terms})
				p.tally = append(p.tally, change)
			}
		}
	}
	return p
}

// countingSource is the source for which a mention counts: the one for which it does already, else the first that brought it.
func countingSource(sources []storedSource, wanted []string, counted int64) (id int64, ok bool) {
	for _, s := range sources {
		if len(wanted) > 0 && !slices.Contains(wanted, s.Name) {
			continue
		}
		if s.ID == counted {
			return s.ID, true
		}
		if !ok {
			id, ok = s.ID, true
		}
	}
	return id, ok
}

func (p *matchesPlan) apply(ctx context.Context, tx pgx.Tx) error {
	var mentions, topics []int64
	for _, k := range p.removed {
		mentions, topics = append(mentions, k.mention), append(topics, k.topic)
	}
	_, err := tx.Exec(ctx, `delete from mention_topic o using unnest($1::bigint[], $2::bigint[]) r (mention, topic)
		where o.mention_id = r.mention and o.topic_id = r.topic`, mentions, topics)
	if err != nil {
		return err
	}
	var queue pgx.Batch
	if len(p.added) > 0 {
		queue.Queue(`insert into mention_topic (mention_id, topic_id, source_id, created_at, terms)
			select a.mention, a.topic, a.source, a.at, array(select jsonb_array_elements_text(a.terms))
			from jsonb_to_recordset($1) a (mention bigint, topic bigint, source bigint, at timestamptz, terms jsonb)`, p.added)
	}
	queueTally(&queue, p.tally)
	return tx.SendBatch(ctx, &queue).Close()
}
