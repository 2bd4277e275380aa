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
	Timing      campaign.Timing
	Occurrence  string // "" of a campaign that is sent once
	// Undecided is true for a send that is out to a test share and has no winner yet.
	Undecided bool
	// Publishes says that it is a publication, which has no audience.
	Publishes bool
}

// OpenSends lists the sends that are not at their end, and those Completed that have open rows again because an outcome
// came late.
func (db *DB) OpenSends(ctx context.Context) ([]OpenSend, error) {
	rows, err := db.Pool.Query(ctx, `
		select s.id, s.send_key, s.campaign, s.state, coalesce(s.message, ''), s.segments || s.exclude,
			(select max(g.changed_at) from segment g where g.name = any (s.segments || s.exclude)),
			s.starts_at, s.deadline, not `+sendUnstopped+`, s.max_recipients,
			exists (select from send_chunk c where c.send_id = s.id and c.open), coalesce(s.traceparent, ''),
			s.timing, s.occurrence, coalesce(s.ends_at, '0001-01-01Z'), s.rolling, s.test is not null and s.winner is null and s.state = 'Sending',
			s.occurrence <> '' and exists (select from send e where e.send_key = s.send_key and e.occurrence <> '' and e.id < s.id
				and e.state in ('Scheduled', 'Freezing', 'Sending', 'Held')), s.publication is not null
		from send s cross join tenant
		where s.cron is null and (s.state in ('Scheduled', 'Freezing', 'Sending', 'Held')
			or s.state = 'Completed' and s.id in (select send_id from send_chunk where open))
		order by s.starts_at, s.id`)
	if err != nil {
		return nil, fmt.Errorf("read the open sends: %w", err)
	}
	sends, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (OpenSend, error) {
		var s OpenSend
		var changed *time.Time
		var open bool
		err := row.Scan(&s.ID, &s.SendKey, &s.Campaign, &s.State, &s.Message, &s.Segments, &changed,
			&s.Facts.StartsAt, &s.Facts.Deadline, &s.Facts.Stopped, &s.Facts.MaxRecipients, &open, &s.Traceparent,
			&s.Timing, &s.Occurrence, &s.Facts.EndsAt, &s.Facts.Rolling, &s.Undecided, &s.Facts.Waits, &s.Publishes)
		if s.Facts.EndsAt.Year() == 1 {
			s.Facts.EndsAt = time.Time{}
		}
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
		facts, f, err := lockFreezing(ctx, tx, s)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if facts.Audience, err = gatherAudience(ctx, tx, s.ID); err != nil {
			return err
		}
		if next = campaign.Next(campaign.Freezing, facts, now); next == campaign.Completed || next == campaign.Sending {
			// The audience is within its bound; how many rows are open is known once they are written.
			if facts.Open, err = insertLedger(ctx, tx, f, now); err != nil {
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
func lockFreezing(ctx context.Context, tx pgx.Tx, s OpenSend) (facts campaign.Facts, f freezing, err error) {
	facts.Counted = true
	f.SendID = s.ID
	var ends *time.Time
	err = tx.QueryRow(ctx, `
		select s.starts_at, s.deadline, s.ends_at, not `+sendUnstopped+`, s.max_recipients, s.rolling,
			s.send_key, s.occurrence, s.purpose, s.variants, s.hold_out, s.test, s.timing
		from send s cross join tenant where s.id = $1 and s.state = 'Freezing' and s.segments || s.exclude = $2 for update of s`, s.ID, s.Segments).
		Scan(&facts.StartsAt, &facts.Deadline, &ends, &facts.Stopped, &facts.MaxRecipients, &facts.Rolling,
			&f.SendKey, &f.Occurrence, &f.Purpose, &f.Variants, &f.HoldOut, &f.Test, &f.Timing)
	if errors.Is(err, pgx.ErrNoRows) {
		return facts, f, ErrNotFound
	}
	if err != nil {
		return facts, f, err
	}
	facts.EndsAt = valueOf(ends)
	f.Terms, err = loadTerms(ctx, tx, f.Purpose)
	if f.Terms.MaxAudience > 0 {
		facts.MaxRecipients = min(facts.MaxRecipients, f.Terms.MaxAudience)
	}
	return facts, f, err
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
	if _, err := tx.Exec(ctx, freezeSettings); err != nil {
		return 0, fmt.Errorf("set up the planner: %w", err)
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

func recordFreeze(ctx context.Context, tx pgx.Tx, s OpenSend, facts campaign.Facts, next campaign.State) error {
	message := ""
	if next == campaign.Held {
		message = fmt.Sprintf("The audience holds %d contacts, and maxRecipients or a SendPolicy allows %d: raise the bound or narrow the audience.",
			facts.Audience, facts.MaxRecipients)
	}
	_, err := tx.Exec(ctx, `
		update send set state = $2, message = nullif($3, ''), audience = $4,
			frozen_at = case when $2 in ('Sending', 'Completed') then now() end,
			finished_at = case when $2 = 'Completed' then now() end,
			basis = case when rolling and $2 = 'Sending' then jsonb_build_object('digests',
				(select jsonb_object_agg(g.name, g.digest) from segment g where g.name = any (segments || exclude))) end
		where id = $1`, s.ID, next, message, facts.Audience)
	if err != nil {
		return fmt.Errorf("record the freeze: %w", err)
	}
	return noteStatusChange(ctx, tx, CampaignKind, s.Campaign)
}
