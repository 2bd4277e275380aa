package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// SourceUnsubscribe is the source of a consent that its person withdrew over a link in a mail.
const SourceUnsubscribe = "unsubscribe"

// LinkKey returns the key that signs the links in mails. It never changes while the database lives.
func (db *DB) LinkKey(ctx context.Context) ([]byte, error) {
	var key []byte
	if err := db.Pool.QueryRow(ctx, "select key from secret_key where purpose = 'link'").Scan(&key); err != nil {
		return nil, fmt.Errorf("read the key of links: %w", err)
	}
	return key, nil
}

// Subscription is what a link in a mail is about, and what the page behind it needs.
type Subscription struct {
	Purpose     string
	Locale      string   // of the contact; "" where it is not known
	Withdrawn   bool     // the contact has withdrawn already
	DisplayName string   // of the tenant
	Locales     []string // of the tenant
}

const selectSubscription = `select s.purpose, coalesce(c.locale, ''), coalesce(o.by_contact and not o.granted, false),
		coalesce((select display_name from tenant), ''), coalesce((select locales from tenant), '{}')
	from send s cross join contact c left join consent o on o.contact_id = c.id and o.purpose = s.purpose
	where s.id = $1 and c.id = $2`

// FindSubscription tells what the link of a send to a contact is about. It returns ErrNotFound for others.
func (db *DB) FindSubscription(ctx context.Context, sendID, contactID int64) (Subscription, error) {
	rows, err := db.Pool.Query(ctx, selectSubscription, sendID, contactID)
	if err != nil {
		return Subscription{}, fmt.Errorf("read the subscription: %w", err)
	}
	s, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Subscription])
	if errors.Is(err, pgx.ErrNoRows) {
		return Subscription{}, fmt.Errorf("read the subscription: %w", ErrNotFound)
	}
	if err != nil {
		return Subscription{}, fmt.Errorf("read the subscription: %w", err)
	}
	return s, nil
}

// Unsubscribe records that a contact withdraws the consent for the purpose of a send, and that the address which the
// send's mail went to refuses it, whichever other contact has that address now or later. When it returns nil the decision
// is on disk. No import overrides it. To withdraw twice changes nothing.
func (db *DB) Unsubscribe(ctx context.Context, sendID, contactID int64) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		// Whatever the database's default is: the answer to the person stands on this.
		if _, err := tx.Exec(ctx, "set local synchronous_commit = on"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			insert into consent (contact_id, purpose, granted, by_contact, source)
			select c.id, s.purpose, false, true, $3 from send s cross join contact c
			where s.id = $1 and c.id = $2 and not exists (
				select from consent o where o.contact_id = c.id and o.purpose = s.purpose and o.by_contact and not o.granted)
			on conflict (contact_id, purpose) do update
			set granted = false, by_contact = true, source = excluded.source, recorded_at = now()
			where consent.granted or not consent.by_contact`, sendID, contactID, SourceUnsubscribe)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			insert into refusal (address_hash, purpose, source)
			select distinct l.address_hash, s.purpose, $3 from send s join ledger l on l.send_id = s.id
			where s.id = $1 and l.send_id = $1 and l.contact_id = $2 and l.address_hash is not null
				and not exists (select from refusal r where r.address_hash = l.address_hash and r.purpose = s.purpose)
			on conflict do nothing`, sendID, contactID, SourceUnsubscribe)
		return err
	})
	if err != nil {
		return fmt.Errorf("record the unsubscription: %w", err)
	}
	return nil
}
