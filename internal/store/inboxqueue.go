package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// LookedQueue is a queue and what waits in it.
type LookedQueue struct {
	Name       string
	Suspended  bool
	Backlog    int64 // tickets that need somebody
	Unassigned int64 // of them, nobody's
	Breached   int64 // of them, that missed a target
	OldestAt   time.Time
	Working    bool      // its team works now
	WorkBegins time.Time // when it does again, where it does not now
	Next       *QueueNext
}

// QueueNext is what is due next in a queue.
type QueueNext struct {
	LookedTarget
	Ticket int64 // its number
}

// Queues tells of the queues in force, by name, as they stand at a moment. It returns ErrTooLong.
func (db *DB) Queues(ctx context.Context, now time.Time) (list []LookedQueue, err error) {
	err = db.look(ctx, lookLimit, func(tx pgx.Tx) error {
		list, err = loadQueues(ctx, tx, now)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	return list, nil
}

// nextDue is of a queue q its ticket of which something is due next.
const nextDue = `(select t.id from ticket t
	where t.queue_id = q.id and t.due_at is not null and t.status in ('New', 'Open', 'Pending') order by t.due_at, t.id limit 1)`

// oldestOf is of a queue q when its oldest ticket of a status was opened.
func oldestOf(status string) string {
	return "(select t.opened_at from ticket t where t.queue_id = q.id and t.status = '" + status + "' order by t.id limit 1)"
}

func loadQueues(ctx context.Context, tx pgx.Tx, now time.Time) ([]LookedQueue, error) {
	rows, err := tx.Query(ctx, `
		select q.name, q.suspended, coalesce(y.backlog, 0), coalesce(y.unassigned, 0), coalesce(y.breached, 0),
			least(`+oldestOf("New")+", "+oldestOf("Open")+", "+oldestOf("Pending")+"), coalesce("+nextDue+`, 0),
			q.definition, coalesce((select time_zone from tenant), 'UTC')
		from service_queue q left join (
			select queue_id, sum(backlog)::bigint backlog, sum(unassigned)::bigint unassigned, sum(breached)::bigint breached
			from service_tally group by queue_id) y on y.queue_id = q.id
		where q.dormant_since is null order by q.name`)
	if err != nil {
		return nil, err
	}
	var next []int64
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (q LookedQueue, err error) {
		var oldest *time.Time
		var ticket int64
		var definition []byte
		var zone string
		if err := row.Scan(&q.Name, &q.Suspended, &q.Backlog, &q.Unassigned, &q.Breached, &oldest, &ticket, &definition, &zone); err != nil {
			return q, err
		}
		next, q.OldestAt = append(next, ticket), valueOf(oldest)
		terms, err := readTerms(definition, zone)
		if err != nil { // its trouble is told to its author: nobody knows when its team works
			return q, nil
		}
		if q.Working = terms.Calendar.Open(now); !q.Working {
			q.WorkBegins = terms.Calendar.Due(now, 1).Truncate(time.Second) // the first moment of work
		}
		return q, nil
	})
	if err != nil {
		return nil, err
	}
	tickets, err := loadTickets(ctx, tx, "t.id = any ($1)", []any{next}, now)
	if err != nil {
		return nil, err
	}
	for i, id := range next {
		for _, t := range tickets {
			if t.ID == id && len(t.Targets) > 0 {
				list[i].Next = &QueueNext{LookedTarget: t.Targets[0], Ticket: t.Number}
			}
		}
	}
	return list, nil
}
