package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// selectConversations selects what scanConversation reads, of ids ($1) in their order.
const selectConversations = `
	select c.id, c.public_id::text, c.number, c.network, coalesce(s.name, ''), coalesce(s.reply_channel, ''), c.state, c.waiting_since, c.snoozed_until,
		c.closed_at, c.last_inbound, c.last_outbound, c.reopened, c.version, c.version_in, c.version_out, c.claimed_by, c.claimed_until, c.messages,
		c.opened_at, coalesce((select f.number from conversation f where f.id = c.follows), 0),
		coalesce((select m.title from message x join mention m on m.id = x.mention_id
			where x.conversation_id = c.id and x.direction = 'In' and m.forgotten_at is null and m.title <> '' order by x.version limit 1), ''),
		coalesce((select p.public_id::text from identifier_link l join contact p on p.id = l.contact_id
			where l.identifier_id = a.identifier_id order by l.verified desc, p.id limit 1), ''),
		` + nullableAuthor + `
	from unnest($1::bigint[]) with ordinality w (id, place) join conversation c on c.id = w.id
		left join social_source s on s.id = c.source_id left join author a on a.id = c.author_id
	order by w.place`

// nullableAuthor are the columns of an author a that may not be there; scanAuthor reads them.
const nullableAuthor = `a.id is not null, coalesce(a.public_id::text, ''), coalesce(a.native_id, ''), coalesce(a.handle, ''), coalesce(a.name, ''),
		coalesce(a.url, ''), a.followers, a.registered_at, coalesce(a.bot, false)`

// scannedAuthor is where nullableAuthor goes.
type scannedAuthor struct {
	MentionAuthor
	named bool
}

func (a *scannedAuthor) into() []any {
	return []any{&a.named, &a.PublicID, &a.NativeID, &a.Handle, &a.Name, &a.URL, &a.Followers, &a.RegisteredAt, &a.Bot}
}

func (a *scannedAuthor) author() *MentionAuthor {
	if !a.named {
		return nil
	}
	return &a.MentionAuthor
}

func loadConversations(ctx context.Context, tx pgx.Tx, ids []int64, now time.Time) ([]LookedConversation, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, selectConversations, ids)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(rows, scanConversation)
	if err != nil {
		return nil, err
	}
	if err := addLastMessages(ctx, tx, ids, list); err != nil {
		return nil, err
	}
	tickets, err := loadTickets(ctx, tx, "t.conversation_id = any ($1) and t.status <> 'Closed'", []any{ids}, now)
	if err != nil {
		return nil, err
	}
	for i := range list {
		for _, t := range tickets {
			if t.conversationID == list[i].ID {
				list[i].Tickets = append(list[i].Tickets, t)
			}
		}
	}
	return list, nil
}

func scanConversation(row pgx.CollectableRow) (c LookedConversation, err error) {
	var waiting, snoozed, closed, in, out, claimed *time.Time
	var author scannedAuthor
	err = row.Scan(append([]any{
		&c.ID, &c.PublicID, &c.Number, &c.Network, &c.Source, &c.ReplyChannel, &c.State, &waiting, &snoozed, &closed, &in, &out, &c.Reopened,
		&c.Desk.Version, &c.Desk.In, &c.Desk.Out, &c.Desk.Claim.Agent, &claimed, &c.Messages, &c.BeganAt, &c.Follows, &c.Subject, &c.Contact,
	}, author.into()...)...)
	c.WaitingSince, c.SnoozedUntil, c.ClosedAt, c.LastInbound, c.LastOutbound = valueOf(waiting), valueOf(snoozed), valueOf(closed), valueOf(in), valueOf(out)
	c.Desk.Claim.Until, c.With = valueOf(claimed), author.author()
	return c, err
}

// LookedMessage is a message of one side, or a note, as people are told of it.
type LookedMessage struct {
	PublicID  string
	Kind      MessageKind
	Version   int64 // of the conversation, that it made; 0 of a note
	Text      string
	Template  string         // by which it is still to be written
	Forgotten bool           // by its author's will
	At        time.Time      // when it was written
	Author    *MentionAuthor // of theirs
	Agent     string         // of ours; "" where a rule wrote it
	Rule      string
	Mention   string // of theirs: its public id
	URL       string
	State     string    // of ours: Queued, Sent, Failed or Ambiguous
	SentAt    time.Time // the zero time before
	Reason    string    // what its network said

	conversationID int64
}

// MessageKind is whose a message is.
type MessageKind string

// The kinds of what stands in a thread.
const (
	MessageIn   MessageKind = "In"   // theirs
	MessageOut  MessageKind = "Out"  // ours
	MessageNote MessageKind = "Note" // for ourselves
)

// messageFields are those of a message x with its mention m and its author a, which may not be there; its text is cut to $2 characters.
const messageFields = `x.conversation_id, x.public_id::text, x.direction, x.version,
	left(case when x.direction = 'Out' then coalesce(x.text, '') when m.forgotten_at is null then coalesce(m.text, '') else '' end, $2),
	case when x.text is null then x.template else '' end, x.direction = 'In' and (m.id is null or m.forgotten_at is not null), x.written_at, x.agent,
	coalesce((select r.name from automation_rule r where r.id = x.rule_id), ''), coalesce(m.public_id::text, ''), coalesce(nullif(x.url, ''), m.url, ''),
	coalesce(x.state, ''), x.sent_at, x.reason, ` + nullableAuthor

func scanMessage(row pgx.CollectableRow) (m LookedMessage, err error) {
	var sent *time.Time
	var author scannedAuthor
	err = row.Scan(append([]any{
		&m.conversationID, &m.PublicID, &m.Kind, &m.Version, &m.Text, &m.Template, &m.Forgotten, &m.At, &m.Agent, &m.Rule, &m.Mention, &m.URL, &m.State,
		&sent, &m.Reason,
	}, author.into()...)...)
	m.SentAt, m.Author = valueOf(sent), author.author()
	return m, err
}

func addLastMessages(ctx context.Context, tx pgx.Tx, ids []int64, list []LookedConversation) error {
	rows, err := tx.Query(ctx, `
		select `+messageFields+`
		from unnest($1::bigint[]) w (id)
			cross join lateral (select y.* from message y where y.conversation_id = w.id order by y.version desc limit 1) x
			left join mention m on m.id = x.mention_id left join author a on a.id = m.author_id`, ids, excerpt)
	if err != nil {
		return err
	}
	last, err := pgx.CollectRows(rows, scanMessage)
	if err != nil {
		return err
	}
	for i := range list {
		at := slices.IndexFunc(last, func(m LookedMessage) bool { return m.conversationID == list[i].ID })
		if at >= 0 {
			list[i].Last = &last[at]
		}
	}
	return nil
}

// ConversationDetail is a conversation with what both sides wrote.
type ConversationDetail struct {
	LookedConversation
	Thread []LookedMessage // with our notes, the oldest first
	Whole  bool            // whether that is all of it
}

// talkLength is how many messages, and how many notes, of a conversation are told: the last ones.
const talkLength = 200

// longestText is more characters than any text has that came in or leaves.
const longestText = 1 << 20

// Conversation tells of the one that people mean by a public id or a number, of itself or of a ticket, as it stands at a moment. It returns ErrNotFound
// and ErrTooLong.
func (db *DB) Conversation(ctx context.Context, ref string, now time.Time) (d ConversationDetail, err error) {
	err = db.look(ctx, lookLimit, func(tx pgx.Tx) error {
		id, err := conversationRef(ctx, tx, ref)
		if err != nil {
			return err
		}
		list, err := loadConversations(ctx, tx, []int64{id}, now)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return ErrNotFound
		}
		d.LookedConversation = list[0]
		return d.loadThread(ctx, tx)
	})
	if err != nil {
		return ConversationDetail{}, fmt.Errorf("read the conversation: %w", err)
	}
	return d, nil
}

func (d *ConversationDetail) loadThread(ctx context.Context, tx pgx.Tx) error {
	var messages, notes []LookedMessage
	var queue pgx.Batch
	queue.Queue(`select `+messageFields+` from message x left join mention m on m.id = x.mention_id left join author a on a.id = m.author_id
		where x.conversation_id = $1 order by x.version desc, x.id desc limit $3`, d.ID, longestText, talkLength+1).Query(func(rows pgx.Rows) (err error) {
		messages, err = pgx.CollectRows(rows, scanMessage)
		return err
	})
	queue.Queue("select public_id::text, text, at, agent from note where conversation_id = $1 order by id desc limit $2", d.ID, talkLength+1).
		Query(func(rows pgx.Rows) (err error) {
			notes, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (n LookedMessage, err error) {
				n.Kind = MessageNote
				return n, row.Scan(&n.PublicID, &n.Text, &n.At, &n.Agent)
			})
			return err
		})
	if err := tx.SendBatch(ctx, &queue).Close(); err != nil {
		return err
	}
	d.Whole = len(messages) <= talkLength && len(notes) <= talkLength
	d.Thread = append(messages[:min(len(messages), talkLength)], notes[:min(len(notes), talkLength)]...)
	slices.SortStableFunc(d.Thread, func(a, b LookedMessage) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Version, b.Version)) })
	return nil
}
