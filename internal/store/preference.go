package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/policy"
)

// Preferences are what a person may decide on the page of preferences.
type Preferences struct {
	Reader
	Purposes []Preference
}

// Preference is one purpose as it stands for a person.
type Preference struct {
	Purpose string
	Labels  []PurposeLabel
	Basis   policy.Basis
	// Receives is true while the person's address is written to for it.
	Receives bool
	// Waits is true while a mail that asks for a confirmation is on its way, or unanswered.
	Waits bool
	// Askable is true where the policy sends mails that ask.
	Askable bool
}

// FindPreferences tells what the holder of the address that the mail of a send went to may decide. It returns ErrNotFound for a
// send or a contact that does not exist. Without a policy in force there is nothing to decide.
func (db *DB) FindPreferences(ctx context.Context, sendID, contactID int64) (Preferences, error) {
	var found Preferences
	err := db.Pool.QueryRow(ctx, `
		select coalesce(c.locale, ''), coalesce((select display_name from tenant), ''), coalesce((select locales from tenant), '{}')
		from send s cross join contact c where s.id = $1 and c.id = `+contactNow("$2::bigint"), sendID, contactID).
		Scan(&found.Locale, &found.DisplayName, &found.Locales)
	if errors.Is(err, pgx.ErrNoRows) {
		return found, fmt.Errorf("read the preferences: %w", ErrNotFound)
	}
	if err != nil {
		return found, fmt.Errorf("read the preferences: %w", err)
	}
	rows, err := db.Pool.Query(ctx, `
		select u.name, u.labels, u.basis,
			case when u.basis = 'LegalObligation' then true
				when r.address_hash is not null then false
				when u.basis = 'Consent' then coalesce(k.granted, false)
				else coalesce(k.granted, true) end,
			exists (select from consent_request q where q.address_hash = a.hash and u.name = any (q.purposes)
				and q.confirmed_at is null and q.expires_at > now()),
			p.template is not null and a.hash is not null
		from purpose u join consent_policy p on p.name = u.policy
			left join lateral (`+mailedHash+`) a on true
			left join consent k on k.contact_id = `+contactNow("$2::bigint")+` and k.purpose = u.name
			left join refusal r on r.address_hash = a.hash and r.purpose = u.name and (r.expires_at is null or r.expires_at > now())
		where `+inForce+` order by p.name, u.position`, sendID, contactID)
	if err != nil {
		return found, fmt.Errorf("read the preferences: %w", err)
	}
	found.Purposes, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Preference])
	if err != nil {
		return found, fmt.Errorf("read the preferences: %w", err)
	}
	return found, nil
}

// mailedHash is the hash of the address that the mail of send $1 to contact $2 went to.
const mailedHash = `select l.address_hash hash from ledger l
	where l.send_id = $1 and l.step = '' and l.contact_id = $2 and l.address_hash is not null limit 1`

// Withdraw records that the contact of a send's mail withdraws a purpose, and that the address which the mail went to refuses it,
// as Unsubscribe does for the send's own. It returns ErrNotFound for a purpose that no policy lets people refuse.
func (db *DB) Withdraw(ctx context.Context, sendID, contactID int64, purpose string) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		if err := checkRefusable(ctx, tx, purpose); err != nil {
			return err
		}
		return recordRefusal(ctx, tx, sendID, contactID, purpose, MethodPreferences)
	})
	if err != nil {
		return fmt.Errorf("withdraw a consent: %w", err)
	}
	return nil
}

// checkRefusable returns ErrNotFound for a purpose that no policy in force lets people refuse.
func checkRefusable(ctx context.Context, tx pgx.Tx, purpose string) error {
	var basis policy.Basis
	err := tx.QueryRow(ctx, `select u.basis from purpose u join consent_policy p on p.name = u.policy where u.name = $1 and `+inForce, purpose).Scan(&basis)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && !basis.Refusable() {
		return ErrNotFound
	}
	return err
}

// AskAgain has a mail ask the holder of the address that the mail of a send went to whether they want a purpose again. It returns
// ErrNotFound where no policy in force sends such mails for it.
func (db *DB) AskAgain(ctx context.Context, sendID, contactID int64, purpose string) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		if err := checkRefusable(ctx, tx, purpose); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, insertRequest+`
			select p.name, null, a.hash, $2, array[u.name], array[coalesce(u.text_version, '')], null, null, '`+SourceSubscription+`:preferences',
				now() + make_interval(secs => p.valid_seconds)
			from purpose u join consent_policy p on p.name = u.policy cross join lateral (`+mailedHash+`) a
			where u.name = $3 and p.template is not null and `+inForce+` `+mergeRequest, sendID, contactID, purpose)
		if err == nil && tag.RowsAffected() == 0 {
			return ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("ask for a consent again: %w", err)
	}
	return nil
}
