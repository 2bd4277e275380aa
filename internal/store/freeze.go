package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// chunkRows is how many ledger rows a chunk holds: enough that leasing costs little, few enough that several workers
// share a send evenly and that reading a chunk through is cheap.
const chunkRows = 500

// OpenSend is a send whose state may have to change, with the facts that decide it.
type OpenSend struct {
	ID       int64
	SendKey  string
	Campaign string
	State    campaign.State
	Message  string
	Segments []string // those of the audience, then those that are excluded
	// SegmentsChangedAt is when the membership of one of them last changed; the zero time before.
	SegmentsChangedAt time.Time
	Facts             campaign.Facts
	// Traceparent is the span in which the send was declared; "" where nobody recorded one.
	Traceparent string
}

// OpenSends lists the sends that are not at their end, and those Completed that have open rows again because an outcome
// came late.
func (db *DB) OpenSends(ctx context.Context) ([]OpenSend, error) {
	rows, err := db.Pool.Query(ctx, `
		select s.id, s.send_key, s.campaign, s.state, coalesce(s.message, ''), s.segments || s.exclude,
			(select max(g.changed_at) from segment g where g.name = any (s.segments || s.exclude)),
			s.starts_at, s.deadline, not `+sendUnstopped+`, s.max_recipients,
			exists (select from send_chunk c where c.send_id = s.id and c.open), coalesce(s.traceparent, '')
		from send s cross join tenant
		where s.state in ('Scheduled', 'Freezing', 'Sending', 'Held')
			or (s.state = 'Completed' and s.id in (select send_id from send_chunk where open))
		order by s.starts_at, s.id`)
	if err != nil {
		return nil, fmt.Errorf("read the open sends: %w", err)
	}
	sends, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (OpenSend, error) {
		var s OpenSend
		var changed *time.Time
		var open bool
		err := row.Scan(&s.ID, &s.SendKey, &s.Campaign, &s.State, &s.Message, &s.Segments, &changed,
			&s.Facts.StartsAt, &s.Facts.Deadline, &s.Facts.Stopped, &s.Facts.MaxRecipients, &open, &s.Traceparent)
		s.SegmentsChangedAt = valueOf(changed)
		if open {
			s.Facts.Open = 1 // at least; deciding needs no more
		}
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the open sends: %w", err)
	}
	return sends, nil
}

// MoveSend takes a send from one state to another, with a message for its author ("" for none), and tells whether it
// did: it does nothing when the send is in another state by now, or when a send with open rows would be completed.
func (db *DB) MoveSend(ctx context.Context, s OpenSend, to campaign.State, message string) (moved bool, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			update send set state = $3, message = nullif($4, ''),
				finished_at = case when $3 in ('Completed', 'Expired') then now() end
			where id = $1 and state = $2 and (state, coalesce(message, '')) is distinct from ($3, $4)
				and ($3 <> 'Completed' or not exists (select from send_chunk where send_id = $1 and open))`, s.ID, s.State, to, message)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		moved = true
		return noteStatusChange(ctx, tx, CampaignKind, s.Campaign)
	})
	if err != nil {
		return false, fmt.Errorf("move send %q from %s to %s: %w", s.SendKey, s.State, to, err)
	}
	return moved, nil
}

// WithSendLock runs f while no other worker does anything under the lock of the same send, and tells whether it ran:
// it does not when somebody else holds the lock. The lock lasts as long as a transaction, which beat keeps from being
// idle: a worker that is stopped or cut off loses it after Options.IdleInTransaction, and who hears nothing from the
// database for three beats, or five seconds, gives it up.
func (db *DB) WithSendLock(ctx context.Context, sendID int64, beat time.Duration, f func(context.Context) error) (ran bool, err error) {
	var result error
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	// It runs while a statement of the lock's own connection does.
	patience := max(3*beat, leastPatience)
	silence := time.AfterFunc(patience, func() { giveUp(errSilent) })
	defer silence.Stop()
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "select pg_try_advisory_xact_lock(hashtextextended('send/' || $1::bigint, 0))", sendID).Scan(&ran); err != nil || !ran {
			return err
		}
		silence.Stop()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- f(ctx) }()
		ticker := time.NewTicker(beat)
		defer ticker.Stop()
		for {
			select {
			case result = <-done:
				silence.Reset(patience) // for the commit
				return nil
			case <-ticker.C:
				silence.Reset(patience)
				if _, err := tx.Exec(ctx, "select 1"); err != nil {
					cancel()
					result = <-done
					return err
				}
				silence.Stop()
			}
		}
	})
	if err != nil {
		return ran, fmt.Errorf("hold the lock of send %d: %w", sendID, errors.Join(result, err))
	}
	return ran, result
}

// leastPatience is how long a database may take to answer, however short a beat is.
const leastPatience = 5 * time.Second

// errSilent says why a lock was given up.
var errSilent = errors.New("the database does not answer")

// SegmentNotReadyError says that an audience cannot be frozen because a segment of it has no membership to rely on. A
// missing exclusion counts as much as a missing audience: without it the wrong people would be written to.
type SegmentNotReadyError struct {
	Segment string
}

func (e *SegmentNotReadyError) Error() string {
	return fmt.Sprintf("waits for segment %q: it does not exist, was deleted, or has not been built yet", e.Segment)
}

// CountAudience counts the contacts of a send's audience as its segments hold them now.
func (db *DB) CountAudience(ctx context.Context, sendID int64) (int64, error) {
	var n int64
	if err := db.Pool.QueryRow(ctx, "select count(*) from ("+audienceSQL+") a", sendID).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the audience of send %d: %w", sendID, err)
	}
	return n, nil
}

// audienceSQL is everybody in one of the send's segments and in none of the excluded ones, once.
const audienceSQL = `
	select distinct m.contact_id from segment_member m
	where m.segment_id = any (array(select g.id from send s join segment g on g.name = any (s.segments) where s.id = $1))
		and not exists (select from segment_member x where x.contact_id = m.contact_id
			and x.segment_id = any (array(select g.id from send s join segment g on g.name = any (s.exclude) where s.id = $1)))`

// FreezeSend writes the audience of a Freezing send into the ledger and begins it, in one transaction: it is Sending,
// Completed where nobody is left to write to, or Held where the audience is over its bound. Every member gets a row;
// those who are left out, with the reason. It is safe to repeat: a send that is no longer Freezing is left alone, and so is
// one that was stopped, put off or given other segments since it was read: it is judged again. A membership that cannot be
// relied on gives a SegmentNotReadyError.
func (db *DB) FreezeSend(ctx context.Context, s OpenSend, now time.Time) (campaign.State, error) {
	next := s.State
	// One snapshot for counting and inserting; evaluations of segments that commit meanwhile come too late.
	err := pgx.BeginTxFunc(ctx, db.Pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		facts, variants, err := lockFreezing(ctx, tx, s)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if facts.Audience, err = gatherAudience(ctx, tx, s.ID); err != nil {
			return err
		}
		if next = campaign.Next(campaign.Freezing, facts, now); next == campaign.Completed {
			// The audience is within its bound; how many rows are open is known once they are written.
			if facts.Open, err = insertLedger(ctx, tx, s, variants); err != nil {
				return err
			}
			next = campaign.Next(campaign.Freezing, facts, now)
		}
		if next != campaign.Held && !next.Frozen() {
			next = s.State
			return nil
		}
		return recordFreeze(ctx, tx, s, facts, next)
	})
	if err != nil {
		return s.State, fmt.Errorf("freeze the audience of send %q: %w", s.SendKey, err)
	}
	return next, nil
}

// lockFreezing locks a send that is Freezing and reads what its campaign says by now. It returns ErrNotFound for one in
// another state, and for one whose segments are not those that have been evaluated.
func lockFreezing(ctx context.Context, tx pgx.Tx, s OpenSend) (facts campaign.Facts, variants []SendVariant, err error) {
	facts.Counted = true
	err = tx.QueryRow(ctx, `
		select s.starts_at, s.deadline, not `+sendUnstopped+`, s.max_recipients, s.variants
		from send s cross join tenant where s.id = $1 and s.state = 'Freezing' and s.segments || s.exclude = $2 for update of s`, s.ID, s.Segments).
		Scan(&facts.StartsAt, &facts.Deadline, &facts.Stopped, &facts.MaxRecipients, &variants)
	if errors.Is(err, pgx.ErrNoRows) {
		return facts, nil, ErrNotFound
	}
	return facts, variants, err
}

// gatherAudience takes the audience of a send from its segments and counts it.
func gatherAudience(ctx context.Context, tx pgx.Tx, sendID int64) (int64, error) {
	var missing string
	err := tx.QueryRow(ctx, `
		select n.name from send s cross join unnest(s.segments || s.exclude) as n (name)
		left join segment g on g.name = n.name and g.dormant_since is null and g.built_digest = g.digest
		where s.id = $1 and g.id is null order by 1 limit 1`, sendID).Scan(&missing)
	if err == nil {
		return 0, &SegmentNotReadyError{Segment: missing}
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		return 0, err
	}
	// The audience stands in a table of the transaction's own, so that the planner knows how large it is: an estimate
	// that is wrong by far makes the joins of the next statement take the square of the time.
	if _, err := tx.Exec(ctx, "create temporary table frozen_audience (contact_id bigint not null) on commit drop"); err != nil {
		return 0, fmt.Errorf("make room for the audience: %w", err)
	}
	tag, err := tx.Exec(ctx, "insert into frozen_audience "+audienceSQL, sendID)
	if err != nil {
		return 0, fmt.Errorf("count the audience: %w", err)
	}
	if _, err := tx.Exec(ctx, "analyze frozen_audience"); err != nil {
		return 0, fmt.Errorf("count the audience: %w", err)
	}
	return tag.RowsAffected(), nil
}

// insertLedger writes a send's rows, chunks and tallies, and returns how many recipients are pending. A row holds the
// keyed hash of the address only where it is pending: a contact without consent must not keep somebody with the same
// address from getting the message.
func insertLedger(ctx context.Context, tx pgx.Tx, s OpenSend, variants []SendVariant) (pending int64, err error) {
	err = tx.QueryRow(ctx, `
		with address as (
			select distinct on (il.contact_id) il.contact_id, i.value
			from frozen_audience a join identifier_link il on il.contact_id = a.contact_id join identifier i on i.id = il.identifier_id
			where i.type = 'email' order by il.contact_id, il.verified desc, il.linked_at, i.id
		), hashed as materialized (
			select contact_id, keyed_hash(key, value) hash from address cross join secret_key where purpose = 'address'
		), judged as (
			select a.contact_id, h.hash, case
				when not coalesce(k.granted, false) or r.address_hash is not null then 'NoConsent'
				when h.hash is null then 'NoAddress'
				when x.address_hash is not null then 'Suppressed' end reason
			from frozen_audience a
			left join consent k on k.contact_id = a.contact_id and k.purpose = (select purpose from send where id = $1)
			left join hashed h on h.contact_id = a.contact_id
			left join refusal r on r.address_hash = h.hash and r.purpose = (select purpose from send where id = $1)
			left join suppression x on x.address_hash = h.hash
		), ranked as (
			select contact_id, hash, reason, row_number() over (partition by hash, reason is null order by contact_id) place from judged
		), numbered as (
			select row_number() over (order by contact_id) seq, contact_id, hash,
				case when reason is null and place > 1 then 'DuplicateAddress' else reason end reason
			from ranked
		), row as (
			insert into ledger (send_id, seq, contact_id, address_hash, variant, state, reason, settled_at)
			select $1, seq, contact_id, case when reason is null then hash end,
				case when cardinality($2::bigint[]) > 1 then width_bucket(`+drawSQL+`, $2::bigint[]) else 0 end,
				case when reason is null then 'pending' else 'skipped' end, reason, case when reason is not null then now() end
			from numbered
			returning seq, state, reason
		), chunk as (
			insert into send_chunk (send_id, chunk, first_seq, last_seq, open)
			select $1, (seq - 1) / $4, min(seq), max(seq), bool_or(state = 'pending') from row group by (seq - 1) / $4
		), tally as (
			insert into send_tally (send_id, chunk, outcome, n)
			select $1, (seq - 1) / $4, 'planned', count(*) from row group by (seq - 1) / $4
			union all
			select $1, (seq - 1) / $4, $5 || reason, count(*) from row where state = 'skipped' group by (seq - 1) / $4, reason
		)
		select count(*) from row where state = 'pending'`,
		s.ID, campaign.VariantBounds(weights(variants)), s.SendKey, int64(chunkRows), skippedOutcome).Scan(&pending)
	if err != nil {
		return 0, fmt.Errorf("write the ledger: %w", err)
	}
	return pending, nil
}

// drawSQL is campaign.Draw in SQL, for the send key $3.
const drawSQL = `('x' || encode(substring(sha256(convert_to($3 || '/' || contact_id, 'UTF8')) from 1 for 4), 'hex'))::bit(32)::bigint`

func weights(variants []SendVariant) []int {
	w := make([]int, len(variants))
	for i, v := range variants {
		w[i] = v.Weight
	}
	return w
}

func recordFreeze(ctx context.Context, tx pgx.Tx, s OpenSend, facts campaign.Facts, next campaign.State) error {
	message := ""
	if next == campaign.Held {
		message = fmt.Sprintf("The audience holds %d contacts and maxRecipients is %d: raise the bound or narrow the audience.",
			facts.Audience, facts.MaxRecipients)
	}
	_, err := tx.Exec(ctx, `
		update send set state = $2, message = nullif($3, ''), audience = $4,
			frozen_at = case when $2 in ('Sending', 'Completed') then now() end,
			finished_at = case when $2 = 'Completed' then now() end
		where id = $1`, s.ID, next, message, facts.Audience)
	if err != nil {
		return fmt.Errorf("record the freeze: %w", err)
	}
	return noteStatusChange(ctx, tx, CampaignKind, s.Campaign)
}
