package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// Mention is what somebody wrote, with what is understood of it.
type Mention struct {
	ID       int64 // rises in the order in which they came
	PublicID string
	Network  string
	NativeID string
	Source   string   // which brought it first
	Sources  []string // all that did

	Kind                    listen.Kind
	Visibility              listen.Visibility
	CreatedAt, ReceivedAt   time.Time
	EditedAt                *time.Time
	URL, Title, Text        string
	Language                string
	Thread, Parent, Subject string // ids of the network
	Tags, Links             []string
	Media                   []listen.Media
	Engagement              *listen.Engagement
	Rating                  *listen.Rating

	Author *MentionAuthor // nil for somebody whom the network does not name

	Label                sentiment.Label
	Polarity, Confidence float64
	Ironic               bool
	Words                []sentiment.Word // that decided, the weightiest first
	Engine               string

	Topics []MentionTopic
}

// MentionAuthor is who wrote a mention, or is named in it.
type MentionAuthor struct {
	PublicID     string
	NativeID     string
	Handle, Name string
	URL          string
	Followers    *int64
	RegisteredAt *time.Time
	Bot          bool
}

// MentionTopic is a topic that a mention is about.
type MentionTopic struct {
	ID            int64
	Monitor, Name string
	Terms         []string // that were found
}

// MentionPage is a page of mentions, newest first.
type MentionPage struct {
	Mentions []Mention
	Next     string // the cursor of the next page; "" at the end
}

// Mentions lists what was written, newest first. It returns ErrBadCursor, ErrNotFound where the query names what is not there, and ErrTooLong.
func (db *DB) Mentions(ctx context.Context, q MentionQuery) (page MentionPage, err error) {
	if q.Limit <= 0 {
		q.Limit = 50
	}
	q.Limit = min(q.Limit, MaxMentionPage)
	err = db.lookAtMentions(ctx, func(tx pgx.Tx, keys mentionKeys) error {
		f, err := newMentionFilter(ctx, tx, keys, q)
		if err != nil {
			return err
		}
		if err := f.narrow(ctx, tx); err != nil {
			return err
		}
		statement, err := f.newest(q, q.Limit+1)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, statement, f.arguments...)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id int64, err error) {
			err = row.Scan(&id, nil)
			return id, err
		})
		if err != nil {
			return err
		}
		more := len(ids) > q.Limit
		page.Mentions, err = loadMentions(ctx, tx, ids[:min(len(ids), q.Limit)])
		if n := len(page.Mentions); more && n > 0 {
			page.Next = mentionPlace{page.Mentions[n-1].CreatedAt, page.Mentions[n-1].ID}.String()
		}
		return err
	})
	if err != nil {
		return MentionPage{}, fmt.Errorf("list mentions: %w", err)
	}
	return page, nil
}

// lookAtMentions looks, with plans for the very words and times that are asked for.
func (db *DB) lookAtMentions(ctx context.Context, f func(tx pgx.Tx, keys mentionKeys) error) error {
	// Before the transaction: a pool may have no second connection.
	keys, err := db.mentionKeys(ctx)
	if err != nil {
		return err
	}
	return db.look(ctx, lookLimit, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local plan_cache_mode = force_custom_plan"); err != nil {
			return err
		}
		return f(tx, keys)
	})
}

const authorFields = `a.public_id::text, coalesce(a.native_id, ''), a.handle, a.name, a.url, a.followers, a.registered_at, a.bot`

// selectMentions selects what scanMention reads, of ids ($1) in their order.
const selectMentions = `
	select m.id, m.public_id::text, m.network, m.native_id, coalesce((select s.name from social_source s where s.id = m.source_id), ''),
		array(select s.name from mention_source x join social_source s on s.id = x.source_id where x.mention_id = m.id order by s.name),
		m.kind, m.visibility, m.created_at, m.received_at, m.edited_at, m.url, m.title, m.text, m.language,
		coalesce(m.thread, ''), coalesce(m.parent, ''), coalesce(m.subject, ''), m.tags, m.links,
		coalesce((select jsonb_agg(jsonb_build_object('Type', x.type, 'URL', x.url, 'Description', x.description) order by x.place)
			from mention_media x where x.mention_id = m.id), '[]'),
		m.likes, m.reposts, m.replies, m.views, m.rating, m.rating_best,
		m.label, m.polarity, m.confidence, m.ironic, coalesce(m.deciding, '[]'), m.engine,
		coalesce((select jsonb_agg(jsonb_build_object('ID', t.id, 'Monitor', n.name, 'Name', t.name, 'Terms', x.terms) order by n.name, t.name)
			from mention_topic x join topic t on t.id = x.topic_id join monitor n on n.id = t.monitor_id
			where x.mention_id = m.id and t.dropped_at is null), '[]'),
		a.id is not null, coalesce(a.public_id::text, ''), coalesce(a.native_id, ''), coalesce(a.handle, ''), coalesce(a.name, ''), coalesce(a.url, ''),
		a.followers, a.registered_at, coalesce(a.bot, false)
	from unnest($1::bigint[]) with ordinality w (id, place) join mention m on m.id = w.id left join author a on a.id = m.author_id
	where m.forgotten_at is null order by w.place`

func loadMentions(ctx context.Context, tx pgx.Tx, ids []int64) ([]Mention, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, selectMentions, ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanMention)
}

func scanMention(row pgx.CollectableRow) (m Mention, err error) {
	var likes, reposts, replies, views *int64
	var rating, best *float64
	var author MentionAuthor
	var named bool
	err = row.Scan(&m.ID, &m.PublicID, &m.Network, &m.NativeID, &m.Source, &m.Sources, &m.Kind, &m.Visibility, &m.CreatedAt, &m.ReceivedAt, &m.EditedAt,
		&m.URL, &m.Title, &m.Text, &m.Language, &m.Thread, &m.Parent, &m.Subject, &m.Tags, &m.Links, &m.Media, &likes, &reposts, &replies, &views,
		&rating, &best, &m.Label, &m.Polarity, &m.Confidence, &m.Ironic, &m.Words, &m.Engine, &m.Topics,
		&named, &author.PublicID, &author.NativeID, &author.Handle, &author.Name, &author.URL, &author.Followers, &author.RegisteredAt, &author.Bot)
	if named {
		m.Author = &author
	}
	if likes != nil && reposts != nil && replies != nil && views != nil {
		m.Engagement = &listen.Engagement{Likes: *likes, Reposts: *reposts, Replies: *replies, Views: *views}
	}
	if rating != nil && best != nil {
		m.Rating = &listen.Rating{Value: *rating, Best: *best}
	}
	return m, err
}

// MentionDetail is a mention with its history and its conversation.
type MentionDetail struct {
	Mention
	Revisions []MentionRevision // that do not count any more, the oldest first
	Named     []MentionAuthor   // whom it names
	Thread    []Mention         // the conversation that it is of, without itself, the oldest first, and no more than a hundred
}

// MentionRevision is an edition of a post.
type MentionRevision struct {
	Revision    string
	EditedAt    *time.Time // nil for the first
	ReceivedAt  time.Time
	Title, Text string
	Language    string
	Label       sentiment.Label
	Polarity    float64
}

// threadLength is how much of a conversation is shown.
const threadLength = 100

// Mention reads one by its public id. It returns ErrNotFound for one that is not there, or was forgotten.
func (db *DB) Mention(ctx context.Context, publicID string) (d MentionDetail, err error) {
	err = db.lookAtMentions(ctx, func(tx pgx.Tx, keys mentionKeys) error {
		var id int64
		err := tx.QueryRow(ctx, "select id from mention where public_id = $1::text::uuid and forgotten_at is null", publicID).Scan(&id)
		if err := missing(err, "mention", publicID); err != nil {
			return err
		}
		list, err := loadMentions(ctx, tx, []int64{id})
		if err != nil || len(list) == 0 {
			return missing(pgx.ErrNoRows, "mention", publicID)
		}
		d.Mention = list[0]
		if err := d.loadParts(ctx, tx); err != nil {
			return err
		}
		return d.loadThread(ctx, tx, keys)
	})
	if err != nil {
		return MentionDetail{}, fmt.Errorf("read the mention: %w", err)
	}
	return d, nil
}

func (d *MentionDetail) loadParts(ctx context.Context, tx pgx.Tx) error {
	var queue pgx.Batch
	queue.Queue(`select revision, edited_at, received_at, title, text, language, label, polarity from mention_revision
		where mention_id = $1 order by edited_at nulls first, id`, d.ID).Query(func(rows pgx.Rows) (err error) {
		d.Revisions, err = pgx.CollectRows(rows, pgx.RowToStructByPos[MentionRevision])
		return err
	})
	queue.Queue("select "+authorFields+" from mention_account x join author a on a.id = x.author_id where x.mention_id = $1 order by a.handle, a.id", d.ID).
		Query(func(rows pgx.Rows) (err error) {
			d.Named, err = pgx.CollectRows(rows, pgx.RowToStructByPos[MentionAuthor])
			return err
		})
	return tx.SendBatch(ctx, &queue).Close()
}

func (d *MentionDetail) loadThread(ctx context.Context, tx pgx.Tx, keys mentionKeys) error {
	f, err := newMentionFilter(ctx, tx, keys, MentionQuery{Thread: d.PublicID})
	if err != nil {
		return err
	}
	f.and("m.id <> ?", d.ID)
	statement, err := f.newest(MentionQuery{}, threadLength)
	if err != nil {
		return err
	}
	rows, err := tx.Query(ctx, "select id from ("+statement+") t order by created_at, id", f.arguments...)
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	d.Thread, err = loadMentions(ctx, tx, ids)
	return err
}

// streamStep is how many ids a look at what is new goes through at most.
const streamStep = 10_000

// MentionsSince lists mentions that came after an id, in the order of their ids, and from where to go on: also where none of what came is
// wanted. Ids do not follow the order in which transactions end: it goes no further than the least id that one may still bring, so that a
// caller who goes on from next misses nothing, however late it is committed. Of q the cursor and the limit do not count.
func (db *DB) MentionsSince(ctx context.Context, after int64, q MentionQuery, limit int) (list []Mention, next int64, err error) {
	limit = max(1, min(limit, MaxMentionPage))
	err = db.lookAtMentions(ctx, func(tx pgx.Tx, keys mentionKeys) error {
		f, err := newMentionFilter(ctx, tx, keys, q)
		if err != nil {
			return err
		}
		bound, err := settledMentions(ctx, tx)
		if err != nil {
			return err
		}
		after = min(after, bound) // a database that was restored has fewer
		next = min(bound, after+streamStep)
		f.also(true, true)
		if err := f.between(MentionQuery{From: q.From, To: q.To}, "m", "id"); err != nil {
			return err
		}
		f.and("m.id > ?::bigint", after)
		f.and("m.id <= ?::bigint", next)
		statement := "select m.id from mention m where " + strings.Join(f.where, " and ") + " order by m.id limit " + strconv.Itoa(limit)
		rows, err := tx.Query(ctx, statement, f.arguments...)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		if len(ids) == limit {
			next = ids[limit-1]
		}
		list, err = loadMentions(ctx, tx, ids)
		return err
	})
	if err != nil {
		return nil, after, fmt.Errorf("list new mentions: %w", err)
	}
	return list, next, nil
}

// MentionsNow is from where MentionsSince brings what comes from now on.
func (db *DB) MentionsNow(ctx context.Context) (bound int64, err error) {
	err = db.look(ctx, lookLimit, func(tx pgx.Tx) (err error) {
		bound, err = settledMentions(ctx, tx)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("find where new mentions begin: %w", err)
	}
	return bound, nil
}

// settledMentions is the id up to which nothing is written any more. Who writes holds a lock that names the last id from before it drew its own,
// and keeps it until everybody sees the rows. So: which ids were drawn, then who holds such a lock, and only a later statement reads.
func settledMentions(ctx context.Context, tx pgx.Tx) (int64, error) {
	var drawn int64
	var held *int64
	var queue pgx.Batch
	queue.Queue("select coalesce(pg_sequence_last_value('mention_id_seq'), 0)").QueryRow(func(row pgx.Row) error { return row.Scan(&drawn) })
	queue.Queue(`
		select min((l.classid::bigint & 65535) << 32 | l.objid::bigint) from pg_locks l
		where l.locktype = 'advisory' and l.objsubid = 1 and l.classid::bigint >> 16 = $1 and l.granted
			and l.database = (select oid from pg_database where datname = current_database())`, int64(mentionIDsLock)).
		QueryRow(func(row pgx.Row) error { return row.Scan(&held) })
	if err := tx.SendBatch(ctx, &queue).Close(); err != nil {
		return 0, err
	}
	if held != nil {
		drawn = min(drawn, *held)
	}
	return drawn, nil
}
