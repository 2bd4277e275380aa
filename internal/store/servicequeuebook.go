package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/service"
)

// queueBook is the queues that there ever were: what is deleted still has tickets.
type queueBook struct {
	byID   map[int64]*queueFile
	byName map[string]*queueFile // those in force, suspended ones too
}

// queueFile is a queue as tickets need it.
type queueFile struct {
	id        int64
	name      string
	queue     service.Queue
	terms     *service.Terms
	digest    string
	suspended bool
	dormant   bool
	last      string // who had the last turn
	trouble   string // why what it says cannot be read
}

// acts tells whether something happens by the queue itself: tickets are opened, routed and escalated.
func (q *queueFile) acts() bool { return !q.suspended && !q.dormant && q.trouble == "" }

func loadQueueBook(ctx context.Context, tx pgx.Tx) (*queueBook, error) {
	b := &queueBook{byID: map[int64]*queueFile{}, byName: map[string]*queueFile{}}
	var zone string
	if err := tx.QueryRow(ctx, "select coalesce((select time_zone from tenant), 'UTC')").Scan(&zone); err != nil {
		return nil, fmt.Errorf("read the tenant's zone: %w", err)
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		location = time.UTC
	}
	rows, err := tx.Query(ctx, `select id, name, definition, digest, suspended or coalesce((select suspended from tenant), false), dormant_since is not null,
		last_given from service_queue order by name`)
	if err != nil {
		return nil, fmt.Errorf("read queues: %w", err)
	}
	var q queueFile
	var definition []byte
	_, err = pgx.ForEachRow(rows, []any{&q.id, &q.name, &definition, &q.digest, &q.suspended, &q.dormant, &q.last}, func() error {
		found := q
		if err := found.read(definition, location); err != nil {
			// One that another version has written keeps nobody from answering.
			found.trouble = "It cannot be carried out: " + err.Error()
			found.queue = service.Queue{}
			if found.terms, err = found.queue.Compile(location); err != nil {
				return fmt.Errorf("queue %q: %w", found.name, err)
			}
		}
		b.byID[found.id] = &found
		if !found.dormant {
			b.byName[found.name] = &found
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read queues: %w", err)
	}
	return b, nil
}

// read compiles what a queue says. A queue that was deleted promises nothing any more.
func (q *queueFile) read(definition []byte, zone *time.Location) error {
	q.queue = service.Queue{}
	if err := json.Unmarshal(definition, &q.queue); err != nil {
		return err
	}
	terms := q.queue
	if q.dormant {
		terms = service.Queue{ReopenWithin: q.queue.ReopenWithin}
	}
	var err error
	q.terms, err = terms.Compile(zone)
	return err
}

// routes tells whether the queue gives tickets to agents by itself.
func (q *queueFile) routes() bool {
	return q.acts() && q.terms.Routing.Mode != service.RouteByHand
}
