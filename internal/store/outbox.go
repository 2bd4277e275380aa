package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// The kinds of what leaves through the outbox; NotifyKind is one more. A notice is posted at least once, the others at most once.
const (
	ReplyKind       = "Reply"       // an answer in a conversation
	PublicationKind = "Publication" // a post of a channel's account
)

// PostingState is what is known of something in the outbox.
type PostingState string

// The states.
const (
	PostingPending PostingState = "pending" // it is certainly not there
	// PostingIntent: it was to be handed over, and nobody knows whether it is there: the network is asked, where it can be.
	PostingIntent    PostingState = "intent"
	PostingSent      PostingState = "sent"
	PostingFailed    PostingState = "failed"    // it is not there, and never will be by itself
	PostingAmbiguous PostingState = "ambiguous" // it may be there: a person looks
)

// IsOver tells whether nothing becomes of it any more by itself.
func (s PostingState) IsOver() bool { return s != PostingPending && s != PostingIntent }

// Posting is something in the outbox that a worker has leased.
type Posting struct {
	ID          int64
	Kind        string
	Channel     string
	DedupID     string // the same at every try
	Body        json.RawMessage
	Attempts    int   // this one included
	Message     int64 // of an answer; 0: none
	Send        int64 // of a campaign's publication; 0: none
	Entry       int64 // of a rule; 0: none
	MadeAt, Due time.Time
	// Look says that it was to be handed over before: whether it is there is to be found out first.
	Look bool
	// Written is what was handed over; nil where nothing was. IntentAt is when it first was to be, and TriedAt until when it may have been.
	Written           json.RawMessage
	IntentAt, TriedAt time.Time
	Parts             []PostedPart // that are known to be there
	Reply             string       // what was said of it last
	epoch             int32
}

// PostedPart is one post of a posting that is on its network.
type PostedPart struct {
	ID  string `json:"id"` // native
	CID string `json:"cid,omitempty"`
	URL string `json:"url,omitempty"`
}

// outboxOpen is true for an o that waits to leave, or of which somebody has to find out whether it left.
const outboxOpen = `o.state in ('pending', 'intent')`

// outboxFree is true for an o that nobody holds and whose time has come. What cannot be looked for is not taken again after an intent.
const outboxFree = outboxOpen + ` and (o.state = 'pending' or o.findable) and o.not_before <= now() and (o.leased_until is null or o.leased_until < now())`

// outboxForeign is true for an o that stood in a database when it was restored from a backup: it may have left since, and nobody can be asked. A notice
// is posted again all the same, under its id.
const outboxForeign = `(o.kind <> 'Notify' and (o.intent_at is null or not o.findable) and exists (
	select from quarantine q where q.outcome = 'Released' and o.made_at < q.since and coalesce(o.due_at, o.made_at) < q.closed_at))`

// outboxSince is true for an o that can be asked for, and that may have left since it was last tried: the database was restored from a backup.
const outboxSince = `(o.findable and o.intent_at is not null and exists (select from quarantine q where q.outcome = 'Released' and o.tried_at < q.since))`

// outboxMay is true for an o that may leave now: of a tenant that is not suspended, of a ledger that is permitted, and of a send that runs.
const outboxMay = `(not coalesce((select t.suspended from tenant t), false) and (o.kind = 'Notify' or ` + sendPermitted + `) and not ` + outboxForeign + `
	and (o.send_id is null or exists (select from send s cross join tenant where s.id = o.send_id and ` + sendRuns + `)))`

// DueChannels names the channels over which something is due.
func (r *Rules) DueChannels(ctx context.Context) ([]string, error) {
	rows, err := r.db.Pool.Query(ctx, `
		with recursive c as (
			(select o.channel from outbox o where `+outboxOpen+` order by o.channel limit 1)
			union all
			select (select o.channel from outbox o where `+outboxOpen+` and o.channel > c.channel order by o.channel limit 1)
			from c where c.channel is not null)
		select c.channel from c where c.channel is not null and exists (select from outbox o where o.channel = c.channel and `+outboxFree+`)`)
	if err != nil {
		return nil, fmt.Errorf("look for channels with something in the outbox: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for channels with something in the outbox: %w", err)
	}
	return names, nil
}

// TakeOutbox leases what is due of a channel, at most so many. One whose worker is gone is leased again. What may have left is looked for whatever
// has become of the send that it is of.
func (r *Rules) TakeOutbox(ctx context.Context, channel string, most int, lease time.Duration) ([]Posting, error) {
	rows, err := r.db.Pool.Query(ctx, `
		with due as (
			select o.id, o.state, o.leased_until from outbox o where o.channel = $1 and `+outboxFree+` and (o.state = 'intent' or `+outboxMay+`)
			order by o.not_before, o.id limit $2 for no key update of o skip locked)
		update outbox o set epoch = o.epoch + 1, attempts = o.attempts + 1, leased_until = now() + $3::interval,
			state = case when `+outboxSince+` then 'intent' else o.state end,
			tried_at = case when due.state = 'intent' then greatest(o.tried_at, due.leased_until) else o.tried_at end
		from due where o.id = due.id
		returning `+postingColumns, channel, most, lease)
	if err != nil {
		return nil, fmt.Errorf("take from the outbox: %w", err)
	}
	list, err := pgx.CollectRows(rows, readPosting)
	if err != nil {
		return nil, fmt.Errorf("take from the outbox: %w", err)
	}
	return list, nil
}

// postingColumns are those of a Posting.
const postingColumns = `o.id, o.kind, o.channel, o.dedup, o.body, o.attempts, coalesce(o.message_id, 0), coalesce(o.send_id, 0), coalesce(o.entry_id, 0),
	o.made_at, coalesce(o.due_at, o.made_at), o.state = 'intent', o.written, o.intent_at, o.tried_at, o.epoch, coalesce(o.reply, ''),
	coalesce((select jsonb_agg(jsonb_build_object('id', p.native_id, 'cid', p.cid, 'url', p.url) order by p.place) from outbox_part p
		where p.outbox_id = o.id), '[]')`

func readPosting(row pgx.CollectableRow) (p Posting, err error) { return readPostingWith(row) }

// readPostingWith reads a posting, and what stands behind its columns.
func readPostingWith(row pgx.CollectableRow, more ...any) (p Posting, err error) {
	var intent, tried *time.Time
	var written, parts []byte
	columns := []any{
		&p.ID, &p.Kind, &p.Channel, &p.DedupID, &p.Body, &p.Attempts, &p.Message, &p.Send, &p.Entry, &p.MadeAt, &p.Due, &p.Look,
		&written, &intent, &tried, &p.epoch, &p.Reply, &parts,
	}
	if err := row.Scan(append(columns, more...)...); err != nil {
		return p, err
	}
	p.Written = written
	if intent != nil {
		p.IntentAt = *intent
	}
	if tried != nil {
		p.TriedAt = *tried
	}
	return p, json.Unmarshal(parts, &p.Parts)
}

// ErrPostingLost says that a posting is not to be handed over: another worker has it, it was forgotten, or what it belongs to has stopped.
var ErrPostingLost = errors.New("the posting is another worker's by now, or is not to leave")

// IntendPosting commits that a posting is about to be handed over, with what that is, before it is. findable says whether its network can be asked
// for it afterwards. It returns the posting with its times, or ErrPostingLost.
func (r *Rules) IntendPosting(ctx context.Context, p Posting, written WrittenPost, findable bool) (Posting, error) {
	text, err := json.Marshal(written)
	if err != nil {
		return p, fmt.Errorf("write down posting %d: %w", p.ID, err)
	}
	err = r.db.InTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select "+durable); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `
			update outbox o set state = 'intent', written = $3, findable = $4, intent_at = coalesce(o.intent_at, clock_timestamp()),
				tried_at = clock_timestamp()
			where o.id = $1 and o.epoch = $2 and `+outboxOpen+` and o.leased_until > clock_timestamp() and `+outboxMay+`
			returning o.intent_at, o.tried_at`, p.ID, p.epoch, text, findable).Scan(&p.IntentAt, &p.TriedAt)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrPostingLost
		}
		if err != nil {
			return err
		}
		return intendFor(ctx, tx, p, written)
	})
	if err != nil {
		return p, fmt.Errorf("commit the intent of posting %d: %w", p.ID, err)
	}
	p.Written = text
	return p, nil
}

// intendFor tells whose posting it is that it is about to leave.
func intendFor(ctx context.Context, tx pgx.Tx, p Posting, written WrittenPost) error {
	if p.Message != 0 {
		return setMessageText(ctx, tx, p.Message, written.Text())
	}
	if p.Send == 0 {
		return nil
	}
	ok, err := intendPublication(ctx, tx, p.Send, p.DedupID)
	if err == nil && !ok {
		err = ErrPostingLost
	}
	return err
}

// RenewPostings holds postings for longer. It tells how many of them are still held.
func (r *Rules) RenewPostings(ctx context.Context, list []Posting, lease time.Duration) (int, error) {
	ids, epochs := make([]int64, len(list)), make([]int32, len(list))
	for i, p := range list {
		ids[i], epochs[i] = p.ID, p.epoch
	}
	tag, err := r.db.Pool.Exec(ctx, `
		update outbox o set leased_until = clock_timestamp() + $3::interval from unnest($1::bigint[], $2::int[]) h (id, epoch)
		where o.id = h.id and o.epoch = h.epoch and `+outboxOpen+` and o.leased_until > clock_timestamp()`, ids, epochs, lease)
	if err != nil {
		return 0, fmt.Errorf("hold what is being posted: %w", err)
	}
	return int(tag.RowsAffected()), nil
}

// IsPosted tells whether a post is known to be another posting's of the channel than the one that is named.
func (db *DB) IsPosted(ctx context.Context, channel, nativeID, except string) (bool, error) {
	var known bool
	err := db.Pool.QueryRow(ctx, `select exists (select from outbox_part p join outbox o on o.id = p.outbox_id
		where p.channel = $1 and p.native_id = $2 and o.dedup <> $3)`,
		channel, nativeID, except).Scan(&known)
	if err != nil {
		return false, fmt.Errorf("look whose a post is: %w", err)
	}
	return known, nil
}

// ReadNotice reads what is to be posted, and the template whose text it tells; "" for none.
func (p Posting) ReadNotice() (n Notice, template string, err error) {
	var q queuedNotice
	if err := json.Unmarshal(p.Body, &q); err != nil {
		return Notice{}, "", fmt.Errorf("read posting %d: %w", p.ID, err)
	}
	return q.Notice, q.Template, nil
}
