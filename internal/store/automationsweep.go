package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

const (
	// keepEntries is how long it can be seen how an entry went that is over.
	keepEntries = 30 * 24 * time.Hour
	// keepMinutes is how far back the bound on entries of an hour looks, and some more.
	keepMinutes = 3 * time.Hour
	// goneReason is why an entry is over whose rule was deleted.
	goneReason = "the rule was deleted"
)

// endEntries ends entries of a rule that are not over, at most so many; 0: all. It returns how many they were.
func endEntries(ctx context.Context, tx pgx.Tx, rule int64, most int) (int64, error) {
	limit := any(most)
	if most == 0 {
		limit = nil
	}
	tag, err := tx.Exec(ctx, `
		with over as (
			select id, key from automation_entry where rule_id = $1 and status in ('Waiting', 'Stuck', 'Active') limit $2 for update
		), free as (
			update automation_pass p set active = false from over o where p.key = o.key and p.rule_id = $1
		)
		update automation_entry e set status = 'Exited', reason = $3, wake_at = null, awaits = null, since = now(),
			state = e.state || jsonb_build_object('status', 'Exited', 'reason', $3::text) - 'wakeAt' - 'awaits'
		from over o where e.id = o.id`, rule, limit, goneReason)
	if err != nil {
		return 0, fmt.Errorf("end the entries of a rule: %w", err)
	}
	return tag.RowsAffected(), nil
}

// SweepRules ends entries of rules that were deleted campaign.DormancyLimit ago, and forgets what is needed no longer, at most so many rows of
// each kind. It tells whether there may be more.
func (r *Rules) SweepRules(ctx context.Context, most int) (more bool, err error) {
	ended, err := r.endDormant(ctx, most)
	if err != nil {
		return false, err
	}
	err = r.db.InTx(ctx, func(tx pgx.Tx) error {
		return takeBackTroubles(ctx, tx, goesWellSQL, postingTrouble, circleTrouble, causeWindow)
	})
	if err != nil {
		return false, err
	}
	forgotten, err := r.forgetOver(ctx, most)
	return ended >= int64(most) || forgotten, err
}

func (r *Rules) endDormant(ctx context.Context, most int) (ended int64, err error) {
	err = r.db.InTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			select r.id from automation_rule r where r.dormant_since < now() - $1::interval
				and exists (select from automation_tally t where t.rule_id = r.id group by t.rule_id having sum(t.waiting + t.stuck) > 0)
			order by r.id limit 1 for update skip locked`, campaign.DormancyLimit)
		if err != nil {
			return err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil || len(ids) == 0 {
			return err
		}
		ended, err = endEntries(ctx, tx, ids[0], most)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("end entries of rules that were deleted: %w", err)
	}
	return ended, nil
}

// forgottenSQL deletes what is needed no longer, each at most $1 rows.
var forgottenSQL = []string{
	`delete from automation_entry where id in (select id from automation_entry where status in ('Ended', 'Exited') and since < now() - $2::interval limit $1)`,
	// Whoever may enter again after a time, or always, is not remembered for longer than that.
	`delete from automation_pass p where (p.key, p.rule_id) in (
		select q.key, q.rule_id from automation_rule r join automation_version v on v.rule_id = r.id and v.version = r.version
			cross join lateral (select key, rule_id from automation_pass a where a.rule_id = r.id and not a.active
				and a.entered_at < now() - greatest($2::interval, coalesce((v.definition #>> '{reentry,after}')::interval, '0')) limit $1) q
		where v.definition #>> '{reentry,mode}' in ('Always', 'After'))`,
	"delete from automation_minute where (rule_id, minute) in (select rule_id, minute from automation_minute where minute < now() - $2::interval limit $1)",
	"delete from outbox where id in (select id from outbox where state in ('sent', 'failed') and settled_at < now() - $2::interval limit $1)",
}

func (r *Rules) forgetOver(ctx context.Context, most int) (more bool, err error) {
	for i, statement := range forgottenSQL {
		age := keepEntries
		if i == 2 {
			age = keepMinutes
		}
		tag, err := r.db.Pool.Exec(ctx, statement, most, age)
		if err != nil {
			return false, fmt.Errorf("forget what is over: %w", err)
		}
		more = more || tag.RowsAffected() >= int64(most)
	}
	return more, nil
}

// grownEvents is how large the queue of events may get before the other side is written.
const grownEvents = 8 << 20

// RotateEvents gives back the room of events that were handled. It does nothing while somebody uses what is to be truncated.
func (r *Rules) RotateEvents(ctx context.Context) error {
	_, err := r.db.Pool.Exec(ctx, "select domain_event_rotate($1)", grownEvents)
	if err != nil && !hasCode(err, "55P03") {
		return fmt.Errorf("rotate the queue of events: %w", err)
	}
	return nil
}

// TellCounts asks for another look at the status of rules whose counts have changed.
func (r *Rules) TellCounts(ctx context.Context) error {
	err := r.db.InTx(ctx, func(tx pgx.Tx) error {
		// Whoever counts at this moment is waited for by nobody: their row is told next time.
		rows, err := tx.Query(ctx, `
			with untold as (
				select rule_id, slot from automation_tally where not told for no key update skip locked
			), told as (
				update automation_tally t set told = true from untold u where t.rule_id = u.rule_id and t.slot = u.slot returning t.rule_id
			)
			select distinct a.name from told join automation_rule a on a.id = told.rule_id order by 1`)
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := noteStatusChange(ctx, tx, RuleKind, name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("tell what entries of rules have become: %w", err)
	}
	return nil
}

// MeasuredRules is how rules fare.
type MeasuredRules struct {
	Events   int64 // that wait to be handled
	EventAge time.Duration
	Rules    []MeasuredRule
}

// MeasuredRule is how a rule fares.
type MeasuredRule struct {
	Name           string
	Waiting, Stuck int64
}

// Measure reads how rules fare, from what was counted.
func (r *Rules) Measure(ctx context.Context) (m MeasuredRules, err error) {
	var events float64
	// What waits for an import is not late, nor for as long as it has waited for one.
	err = r.db.Pool.QueryRow(ctx, `
		select e.n, e.age
		from (select coalesce(sum(q.n) filter (where not q.holds), 0)::bigint n,
				coalesce(extract(epoch from clock_timestamp() - min(q.since) filter (where not q.holds)), 0)::float8 age
			from (select n, i.holds and w.event like 'segment.%' holds, case when w.event like 'segment.%' then greatest(since, i.until) else since end since
				from (select watch_id, count(*) n, min(at) since from domain_event_queue group by 1) d join domain_event_watch w on w.id = d.watch_id
					cross join (select count(*) filter (where over_at is null) > 0 holds, max(over_at) until from import_run) i) q) e`).
		Scan(&m.Events, &events)
	if err != nil {
		return m, fmt.Errorf("measure rules: %w", err)
	}
	m.EventAge = time.Duration(max(0, events) * float64(time.Second))
	rows, err := r.db.Pool.Query(ctx, `select a.name, sum(t.waiting)::bigint, sum(t.stuck)::bigint from automation_rule a
		join automation_tally t on t.rule_id = a.id
		where a.dormant_since is null group by a.name order by 1`)
	if err == nil {
		m.Rules, err = pgx.CollectRows(rows, pgx.RowToStructByPos[MeasuredRule])
	}
	if err != nil {
		return m, fmt.Errorf("measure rules: %w", err)
	}
	return m, nil
}
