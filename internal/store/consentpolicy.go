package store

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/policy"
)

// ConsentPolicy is what a policy about consent says.
type ConsentPolicy struct {
	Name string
	// Template and Channel are of the mail that asks for a confirmation; "" where none is sent.
	Template, Channel string
	// ValidFor is how long that mail can be answered.
	ValidFor time.Duration
	// KeepRequests is how long a request that nobody confirmed is kept; 0: for DefaultKeepRequests. KeepProofs is how long a consent
	// that has ended is kept as a proof; 0: for ever.
	KeepRequests, KeepProofs time.Duration
	Suspended                bool
	Purposes                 []Purpose
}

// Purpose is something for which people are written to.
type Purpose struct {
	Name        string
	Basis       policy.Basis
	DoubleOptIn bool
	Labels      []PurposeLabel
	// TextVersion is the version of the text in force; "" where there is none.
	TextVersion string
	Texts       []ConsentText
}

// PurposeLabel is what a purpose is called in a language.
type PurposeLabel struct {
	Locale      string `json:"locale"`
	Label       string `json:"label"`
	Description string `json:"description,omitempty"`
}

// ConsentText is what people are asked, in a language.
type ConsentText struct {
	Locale  string
	Content string
}

// PurposeTakenError says that another policy has a purpose.
type PurposeTakenError struct {
	Purpose, Policy string
}

func (e *PurposeTakenError) Error() string {
	return fmt.Sprintf("purpose %q belongs to consent policy %q", e.Purpose, e.Policy)
}

// TextChangedError says that a text differs from what was in force under its version.
type TextChangedError struct {
	Purpose, Version, Locale string
}

func (e *TextChangedError) Error() string {
	return fmt.Sprintf("the text %q of purpose %q in %q has been in force with other words", e.Version, e.Purpose, e.Locale)
}

// SaveConsentPolicy brings a policy about consent into force. It writes only what differs and tells whether it did. It returns a
// *PurposeTakenError or a *TextChangedError where the policy cannot be in force.
func (db *DB) SaveConsentPolicy(ctx context.Context, p ConsentPolicy) (changed bool, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		// Two policies that claim the same purpose take turns.
		if _, err := tx.Exec(ctx, "lock table purpose in share row exclusive mode"); err != nil {
			return err
		}
		if err := refusePurposes(ctx, tx, p); err != nil {
			return err
		}
		stored, err := consentPolicies(ctx, tx, "p.name = $1 and p.dormant_since is null", p.Name)
		if err != nil {
			return err
		}
		if len(stored) == 1 && reflect.DeepEqual(normalized(stored[0]), normalized(p)) {
			return nil
		}
		changed = true
		if err := writeConsentPolicy(ctx, tx, p); err != nil {
			return err
		}
		return revise(ctx, tx)
	})
	if err != nil {
		return false, fmt.Errorf("save the consent policy %q: %w", p.Name, err)
	}
	return changed, nil
}

// normalized is a policy as it is read back.
func normalized(p ConsentPolicy) ConsentPolicy {
	purposes := make([]Purpose, len(p.Purposes))
	for i, u := range p.Purposes {
		u.Labels, u.Texts = append([]PurposeLabel{}, u.Labels...), append([]ConsentText{}, u.Texts...)
		purposes[i] = u
	}
	p.Purposes = purposes
	return p
}

func refusePurposes(ctx context.Context, tx pgx.Tx, p ConsentPolicy) error {
	for _, u := range p.Purposes {
		var other string
		err := tx.QueryRow(ctx, `select coalesce((select u.policy from purpose u join consent_policy p on p.name = u.policy
			where u.name = $1 and u.policy <> $2 and p.dormant_since is null), '')`, u.Name, p.Name).Scan(&other)
		if err != nil {
			return err
		}
		if other != "" {
			return &PurposeTakenError{Purpose: u.Name, Policy: other}
		}
		for _, t := range u.Texts {
			var differs bool
			err := tx.QueryRow(ctx, `select exists (select from consent_text where purpose = $1 and version = $2 and locale = $3 and content <> $4)`,
				u.Name, u.TextVersion, t.Locale, t.Content).Scan(&differs)
			if err != nil {
				return err
			}
			if differs {
				return &TextChangedError{Purpose: u.Name, Version: u.TextVersion, Locale: t.Locale}
			}
		}
	}
	return nil
}

func writeConsentPolicy(ctx context.Context, tx pgx.Tx, p ConsentPolicy) error {
	var names []string
	batch := &pgx.Batch{}
	batch.Queue(`
		insert into consent_policy (name, template, channel, valid_seconds, request_seconds, proof_seconds, suspended)
		values ($1, nullif($2, ''), nullif($3, ''), $4, nullif($5::bigint, 0), nullif($6::bigint, 0), $7)
		on conflict (name) do update set template = excluded.template, channel = excluded.channel, valid_seconds = excluded.valid_seconds,
			request_seconds = excluded.request_seconds, proof_seconds = excluded.proof_seconds, suspended = excluded.suspended, dormant_since = null`,
		p.Name, p.Template, p.Channel, wholeSeconds(p.ValidFor), wholeSeconds(p.KeepRequests), wholeSeconds(p.KeepProofs), p.Suspended)
	for i, u := range p.Purposes {
		names = append(names, u.Name)
		batch.Queue(`
			insert into purpose (name, policy, position, basis, double_opt_in, labels, text_version) values ($1, $2, $3, $4, $5, $6, nullif($7, ''))
			on conflict (name) do update set policy = excluded.policy, position = excluded.position, basis = excluded.basis,
				double_opt_in = excluded.double_opt_in, labels = excluded.labels, text_version = excluded.text_version`,
			u.Name, p.Name, i, u.Basis, u.DoubleOptIn, listed(u.Labels), u.TextVersion)
		for _, t := range u.Texts {
			batch.Queue("insert into consent_text (purpose, version, locale, content) values ($1, $2, $3, $4) on conflict do nothing",
				u.Name, u.TextVersion, t.Locale, t.Content)
		}
	}
	batch.Queue("delete from purpose where policy = $1 and name <> all ($2)", p.Name, orEmpty(names))
	return tx.SendBatch(ctx, batch).Close()
}

func wholeSeconds(d time.Duration) int64 { return int64(d / time.Second) }

// DormantConsentPolicy records that a policy's object was deleted: its purposes are as if no policy knew them.
func (db *DB) DormantConsentPolicy(ctx context.Context, name string) error {
	return db.putOutOfForce(ctx, "update consent_policy set dormant_since = now() where name = $1 and dormant_since is null", name)
}

// consentPolicies reads the policies p of which a condition holds.
func consentPolicies(ctx context.Context, q manyQuerier, condition string, arguments ...any) ([]ConsentPolicy, error) {
	rows, err := q.Query(ctx, `
		select p.name, coalesce(p.template, ''), coalesce(p.channel, ''), p.valid_seconds,
			coalesce(p.request_seconds, 0), coalesce(p.proof_seconds, 0), p.suspended,
			coalesce((select jsonb_agg(jsonb_build_object('Name', u.name, 'Basis', u.basis, 'DoubleOptIn', u.double_opt_in, 'Labels', u.labels,
				'TextVersion', coalesce(u.text_version, ''), 'Texts', coalesce((
					select jsonb_agg(jsonb_build_object('Locale', t.locale, 'Content', t.content) order by t.locale)
					from consent_text t where t.purpose = u.name and t.version = u.text_version), '[]')) order by u.position)
				from purpose u where u.policy = p.name), '[]')
		from consent_policy p where `+condition+" order by p.name", arguments...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (ConsentPolicy, error) {
		var p ConsentPolicy
		var valid, requests, proofs int64
		err := row.Scan(&p.Name, &p.Template, &p.Channel, &valid, &requests, &proofs, &p.Suspended, &p.Purposes)
		p.ValidFor, p.KeepRequests, p.KeepProofs = time.Duration(valid)*time.Second, time.Duration(requests)*time.Second, time.Duration(proofs)*time.Second
		return p, err
	})
}
