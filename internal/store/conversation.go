package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/service"
)

// Actor is who does something with conversations and tickets.
type Actor struct {
	Agent string // who is told as acting
	Token string // the name of the API token by which; "" for none
}

// maxText bounds what agents write, in bytes. What a network takes is a matter of its channel.
const maxText = 64 << 10

// checkText refuses what cannot be stored as what somebody wrote.
func checkText(what, text string) error {
	switch {
	case text == "":
		return turnDown(service.ReasonUnknown, what+" needs a text")
	case len(text) > maxText:
		return turnDown(service.ReasonUnknown, fmt.Sprintf("%s may have %d KiB: this one has more", what, maxText>>10))
	}
	return nil
}

// turnDown refuses what somebody asked for, in words for them.
func turnDown(reason service.Reason, words string) *service.Refusal {
	return &service.Refusal{Reason: reason, Words: words}
}

// databaseNow is the time by which workers and agents agree.
func databaseNow(ctx context.Context, tx pgx.Tx) (now time.Time, err error) {
	if err := tx.QueryRow(ctx, "select clock_timestamp()").Scan(&now); err != nil {
		return now, fmt.Errorf("read the time: %w", err)
	}
	return now.UTC(), nil
}

// actOn has somebody do something with a conversation that they name by its public id or its number.
func (db *DB) actOn(ctx context.Context, what, ref string, f func(*serviceDesk, *caseFile) error) error {
	return db.act(ctx, what+" conversation", ref, conversationRef, f)
}

// act locks the conversation that find names, has f change it, and writes what has changed.
func (db *DB) act(
	ctx context.Context, what, ref string, find func(context.Context, pgx.Tx, string) (int64, error), f func(*serviceDesk, *caseFile) error,
) error {
	err := retryConflicts(func() error {
		return db.InTx(ctx, func(tx pgx.Tx) error {
			id, err := find(ctx, tx, ref)
			if err != nil {
				return err
			}
			d, err := openDesk(ctx, tx, []int64{id})
			if err != nil {
				return err
			}
			c := d.cases[id]
			if c == nil {
				return ErrNotFound
			}
			if err := f(d, c); err != nil {
				return err
			}
			return d.save(ctx)
		})
	})
	var refused *service.Refusal
	if err == nil || errors.As(err, &refused) {
		return err
	}
	return fmt.Errorf("%s %s: %w", what, ref, err)
}

// ClaimConversation has an agent claim a conversation, or renew the claim; over takes it from another one. length 0 is service.DefaultClaim. The
// error is a *service.Refusal where another agent's claim holds.
func (db *DB) ClaimConversation(ctx context.Context, ref string, by Actor, length time.Duration, over bool) (desk service.Desk, err error) {
	err = db.actOn(ctx, "claim", ref, func(d *serviceDesk, c *caseFile) error {
		next, err := c.desk.Take(by.Agent, length, over, d.now)
		if err != nil {
			return err
		}
		if next.Claim.Agent != c.desk.Claim.Agent {
			c.tell("Claimed", d.now, by)
		}
		c.desk, c.changed, desk = next, true, next
		return nil
	})
	return desk, err
}

// ReleaseConversation gives an agent's claim back. That of another stays.
func (db *DB) ReleaseConversation(ctx context.Context, ref string, by Actor) error {
	return db.actOn(ctx, "release", ref, func(d *serviceDesk, c *caseFile) error {
		if c.desk.Claim.Agent == by.Agent && by.Agent != "" {
			c.desk, c.changed = c.desk.Release(by.Agent), true
			c.tell("Released", d.now, by)
		}
		return nil
	})
}

// NoteConversation writes a note for ourselves, and returns its public id.
func (db *DB) NoteConversation(ctx context.Context, ref string, by Actor, text string) (id string, err error) {
	if err := checkText("a note", text); err != nil {
		return "", err
	}
	err = db.actOn(ctx, "note on", ref, func(d *serviceDesk, c *caseFile) error {
		c.tell("Noted", d.now, by)
		if err := d.onTickets(c, service.TicketEvent{Kind: service.TicketNoted, At: d.now}, by); err != nil {
			return err
		}
		return d.tx.QueryRow(ctx, "insert into note (conversation_id, agent, token, text) values ($1, $2, $3, $4) returning public_id::text",
			c.id, by.Agent, by.Token, text).Scan(&id)
	})
	return id, err
}

// SnoozeConversation puts a conversation away until a moment, or until the customer writes.
func (db *DB) SnoozeConversation(ctx context.Context, ref string, by Actor, until time.Time) error {
	return db.actOn(ctx, "put away", ref, func(d *serviceDesk, c *caseFile) error {
		return d.converse(c, service.ConversationEvent{Kind: service.SnoozeAsked, At: d.now, Until: until}, by)
	})
}

// CloseConversation ends a conversation, and solves its tickets.
func (db *DB) CloseConversation(ctx context.Context, ref string, by Actor) error {
	return db.actOn(ctx, "close", ref, func(d *serviceDesk, c *caseFile) error {
		if err := d.onTickets(c, service.TicketEvent{Kind: service.TicketSolved, At: d.now}, by); err != nil {
			return err
		}
		return d.converse(c, service.ConversationEvent{Kind: service.CloseAsked, At: d.now}, by)
	})
}

// ReopenConversation has a conversation go on that was closed, waits or was put away. Its tickets stay as they are.
func (db *DB) ReopenConversation(ctx context.Context, ref string, by Actor) error {
	return db.actOn(ctx, "reopen", ref, func(d *serviceDesk, c *caseFile) error {
		return d.converse(c, service.ConversationEvent{Kind: service.ReopenAsked, At: d.now}, by)
	})
}
