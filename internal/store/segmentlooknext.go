package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/segment"
)

// NextCrossing is when the passing of time next concerns somebody, by one of a segment's boundaries.
type NextCrossing struct {
	Of    segment.BoundaryKind
	Name  string        // of the event type, of what was done with the message, of the field's column; the instant
	After time.Duration // so long after it; negative: before
	Steps []int64       // of ages and anniversaries: the values that matter; empty: all

	SweptUntil time.Time  // everybody who had crossed it by then is noted
	At         *time.Time // when somebody is the next to cross it; nil where nobody is found to be on the way
	// Within is how far ahead it was looked, where looking further would cost too much; 0 where At is the whole truth.
	Within  time.Duration
	Unknown bool // looking took too long
}

// How far ahead it is looked for messages, of which no index is sorted by time.
var messageSteps = []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour}

// receivedAhead is likewise for messages that were received, for which whole sends are read.
const receivedAhead = 24 * time.Hour

// NextCrossings tells, from where the sweeps stand, when time next changes an answer. The one that comes first is at the top.
func (db *DB) NextCrossings(ctx context.Context, name string) ([]NextCrossing, error) {
	rows, err := db.Pool.Query(ctx, `
		select b.of, b.name, b.after, b.steps, b.swept_until
		from segment g join segment_use u on u.segment_id = g.id join segment_boundary b on b.watch_id = u.watch_id
		where g.name = $1 order by b.watch_id`, name)
	if err != nil {
		return nil, fmt.Errorf("read the boundaries of segment %q: %w", name, err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c NextCrossing, err error) {
		err = row.Scan(&c.Of, &c.Name, &c.After, &c.Steps, &c.SweptUntil)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the boundaries of segment %q: %w", name, err)
	}
	for i := range list {
		switch err := db.nextCrossing(ctx, &list[i]); {
		case errors.Is(err, ErrTooLong):
			list[i].Unknown = true
		case err != nil:
			return nil, fmt.Errorf("look for who crosses a boundary of segment %q next: %w", name, err)
		}
	}
	slices.SortStableFunc(list, func(a, b NextCrossing) int {
		switch {
		case a.At != nil && b.At != nil:
			return a.At.Compare(*b.At)
		case a.At != nil:
			return -1
		case b.At != nil:
			return 1
		}
		return 0
	})
	return list, nil
}

func (db *DB) nextCrossing(ctx context.Context, c *NextCrossing) error {
	return db.look(ctx, lookLimit, func(tx pgx.Tx) error {
		// As a sweep reads: by the indexes that were made for it.
		if _, err := tx.Exec(ctx, "set local enable_seqscan = off"); err != nil {
			return err
		}
		since := c.SweptUntil.Add(-c.After)
		switch c.Of {
		case segment.OfEvent:
			return c.find(ctx, tx, `select occurred_at from event e where e.name || '' = $1 and e.contact_id is not null and e.occurred_at > $2
				order by e.occurred_at limit 1`, c.Name, since)
		case segment.OfField:
			return c.findField(ctx, tx, since)
		case segment.OfMessage:
			return c.findMessage(ctx, tx, since)
		case segment.OfInstant:
			return c.find(ctx, tx, "select $1::timestamptz where $1::timestamptz > $2", c.Name, since)
		case segment.OfAge, segment.OfAnniversary:
			return c.findMidnight(ctx, tx)
		}
		return nil
	})
}

// find asks for the moment that the boundary is counted from.
func (c *NextCrossing) find(ctx context.Context, tx pgx.Tx, query string, arguments ...any) error {
	var at *time.Time
	err := tx.QueryRow(ctx, query, arguments...).Scan(&at)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && at == nil {
		return nil
	}
	if err != nil {
		return err
	}
	next := at.Add(c.After)
	c.At = &next
	return nil
}

// findField looks for the next value of a field, a date or an instant. Of a date its midnight in UTC counts.
func (c *NextCrossing) findField(ctx context.Context, tx pgx.Tx, since time.Time) error {
	var column *string
	err := tx.QueryRow(ctx, `select (select quote_ident(attname) from pg_attribute where attrelid = 'contact'::regclass and attname = $1
		and not attisdropped and atttypid in ('date'::regtype, 'timestamptz'::regtype))`, c.Name).Scan(&column)
	if err != nil || column == nil {
		return err
	}
	query := "select k::timestamptz from (select column_name k from contact where column_name > $1 and isfinite(column_name) order by column_name limit 1) c"
	return c.find(ctx, tx, strings.ReplaceAll(query, "column_name", *column), since)
}

// findMessage looks for the next message, further and further ahead. None is dated ahead.
func (c *NextCrossing) findMessage(ctx context.Context, tx pgx.Tx, since time.Time) error {
	if c.After == 0 {
		return nil
	}
	steps := messageSteps
	query := "select min(at) from engaged where what = $1 and at > $2 and at <= $3"
	if c.Name == string(segment.WatchReceived) {
		steps = []time.Duration{receivedAhead}
		// As the sweep finds them: a late outcome comes within days.
		query = `select min(l.settled_at) from send s join ledger l on l.send_id = s.id
			where $1 <> '' and s.frozen_at <= $3 and (s.finished_at is null or s.finished_at > $2::timestamptz - interval '4 days')
				and l.contact_id is not null and l.settled_at > $2 and l.settled_at <= $3`
	}
	for _, ahead := range steps {
		if err := c.find(ctx, tx, query, c.Name, since, since.Add(ahead)); err != nil || c.At != nil {
			return err
		}
	}
	c.Within = steps[len(steps)-1]
	return nil
}

// findMidnight tells when a day begins next where the tenant is: ages and anniversaries are looked for at everybody's midnight, and in
// all but small tenants there is somebody for whom each one counts.
func (c *NextCrossing) findMidnight(ctx context.Context, tx pgx.Tx) error {
	var at time.Time
	err := tx.QueryRow(ctx, `select (local_day($1::timestamptz, z.zone) + 1)::timestamp at time zone z.zone
		from (select coalesce((select time_zone from tenant), 'UTC') zone) z`, c.SweptUntil).Scan(&at)
	if hasCode(err, "22023") {
		return nil // a zone that this server does not know: sweeps take the day in UTC then
	}
	if err != nil {
		return err
	}
	c.At = &at
	return nil
}
