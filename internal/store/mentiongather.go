package store

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// Advisory locks of those who write mentions: the first half of a number that is ours.
const (
	mentionIDsLock   = 0x4D49 // with the last id before those that the transaction draws: see MentionsSince
	mentionSweepLock = 0x4D53 // shared by those who write, so that nobody deletes authors meanwhile
)

// lockWritersSQL has to be behind nothing that draws an id.
var lockWritersSQL = "select pg_advisory_xact_lock_shared(" + advisory(mentionSweepLock) + "), pg_advisory_xact_lock_shared(" +
	advisory(mentionIDsLock) + " + coalesce(pg_sequence_last_value('mention_id_seq'), 0))"

// byKeysSQL has a transaction look everything up by its key: it is about some rows of large tables, whatever the planner knows of them.
const byKeysSQL = `select set_config(name, 'off', true) from unnest(array['enable_seqscan', 'enable_hashjoin', 'enable_mergejoin']) name`

// advisory is the number of a lock, to which 48 bits can be added.
func advisory(lock int64) string { return strconv.FormatInt(lock<<48, 10) }

// goneAtOnce is how many mentions of deleted accounts are forgotten with the batch that brings the news; sweeps see to the rest.
const goneAtOnce = 1000

// gather locks a source and what is stored of a batch, and reads it. It is one round trip.
func (a *arrival) gather(ctx context.Context, tx pgx.Tx, w writer) (*gathered, error) {
	g := &gathered{known: map[nativeKey]*knownMention{}, authors: map[nativeKey]*knownAuthor{}, topics: map[int64]bool{}, named: map[string]int64{}}
	var queue pgx.Batch
	found := false
	queue.Queue(byKeysSQL)
	queue.Queue("select " + durable)
	queue.Queue(lockWritersSQL)
	queue.Queue(`
		select s.id, now() - s.keep, now() from social_source s join social_source_state t on t.source_id = s.id
		where s.name = $1 and s.dormant_since is null and not s.suspended 
			and case when $2::bigint is null then not exists (select from tenant where suspended) else t.epoch = $2 end
		for no key update of t`, w.name, w.epoch).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&g.source, &g.oldest, &g.now)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		found = err == nil
		return err
	})
	a.gatherMentions(&queue, g)
	a.gatherAuthors(&queue, g)
	a.gatherTopics(&queue, g)
	if err := tx.SendBatch(ctx, &queue).Close(); err != nil {
		return nil, err
	}
	switch {
	case !found:
		return nil, w.lost()
	case a.compared(g.version):
		return g, nil
	}
	return nil, ErrTopicsChanged
}

// gatherTopics reads which topics are in force, behind the locks of writers and of what is stored: when they change later, what is stored now is
// compared with them behind these locks. See lookAgain.
func (a *arrival) gatherTopics(queue *pgx.Batch, g *gathered) {
	if len(a.posts) > 0 {
		queue.Queue("select version from topic_version").QueryRow(func(row pgx.Row) error { return row.Scan(&g.version) })
	}
	topics, sources := a.topicIDs()
	if len(topics) > 0 {
		queue.Queue("select id from topic where id = any ($1)", topics).Query(func(rows pgx.Rows) error {
			var id int64
			_, err := pgx.ForEachRow(rows, []any{&id}, func() error { g.topics[id] = true; return nil })
			return err
		})
	}
	if len(sources) > 0 {
		queue.Queue("select name, id from social_source where name = any ($1)", sources).Query(func(rows pgx.Rows) error {
			var name string
			var id int64
			_, err := pgx.ForEachRow(rows, []any{&name, &id}, func() error { g.named[name] = id; return nil })
			return err
		})
	}
}

// compared tells whether all posts were compared with the topics of a version, but for those that were compared with none.
func (a *arrival) compared(version int64) bool {
	return !slices.ContainsFunc(a.posts, func(p Judged) bool { return p.TopicVersion != 0 && p.TopicVersion != version })
}

// errMentionArrived is that somebody else stored a post of the batch between its lock and its reading: another may change it by now.
var errMentionArrived = errors.New("a post was stored by somebody else at the same moment")

// theseMentions are the ids of what is stored of a batch: posts that come or are deleted ($1), and some of what deleted accounts ($2) wrote.
const theseMentions = `
	select m.id from mention m where m.key = any ($1)`

var theseMentionsAndGone = theseMentions + `
	union (select m.id from author a join mention m on m.author_id = a.id where a.key = any ($2)
		order by m.author_id, m.created_at, m.id limit ` + strconv.Itoa(goneAtOnce) + ")"

func (a *arrival) gatherMentions(queue *pgx.Batch, g *gathered) {
	keys, gone := byteaOf(a.mentionKeys()), byteaOf(slices.Collect(maps.Keys(a.gone)))
	if len(keys)+len(gone) == 0 {
		return
	}
	locked := map[int64]bool{}
	these, arguments := theseMentions, []any{keys}
	if len(gone) > 0 {
		these, arguments = theseMentionsAndGone, append(arguments, gone)
	}
	queue.Queue("select id from mention where id in ("+these+") order by key for no key update", arguments...).Query(func(rows pgx.Rows) error {
		var id int64
		_, err := pgx.ForEachRow(rows, []any{&id}, func() error { locked[id] = true; return nil })
		return err
	})
	// Ids are drawn before it is read what is there: who stores one of the posts in between leaves an id over, and not a post without one.
	if len(a.posts) > 0 {
		queue.Queue("select nextval('mention_id_seq') from unnest($1::bytea[]) k (key) where not exists (select from mention m where m.key = k.key)",
			byteaOf(a.postKeys)).Query(func(rows pgx.Rows) (err error) {
			g.ids, err = pgx.CollectRows(rows, pgx.RowTo[int64])
			return err
		})
	}
	// Behind the lock, and as it is now.
	queue.Queue(knownMentionsSQL(these), arguments...).Query(func(rows pgx.Rows) error {
		list, err := pgx.CollectRows(rows, scanKnown)
		for _, m := range list {
			if !locked[m.id] {
				return errMentionArrived
			}
			g.known[m.key] = m
		}
		return err
	})
}

// knownMentionsSQL selects what scanKnown reads of mentions.
func knownMentionsSQL(these string) string {
	return `
		select m.key, m.id, m.author_id, m.created_at, m.revision, ` + microsSQL("m.edited_at") + `, m.label,
			m.likes, m.reposts, m.replies, m.views, m.forgotten_at is not null,
			array(select s.source_id from mention_source s where s.mention_id = m.id order by s.source_id <> m.source_id, s.source_id),
			array(select t.topic_id from mention_topic t where t.mention_id = m.id order by t.topic_id),
			array(select t.source_id from mention_topic t where t.mention_id = m.id order by t.topic_id),
			array(select r.revision from mention_revision r where r.mention_id = m.id order by r.id),
			array(select ` + microsSQL("r.edited_at") + ` from mention_revision r where r.mention_id = m.id order by r.id)
		from mention m where m.id in (` + these + `)`
}

// microsSQL is a time in microseconds, 0 for none.
func microsSQL(column string) string {
	return "coalesce((extract(epoch from " + column + ") * 1000000)::bigint, 0)"
}

func scanKnown(row pgx.CollectableRow) (*knownMention, error) {
	m := &knownMention{topics: map[int64]int64{}}
	var key []byte
	var likes, reposts, replies, views *int64
	var topics, sources, edited []int64
	var revisions []string
	err := row.Scan(&key, &m.id, &m.authorID, &m.createdAt, &m.current.revision, &m.current.at, &m.label, &likes, &reposts, &replies, &views,
		&m.forgotten, &m.sources, &topics, &sources, &revisions, &edited)
	if err != nil {
		return nil, err
	}
	m.key = nativeKey(key)
	if likes != nil {
		m.counted = true
		m.engagement.Likes, m.engagement.Reposts, m.engagement.Replies, m.engagement.Views = *likes, *reposts, *replies, *views
	}
	for i, topic := range topics {
		m.topics[topic] = sources[i]
	}
	for i, revision := range revisions {
		m.older = append(m.older, edition{revision, edited[i]})
	}
	return m, nil
}

// gatherAuthors reads everybody who writes, is named or is gone, and draws ids for those who are new.
func (a *arrival) gatherAuthors(queue *pgx.Batch, g *gathered) {
	keys := a.authorKeys()
	if len(keys) == 0 {
		return
	}
	queue.Queue(`
		select k.key, coalesce(a.id, nextval('author_id_seq')), a.id is not null, coalesce(a.native_id, ''), coalesce(a.handle, ''), coalesce(a.name, ''),
			coalesce(a.url, ''), a.followers, a.registered_at, coalesce(a.bot, false), a.identifier_id is not null, a.forgotten_at
		from unnest($1::bytea[]) k (key) left join author a on a.key = k.key`, byteaOf(keys)).Query(func(rows pgx.Rows) error {
		var key []byte
		var k knownAuthor
		_, err := pgx.ForEachRow(rows, []any{
			&key, &k.id, &k.stored, &k.profile.nativeID, &k.profile.handle, &k.profile.name, &k.profile.url,
			&k.profile.followers, &k.profile.registeredAt, &k.profile.bot, &k.identified, &k.forgottenAt,
		}, func() error {
			author := k
			author.key = nativeKey(key)
			author.profile.followers, author.profile.registeredAt = cloned(k.profile.followers), cloned(k.profile.registeredAt)
			author.forgottenAt = cloned(k.forgottenAt)
			g.authors[author.key] = &author
			return nil
		})
		return err
	})
}

// cloned is a copy of what the next row writes over.
func cloned[T int64 | time.Time](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// mentionKeys are the keys of posts that come or are deleted, each once.
func (a *arrival) mentionKeys() []nativeKey {
	keys := maps.Clone(a.deleted)
	for _, key := range a.postKeys {
		keys[key] = true
	}
	return slices.Collect(maps.Keys(keys))
}

// authorKeys are likewise those of accounts.
func (a *arrival) authorKeys() []nativeKey {
	keys := maps.Clone(a.gone)
	for i := range a.posts {
		if key, ok := a.keys.account(a.network, a.posts[i].Author); ok {
			keys[key] = true
		}
		for j := range a.posts[i].Mentions {
			if key, ok := a.keys.account(a.network, a.posts[i].Mentions[j]); ok {
				keys[key] = true
			}
		}
	}
	return slices.Collect(maps.Keys(keys))
}

// topicIDs are the topics that posts are about, and the names of the sources for which some of them count alone.
func (a *arrival) topicIDs() (topics []int64, sources []string) {
	ids, names := map[int64]bool{}, map[string]bool{}
	for i := range a.posts {
		for _, t := range a.posts[i].Topics {
			ids[t.Topic] = true
			for _, name := range t.Sources {
				names[name] = true
			}
		}
	}
	return slices.Collect(maps.Keys(ids)), slices.Collect(maps.Keys(names))
}

func byteaOf(keys []nativeKey) [][]byte {
	list := make([][]byte, len(keys))
	for i := range keys {
		list[i] = keys[i][:]
	}
	return list
}
