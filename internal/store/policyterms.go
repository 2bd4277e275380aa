package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/policy"
)

// askingPrefix begins the purposes of the sends that ask for consents; the policy's name follows. No manifest can name such a
// purpose, because none has a slash.
const askingPrefix = "consent-policy/"

// inForce is true for a row of a policy p that is neither suspended nor deleted.
const inForce = "not p.suspended and p.dormant_since is null"

// forPurpose is true for a send_policy p that is for the purpose in the SQL expression.
func forPurpose(purpose string) string {
	return "(" + inForce + " and (p.purposes = '{}' or " + purpose + " = any (p.purposes)) and " + purpose + " <> all (p.exempt))"
}

// counts is true where a cap c of a send_policy p counts messages of the purpose in the SQL expression.
func counts(purpose string) string {
	return "(" + forPurpose(purpose) + " and position('/' in " + purpose + ") = 0 and (jsonb_array_length(c.value -> 'purposes') = 0 " +
		"or c.value -> 'purposes' ? " +
		purpose + "))"
}

// manyQuerier is a pool or a transaction.
type manyQuerier interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

// loadTerms reads what the policies in force say of the sends of a purpose. It reads the revision first: where a policy
// changes meanwhile, the terms are known to be old.
func loadTerms(ctx context.Context, q manyQuerier, purpose string) (policy.Terms, error) {
	terms := policy.Terms{Basis: policy.Consent, Asking: strings.HasPrefix(purpose, askingPrefix)}
	err := q.QueryRow(ctx, `
		select t.policy_revision, coalesce((select u.basis from purpose u join consent_policy p on p.name = u.policy
			where u.name = $1 and `+inForce+`), $2)
		from tenant t`, purpose, policy.Consent).Scan(&terms.Revision, &terms.Basis)
	if errors.Is(err, pgx.ErrNoRows) {
		return terms, nil // no tenant, no policies
	}
	if err != nil {
		return terms, fmt.Errorf("read the terms of purpose %q: %w", purpose, err)
	}
	if terms.Asking {
		// Nobody can have granted it. Who does not want to be asked again has refused it, or is suppressed.
		terms.Basis = policy.LegitimateInterest
		var valid int64
		err := q.QueryRow(ctx, "select coalesce((select valid_seconds from consent_policy where name = $1), 0)",
			strings.TrimPrefix(purpose, askingPrefix)).Scan(&valid)
		if err != nil {
			return terms, fmt.Errorf("read how long a consent can be confirmed: %w", err)
		}
		terms.ValidFor = time.Duration(valid) * time.Second
		return terms, nil
	}
	rows, err := q.Query(ctx, `
		select p.quiet, coalesce(p.max_audience, 0),
			exists (select from jsonb_array_elements(p.caps) c where `+counts("$1")+`)
		from send_policy p where `+forPurpose("$1")+` order by p.name`, purpose)
	if err != nil {
		return terms, fmt.Errorf("read the terms of purpose %q: %w", purpose, err)
	}
	var quiet json.RawMessage
	var most int64
	var capped bool
	_, err = pgx.ForEachRow(rows, []any{&quiet, &most, &capped}, func() error {
		var hours []campaign.Window
		if err := json.Unmarshal(quiet, &hours); err != nil {
			return err
		}
		terms.Quiet = append(terms.Quiet, hours...)
		if most > 0 && (terms.MaxAudience == 0 || most < terms.MaxAudience) {
			terms.MaxAudience = most
		}
		terms.Capped = terms.Capped || capped
		return nil
	})
	if err != nil {
		return terms, fmt.Errorf("read the terms of purpose %q: %w", purpose, err)
	}
	return terms, nil
}
