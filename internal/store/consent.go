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

// Reader is who follows a link in a mail, and whose mail it is.
type Reader struct {
	Locale      string   // of the contact; "" where it is not known
	DisplayName string   // of the tenant
	Locales     []string // of the tenant
}

// Subscription is what a link in a mail is about, and what the page behind it needs.
type Subscription struct {
	Reader
	Purpose     string
	Withdrawn   bool // the contact has withdrawn already
	Preferences bool // there are purposes to choose among
}

const selectSubscription = `select coalesce(c.locale, ''), coalesce((select display_name from tenant), ''), coalesce((select locales from tenant), '{}'),
		s.purpose, coalesce(o.by_contact and not o.granted, false),
		exists (select from purpose u join consent_policy p on p.name = u.policy where ` + inForce + `)
	from send s cross join contact c left join consent o on o.contact_id = c.id and o.purpose = s.purpose
	where s.id = $1 and c.id = coalesce((select x.contact_id from contact_record x where x.id = $2), $2)`

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
		var purpose string
		err := tx.QueryRow(ctx, "select purpose from send where id = $1", sendID).Scan(&purpose)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		return recordRefusal(ctx, tx, sendID, contactID, purpose, MethodUnsubscribe)
	})
	if err != nil {
		return fmt.Errorf("record the unsubscription: %w", err)
	}
	return nil
}

// holdContact returns whose a record is now, and keeps it so until the transaction ends: a merge, or its undoing, waits, and then sees
// what was written. Whoever merges at this moment is waited for. A contact that is not there is as good as any.
func holdContact(ctx context.Context, tx pgx.Tx, record int64) (contact int64, err error) {
	for {
		var held bool
		var now int64
		var queue pgx.Batch
		queue.Queue("select id from contact where id = "+contactNow("$1::bigint")+" for key share", record).
			Query(func(rows pgx.Rows) error {
				_, err := pgx.ForEachRow(rows, []any{&contact}, func() error { held = true; return nil })
				return err
			})
		// A statement of its own, so that it sees what was waited for.
		queue.Queue("select coalesce((select id from contact where id = "+contactNow("$1::bigint")+"), 0)", record).
			QueryRow(func(row pgx.Row) error { return row.Scan(&now) })
		if err := tx.SendBatch(ctx, &queue).Close(); err != nil {
			return 0, fmt.Errorf("find the contact: %w", err)
		}
		if !held && now == 0 || held && now == contact {
			return now, nil
		}
	}
}

// recordRefusal records that a contact refuses a purpose, and so does the address that the mail of a send to them went to. What
// the contact has refused before stays as it is, but for somebody who was merged: each record of theirs refuses from now on, also
// when they are parted again.
func recordRefusal(ctx context.Context, tx pgx.Tx, sendID, contactID int64, purpose, method string) error {
	// Whatever the database's default is: the answer to the person stands on this.
	if _, err := tx.Exec(ctx, "set local synchronous_commit = on"); err != nil {
		return err
	}
	if err := withdrawConsent(ctx, tx, contactID, purpose, method); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `
		insert into refusal (address_hash, purpose, source, reason)
		select distinct l.address_hash, $3, $4, $5 from ledger l
		where l.send_id = $1 and l.contact_id = $2 and l.address_hash is not null
			and not exists (select from refusal r where r.address_hash = l.address_hash and r.purpose = $3 and r.reason = $5 and r.expires_at is null)
		on conflict (address_hash, purpose) do update set reason = excluded.reason, source = excluded.source, expires_at = null, recorded_at = now()
		where refusal.reason <> excluded.reason or refusal.expires_at is not null`, sendID, contactID, purpose, SourceUnsubscribe, SuppressUnsubscribed)
	return err
}

// withdrawConsent records that a contact refuses a purpose. Who has refused it before is not written again.
func withdrawConsent(ctx context.Context, tx pgx.Tx, contactID int64, purpose, method string) error {
	var refused bool
	err := tx.QueryRow(ctx, `select exists (select from consent o where o.contact_id = $1 and o.purpose = $2 and o.by_contact and not o.granted)
		and not exists (select from contact_record r where r.id = $1)`, contactID, purpose).Scan(&refused)
	if err != nil || refused {
		return err
	}
	contact, err := holdContact(ctx, tx, contactID)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		insert into consent (contact_id, purpose, granted, by_contact, source, method, given_at)
		select c.id, $2, false, true, $3, $4, now() from contact c where c.id = $1
		on conflict (contact_id, purpose) do update
		set granted = false, by_contact = true, source = excluded.source, method = excluded.method, given_at = excluded.given_at,
			text_version = null, recorded_at = now()
		where consent.granted or not consent.by_contact or exists (select from contact_record r where r.contact_id = $1)`,
		contact, purpose, SourceUnsubscribe, method)
	return err
}
