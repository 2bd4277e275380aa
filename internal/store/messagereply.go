package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/service"
)

// replyWish is a reply of a rule.
type replyWish struct {
	Conversation int64
	Message      int64 // what is answered; 0: the mention's
	Mention      int64 // likewise; 0: the newest that came in
	Template     string
	Text         string // without a template
	Dedup        string // a wish that comes again has the same one
	Rule, Entry  int64
	Step         string
	At           time.Time
}

// queueReplies has replies of rules leave once the transaction is committed. It returns for each wish why it cannot be, in words that name nobody;
// nil where it is done. What a program says stops no clock of a ticket that somebody is still to answer.
func queueReplies(ctx context.Context, tx pgx.Tx, wishes []replyWish) ([]error, error) {
	refused := make([]error, len(wishes))
	if len(wishes) == 0 {
		return refused, nil
	}
	ids, keys := make([]int64, len(wishes)), make([]string, len(wishes))
	for i, w := range wishes {
		ids[i], keys[i] = w.Conversation, w.Dedup
	}
	d, err := openDesk(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	ways, err := d.replyWays(ctx, ids)
	if err != nil {
		return nil, err
	}
	done, err := d.doneReplies(ctx, ids, keys)
	if err != nil {
		return nil, err
	}
	answered, err := d.whatIsAnswered(ctx, wishes)
	if err != nil {
		return nil, err
	}
	var list []*outMessage
	for i, w := range wishes {
		c, way, key := d.cases[w.Conversation], ways[w.Conversation], doneKey{w.Conversation, w.Dedup}
		switch {
		case c == nil:
			refused[i] = errors.New("the conversation is not there any more")
			continue
		case done[key]:
			continue
		case way.trouble != nil:
			refused[i] = way.trouble
			continue
		}
		done[key] = true
		if a, ok := answered[i]; ok {
			way.message, way.mention = a.message, a.mention
		}
		c.desk.Version++
		c.desk.Out, c.changed = c.desk.Version, true
		list = append(list, &outMessage{
			conversation: c.id, version: c.desk.Version, answers: way.message, mention: way.mention, key: w.Dedup, rule: w.Rule, entry: w.Entry, step: w.Step,
			template: w.Template, text: w.Text, automatic: c.promised(), channel: way.channel, at: w.At,
		})
	}
	if err := d.queueMessages(ctx, list); err != nil {
		return nil, err
	}
	return refused, d.save(ctx)
}

// replyBody is what the outbox keeps of an answer.
type replyBody struct {
	Template string `json:"template,omitempty"`
	Text     string `json:"text,omitempty"`
	Auto     bool   `json:"auto,omitempty"` // a rule wrote it
	Mention  int64  `json:"mention"`        // what is answered
}

// enqueueReplies has answers leave.
func (d *serviceDesk) enqueueReplies(ctx context.Context, list []*outMessage) error {
	messages, rules, entries := make([]int64, len(list)), make([]int64, len(list)), make([]int64, len(list))
	channels, dedups, steps, bodies := make([]string, len(list)), make([]string, len(list)), make([]string, len(list)), make([]string, len(list))
	at := make([]time.Time, len(list))
	for i, m := range list {
		messages[i], rules[i], entries[i], at[i] = m.id, m.rule, m.entry, m.at
		channels[i], dedups[i], steps[i] = m.channel, "reply/"+m.publicID, m.step
		bodies[i] = string(mustJSON(replyBody{m.template, m.text, m.rule != 0, m.mention}))
	}
	_, err := d.tx.Exec(ctx, `
		insert into outbox (kind, channel, dedup, message_id, rule_id, entry_id, step, body, made_at, not_before, due_at)
		select 'Reply', o.channel, o.dedup, o.message, nullif(o.rule, 0), nullif(o.entry, 0), nullif(o.step, ''), o.body::jsonb, $9, o.at, o.at
		from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::timestamptz[])
			o (channel, dedup, message, rule, entry, step, body, at)`, channels, dedups, messages, rules, entries, steps, bodies, at, d.now)
	if err != nil {
		return fmt.Errorf("put answers into the outbox: %w", err)
	}
	return nil
}

// promised tells whether somebody is still to answer by a ticket.
func (c *caseFile) promised() bool {
	for _, t := range c.tickets {
		if !t.state.Status.Over() {
			return true
		}
	}
	return false
}

type doneKey struct {
	conversation int64
	key          string
}

// doneReplies tells which attempts are messages already.
func (d *serviceDesk) doneReplies(ctx context.Context, ids []int64, keys []string) (map[doneKey]bool, error) {
	done := map[doneKey]bool{}
	rows, err := d.tx.Query(ctx, `select m.conversation_id, m.key from unnest($1::bigint[], $2::text[]) q (id, key)
		join message m on m.conversation_id = q.id and m.key = q.key`, ids, keys)
	if err != nil {
		return nil, fmt.Errorf("look for replies that are there: %w", err)
	}
	var key doneKey
	if _, err = pgx.ForEachRow(rows, []any{&key.conversation, &key.key}, func() error { done[key] = true; return nil }); err != nil {
		return nil, fmt.Errorf("look for replies that are there: %w", err)
	}
	return done, nil
}

// whatIsAnswered finds the messages that wishes name, by their places.
func (d *serviceDesk) whatIsAnswered(ctx context.Context, wishes []replyWish) (map[int]replyWay, error) {
	conversations, messages, mentions := make([]int64, len(wishes)), make([]int64, len(wishes)), make([]int64, len(wishes))
	for i, w := range wishes {
		conversations[i], messages[i], mentions[i] = w.Conversation, w.Message, w.Mention
	}
	rows, err := d.tx.Query(ctx, `
		select q.place, m.id, m.mention_id from unnest($1::bigint[], $2::bigint[], $3::bigint[]) with ordinality q (conversation, message, mention, place)
			join message m on m.conversation_id = q.conversation and m.direction = 'In'
				and (m.id = q.message or q.message = 0 and m.mention_id = q.mention)`, conversations, messages, mentions)
	if err != nil {
		return nil, fmt.Errorf("look for what is answered: %w", err)
	}
	found := map[int]replyWay{}
	var place int
	var w replyWay
	if _, err = pgx.ForEachRow(rows, []any{&place, &w.message, &w.mention}, func() error { found[place-1] = w; return nil }); err != nil {
		return nil, fmt.Errorf("look for what is answered: %w", err)
	}
	return found, nil
}

// noteOwnPosts remembers what we said elsewhere than in a conversation: what answers it is a message to us.
func noteOwnPosts(ctx context.Context, tx pgx.Tx, network string, ids []string) error {
	_, err := tx.Exec(ctx, "insert into own_post (network, native_id) select $1, i from unnest($2::text[]) i on conflict do nothing", network, ids)
	if err != nil {
		return fmt.Errorf("note posts of ours: %w", err)
	}
	return nil
}

// setMessageText notes what a template has become, when the answer is about to leave.
func setMessageText(ctx context.Context, tx pgx.Tx, id int64, text string) error {
	if _, err := tx.Exec(ctx, "update message set text = $2 where id = $1 and direction = 'Out'", id, text); err != nil {
		return fmt.Errorf("note the text of an answer: %w", err)
	}
	return nil
}

// settleMessage notes what became of an answer: what has left is known by its ids, and counts as an answer from when it was written. It may be told
// again, and late: of what was Ambiguous it may turn out that it left or not. An answer that is not there any more is no error.
func settleMessage(ctx context.Context, tx pgx.Tx, id int64, state MessageState, native []string, url, reply string, at time.Time) error {
	var conversation int64
	err := tx.QueryRow(ctx, "select conversation_id from message where id = $1 and direction = 'Out'", id).Scan(&conversation)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	d, err := openDesk(ctx, tx, []int64{conversation})
	if err != nil {
		return err
	}
	c := d.cases[conversation]
	if c == nil {
		return nil
	}
	m, err := d.readAnswer(ctx, id)
	if err != nil || m == nil {
		return err
	}
	if err := d.settle(ctx, c, m, outcome{state, native, url, reply, at}); err != nil {
		return fmt.Errorf("settle an answer: %w", err)
	}
	return d.save(ctx)
}

// MessageState is how an answer of ours stands.
type MessageState string

// The states of answers.
const (
	MessageQueued    MessageState = "Queued"    // it is to leave
	MessageSent      MessageState = "Sent"      // its network took it
	MessageFailed    MessageState = "Failed"    // it did not leave, and will not
	MessageAmbiguous MessageState = "Ambiguous" // nobody knows whether it left
)

// outcome is what became of an answer.
type outcome struct {
	state      MessageState
	native     []string
	url, reply string
	at         time.Time
}

// ownAnswer is an answer that is settled.
type ownAnswer struct {
	id         int64
	state      MessageState
	automatic  bool
	counted    bool
	leaves     service.Status
	writtenAt  time.Time
	agent, tok string
}

func (d *serviceDesk) readAnswer(ctx context.Context, id int64) (*ownAnswer, error) {
	m := &ownAnswer{id: id}
	err := d.tx.QueryRow(ctx, "select state, automatic, counted, leaves, written_at, agent, token from message where id = $1 for update", id).
		Scan(&m.state, &m.automatic, &m.counted, &m.leaves, &m.writtenAt, &m.agent, &m.tok)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read an answer: %w", err)
	}
	m.writtenAt = m.writtenAt.UTC()
	return m, nil
}

// settles tells whether an answer in one state may come to another.
func settles(was, is MessageState) bool {
	return was != is && was != MessageSent && (is != MessageQueued || was == MessageFailed || was == MessageAmbiguous)
}

func (d *serviceDesk) settle(ctx context.Context, c *caseFile, m *ownAnswer, o outcome) error {
	is := o.state
	if is == MessageSent && len(o.native) > 0 {
		// Each part of a thread may be answered, also where the rest is told later.
		if err := d.leaveKeys(ctx, c, o.native); err != nil {
			return err
		}
	}
	if !settles(m.state, is) {
		return nil
	}
	left := is == MessageSent || is == MessageAmbiguous
	by := Actor{Agent: m.agent, Token: m.tok}
	switch {
	case left && !m.counted:
		if err := d.countAnswer(c, m, by); err != nil {
			return err
		}
	case !left && m.counted:
		if err := d.takeBackAnswer(c); err != nil {
			return err
		}
	}
	if is != MessageSent && is != MessageQueued {
		c.tell(string(is), o.at, Actor{})
	}
	_, err := d.tx.Exec(ctx, `update message set state = $2, counted = $3, sent_at = case when $2 = 'Sent' then $4::timestamptz else sent_at end,
			url = case when $5 = '' then url else $5 end, reason = $6 where id = $1`,
		m.id, string(is), left, o.at, o.url, o.reply)
	return err
}

// countAnswer has an answer count that has left, from when it was written.
func (d *serviceDesk) countAnswer(c *caseFile, m *ownAnswer, by Actor) error {
	kind, ticket := service.MessageAnswered, service.TicketAnswered
	if m.automatic {
		kind, ticket = service.MessageAcknowledged, service.TicketAcknowledged
	}
	if err := d.converse(c, service.ConversationEvent{Kind: kind, At: m.writtenAt}, by); err != nil {
		return err
	}
	c.tell("Answered", m.writtenAt, by)
	for _, t := range c.tickets {
		e := service.TicketEvent{Kind: ticket, At: m.writtenAt}
		if ticket == service.TicketAnswered {
			e.Then = m.leaves
		}
		var refused *service.Refusal
		if err := d.onTicket(t, e, by); err != nil && !errors.As(err, &refused) {
			return err
		}
	}
	return nil
}

// takeBackAnswer has the customer wait again, because an answer that was counted did not leave.
func (d *serviceDesk) takeBackAnswer(c *caseFile) error {
	if err := d.converse(c, service.ConversationEvent{Kind: service.MessageBounced, At: d.now}, Actor{}); err != nil {
		return err
	}
	for _, t := range c.tickets {
		var refused *service.Refusal
		if err := d.onTicket(t, service.TicketEvent{Kind: service.TicketBounced, At: d.now}, Actor{}); err != nil && !errors.As(err, &refused) {
			return err
		}
	}
	return nil
}
