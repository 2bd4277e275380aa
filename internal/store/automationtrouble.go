package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// What keeps a rule from doing all that it should.
const (
	versionTrouble   = "version"   // a worker cannot carry it out
	conditionTrouble = "condition" // its condition cannot be asked
	circleTrouble    = "circle"    // it triggers itself
	postingTrouble   = "posting"   // what it tells does not arrive
)

// troubleAgain is how often it is noted that a trouble goes on.
const troubleAgain = time.Minute

func (w *walker) tellTroubles(ctx context.Context) error {
	if err := tellTroubles(ctx, w.tx, circleTrouble, w.circles, w.now); err != nil {
		return err
	}
	return tellTroubles(ctx, w.tx, conditionTrouble, w.unasked, w.now)
}

// tellTroubles writes down what keeps rules from doing all that they should. What is known is not told again.
func tellTroubles(ctx context.Context, tx pgx.Tx, of string, troubles map[int64]string, now time.Time) error {
	for _, rule := range sortedKeys(troubles) {
		var name string
		var isNews bool
		err := tx.QueryRow(ctx, `
			with before as materialized (select id, trouble from automation_rule where id = $1 for no key update)
			update automation_rule r set trouble = $2, trouble_of = $3, trouble_last = $4,
				trouble_since = case when r.trouble is null then $4 else r.trouble_since end
			from before b where r.id = b.id and (b.trouble is distinct from $2 or r.trouble_last is null or r.trouble_last < $4::timestamptz - $5::interval)
			returning r.name, b.trouble is distinct from $2`, rule, troubles[rule], of, now, troubleAgain).Scan(&name, &isNews)
		if errors.Is(err, pgx.ErrNoRows) {
			continue
		}
		if err == nil && isNews {
			err = noteStatusChange(ctx, tx, RuleKind, name)
		}
		if err != nil {
			return fmt.Errorf("tell of a rule's trouble: %w", err)
		}
	}
	return nil
}

// goesWellSQL is true of a rule r whose trouble ($1: what it tells does not arrive; $2: it triggers itself, within $3) was last seen before it went well: what
// it told has arrived, or somebody has entered it since.
const goesWellSQL = `case r.trouble_of
	when $1 then exists (select from outbox o where o.rule_id = r.id and o.state = 'sent' and o.settled_at > r.trouble_last)
	when $2 then (select e.began_at from automation_entry e where e.rule_id = r.id order by e.id desc limit 1) > r.trouble_last + $3::interval
	else (select e.began_at from automation_entry e where e.rule_id = r.id order by e.id desc limit 1) > r.trouble_last end`

// takeBackTroubles forgets the troubles of rules r of which something is true.
func takeBackTroubles(ctx context.Context, tx pgx.Tx, isOver string, arguments ...any) error {
	rows, err := tx.Query(ctx, `update automation_rule r set trouble = null, trouble_since = null, trouble_of = null, trouble_last = null
		where r.trouble is not null and `+isOver+` returning r.name`, arguments...)
	if err != nil {
		return fmt.Errorf("take back the troubles of rules: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("take back the troubles of rules: %w", err)
	}
	for _, name := range names {
		if err := noteStatusChange(ctx, tx, RuleKind, name); err != nil {
			return err
		}
	}
	return nil
}
