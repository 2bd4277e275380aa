package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/service"
)

// QueueKind is the kind of objects that declare queues.
const QueueKind = "ServiceQueue"

// QueueDefinition is what the operator decides of a queue.
type QueueDefinition struct {
	Name      string
	Queue     service.Queue
	Agents    []QueueAgent // whom routing gives tickets
	Suspended bool         // nothing becomes a ticket of it by itself, nothing is routed or escalated; agents go on answering
}

// QueueAgent is somebody whom a queue gives tickets.
type QueueAgent struct {
	Name     string `json:"name"`
	Capacity int    `json:"capacity,omitempty"` // how many tickets they may have that are not solved; 0: what the queue says
}

// QueueState is what the data plane says of a queue.
type QueueState struct {
	InForce    bool  // it is declared and not suspended
	Backlog    int64 // tickets that somebody has still to do with: New, Open or Pending
	Unassigned int64 // of these, nobody's
	Breached   int64 // of these, those that missed a target
	// Trouble says why the queue does not do all that it should, in words for its author; "" where it does.
	Trouble string
}

// SaveQueue brings a queue into force, one that was deleted too: its tickets are its own again. It writes only what differs. Tickets that are not closed
// are looked at again where the definition is another one.
func (db *DB) SaveQueue(ctx context.Context, d QueueDefinition) (changed bool, state QueueState, err error) {
	d.Agents = slices.SortedFunc(slices.Values(d.Agents), func(a, b QueueAgent) int { return strings.Compare(a.Name, b.Name) })
	if d.Agents == nil {
		d.Agents = []QueueAgent{}
	}
	err = db.InTx(ctx, func(tx pgx.Tx) (err error) {
		changed, err = saveQueue(ctx, tx, d)
		return err
	})
	if err != nil {
		return false, state, fmt.Errorf("save queue %q: %w", d.Name, err)
	}
	state, err = db.LoadQueueState(ctx, d.Name)
	return changed, state, err
}

func saveQueue(ctx context.Context, tx pgx.Tx, d QueueDefinition) (changed bool, err error) {
	definition, err := json.Marshal(d.Queue)
	if err != nil {
		return false, err
	}
	agents := mustJSON(d.Agents)
	sum := sha256.Sum256(append(append([]byte{}, definition...), agents...))
	digest := hex.EncodeToString(sum[:])
	var settled bool // a lock would be a write
	err = tx.QueryRow(ctx, "select exists (select from service_queue where name = $1 and digest = $2 and suspended = $3 and dormant_since is null)",
		d.Name, digest, d.Suspended).Scan(&settled)
	if err != nil || settled {
		return false, err
	}
	var id int64
	var was struct {
		digest             string
		suspended, dormant bool
	}
	err = tx.QueryRow(ctx, "select id, digest, suspended, dormant_since is not null from service_queue where name = $1 for update", d.Name).
		Scan(&id, &was.digest, &was.suspended, &was.dormant)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		err = tx.QueryRow(ctx, "insert into service_queue (name, definition, digest, suspended) values ($1, $2, $3, $4) returning id",
			d.Name, definition, digest, d.Suspended).Scan(&id)
	case err == nil && was.digest == digest && was.suspended == d.Suspended && !was.dormant:
		return false, nil
	case err == nil:
		_, err = tx.Exec(ctx, `update service_queue set definition = $2, digest = $3, suspended = $4, dormant_since = null, trouble = null,
			trouble_since = null where id = $1`, id, definition, digest, d.Suspended)
	}
	if err != nil {
		return false, err
	}
	batch := &pgx.Batch{}
	batch.Queue("delete from queue_agent where queue_id = $1 and name not in (select a ->> 'name' from jsonb_array_elements($2::jsonb) a)", id, string(agents))
	batch.Queue(`insert into queue_agent (queue_id, name, capacity) select $1, a.name, coalesce(a.capacity, 0)
		from jsonb_to_recordset($2::jsonb) a (name text, capacity int)
		on conflict (queue_id, name) do update set capacity = excluded.capacity where queue_agent.capacity <> excluded.capacity`, id, string(agents))
	queueLookAgain(batch, id)
	return true, tx.SendBatch(ctx, batch).Close()
}

// queueLookAgain has the tickets of a queue looked at that are not closed: what is promised about them is another thing now.
func queueLookAgain(batch *pgx.Batch, queue int64) {
	batch.Queue("update ticket set wake_at = now() where queue_id = $1 and status <> 'Closed'", queue)
}

// SuspendQueue stops a queue whose declaration cannot be applied at the moment; SaveQueue decides again. A queue that is not there is no error.
func (db *DB) SuspendQueue(ctx context.Context, name string) error {
	_, err := db.Pool.Exec(ctx, "update service_queue set suspended = true where name = $1 and not suspended and dormant_since is null", name)
	if err != nil {
		return fmt.Errorf("suspend queue %q: %w", name, err)
	}
	return nil
}

// DropQueue records that a queue's object was deleted. Its tickets stay, without promises. A queue that is not there is no error.
func (db *DB) DropQueue(ctx context.Context, name string) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		var id int64
		err := tx.QueryRow(ctx, "update service_queue set dormant_since = now() where name = $1 and dormant_since is null returning id", name).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		queueLookAgain(batch, id)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return fmt.Errorf("put queue %q to sleep: %w", name, err)
	}
	return nil
}

// LoadQueueState reads what the data plane says of a queue, without counting tickets. It returns ErrNotFound for an unknown one.
func (db *DB) LoadQueueState(ctx context.Context, name string) (QueueState, error) {
	var s QueueState
	err := db.Pool.QueryRow(ctx, `
		select q.dormant_since is null and not q.suspended, coalesce(sum(t.backlog), 0)::bigint, coalesce(sum(t.unassigned), 0)::bigint,
			coalesce(sum(t.breached), 0)::bigint, coalesce(q.trouble, '')
		from service_queue q left join service_tally t on t.queue_id = q.id where q.name = $1 group by q.id`, name).
		Scan(&s.InForce, &s.Backlog, &s.Unassigned, &s.Breached, &s.Trouble)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return QueueState{}, fmt.Errorf("read queue %q: %w", name, err)
	}
	return s, nil
}

// TellQueues asks for another look at the status of queues whose counts have changed.
func (db *DB) TellQueues(ctx context.Context) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		// Whoever counts at this moment is waited for by nobody: their row is told next time.
		rows, err := tx.Query(ctx, `
			with untold as (
				select queue_id, slot from service_tally where not told for no key update skip locked
			), told as (
				update service_tally t set told = true from untold u where t.queue_id = u.queue_id and t.slot = u.slot returning t.queue_id
			)
			select distinct q.name from told join service_queue q on q.id = told.queue_id where q.dormant_since is null order by 1`)
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := noteStatusChange(ctx, tx, QueueKind, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("tell what tickets of queues have become: %w", err)
	}
	return nil
}

// MeasuredQueue is how a queue fares: its backlog now, and sums of what was ever measured.
type MeasuredQueue struct {
	Name                          string
	Backlog, Unassigned, Breached int64
	Opened                        int64
	First, Next, Solve            MeasuredClock
}

// Clocks are what was measured, by target.
func (q MeasuredQueue) Clocks() map[string]MeasuredClock {
	return map[string]MeasuredClock{"first_response": q.First, "next_response": q.Next, "resolution": q.Solve}
}

// MeasuredClock is how often something was measured, and how long it took all together: in the hours of the team, and by the calendar.
type MeasuredClock struct {
	Count          int64
	Work, Calendar time.Duration
	Missed         int64 // targets
}

// MeasuredService is how conversations fare.
type MeasuredService struct {
	Queues    []MeasuredQueue
	Intake    int64         // messages that wait to be threaded
	IntakeAge time.Duration // for how long the oldest of them has waited
	Due       time.Duration // for how long the ticket that is most overdue has waited to be looked at
}

// MeasureService reads how conversations fare, from what was counted.
func (db *DB) MeasureService(ctx context.Context) (m MeasuredService, err error) {
	var intake, due float64
	err = db.Pool.QueryRow(ctx, `
		select i.n, i.age, coalesce((select extract(epoch from clock_timestamp() - min(wake_at)) from ticket where wake_at is not null
			and not coalesce((select suspended from tenant), false)), 0)::float8
		from (select count(*) n, coalesce(extract(epoch from clock_timestamp() - min(at)), 0)::float8 age
			from (select at from message_intake limit 10000) few) i`).Scan(&m.Intake, &intake, &due)
	if err != nil {
		return m, fmt.Errorf("measure conversations: %w", err)
	}
	m.IntakeAge, m.Due = time.Duration(max(0, intake)*float64(time.Second)), time.Duration(max(0, due)*float64(time.Second))
	rows, err := db.Pool.Query(ctx, `
		select q.name, sum(t.backlog)::bigint, sum(t.unassigned)::bigint, sum(t.breached)::bigint, sum(t.opened)::bigint, sum(t.first_count)::bigint,
			sum(t.first_work)::bigint, sum(t.first_calendar)::bigint, sum(t.next_count)::bigint, sum(t.next_work)::bigint, sum(t.next_calendar)::bigint,
			sum(t.solve_count)::bigint, sum(t.solve_work)::bigint, sum(t.solve_calendar)::bigint, sum(t.missed_first)::bigint, sum(t.missed_next)::bigint,
			sum(t.missed_solve)::bigint
		from service_queue q join service_tally t on t.queue_id = q.id where q.dormant_since is null group by q.name order by 1`)
	if err != nil {
		return m, fmt.Errorf("measure conversations: %w", err)
	}
	m.Queues, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (q MeasuredQueue, err error) {
		var seconds [6]int64
		err = row.Scan(&q.Name, &q.Backlog, &q.Unassigned, &q.Breached, &q.Opened, &q.First.Count, &seconds[0], &seconds[1], &q.Next.Count, &seconds[2],
			&seconds[3], &q.Solve.Count, &seconds[4], &seconds[5], &q.First.Missed, &q.Next.Missed, &q.Solve.Missed)
		for i, c := range []*MeasuredClock{&q.First, &q.Next, &q.Solve} {
			c.Work, c.Calendar = time.Duration(seconds[2*i])*time.Second, time.Duration(seconds[2*i+1])*time.Second
		}
		return q, err
	})
	if err != nil {
		return m, fmt.Errorf("measure conversations: %w", err)
	}
	return m, nil
}
