package store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// MentionQuery says which mentions are wanted. The zero value of a field asks for nothing.
type MentionQuery struct {
	Monitor  string // that are about one of its topics
	Topic    string // the name of one of them; with Monitor
	Source   string // by which they came
	Network  string
	Kind     listen.Kind
	Label    sentiment.Label
	Language string
	// MinPolarity and MaxPolarity are from -1 to 1, both included.
	MinPolarity, MaxPolarity *float64
	Author                   string    // a public id
	Thread                   string    // the public id of a mention of a conversation
	From, To                 time.Time // when they were written: From included, To not
	// Text is what they say, as people search the web: words that are all there, "a phrase", a or b, -without. Accents and the case of letters do
	// not count, and words are found in their other forms, in Spanish and in English.
	Text string
	// Matched asks for those that are about a topic (true), or about none (false).
	Matched *bool

	Cursor string // Next of the page before
	Limit  int    // of a page; 0 means 50, and more than MaxMentionPage is too many
}

// MaxMentionPage is how many mentions a page has at most.
const MaxMentionPage = 200

// ErrBadCursor says that a cursor is none of ours.
var ErrBadCursor = errors.New("the cursor is not one that a page ended with")

// mentionPlace is where a page ends.
type mentionPlace struct {
	at time.Time
	id int64
}

func (p mentionPlace) String() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d", p.at.UnixMicro(), p.id))
}

func parsePlace(cursor string) (p mentionPlace, err error) {
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(text) > 64 {
		return p, ErrBadCursor
	}
	at, id, ok := strings.Cut(string(text), ".")
	micros, wrong := strconv.ParseInt(at, 10, 64)
	if p.id, err = strconv.ParseInt(id, 10, 64); err != nil || wrong != nil || !ok || micros < -1<<56 || micros > 1<<56 {
		return p, ErrBadCursor
	}
	p.at = time.UnixMicro(micros)
	return p, nil
}

// mentionFilter is the SQL of a query. Mentions are m.
type mentionFilter struct {
	where     []string
	arguments []any
	topics    []int64 // one of which they are about; nil: whatever they are about
	source    int64   // 0: any
	text      string  // that they are to say; "": anything
}

// and adds a condition, in which each ? stands for the argument.
func (f *mentionFilter) and(condition string, argument any) {
	f.where = append(f.where, strings.ReplaceAll(condition, "?", f.argument(argument)))
}

func (f *mentionFilter) argument(value any) string {
	f.arguments = append(f.arguments, value)
	return "$" + strconv.Itoa(len(f.arguments))
}

// newMentionFilter looks up what a query names. It returns ErrNotFound where that is not there.
func newMentionFilter(ctx context.Context, tx pgx.Tx, keys mentionKeys, q MentionQuery) (*mentionFilter, error) {
	f := &mentionFilter{where: []string{"m.forgotten_at is null"}}
	for _, is := range [...]struct{ column, value string }{
		{"network", q.Network}, {"kind", string(q.Kind)}, {"label", string(q.Label)}, {"language", q.Language},
	} {
		if is.value != "" {
			f.and("m."+is.column+" = ?", is.value)
		}
	}
	if q.MinPolarity != nil {
		f.and("m.polarity >= ?", *q.MinPolarity)
	}
	if q.MaxPolarity != nil {
		f.and("m.polarity <= ?", *q.MaxPolarity)
	}
	if q.Matched != nil {
		f.and("exists (select from mention_topic z where z.mention_id = m.id) = ?", *q.Matched)
	}
	f.search(q.Text)
	if err := f.lookUp(ctx, tx, q); err != nil {
		return nil, err
	}
	if q.Thread == "" {
		return f, nil
	}
	return f, f.thread(ctx, tx, keys, q.Thread)
}

// search asks for what mentions say. Each is found by the stems of its own language; by the index those are found that may be meant.
func (f *mentionFilter) search(text string) {
	if strings.TrimSpace(text) == "" {
		return
	}
	f.text = searchText(text)
	f.where = append(f.where, searchSQL(f.argument(f.text)))
}

// searchSQL is the condition that mentions say what an argument asks for.
func searchSQL(given string) string {
	spanish := "websearch_to_tsquery('pg_catalog.spanish', " + given + ")"
	english := "websearch_to_tsquery('pg_catalog.english', translate(" + given + ", 'ó', 'o'))"
	return "m.words @@ (" + spanish + " || " + english + ") and case m.language when 'es' then m.words @@ " + spanish +
		" when 'en' then m.words @@ " + english + " else m.words @@ " + spanish + " or m.words @@ " + english + " end"
}

// rareText is how many mentions may say something so that they are all looked at. What more say is found among the newest.
const rareText = 5000

// narrow finds the mentions that say what few do: only those are looked at then. The planner cannot know which words are rare.
func (f *mentionFilter) narrow(ctx context.Context, tx pgx.Tx) error {
	if f.text == "" {
		return nil
	}
	var rare []int64
	var queue pgx.Batch
	queue.Queue("set local enable_seqscan = off")
	queue.Queue("select m.id from mention m where "+searchSQL("$1")+" limit "+strconv.Itoa(rareText+1), f.text).Query(collectInto(&rare))
	queue.Queue("set local enable_seqscan = on")
	if err := tx.SendBatch(ctx, &queue).Close(); err != nil || len(rare) > rareText {
		return err
	}
	f.and("m.id = any (?::bigint[])", append([]int64{}, rare...))
	return nil
}

// lookUp finds the rows that a query names.
func (f *mentionFilter) lookUp(ctx context.Context, tx pgx.Tx, q MentionQuery) error {
	if q.Author != "" {
		var author int64
		err := tx.QueryRow(ctx, "select id from author where public_id = $1::text::uuid", q.Author).Scan(&author)
		if err := missing(err, "author", q.Author); err != nil {
			return err
		}
		f.and("m.author_id = ?", author)
	}
	if q.Source != "" {
		err := tx.QueryRow(ctx, "select id from social_source where name = $1", q.Source).Scan(&f.source)
		if err := missing(err, "source", q.Source); err != nil {
			return err
		}
	}
	if q.Monitor == "" {
		return nil
	}
	rows, err := tx.Query(ctx, `select t.id from topic t join monitor n on n.id = t.monitor_id
		where n.name = $1 and ($2 = '' or t.name = $2) and t.dropped_at is null order by t.id`, q.Monitor, q.Topic)
	if err != nil {
		return err
	}
	if f.topics, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err == nil && len(f.topics) == 0 {
		return missingTopics(ctx, tx, q)
	}
	return err
}

// missingTopics tells whether it is the monitor that is not there, or the topic of it.
func missingTopics(ctx context.Context, tx pgx.Tx, q MentionQuery) error {
	var there bool
	if err := tx.QueryRow(ctx, "select exists (select from monitor where name = $1)", q.Monitor).Scan(&there); err != nil {
		return err
	}
	if there && q.Topic != "" {
		return &MissingError{"topic", q.Topic}
	}
	return &MissingError{"monitor", q.Monitor}
}

// A MissingError is an ErrNotFound that tells what a query names and is not there.
type MissingError struct {
	What string // mention, author, source, monitor or topic
	Name string
}

// Error implements error.
func (e *MissingError) Error() string { return fmt.Sprintf("%s %q: %v", e.What, e.Name, ErrNotFound) }

// Unwrap gives ErrNotFound.
func (e *MissingError) Unwrap() error { return ErrNotFound }

func missing(err error, what, name string) error {
	if errors.Is(err, pgx.ErrNoRows) || hasCode(err, "22P02") {
		return &MissingError{what, name}
	}
	return err
}

// thread asks for the conversation that a mention is of.
func (f *mentionFilter) thread(ctx context.Context, tx pgx.Tx, keys mentionKeys, publicID string) error {
	var network, root string
	err := tx.QueryRow(ctx, `
		select network, coalesce(thread, parent, native_id) from mention
		where public_id = $1::text::uuid and forgotten_at is null`, publicID).Scan(&network, &root)
	if err := missing(err, "mention", publicID); err != nil {
		return err
	}
	key := keys.post(network, root)
	n, r := f.argument(network), f.argument(root)
	f.and("(m.key = ? or m.network = "+n+" and m.thread = "+r+" or m.network = "+n+" and m.parent = "+r+")", key[:])
	return nil
}

// between asks for when mentions were written, and for what comes behind a place. row has their times: that is the table by which they are found.
func (f *mentionFilter) between(q MentionQuery, row, id string) error {
	if !q.From.IsZero() {
		f.and(row+".created_at >= ?", q.From)
	}
	if !q.To.IsZero() {
		f.and(row+".created_at < ?", q.To)
	}
	if q.Cursor == "" {
		return nil
	}
	place, err := parsePlace(q.Cursor)
	if err != nil {
		return err
	}
	f.where = append(f.where, "("+row+".created_at, "+row+"."+id+") < ("+f.argument(place.at)+"::timestamptz, "+f.argument(place.id)+"::bigint)")
	return nil
}

// also asks for topics and the source by looking at each mention.
func (f *mentionFilter) also(topics, source bool) {
	if topics && f.topics != nil {
		f.and("exists (select from mention_topic z where z.mention_id = m.id and z.topic_id = any (?::bigint[]))", f.topics)
	}
	if source && f.source != 0 {
		f.and("exists (select from mention_source z where z.mention_id = m.id and z.source_id = ?::bigint)", f.source)
	}
}

// newest is the SQL that finds the ids of a page, newest first. A topic's and a source's mentions are found in the order of their own indexes.
func (f *mentionFilter) newest(q MentionQuery, limit int) (string, error) {
	switch {
	case len(f.topics) == 1:
		f.also(false, true)
		f.and("x.topic_id = ?::bigint", f.topics[0])
		return f.joined("mention_topic x", q, limit)
	case len(f.topics) > 1 && f.text == "":
		f.also(false, true)
		f.where = append(f.where, "x.topic_id = t.id")
		each, err := f.joined("mention_topic x", q, limit)
		return "select distinct e.id, e.created_at from unnest(" + f.argument(f.topics) + "::bigint[]) t (id) cross join lateral (" + each +
			") e order by e.created_at desc, e.id desc limit " + strconv.Itoa(limit), err
	case f.source != 0:
		f.also(true, false)
		f.and("x.source_id = ?::bigint", f.source)
		return f.joined("mention_source x", q, limit)
	}
	f.also(true, false)
	err := f.between(q, "m", "id")
	return "select m.id, m.created_at from mention m where " + strings.Join(f.where, " and ") +
		" order by m.created_at desc, m.id desc limit " + strconv.Itoa(limit), err
}

func (f *mentionFilter) joined(table string, q MentionQuery, limit int) (string, error) {
	err := f.between(q, "x", "mention_id")
	return "select m.id, x.created_at from " + table + " join mention m on m.id = x.mention_id where " + strings.Join(f.where, " and ") +
		" order by x.created_at desc, x.mention_id desc limit " + strconv.Itoa(limit), err
}
