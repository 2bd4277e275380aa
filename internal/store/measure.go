package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Measures are what a monitoring system is told of a tenant's work.
type Measures struct {
	// At is the database's clock.
	At            time.Time
	SchemaVersion int64
	// OrphanedIntents are of workers whose lease has run out.
	OrphanedIntents int64
	// SegmentStaleness is for how long the segment that waits longest has been due for evaluation.
	SegmentStaleness time.Duration
	// Channels are those in force, by name.
	Channels []ChannelMeasures
}

// ChannelMeasures are those of the sends over one channel.
type ChannelMeasures struct {
	Name string
	// Due counts the messages without an outcome in chunks that may be leased now.
	Due int64
	// OldestDue is for how long the first of those chunks has been due; 0 when there is none.
	OldestDue time.Duration
	// Ambiguous counts those of sends that are open or ended within the last two days.
	Ambiguous int64
}

// recentSend is true for a send s whose audience is frozen and that is open, or ended within $1.
const recentSend = `(s.frozen_at is not null and (s.finished_at is null or s.finished_at > now() - $1::interval))`

// measuredFor is how long after its end a send's ambiguous messages are counted.
const measuredFor = 48 * time.Hour

// Measure reads how a tenant's work stands. It counts by the tallies of open and recent sends, and reads rows of the
// ledger only where a worker that is gone may have left intents. interval is how often a segment is evaluated unasked.
func (db *DB) Measure(ctx context.Context, interval time.Duration) (Measures, error) {
	var m Measures
	var staleness float64
	err := db.Pool.QueryRow(ctx, `
		select clock_timestamp(), (select coalesce(max(version_id), 0) from schema_version where is_applied),
			(select count(*) from send_chunk c join ledger l on l.send_id = c.send_id and l.seq between c.first_seq and c.last_seq
			where c.open and c.owner is not null and (c.leased_until is null or c.leased_until < now()) and l.state = 'intent'),
			(select coalesce(extract(epoch from max(now() - coalesce(g.refresh_asked_at, g.built_at + $1::interval))), 0)::float8
			from segment g cross join tenant where g.dormant_since is null and not g.suspended and not tenant.suspended)`, interval).
		Scan(&m.At, &m.SchemaVersion, &m.OrphanedIntents, &staleness)
	if err != nil {
		return m, fmt.Errorf("measure the tenant's work: %w", err)
	}
	m.SegmentStaleness = time.Duration(max(0, staleness) * float64(time.Second))
	rows, err := db.Pool.Query(ctx, `
		with due as (
			select s.channel, c.last_seq - c.first_seq + 1 - coalesce((select sum(n) from send_tally t
				where t.send_id = c.send_id and t.chunk = c.chunk and t.outcome <> 'planned'), 0) n, greatest(c.next_at, s.frozen_at) since
			from send s cross join tenant join send_chunk c on c.send_id = s.id
			where `+sendRuns+` and `+chunkFree+`
		), ambiguous as (
			select s.channel, sum(t.n) n from send s join send_tally t on t.send_id = s.id and t.outcome = 'ambiguous'
			where `+recentSend+` group by s.channel
		)
		select ch.name, coalesce(d.n, 0)::bigint, coalesce(extract(epoch from now() - d.since), 0)::float8, coalesce(a.n, 0)::bigint
		from channel ch
			left join (select channel, sum(n) n, min(since) since from due group by channel) d on d.channel = ch.name
			left join ambiguous a on a.channel = ch.name
		where ch.dormant_since is null order by ch.name`, measuredFor)
	if err != nil {
		return m, fmt.Errorf("measure the tenant's sends: %w", err)
	}
	m.Channels, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c ChannelMeasures, err error) {
		var age float64
		err = row.Scan(&c.Name, &c.Due, &age, &c.Ambiguous)
		c.OldestDue = time.Duration(max(0, age) * float64(time.Second))
		return c, err
	})
	if err != nil {
		return m, fmt.Errorf("measure the tenant's sends: %w", err)
	}
	return m, nil
}

// Clock asks the database what time it is.
func (db *DB) Clock(ctx context.Context) (at time.Time, err error) {
	if err := db.Pool.QueryRow(ctx, "select clock_timestamp()").Scan(&at); err != nil {
		return at, fmt.Errorf("read the database's clock: %w", err)
	}
	return at, nil
}
