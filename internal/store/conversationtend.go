package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/service"
)

// Tended counts what a look at what is due did.
type Tended struct {
	Conversations, Tickets int
	Missed, Escalated      int  // of tickets
	More                   bool // there may be more
}

// TendConversations has come what is due by time alone: conversations that were put away come back, those in which the customer says nothing any more
// end, targets of tickets are missed, escalations are carried out, and what was solved is closed for good; at most so many of each. Workers share them.
func (db *DB) TendConversations(ctx context.Context, most int) (done Tended, err error) {
	var due bool
	// The least of an index, so that the planner needs to know nothing of the tables.
	err = db.Pool.QueryRow(ctx, `select not coalesce((select suspended from tenant), false) and coalesce(least(
		(select min(wake_at) from ticket where wake_at is not null), (select min(wake_at) from conversation where wake_at is not null)) <= now(), false)`).
		Scan(&due)
	if err == nil && due {
		err = retryConflicts(func() error {
			return db.InTx(ctx, func(tx pgx.Tx) error {
				done, err = tend(ctx, tx, most)
				return err
			})
		})
	}
	if err != nil {
		return Tended{}, fmt.Errorf("tend conversations: %w", err)
	}
	return done, nil
}

func tend(ctx context.Context, tx pgx.Tx, most int) (done Tended, err error) {
	// Who is at one of them changes when it is due: it is left to the next look.
	rows, err := tx.Query(ctx, `
		with due as (
			(select conversation_id id from ticket where wake_at <= now() order by wake_at limit $1)
			union (select id from conversation where wake_at <= now() order by wake_at limit $1))
		select id from conversation where id in (select id from due) order by id for update skip locked`, most)
	if err != nil {
		return done, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(ids) == 0 {
		return done, err
	}
	d, err := openDesk(ctx, tx, ids)
	if err != nil {
		return done, err
	}
	done = Tended{Conversations: len(ids), More: len(ids) >= most}
	for _, c := range d.cases {
		c.changed = true // when it is due next is reckoned anew, whatever comes of it
		if err := d.converse(c, service.ConversationEvent{Kind: service.TimeCame, At: d.now}, Actor{}); err != nil {
			return done, err
		}
		for _, t := range c.tickets {
			if err := d.tendTicket(t, &done); err != nil {
				return done, err
			}
		}
	}
	return done, d.save(ctx)
}

func (d *serviceDesk) tendTicket(t *ticketFile, done *Tended) error {
	before := len(t.deeds)
	var refused *service.Refusal
	if err := d.onTicket(t, service.TicketEvent{Kind: service.TicketTimeCame, At: d.now}, Actor{}); err != nil && !errors.As(err, &refused) {
		return err
	}
	t.changed = true
	done.Tickets++
	for _, deed := range t.deeds[before:] {
		switch service.HappeningKind(deed.kind) {
		case service.HappenedMissed:
			done.Missed++
		case service.HappenedEscalated:
			done.Escalated++
		}
	}
	return nil
}
