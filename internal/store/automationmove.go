package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// MoveEntries has entries that wait on earlier versions of a rule go on in the one in force, where it says so: at most so many in one transaction. Their
// waits are reckoned anew from when they began. Those of which the step is not there any more stay where they are.
func (r *Rules) MoveEntries(ctx context.Context, most int) (Walked, error) {
	idle, err := r.idle(ctx, "select not exists (select from automation_rule where move_after is not null and dormant_since is null and not suspended)")
	if err != nil || idle {
		return Walked{}, err
	}
	return r.walk(ctx, "move entries", wakes, func(tx pgx.Tx, book *ruleBook, now time.Time) (Walked, error) {
		var rule, after int64
		err := tx.QueryRow(ctx, `select id, move_after from automation_rule where move_after is not null and id = any ($1) order by id limit 1
			for no key update skip locked`, sortedKeys(book.inForce)).Scan(&rule, &after)
		if errors.Is(err, pgx.ErrNoRows) {
			return Walked{}, nil
		}
		if err != nil {
			return Walked{}, fmt.Errorf("look which entries are to be moved: %w", err)
		}
		// Whoever holds one at this moment is waited for: they may not know of the new version. Who waits for a turn has no wait that could change.
		rows, err := tx.Query(ctx, `select `+entryColumns+` from automation_entry e where e.rule_id = $1 and e.version < $2 and e.status = 'Waiting'
			and e.state ->> 'status' = 'Waiting' and e.id > $3 order by e.id limit $4 for no key update`, rule, book.inForce[rule].version, after, most)
		if err != nil {
			return Walked{}, fmt.Errorf("look which entries are to be moved: %w", err)
		}
		stored, err := readEntries(rows)
		if err != nil {
			return Walked{}, fmt.Errorf("look which entries are to be moved: %w", err)
		}
		w := newWalker(tx, book, now)
		w.counts.Repeat = true
		var next *int64
		if len(stored) == most {
			next = &stored[most-1].id
		}
		if _, err := tx.Exec(ctx, "update automation_rule set move_after = $2 where id = $1", rule, next); err != nil {
			return Walked{}, fmt.Errorf("note which entries were moved: %w", err)
		}
		walks, err := w.resume(ctx, stored)
		if err != nil {
			return Walked{}, err
		}
		if err := w.settle(ctx, walks); err != nil {
			return Walked{}, err
		}
		if err := w.admitStarted(ctx); err != nil {
			return Walked{}, err
		}
		return w.counts, w.tellTroubles(ctx)
	})
}
