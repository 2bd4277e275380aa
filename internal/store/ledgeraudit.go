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

// The rows of each chunk are counted apart (lateral), by a range of the ledger's key: a join of chunks and rows by their
// ranges can be planned to read a send's rows once for each of its chunks.
func (db *DB) audit(ctx context.Context, ended *time.Duration) ([]string, error) {
	rows, err := db.Pool.Query(ctx, `
		with audited as materialized (
			select id from send s where $1::interval is null or `+recentSend+`
			union select distinct send_id from ledger where $1::interval is null
		), chunk as materialized (
			select c.* from audited join send_chunk c on c.send_id = audited.id
		), fact as materialized (
			select c.send_id, c.chunk, k.* from chunk c cross join lateral (
				select case when l.state = 'skipped' then $2 || l.reason else l.state end outcome, count(*) n, sum(l.attempts) attempts
				from ledger l where l.send_id = c.send_id and l.seq between c.first_seq and c.last_seq group by 1) k
		), counted as (
			select send_id, chunk, outcome, n from fact where outcome not in ('pending', 'intent')
			union all
			select send_id, chunk, 'planned', sum(n) from fact group by send_id, chunk
		), tally as (
			select t.* from audited join send_tally t on t.send_id = audited.id
		)
		select format('send %s, chunk %s: %s is tallied as %s and counted as %s',
			coalesce(c.send_id, t.send_id), coalesce(c.chunk, t.chunk), coalesce(c.outcome, t.outcome), coalesce(t.n, 0), coalesce(c.n, 0))
		from counted c full join tally t using (send_id, chunk, outcome)
		where coalesce(c.n, 0) <> coalesce(t.n, 0)
		union all
		select format('send %s: %s rows are in the ledger and %s in its chunks', a.id, total.rows, k.n)
		from audited a cross join lateral (select count(*) rows from ledger l where l.send_id = a.id) total
			left join (select send_id, sum(last_seq - first_seq + 1) n from chunk group by send_id) k on k.send_id = a.id
		where coalesce(k.n, 0) <> total.rows
		union all
		select format('send %s, chunk %s: %s intents are counted and %s were committed', c.send_id, c.chunk, c.intents, coalesce(k.n, 0))
		from chunk c left join (select send_id, chunk, sum(attempts) n from fact group by send_id, chunk) k using (send_id, chunk)
		where c.intents <> coalesce(k.n, 0)
		union all
		select distinct format('send %s, chunk %s: it is closed and holds rows without an outcome', c.send_id, c.chunk)
		from chunk c join fact f using (send_id, chunk) where not c.open and f.outcome in ('pending', 'intent')
		union all
		select format('send %s, chunk %s: it has no owner and holds intents', c.send_id, c.chunk)
		from chunk c join fact f using (send_id, chunk) where c.owner is null and f.outcome = 'intent'
		union all
		select format('send %s, chunk %s: it holds pending rows that nobody will try', c.send_id, c.chunk)
		from chunk c join fact f using (send_id, chunk)
		where c.open and c.leased_until is null and c.next_at = 'infinity' and f.outcome = 'pending'
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
