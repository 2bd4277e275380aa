package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/inbound"
)

// ReturnSettings say how what comes back from a channel's messages does, as they stand in its row.
type ReturnSettings struct {
	Address string          `json:"address,omitempty"` // to which tokens are added; "" for the sender's, without
	IMAP    MailboxSettings `json:"imap,omitzero"`
	Hook    HookSettings    `json:"hook,omitzero"`
}

// MailboxSettings name a mailbox. Without a host there is none; its credentials are in the tenant directory.
type MailboxSettings struct {
	Host    string `json:"host"`
	Port    int    `json:"port"`
	TLS     string `json:"tls"` // StartTLS, Implicit, None
	Mailbox string `json:"mailbox"`
}

// HookSettings say what a provider posts. Without a type there is no hook; its key is in the tenant directory.
type HookSettings struct {
	Type     string `json:"type"`               // Generic, SES, Mailgun
	TopicARN string `json:"topicARN,omitempty"` // of SES
}

// Returned is something that came back, with how it came.
type Returned struct {
	Source string // imap, smtp, generic, ses, mailgun
	// SourceID is the id that whoever brings it gave it: the same one twice is the same notice.
	SourceID string
	Notice   inbound.Notice
	// Address is whom it is about, where it does not say by a reference and comes from somebody who is believed: a provider
	// whose signature was verified. "" otherwise.
	Address string
}

// LoadCursor reads how far a channel's mailbox has been read; the zero value before the first time.
func (db *DB) LoadCursor(ctx context.Context, channel string) (inbound.Cursor, error) {
	var c inbound.Cursor
	err := db.Pool.QueryRow(ctx, "select validity, uid from mailbox_cursor where channel = $1", channel).Scan(&c.Validity, &c.UID)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return inbound.Cursor{}, fmt.Errorf("read how far the mailbox of channel %q has been read: %w", channel, err)
	}
	return c, nil
}

// TakeReturned writes down what came back and draws the conclusions: an address that is gone or whose holder complained is
// suppressed, one that bounced softly again and again rests. What was taken before changes nothing. With a cursor, the
// channel's mailbox has been read up to there in the same transaction. When it returns nil everything is on disk: whoever
// brought it may forget it. It returns what was new.
func (db *DB) TakeReturned(ctx context.Context, channel string, list []Returned, read *inbound.Cursor) (taken []Returned, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		taken = nil
		if _, err := tx.Exec(ctx, "set local synchronous_commit = on"); err != nil {
			return err
		}
		var found []conclusion
		for _, r := range inOrder(list) {
			c, isNew, err := insertReturned(ctx, tx, channel, r)
			if err != nil {
				return err
			}
			if isNew {
				taken = append(taken, r)
			}
			if c != nil {
				found = append(found, *c)
			}
		}
		if err := countReturned(ctx, tx, found); err != nil {
			return err
		}
		if err := conclude(ctx, tx, found); err != nil {
			return err
		}
		if read == nil {
			return nil
		}
		_, err := tx.Exec(ctx, `insert into mailbox_cursor (channel, validity, uid) values ($1, $2, $3)
			on conflict (channel) do update set validity = excluded.validity, uid = excluded.uid, read_at = now()`,
			channel, int64(read.Validity), int64(read.UID))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("write down what came back: %w", err)
	}
	return taken, nil
}

// inOrder sorts what came back by its key, so that two who bring the same cannot wait for each other.
func inOrder(list []Returned) []Returned {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Returned) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.SourceID, b.SourceID))
	})
	return list
}

// conclusion is what follows from a notice about an address.
type conclusion struct {
	id       int64 // of the notice's row
	notice   inbound.Notice
	channel  string
	hash     []byte
	purpose  string // of the send; "" where it is not known
	campaign string // "" where it is not known
}

// insertReturned writes a notice, unless it was taken before, and finds whom it is about. The conclusion is nil where
// nothing follows from it.
func insertReturned(ctx context.Context, tx pgx.Tx, channel string, r Returned) (*conclusion, bool, error) {
	n := r.Notice
	var id int64
	err := tx.QueryRow(ctx, `
		insert into returned (channel, source, source_id, kind, class, status, diagnostic, feedback, send_id, seq, written_at, sender, subject, content)
		values ($1, $2, $3, $4, nullif($5, ''), nullif($6, ''), nullif($7, ''), nullif($8, ''), nullif($9::bigint, 0), nullif($10::bigint, 0), $11,
			nullif($12, ''), nullif($13, ''), nullif($14, ''))
		on conflict (channel, source, source_id) do nothing returning id`,
		channel, r.Source, r.SourceID, n.Kind, n.Class, n.Status, n.Diagnostic, n.Feedback, n.Reference.Send, n.Reference.Seq, nullTime(n.At),
		n.From, n.Subject, n.Text).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if tallyOf(n) == "" {
		return nil, true, nil
	}
	c := &conclusion{id: id, notice: n, channel: channel}
	switch {
	case n.Reference.Known():
		err = tx.QueryRow(ctx, `select l.address_hash, s.purpose, s.campaign from ledger l join send s on s.id = l.send_id
			where l.send_id = $1 and l.seq = $2`, n.Reference.Send, n.Reference.Seq).Scan(&c.hash, &c.purpose, &c.campaign)
		if errors.Is(err, pgx.ErrNoRows) { // a ledger that was restored has forgotten it
			return nil, true, nil
		}
	case r.Address != "":
		var hashes [][]byte
		if hashes, err = hashAddresses(ctx, tx, []string{r.Address}); err == nil {
			c.hash = hashes[0]
		}
	}
	if err != nil {
		return nil, true, err
	}
	return c, true, nil
}

// Returns is how many messages of a send something came back of, by what it was, each message once.
type Returns map[string]int64

// What comes back of messages, as it is counted.
const (
	ReturnedBounced     = "bounced" // the address is gone
	ReturnedSoftBounced = "soft-bounced"
	ReturnedComplained  = "complained"
	ReturnedReplied     = "replied"
)

// tallyOf is what a notice is counted as; "" for one that nothing follows from.
func tallyOf(n inbound.Notice) string {
	switch {
	case n.Kind == inbound.Bounce && n.Class == inbound.Hard:
		return ReturnedBounced
	case n.Kind == inbound.Bounce:
		return ReturnedSoftBounced
	case n.Kind == inbound.Complaint:
		return ReturnedComplained
	case n.Kind == inbound.Reply:
		return ReturnedReplied
	}
	return ""
}

// countReturned counts each message once for what came back of it. Counts are locked in the order of their keys, and before
// anything is looked up: of two reports about one message that come at the same moment the second one sees the first.
func countReturned(ctx context.Context, tx pgx.Tx, found []conclusion) error {
	type count struct {
		send int64
		what string
	}
	ids := map[count][]int64{}
	for _, c := range found {
		if c.campaign != "" {
			k := count{c.notice.Reference.Send, tallyOf(c.notice)}
			ids[k] = append(ids[k], c.id)
		}
	}
	keys := slices.SortedFunc(maps.Keys(ids), func(a, b count) int { return cmp.Or(cmp.Compare(a.send, b.send), cmp.Compare(a.what, b.what)) })
	for _, k := range keys {
		_, err := tx.Exec(ctx, `insert into returned_tally (send_id, what, n) values ($1, $2, 0)
			on conflict (send_id, what) do update set n = returned_tally.n`, k.send, k.what)
		if err == nil {
			_, err = tx.Exec(ctx, `
				update returned_tally set n = n + (
					select count(*) from returned mine where mine.id = any ($3) and not exists (
						select from returned o where o.send_id = mine.send_id and o.seq = mine.seq and o.kind = mine.kind
							and o.class is not distinct from mine.class and (o.id < mine.id or o.id <> all ($3)) and o.id <> mine.id))
				where send_id = $1 and what = $2`, k.send, k.what, ids[k])
		}
		if err != nil {
			return fmt.Errorf("count what came back: %w", err)
		}
	}
	return nil
}

// conclude suppresses addresses, in the order of their hashes, so that two who conclude cannot wait for each other.
func conclude(ctx context.Context, tx pgx.Tx, found []conclusion) error {
	slices.SortStableFunc(found, func(a, b conclusion) int { return bytes.Compare(a.hash, b.hash) })
	var list []Suppression
	campaigns := map[string]bool{}
	for _, c := range found {
		if c.campaign != "" {
			campaigns[c.campaign] = true
		}
		if len(c.hash) == 0 {
			continue
		}
		s := Suppression{Hash: c.hash, Source: c.channel}
		switch {
		case c.notice.Kind == inbound.Complaint:
			s.Reason = SuppressComplained
		case c.notice.Kind != inbound.Bounce:
			continue
		case c.notice.Class == inbound.Hard:
			s.Reason = SuppressBounced
		default:
			until, err := weighSoftBounce(ctx, tx, c.hash)
			if err != nil {
				return err
			}
			if until.IsZero() {
				continue
			}
			s.Reason, s.ExpiresAt = SuppressBounced, until
		}
		list = append(list, s)
	}
	if _, err := suppressIn(ctx, tx, list); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(campaigns)) {
		if err := noteStatusChange(ctx, tx, CampaignKind, name); err != nil {
			return err
		}
	}
	return nil
}

// weighSoftBounce adds a soft bounce to those of an address, and tells until when the address rests; the zero time where it
// does not.
func weighSoftBounce(ctx context.Context, tx pgx.Tx, hash []byte) (until time.Time, err error) {
	var score inbound.SoftScore
	var now time.Time
	err = tx.QueryRow(ctx, `insert into soft_bounce (address_hash, weight, at) values ($1, 0, now())
		on conflict (address_hash) do update set weight = soft_bounce.weight returning weight, at, now()`, hash).Scan(&score.Weight, &score.At, &now)
	if err != nil {
		return time.Time{}, fmt.Errorf("weigh a soft bounce: %w", err)
	}
	next, until := score.Next(now)
	if _, err := tx.Exec(ctx, "update soft_bounce set weight = $2, at = $3 where address_hash = $1", hash, next.Weight, next.At); err != nil {
		return time.Time{}, fmt.Errorf("weigh a soft bounce: %w", err)
	}
	return until, nil
}

// ReturnMailbox is the mailbox of a channel.
type ReturnMailbox struct {
	Channel string
	MailboxSettings
}

// ReturnMailboxes lists the mailboxes of channels that are in force.
func (db *DB) ReturnMailboxes(ctx context.Context) ([]ReturnMailbox, error) {
	rows, err := db.Pool.Query(ctx, `
		select name, settings #> '{returns,imap}' from channel
		where type = $1 and dormant_since is null and settings #>> '{returns,imap,host}' <> '' order by name`, EmailType)
	if err != nil {
		return nil, fmt.Errorf("list the mailboxes of returns: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m ReturnMailbox, err error) {
		err = row.Scan(&m.Channel, &m.MailboxSettings)
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("list the mailboxes of returns: %w", err)
	}
	return found, nil
}

// SetReturnsTrouble records why a channel's mailbox cannot be read, in words for an author, without people or secrets; ""
// when it can. The channel is noted for another look where that is news.
func (db *DB) SetReturnsTrouble(ctx context.Context, channel, words string) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "update channel set returns_trouble = nullif($2, '') where name = $1 and returns_trouble is distinct from nullif($2, '')",
			channel, words)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return noteStatusChange(ctx, tx, ChannelKind, channel)
	})
	if err != nil {
		return fmt.Errorf("record the trouble of the mailbox of channel %q: %w", channel, err)
	}
	return nil
}

// ForgetReturned deletes what people and servers said in notices that came longer ago than this; that they came is kept. At
// most a thousand at a time: the rest follows the next time.
func (db *DB) ForgetReturned(ctx context.Context, after time.Duration) error {
	_, err := db.Pool.Exec(ctx, `
		update returned set diagnostic = null, sender = null, subject = null, content = null
		where id in (
			select id from returned where received_at < now() - $1::interval
				and (diagnostic is not null or sender is not null or subject is not null or content is not null)
			order by received_at limit 1000 for update skip locked)`, after)
	if err != nil {
		return fmt.Errorf("forget what was said in old notices: %w", err)
	}
	return nil
}
