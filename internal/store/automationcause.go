package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// foundCause is an entry that led to something.
type foundCause struct {
	id    int64
	depth int
}

func (c *candidate) causedBy(found foundCause) { c.cause, c.depth = found.id, found.depth+1 }

// findCauses looks whether what happened is what a rule did: segments follow tags and attributes that rules write, and tickets are opened and
// assigned by them.
func (w *walker) findCauses(ctx context.Context, candidates []*candidate) error {
	var people, tickets []*candidate
	for _, c := range candidates {
		if c.cause != 0 || c.origin == nil {
			continue
		}
		switch event := w.book.watches[c.origin.watch].event; {
		case c.person.contact != 0 && strings.HasPrefix(event, "segment."):
			people = append(people, c)
		case c.origin.ticket != 0:
			tickets = append(tickets, c)
		}
	}
	if err := w.findContactCauses(ctx, people); err != nil {
		return fmt.Errorf("look what led to events of contacts: %w", err)
	}
	if err := w.findTicketCauses(ctx, tickets); err != nil {
		return fmt.Errorf("look what led to events of tickets: %w", err)
	}
	return nil
}

func (w *walker) findContactCauses(ctx context.Context, candidates []*candidate) error {
	if len(candidates) == 0 {
		return nil
	}
	contacts := make([]int64, len(candidates))
	for i, c := range candidates {
		contacts[i] = c.person.contact
	}
	rows, err := w.tx.Query(ctx, `
		select distinct on (e.contact_id) e.contact_id, e.id, e.depth from automation_entry e
		where e.contact_id = any ($1) and e.acted_at > $2 order by e.contact_id, e.depth desc, e.id desc`, contacts, w.now.Add(-causeWindow))
	if err != nil {
		return err
	}
	causes := map[int64]foundCause{}
	var contact int64
	var found foundCause
	if _, err = pgx.ForEachRow(rows, []any{&contact, &found.id, &found.depth}, func() error { causes[contact] = found; return nil }); err != nil {
		return err
	}
	for _, c := range candidates {
		if found, ok := causes[c.person.contact]; ok {
			c.causedBy(found)
		}
	}
	return nil
}

// findTicketCauses looks at what no agent did.
func (w *walker) findTicketCauses(ctx context.Context, candidates []*candidate) error {
	if len(candidates) == 0 {
		return nil
	}
	conversations, events := make([]int64, len(candidates)), make([]int64, len(candidates))
	for i, c := range candidates {
		conversations[i], events[i] = c.origin.conversation, c.origin.ref2
	}
	rows, err := w.tx.Query(ctx, `
		select q.place, e.id, e.depth from unnest($1::bigint[], $2::bigint[]) with ordinality q (conversation_id, event_id, place)
			join ticket_event v on v.id = q.event_id and v.agent = ''
			cross join lateral (select e.id, e.depth from automation_entry e where e.conversation_id = q.conversation_id and e.acted_at > $3
				order by e.depth desc, e.id desc limit 1) e`, conversations, events, w.now.Add(-causeWindow))
	if err != nil {
		return err
	}
	var place int
	var found foundCause
	_, err = pgx.ForEachRow(rows, []any{&place, &found.id, &found.depth}, func() error { candidates[place-1].causedBy(found); return nil })
	return err
}
