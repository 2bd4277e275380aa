package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ErrNotStuck says that an entry is not stuck, so that there is nothing to retry.
var ErrNotStuck = errors.New("the entry is not stuck")

// ErrOver says that an entry is over.
var ErrOver = errors.New("the entry is over")

// RetryEntry has a stuck entry tried again, by its public id. What it does has the identity that it had, so nobody gets anything twice. by and reason
// stand in its path. It returns ErrNotFound and ErrNotStuck.
func (db *DB) RetryEntry(ctx context.Context, rule, publicID, by, reason string) error {
	return db.commandEntry(ctx, rule, publicID, "retry", `
		update automation_entry set status = 'Waiting', wake_at = now(), reason = null, since = now(), awaits = null,
			state = (state || '{"status": "Active"}') - 'reason' - 'wakeAt' - 'awaits', path = path || jsonb_build_object('step', state -> 'step', 'at', now(),
				'how', 'Retried', 'by', $2::text, 'why', $3::text)
		where id = $1 and status = 'Stuck'`, by, reason, ErrNotStuck)
}

// EndEntry ends an entry that is not over, by its public id. by and reason stand in its path. It returns ErrNotFound and ErrOver.
func (db *DB) EndEntry(ctx context.Context, rule, publicID, by, reason string) error {
	return db.commandEntry(ctx, rule, publicID, "end", `
		with free as (
			update automation_pass p set active = false from automation_entry e where e.id = $1 and p.key = e.key and p.rule_id = e.rule_id
		)
		update automation_entry set status = 'Exited', wake_at = null, awaits = null, reason = $3, since = now(),
			state = (state || jsonb_build_object('status', 'Exited', 'reason', $3::text)) - 'wakeAt' - 'awaits',
			path = path || jsonb_build_object('step', state -> 'step', 'at', now(), 'how', 'Ended', 'by', $2::text, 'why', $3::text)
		where id = $1 and status in ('Waiting', 'Stuck')`, by, reason, ErrOver)
}

func (db *DB) commandEntry(ctx context.Context, rule, publicID, verb, statement, by, reason string, refused error) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		var id int64
		err := tx.QueryRow(ctx, `select e.id from automation_entry e join automation_rule r on r.id = e.rule_id
			where r.name = $1 and e.public_id::text = $2 for no key update of e`, rule, publicID).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, statement, id, by, reason)
		if err == nil && tag.RowsAffected() == 0 {
			return refused
		}
		if err != nil {
			return err
		}
		return noteStatusChange(ctx, tx, RuleKind, rule)
	})
	if err != nil {
		return fmt.Errorf("%s an entry of rule %q: %w", verb, rule, err)
	}
	return nil
}

// RetryStuck has the stuck entries of a rule tried again, at most so many, and returns how many these are.
func (db *DB) RetryStuck(ctx context.Context, rule, by, reason string, most int) (int64, error) {
	tag, err := db.Pool.Exec(ctx, `
		update automation_entry e set status = 'Waiting', wake_at = now(), reason = null, since = now(), awaits = null,
			state = (e.state || '{"status": "Active"}') - 'reason' - 'wakeAt' - 'awaits', path = e.path || jsonb_build_object('step', e.state -> 'step', 'at',
				now(), 'how', 'Retried', 'by', $2::text, 'why', $3::text)
		where e.id in (select s.id from automation_entry s join automation_rule r on r.id = s.rule_id where r.name = $1
			and s.status = 'Stuck' order by s.since limit $4
			for no key update of s skip locked)`, rule, by, reason, most)
	if err != nil {
		return 0, fmt.Errorf("retry what is stuck of rule %q: %w", rule, err)
	}
	return tag.RowsAffected(), nil
}
