package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// AuditLedger compares the tallies of every frozen send with its ledger rows, chunk by chunk, and describes what does
// not agree; nothing, while invariant 2 holds: planned = sent + failed + ambiguous + skipped + pending. It reads the
// whole ledger, in one snapshot.
func (db *DB) AuditLedger(ctx context.Context) ([]string, error) { return db.audit(ctx, nil) }

// AuditRecentSends is AuditLedger for the sends that are open or ended no longer ago than this, so that its cost follows
// what is being sent and not what ever was.
func (db *DB) AuditRecentSends(ctx context.Context, ended time.Duration) ([]string, error) {
	return db.audit(ctx, &ended)
}

func (db *DB) audit(ctx context.Context, ended *time.Duration) ([]string, error) {
	rows, err := db.Pool.Query(ctx, `
		with audited as (
			select id from send s where $1::interval is null or `+recentSend+`
		), chunk as (
			select * from send_chunk where send_id in (select id from audited)
		), counted as (
			select c.send_id, c.chunk, o.outcome, count(*) n
			from chunk c join ledger l on l.send_id = c.send_id and l.seq between c.first_seq and c.last_seq
			cross join lateral (
				values ('planned'),
					(case when l.state = 'skipped' then $2 || l.reason when l.state in ('sent', 'failed', 'ambiguous') then l.state end)) o (outcome)
			where o.outcome is not null
			group by c.send_id, c.chunk, o.outcome
		), total as (
			select send_id, count(*) rows from ledger where $1::interval is null or send_id in (select id from audited) group by send_id
		)
		select format('send %s, chunk %s: %s is tallied as %s and counted as %s',
			coalesce(c.send_id, t.send_id), coalesce(c.chunk, t.chunk), coalesce(c.outcome, t.outcome), coalesce(t.n, 0), coalesce(c.n, 0))
		from counted c full join (select * from send_tally where send_id in (select id from audited)) t using (send_id, chunk, outcome)
		where coalesce(c.n, 0) <> coalesce(t.n, 0)
		union all
		select format('send %s: %s rows are in the ledger and %s in its chunks', total.send_id, total.rows, k.n)
		from total left join (select send_id, sum(last_seq - first_seq + 1) n from chunk group by send_id) k using (send_id)
		where k.n is distinct from total.rows
		union all
		select format('send %s, chunk %s: %s intents are counted and %s were committed', c.send_id, c.chunk, c.intents, k.n)
		from chunk c cross join lateral (
			select coalesce(sum(l.attempts), 0) n from ledger l where l.send_id = c.send_id and l.seq between c.first_seq and c.last_seq) k
		where c.intents <> k.n
		union all
		select format('send %s, chunk %s: it is closed and holds rows without an outcome', c.send_id, c.chunk)
		from chunk c where not c.open and exists (
			select from ledger l where l.send_id = c.send_id and l.seq between c.first_seq and c.last_seq and l.state in ('pending', 'intent'))
		union all
		select format('send %s, chunk %s: it has no owner and holds intents', c.send_id, c.chunk)
		from chunk c where c.owner is null and exists (
			select from ledger l where l.send_id = c.send_id and l.seq between c.first_seq and c.last_seq and l.state = 'intent')
		union all
		select format('send %s, chunk %s: it holds pending rows that nobody will try', c.send_id, c.chunk)
		from chunk c where c.open and c.leased_until is null and c.next_at = 'infinity' and exists (
			select from ledger l where l.send_id = c.send_id and l.seq between c.first_seq and c.last_seq and l.state = 'pending')
		order by 1`, ended, skippedOutcome)
	if err != nil {
		return nil, fmt.Errorf("audit the ledger: %w", err)
	}
	findings, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("audit the ledger: %w", err)
	}
	return findings, nil
}
