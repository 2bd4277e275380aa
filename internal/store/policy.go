package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/policy"
)

// SaveSendPolicy brings a policy about sends into force. It writes only what differs and tells whether it did.
func (db *DB) SaveSendPolicy(ctx context.Context, p policy.SendPolicy) (changed bool, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			insert into send_policy (name, purposes, exempt, caps, quiet, max_audience, rules, suspended)
			select $1, $2, $3, $4::jsonb, $5::jsonb, nullif($6::bigint, 0), $7::jsonb, $8 where not exists (
				select from send_policy where name = $1 and purposes = $2 and exempt = $3 and caps = $4::jsonb and quiet = $5::jsonb
					and coalesce(max_audience, 0) = $6 and rules = $7::jsonb and suspended = $8 and dormant_since is null)
			on conflict (name) do update set purposes = excluded.purposes, exempt = excluded.exempt, caps = excluded.caps, quiet = excluded.quiet,
				max_audience = excluded.max_audience, rules = excluded.rules, suspended = excluded.suspended, dormant_since = null`,
			p.Name, orEmpty(p.Purposes), orEmpty(p.Exempt), listed(p.Caps), listed(p.Quiet), p.MaxAudience, listed(p.Rules), p.Suspended)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		changed = true
		return revise(ctx, tx)
	})
	if err != nil {
		return false, fmt.Errorf("save the send policy %q: %w", p.Name, err)
	}
	return changed, nil
}

// listed makes a list one that JSON holds as a list, an empty one too. Lists within caps are made so as well: the statements
// that read them count their elements.
func listed[T any](list []T) []T {
	filled := make([]T, 0, len(list))
	for _, element := range list {
		if c, ok := any(&element).(*policy.Cap); ok {
			c.Purposes = orEmpty(c.Purposes)
		}
		filled = append(filled, element)
	}
	return filled
}

// revise has every worker read the policies again before it commits another intent.
func revise(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "update tenant set policy_revision = policy_revision + 1"); err != nil {
		return fmt.Errorf("tell that the policies have changed: %w", err)
	}
	return nil
}

// DormantSendPolicy records that a policy's object was deleted: it is not in force any more.
func (db *DB) DormantSendPolicy(ctx context.Context, name string) error {
	return db.putOutOfForce(ctx, "update send_policy set dormant_since = now() where name = $1 and dormant_since is null", name)
}

func (db *DB) putOutOfForce(ctx context.Context, statement, name string) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, statement, name)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return revise(ctx, tx)
	})
	if err != nil {
		return fmt.Errorf("put policy %q out of force: %w", name, err)
	}
	return nil
}

// SendPolicies lists the policies about sends that are in force, by name.
func (db *DB) SendPolicies(ctx context.Context) ([]policy.SendPolicy, error) {
	rows, err := db.Pool.Query(ctx, `
		select p.name, p.purposes, p.exempt, p.caps, p.quiet, coalesce(p.max_audience, 0), p.rules, p.suspended
		from send_policy p where `+inForce+` order by p.name`)
	if err != nil {
		return nil, fmt.Errorf("read the send policies: %w", err)
	}
	policies, err := pgx.CollectRows(rows, pgx.RowToStructByPos[policy.SendPolicy])
	if err != nil {
		return nil, fmt.Errorf("read the send policies: %w", err)
	}
	return policies, nil
}

// Purposes lists the purposes that consent policies in force know, in no particular order. It is empty where there is no such
// policy: then every purpose may be used.
func (db *DB) Purposes(ctx context.Context) ([]string, error) {
	rows, err := db.Pool.Query(ctx, "select u.name from purpose u join consent_policy p on p.name = u.policy where "+inForce)
	if err != nil {
		return nil, fmt.Errorf("read the purposes: %w", err)
	}
	purposes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("read the purposes: %w", err)
	}
	return purposes, nil
}
