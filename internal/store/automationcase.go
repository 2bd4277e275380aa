package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// casework is the conversation and the ticket that an event is about, or that an entry has; 0 where there is none.
type casework struct{ conversation, ticket int64 }

// or takes what is missing from another one. The ticket of another conversation is not taken.
func (c casework) or(o casework) casework {
	if c.conversation == 0 {
		return o
	}
	if c.ticket == 0 && c.conversation == o.conversation {
		c.ticket = o.ticket
	}
	return c
}

// findCase tells which conversation and which ticket an event is about, as the queue notes it.
func (h *happening) findCase(event string) {
	e, _ := automate.FindEvent(crm.Schema{}, event)
	h.casework, h.answerable = casework{}, e.Case.Answerable
	if e.Case.Conversation {
		h.conversation = h.ref
	}
	if e.Case.Ticket {
		h.ticket = h.ref3
	}
}

// caseOf is what an entry begins with: what its event is about, or else what the entry had that started it.
func (c *candidate) caseOf() casework {
	if c.origin == nil {
		return c.started
	}
	return c.started.or(c.origin.casework)
}

// beginWaits has entries that did something to their case in this transaction wait from now on: what they did themselves is not what they await.
// Nobody else does anything to it before the transaction is committed.
func (w *walker) beginWaits(ctx context.Context, walks []*walk) error {
	var waiting []*walk
	for _, k := range walks {
		if k.cared && k.state.Status == automate.Waiting && w.awaitedCase(k).Conversation {
			waiting = append(waiting, k)
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	var elapsed time.Duration
	if err := w.tx.QueryRow(ctx, "select clock_timestamp() - transaction_timestamp()").Scan(&elapsed); err != nil {
		return fmt.Errorf("look when waits begin: %w", err)
	}
	for _, k := range waiting {
		k.state.Since = w.now.Add(elapsed)
	}
	return nil
}

// answerable tells whether there is still something that somebody wrote.
func (k *walk) answerable() bool { return k.origin != nil && k.origin.known && k.origin.answerable }

// about is what an entry's conditions speak of: its own case, or else that of what it awaited.
func (k *walk) about() casework {
	if k.came == nil {
		return k.casework
	}
	return k.or(k.came.casework)
}

// loadCases reads how the conversations and tickets of entries stand, where that is asked.
func (w *walker) loadCases(ctx context.Context, walks []*walk, asks func(subject string) bool) error {
	for _, kind := range []struct {
		variable string
		sql      string
		subject  expr.Subject
		id       func(casework) int64
	}{
		{automate.ConversationVariable, conversationFactsSQL, subjectOf(automate.ConversationOpened), func(c casework) int64 { return c.conversation }},
		{automate.TicketVariable, ticketFactsSQL, subjectOf(automate.TicketOpened), func(c casework) int64 { return c.ticket }},
	} {
		if !asks(kind.variable) {
			continue
		}
		var ids []int64
		for _, k := range walks {
			if id := kind.id(k.about()); id != 0 {
				ids = append(ids, id)
			}
		}
		facts, err := loadCaseFacts(ctx, w.tx, kind.subject, kind.sql, ids)
		if err != nil {
			return fmt.Errorf("read how each %s stands: %w", kind.variable, err)
		}
		for _, k := range walks {
			// Another walk may share the map of an earlier look.
			k.cases = maps.Clone(k.cases)
			if k.cases == nil {
				k.cases = map[string]expr.Facts{}
			}
			k.cases[kind.variable] = facts[kind.id(k.about())]
		}
	}
	return nil
}

// subjectOf is what an event tells that every tenant has.
func subjectOf(event string) expr.Subject {
	e, _ := automate.FindEvent(crm.Schema{}, event)
	return e.Subject
}

// loadCaseFacts reads what is known of conversations or tickets, by their ids.
func loadCaseFacts(ctx context.Context, tx pgx.Tx, subject expr.Subject, sql string, ids []int64) (map[int64]expr.Facts, error) {
	facts := map[int64]expr.Facts{}
	if len(ids) == 0 {
		return facts, nil
	}
	slices.Sort(ids)
	rows, err := tx.Query(ctx, "select q.id, f.facts from unnest($1::bigint[]) q (id) cross join lateral ("+sql+" where x.id = q.id) f (facts)",
		slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	var id int64
	var document []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &document}, func() error { facts[id] = readSubject(subject, document); return nil })
	return facts, err
}

// What is told of conversations and tickets: the facts by their paths, of a row x.
const (
	conversationFactsSQL = `select jsonb_strip_nulls(jsonb_build_object('number', x.number, 'network', x.network, 'status', x.state, 'messages', x.messages,
		'waiting_since', x.waiting_since)) from conversation x`
	ticketFactsSQL = `select jsonb_strip_nulls(jsonb_build_object('number', x.number, 'queue', (select u.name from service_queue u where u.id = x.queue_id),
		'priority', x.priority, 'status', x.status, 'assignee', nullif(x.assignee, ''), 'opened_at', x.opened_at, 'answered', x.answered_at is not null,
		'resolved', x.status in ('Solved', 'Closed') and x.solved_at is not null, 'breached', x.missed_first + x.missed_next + x.missed_solve > 0))
		from ticket x`
)

// What happened in conversations, for a row q of the queue: whose it is, and the facts. The number of the conversation is no fact of its subject;
// entries are told apart by it.
var (
	messageReceivedFactsSQL = `select ` + contactOfAuthor + `, jsonb_strip_nulls(jsonb_build_object('network', t.network, 'source', s.name,
			'kind', t.kind, 'visibility', t.visibility, 'language', nullif(t.language, ''), 'label', t.label, 'sentiment', t.polarity,
			'subject', nullif(t.title, ''), 'text', t.text, 'conversation.number', c.number))
		from message m join conversation c on c.id = m.conversation_id join mention t on t.id = m.mention_id left join author a on a.id = t.author_id
			left join social_source s on s.id = t.source_id
		where m.id = q.ref2 and t.forgotten_at is null`
	conversationEventFactsSQL = `select ` + contactOfAuthor + `, f.facts
		from (` + strings.Replace(conversationFactsSQL, "select ", "select x.author_id, ", 1) + ` where x.id = q.ref) f (author_id, facts)
			left join author a on a.id = f.author_id`
	ticketEventFactsSQL = `select ` + contactOfAuthor + `, f.facts || jsonb_build_object('conversation.number', c.number)
		from conversation c cross join lateral (` + ticketFactsSQL + ` where x.id = q.ref3) f (facts)
			left join author a on a.id = c.author_id where c.id = q.ref`
)

// contactOfAuthor is whose an author a is: the contact that confirmed the identifier, or the only one that has it.
const contactOfAuthor = `(select l.contact_id from identifier_link l where l.identifier_id = a.identifier_id
	and (l.verified or not exists (select from identifier_link o where o.identifier_id = l.identifier_id and o.contact_id <> l.contact_id)) limit 1)`

// caseNumbers reads the numbers of conversations and tickets of entries, by their ids.
func (w *walker) caseNumbers(ctx context.Context, effects []effect) (conversations, tickets map[int64]int64, err error) {
	conversations, tickets = map[int64]int64{}, map[int64]int64{}
	var ofConversations, ofTickets []int64
	for _, e := range effects {
		if e.conversation != 0 {
			ofConversations = append(ofConversations, e.conversation)
		}
		if e.ticket != 0 {
			ofTickets = append(ofTickets, e.ticket)
		}
	}
	if len(ofConversations) == 0 {
		return conversations, tickets, nil
	}
	rows, err := w.tx.Query(ctx, `
		select false, id, number from conversation where id = any ($1) union all select true, id, number from ticket where id = any ($2)`,
		ofConversations, ofTickets)
	if err == nil {
		var isTicket bool
		var id, number int64
		_, err = pgx.ForEachRow(rows, []any{&isTicket, &id, &number}, func() error {
			if isTicket {
				tickets[id] = number
			} else {
				conversations[id] = number
			}
			return nil
		})
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the numbers of tickets: %w", err)
	}
	return conversations, tickets, nil
}
