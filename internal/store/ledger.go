package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// The ledger is worked on in chunks. Every transaction that changes rows of a chunk first locks the chunk's own row
// (lockChunk), so that within a chunk there is no race, and its tallies agree with its rows at every commit.
//
// A chunk that has an owner may hold intents; one without holds none. The sweep looks at those with an owner only.

// Lease is the right of one worker to commit intents for the rows of one chunk. Whoever leases the chunk next has a
// higher epoch, and this lease is void.
type Lease struct {
	SendID   int64
	Chunk    int
	FirstSeq int64
	LastSeq  int64
	Epoch    int
	Owner    string
	// TakenOver is true where the lease before had run out: its worker is gone, or was cut off.
	TakenOver bool
}

// SendableSend is a send with rows that may be tried now and that nobody holds.
type SendableSend struct {
	ID      int64
	Channel string
	// Urgent is a send that overtakes mass mails.
	Urgent bool
}

// SendableSends lists the sends that a worker could take a chunk of. It also tells whether this ledger may be sent from at
// all: none is listed while it may not.
func (db *DB) SendableSends(ctx context.Context) (sends []SendableSend, permitted bool, err error) {
	rows, err := db.Pool.Query(ctx, `
		select p.permitted, sendable.id, sendable.channel, sendable.priority > 0 from (select `+sendPermitted+` permitted) p left join (
			select s.id, s.channel, s.priority from send s cross join tenant
			where `+sendRuns+` and exists (select from send_chunk c where c.send_id = s.id and `+chunkFree+`)) sendable on p.permitted
		order by sendable.id`)
	if err != nil {
		return nil, false, fmt.Errorf("look for sends: %w", err)
	}
	var id *int64
	var channel *string
	var urgent *bool
	_, err = pgx.ForEachRow(rows, []any{&permitted, &id, &channel, &urgent}, func() error {
		if id != nil {
			sends = append(sends, SendableSend{ID: *id, Channel: valueOf(channel), Urgent: valueOf(urgent)})
		}
		return nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("look for sends: %w", err)
	}
	return sends, permitted, nil
}

// chunkFree is true for a chunk c of a send s that can be leased: whoever takes its mail is not to be left alone for a while,
// and it is known which variant its recipients get. The posts of a publication leave through the outbox.
const chunkFree = `(s.publication is null and c.open and c.next_at <= now() and (c.leased_until is null or c.leased_until < now())
	and (c.stage = 0 or s.winner is not null)
	and not exists (select from pace p where p.channel = s.channel and p.receiver = c.receiver and p.paused_until > now()))`

// LeaseChunk leases a free chunk of a send to a worker. It returns ErrNotFound when none is free or the send may not go
// on.
func (db *DB) LeaseChunk(ctx context.Context, sendID int64, owner string, length time.Duration) (Lease, error) {
	l := Lease{SendID: sendID, Owner: owner}
	err := db.Pool.QueryRow(ctx, `
		with free as (
			select c.send_id, c.chunk, c.leased_until is not null expired from send s cross join tenant join send_chunk c on c.send_id = s.id
			where s.id = $1 and `+sendRuns+` and `+chunkFree+`
			order by c.next_at, c.chunk limit 1 for no key update of c skip locked)
		update send_chunk c set owner = $2, epoch = c.epoch + 1, leased_until = now() + $3::interval
		from free where c.send_id = free.send_id and c.chunk = free.chunk
		returning c.chunk, c.first_seq, c.last_seq, c.epoch, free.expired`, sendID, owner, length).
		Scan(&l.Chunk, &l.FirstSeq, &l.LastSeq, &l.Epoch, &l.TakenOver)
	if errors.Is(err, pgx.ErrNoRows) {
		return l, ErrNotFound
	}
	if err != nil {
		return l, fmt.Errorf("lease a chunk of send %d: %w", sendID, err)
	}
	return l, nil
}

// PendingRow is a row of a leased chunk that may be tried now.
type PendingRow struct {
	Seq      int64
	Receiver int32 // who takes the mail of its address; 0 where nobody knows
	Attempts int   // how often it was tried
}

// PendingRows lists the rows of a leased chunk that may be tried now, in order: at most as many as a chunk has.
func (db *DB) PendingRows(ctx context.Context, l Lease) ([]PendingRow, error) {
	var queue pgx.Batch // one round trip, and by the protocol one transaction
	queue.Queue("select " + planByKeys)
	queue.Queue(`
		select seq, receiver, attempts from ledger
		where send_id = $1 and seq between $2 and $3 and state = 'pending' and (not_before is null or not_before <= now())
		order by seq`, l.SendID, l.FirstSeq, l.LastSeq)
	results := db.Pool.SendBatch(ctx, &queue)
	pending, err := readPending(results)
	if closed := results.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, fmt.Errorf("read the pending rows of send %d: %w", l.SendID, err)
	}
	return pending, nil
}

func readPending(results pgx.BatchResults) ([]PendingRow, error) {
	if _, err := results.Exec(); err != nil {
		return nil, err
	}
	rows, err := results.Query()
	if err != nil {
		return nil, err
	}
	pending := make([]PendingRow, 0, 500) // as many as a chunk has
	var row PendingRow
	_, err = pgx.ForEachRow(rows, []any{&row.Seq, &row.Receiver, &row.Attempts}, func() error {
		pending = append(pending, row)
		return nil
	})
	return pending, err
}

// RenewLeases prolongs those of the leases that are still in force, from now on. A lease that has run out but that
// nobody has taken over is in force again.
func (db *DB) RenewLeases(ctx context.Context, leases []Lease, length time.Duration) error {
	if len(leases) == 0 {
		return nil
	}
	sends, chunks, epochs, owners := make([]int64, len(leases)), make([]int, len(leases)), make([]int, len(leases)), make([]string, len(leases))
	for i, l := range leases {
		sends[i], chunks[i], epochs[i], owners[i] = l.SendID, l.Chunk, l.Epoch, l.Owner
	}
	// In the order of the key, so that two workers that renew cannot wait for each other.
	_, err := db.Pool.Exec(ctx, `
		with mine as (
			select c.send_id, c.chunk from send_chunk c
			join unnest($1::bigint[], $2::int[], $3::int[], $4::text[]) as l (send_id, chunk, epoch, owner) using (send_id, chunk, epoch, owner)
			where c.leased_until is not null
			order by c.send_id, c.chunk for no key update of c)
		update send_chunk c set leased_until = now() + $5::interval from mine where c.send_id = mine.send_id and c.chunk = mine.chunk`,
		sends, chunks, epochs, owners, length)
	if err != nil {
		return fmt.Errorf("renew leases: %w", err)
	}
	return nil
}

// FinishChunk writes the last outcomes of a lease and gives the chunk back: closed when every row has an outcome, else
// to be leased again when the first pending row may be tried. A lease that is void by now only writes its outcomes. It
// is safe to repeat.
func (db *DB) FinishChunk(ctx context.Context, l Lease, settlements []Settlement) error {
	// One round trip, and by the protocol one transaction.
	var queue pgx.Batch
	queue.Queue(lockChunkSQL, l.SendID, l.Chunk, l.Epoch, l.Owner)
	if len(settlements) > 0 {
		queue.Queue(settlementSQL, settlementArguments(l, settlements)...)
	}
	queue.Queue(settleChunkSQL+" and c.epoch = $3 and c.owner is not distinct from $4 and c.leased_until is not null", l.SendID, l.Chunk, l.Epoch, l.Owner)
	if err := db.Pool.SendBatch(ctx, &queue).Close(); err != nil {
		return fmt.Errorf("finish chunk %d of send %d: %w", l.Chunk, l.SendID, err)
	}
	return nil
}

// lockChunk locks a chunk until the transaction ends, makes the transaction's commit durable before it is answered, and
// tells whether the lease is in force.
func lockChunk(ctx context.Context, tx pgx.Tx, l Lease) (held bool, err error) {
	err = tx.QueryRow(ctx, lockChunkSQL, l.SendID, l.Chunk, l.Epoch, l.Owner).Scan(&held, nil, nil)
	if err != nil {
		return false, fmt.Errorf("lock the chunk: %w", err)
	}
	return held, nil
}

// Whether the ledger may be sent from is left to the statement that commits the intents, which would have to ask in any case.
//
// An intent that could be lost with a crash of the server would be handed over twice, so that the setting of the
// database or the role does not decide; a stricter one is kept.
//
// The other settings are for the planner: what a transaction of a chunk reads and writes are some hundred rows of which it has
// the keys, so that looking up one after the other is right whatever the statistics say, which after a freeze or an import say
// nothing. A plan that reads a whole table, or is made anew each time, costs more than all the rest.
const lockChunkSQL = `
	select c.epoch = $3 and c.owner is not distinct from $4 and c.leased_until is not null, ` + sendGoesOn + `,
		set_config('synchronous_commit', case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, true)
			|| ` + planByKeys + `
	from send_chunk c join send s on s.id = c.send_id cross join tenant
	where c.send_id = $1 and c.chunk = $2 for no key update of c`

const planByKeys = `set_config('plan_cache_mode', 'force_generic_plan', true) || set_config('enable_seqscan', 'off', true)
			|| set_config('enable_hashjoin', 'off', true) || set_config('enable_mergejoin', 'off', true)`

// settleChunk ends a chunk's lease and recomputes from its rows whether it is open, whether it may hold intents, and
// when it is to be leased again. A chunk of which only intents are left is not leased: the sweep ends it.
func settleChunk(ctx context.Context, tx pgx.Tx, sendID int64, chunk int) error {
	if _, err := tx.Exec(ctx, settleChunkSQL, sendID, chunk); err != nil {
		return fmt.Errorf("settle the chunk: %w", err)
	}
	return nil
}

const settleChunkSQL = `
		update send_chunk c set open = r.pending or r.intents, owner = case when r.intents then coalesce(c.owner, '') end,
			leased_until = null, next_at = coalesce(r.next_at, 'infinity')
		from (
			select coalesce(bool_or(l.state = 'pending'), false) pending, coalesce(bool_or(l.state = 'intent'), false) intents,
				min(coalesce(l.not_before, '-infinity')) filter (where l.state = 'pending') next_at
			from send_chunk o join ledger l on l.send_id = o.send_id and l.seq between o.first_seq and o.last_seq
			where o.send_id = $1 and o.chunk = $2) r
		where c.send_id = $1 and c.chunk = $2 and (c.open, c.owner is null, c.leased_until is null, c.next_at) is distinct from
			(r.pending or r.intents, not r.intents, true, coalesce(r.next_at, 'infinity'))`
