package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/service"
)

// Answer is what an agent answers.
type Answer struct {
	By   Actor
	Seen int64 // the version of the conversation that they have read
	// Key names the attempt, within the conversation: one that is made again, because nobody knows what came of it, has the same one. "" is never the same.
	Key  string
	Text string
	Then service.Status // what becomes of its tickets once it has left: Open, Pending or Solved; "": Pending
	// Flaw tells why the network does not take the text, in words for the agent, and "" where it takes it. Nil: it shows when the answer leaves.
	Flaw func(Answering, string) string
}

// Answering is by what somebody is answered.
type Answering struct {
	ChannelType string
	Takes       post.Takes // by the channel's server; zero where nobody has asked it
	To          string     // the handle of who is answered, on a network; "" elsewhere
}

// Answered is an answer that was accepted.
type Answered struct {
	Message string // its public id
	Version int64  // of the conversation
	Again   bool   // the same attempt had been accepted before: nothing more is sent
}

// maxAttempt bounds the names of attempts.
const maxAttempt = 100

// AnswerConversation has an agent answer a conversation, which they name by its public id or its number: the answer leaves by the channel that answers
// for its source. An attempt that is made again is the same message. The error is a *service.Refusal where somebody else is at it, or something
// was said that the agent has not read, or there is no channel.
func (db *DB) AnswerConversation(ctx context.Context, ref string, a Answer) (done Answered, err error) {
	if err := a.check(); err != nil {
		return done, err
	}
	err = db.actOn(ctx, "answer", ref, func(d *serviceDesk, c *caseFile) error {
		done, err = d.answer(ctx, c, a)
		return err
	})
	return done, err
}

func (a Answer) check() error {
	switch {
	case a.By.Agent == "":
		return turnDown(service.ReasonUnknown, "an answer needs an agent")
	case len(a.Key) > maxAttempt:
		return turnDown(service.ReasonUnknown, fmt.Sprintf("the key of an attempt may have %d characters: this one has more", maxAttempt))
	case a.Then != "" && a.Then != service.StatusOpen && a.Then != service.StatusPending && a.Then != service.StatusSolved:
		return turnDown(service.ReasonUnknown, fmt.Sprintf("an answer leaves a ticket Open, Pending or Solved, not %q", string(a.Then)))
	}
	return checkText("an answer", a.Text)
}

func (d *serviceDesk) answer(ctx context.Context, c *caseFile, a Answer) (done Answered, err error) {
	if a.Key != "" {
		err := d.tx.QueryRow(ctx, "select public_id::text, version from message where conversation_id = $1 and key = $2", c.id, a.Key).
			Scan(&done.Message, &done.Version)
		if err == nil {
			done.Again = true
			return done, nil
		}
		if !errors.Is(err, pgx.ErrNoRows) {
			return done, fmt.Errorf("look for the attempt: %w", err)
		}
	}
	next, _, err := c.desk.Answer(service.Attempt{Agent: a.By.Agent, Seen: a.Seen, Key: a.Key}, d.now)
	if err != nil {
		return done, err
	}
	ways, err := d.replyWays(ctx, []int64{c.id})
	if err != nil {
		return done, err
	}
	way := ways[c.id]
	if way.trouble != nil {
		return done, way.trouble
	}
	if err := d.refuseFlawed(ctx, way, a); err != nil {
		return done, err
	}
	c.desk, c.changed = next, true
	for _, t := range c.tickets {
		if t.state.Assignee == "" && !t.state.Status.Over() {
			if err := d.onTicket(t, service.TicketEvent{Kind: service.TicketAssigned, At: d.now, Assignee: a.By.Agent}, a.By); err != nil {
				return done, err
			}
		}
	}
	m := outMessage{
		conversation: c.id, version: next.Version, answers: way.message, agent: a.By.Agent, token: a.By.Token, key: a.Key, text: a.Text,
		leaves: string(a.Then), channel: way.channel, mention: way.mention, at: d.now,
	}
	if err := d.queueMessages(ctx, []*outMessage{&m}); err != nil {
		return done, err
	}
	return Answered{Message: m.publicID, Version: next.Version}, nil
}

// replyWay is how a conversation is answered: by which channel, and what.
type replyWay struct {
	channel          string
	message, mention int64            // the newest that they wrote whom the conversation is with
	trouble          *service.Refusal // why it cannot be
}

// replyWays finds how conversations are answered. What they wrote last is answered whom the conversation is with: by the ids that mails name, also
// somebody else may have come in, of whom nothing proves who they are, and what an agent has to say is for who asked. An account that is known to
// be another one of the same contact is the same.
func (d *serviceDesk) replyWays(ctx context.Context, ids []int64) (map[int64]replyWay, error) {
	rows, err := d.tx.Query(ctx, `
		select c.id, coalesce(s.reply_channel, ''), k.name is not null, coalesce(m.id, 0), coalesce(m.mention_id, 0)
		from conversation c left join social_source s on s.id = c.source_id
			left join channel k on k.name = s.reply_channel and k.dormant_since is null
			left join lateral (select m.id, m.mention_id from message m where m.conversation_id = c.id and m.direction = 'In'
				and (c.author_id is null or exists (select from mention t where t.id = m.mention_id and (t.author_id = c.author_id or exists (
					select from author a join author o on o.id = t.author_id
						join identifier_link l on l.identifier_id = a.identifier_id and l.verified
						join identifier_link k on k.identifier_id = o.identifier_id and k.verified and k.contact_id = l.contact_id
					where a.id = c.author_id))))
				order by m.version desc limit 1) m on true
		where c.id = any ($1)`, ids)
	if err != nil {
		return nil, fmt.Errorf("look for the channels of conversations: %w", err)
	}
	ways := map[int64]replyWay{}
	var id int64
	var w replyWay
	var there bool
	_, err = pgx.ForEachRow(rows, []any{&id, &w.channel, &there, &w.message, &w.mention}, func() error {
		w.trouble = nil
		switch {
		case w.channel == "":
			w.trouble = turnDown(service.ReasonNoReply, "no channel answers what comes in by this source: set spec.replyChannelRef of the SocialSource")
		case !there:
			w.trouble = turnDown(service.ReasonNoReply,
				fmt.Sprintf("the channel %q, which answers what comes in by this source, is not there: declare it", w.channel))
		case w.message == 0:
			w.trouble = turnDown(service.ReasonNoReply, "nothing is there any more that they wrote whom the conversation is with")
		}
		ways[id] = w
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for the channels of conversations: %w", err)
	}
	return ways, nil
}

// refuseFlawed refuses an answer that its network does not take, while its author is there to mend it.
func (d *serviceDesk) refuseFlawed(ctx context.Context, way replyWay, a Answer) error {
	if a.Flaw == nil {
		return nil
	}
	var by Answering
	var takes *post.Takes
	err := d.tx.QueryRow(ctx, `
		select k.type, k.takes, coalesce(a.handle, '') from channel k left join mention m on m.id = $2 left join author a on a.id = m.author_id
		where k.name = $1`, way.channel, way.mention).Scan(&by.ChannelType, &takes, &by.To)
	if err != nil {
		return fmt.Errorf("read what the channel takes: %w", err)
	}
	by.Takes = valueOf(takes)
	if why := a.Flaw(by, a.Text); why != "" {
		return turnDown(service.ReasonTooLong, why)
	}
	return nil
}

// outMessage is an answer that is to leave.
type outMessage struct {
	conversation, version, answers, mention int64
	agent, token, key, leaves               string
	rule, entry                             int64
	step, template, text                    string
	automatic                               bool
	channel                                 string
	at                                      time.Time

	id       int64
	publicID string
}

// queueMessages writes answers, and has them leave by the outbox once the transaction is committed.
func (d *serviceDesk) queueMessages(ctx context.Context, list []*outMessage) error {
	if len(list) == 0 {
		return nil
	}
	type row struct {
		Place        int       `json:"place"`
		Conversation int64     `json:"conversation_id"`
		Version      int64     `json:"version"`
		Answers      *int64    `json:"answers"`
		Agent        string    `json:"agent"`
		Token        string    `json:"token"`
		Key          *string   `json:"key"`
		Rule         *int64    `json:"rule_id"`
		Entry        *int64    `json:"entry_id"`
		Step         string    `json:"step"`
		Template     string    `json:"template"`
		Text         *string   `json:"text"`
		Leaves       string    `json:"leaves"`
		Automatic    bool      `json:"automatic"`
		At           time.Time `json:"written_at"`
	}
	given := make([]row, len(list))
	for i, m := range list {
		given[i] = row{
			i, m.conversation, m.version, nullID(m.answers), m.agent, m.token, nullText(m.key), nullID(m.rule), nullID(m.entry), m.step, m.template,
			nullText(m.text), m.leaves, m.automatic, m.at,
		}
	}
	ids, err := drawIDs(ctx, d.tx, "message_id_seq", len(list))
	if err != nil {
		return fmt.Errorf("write answers: %w", err)
	}
	rows, err := d.tx.Query(ctx, `
		insert into message (id, conversation_id, version, direction, answers, agent, token, key, rule_id, entry_id, step, template, text, leaves, automatic,
			state, written_at)
		overriding system value
		select i.id, r.conversation_id, r.version, 'Out', r.answers, r.agent, r.token, r.key, r.rule_id, r.entry_id, r.step, r.template, r.text, r.leaves,
			r.automatic, 'Queued', r.written_at
		from unnest($2::bigint[]) with ordinality i (id, place) join jsonb_to_recordset($1::jsonb) r (place int, conversation_id bigint, version bigint,
			answers bigint, agent text, token text, key text, rule_id bigint, entry_id bigint, step text, template text, text text, leaves text,
			automatic boolean, written_at timestamptz) on r.place = i.place - 1
		returning id, public_id::text`, string(mustJSON(given)), ids)
	if err != nil {
		return fmt.Errorf("write answers: %w", err)
	}
	places := map[int64]int{}
	for i, id := range ids {
		places[id] = i
	}
	var id int64
	var publicID string
	_, err = pgx.ForEachRow(rows, []any{&id, &publicID}, func() error {
		m := list[places[id]]
		m.id, m.publicID = id, publicID
		return nil
	})
	if err != nil {
		return fmt.Errorf("write answers: %w", err)
	}
	for _, m := range list {
		c := d.cases[m.conversation]
		c.messages, c.changed = c.messages+1, true
		if m.at.After(c.lastAt) {
			c.lastAt = m.at
		}
	}
	return d.enqueueReplies(ctx, list)
}

func nullText(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
