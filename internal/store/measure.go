package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Measures are what a monitoring system is told of a tenant's work.
type Measures struct {
	SchemaVersion int64
	// OrphanedIntents are of workers whose lease has run out.
	OrphanedIntents int64
	// SegmentStaleness is for how long the change that waits longest has not been evaluated, or the segment that waits longest has
	// not been built.
	SegmentStaleness time.Duration
	// SegmentChanges counts the changes of contacts that wait to be evaluated.
	SegmentChanges int64
	// SegmentMembers are those of the segments in force that were ever built, by name.
	SegmentMembers map[string]int64
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
	// Pending counts the messages without an outcome of sends that nothing holds up, whenever they may be tried.
	Pending int64
	// Settled counts the messages with an outcome, but for those that were left out, of the sends of Ambiguous: how fast it
	// grows is how fast the channel is.
	Settled int64
}

// recentSend is true for a send s whose audience is frozen and that is open, has rows without an outcome, or ended within $1:
// of every other one no row can change any more, but by an outcome that comes later than that.
const recentSend = `(s.frozen_at is not null and (s.finished_at is null or s.finished_at > now() - $1::interval
	or exists (select from send_chunk o where o.send_id = s.id and o.open)))`

// measuredFor is how long after its end a send's ambiguous messages are counted.
const measuredFor = 48 * time.Hour

// Measure reads how a tenant's work stands. It counts by the tallies of open and recent sends, and reads rows of the
// ledger only where a worker that is gone may have left intents. interval is how often a segment is evaluated unasked.
func (db *DB) Measure(ctx context.Context, interval time.Duration) (Measures, error) {
	var m Measures
	var staleness float64
	err := db.Pool.QueryRow(ctx, `
		select (select coalesce(max(version_id), 0) from schema_version where is_applied),
			(select count(*) from send_chunk c join ledger l on l.send_id = c.send_id and l.seq between c.first_seq and c.last_seq
			where c.open and c.owner is not null and (c.leased_until is null or c.leased_until < now()) and l.state = 'intent'),
			greatest(0, (select extract(epoch from max(now() - coalesce(refresh_asked_at, built_at + $1::interval)))
				from segment where watched and (refresh_asked_at is not null or follows is null)), q.age)::float8, q.n,
			(select coalesce(jsonb_object_agg(name, members), '{}') from segment where dormant_since is null and members is not null)
		from (select count(*) n, extract(epoch from now() - min(at)) age from segment_change) q`, interval).
		Scan(&m.SchemaVersion, &m.OrphanedIntents, &staleness, &m.SegmentChanges, &m.SegmentMembers)
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
		), recent as materialized (
			select s.id, s.channel, `+sendRuns+` runs from send s cross join tenant where `+recentSend+`
		), tallied as (
			select s.channel, sum(t.n) filter (where t.outcome = 'ambiguous') ambiguous,
				sum(t.n) filter (where t.outcome in ('sent', 'failed', 'ambiguous')) settled,
				sum(case when t.outcome = 'planned' then t.n else -t.n end) filter (where s.runs) pending
			from recent s join send_tally t on t.send_id = s.id group by s.channel
		)
		select ch.name, coalesce(d.n, 0)::bigint, coalesce(extract(epoch from now() - d.since), 0)::float8,
			coalesce(a.ambiguous, 0)::bigint, coalesce(a.pending, 0)::bigint, coalesce(a.settled, 0)::bigint
		from channel ch
			left join (select channel, sum(n) n, min(since) since from due group by channel) d on d.channel = ch.name
			left join tallied a on a.channel = ch.name
		where ch.dormant_since is null order by ch.name`, measuredFor)
	if err != nil {
		return m, fmt.Errorf("measure the tenant's sends: %w", err)
	}
	m.Channels, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c ChannelMeasures, err error) {
		var age float64
		err = row.Scan(&c.Name, &c.Due, &age, &c.Ambiguous, &c.Pending, &c.Settled)
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
