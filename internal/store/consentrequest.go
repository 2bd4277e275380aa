package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// The sources and methods of consents that people give themselves.
const (
	// SourceSubscription begins the source of what came over the API for forms; the caller's own name follows.
	SourceSubscription = "subscription"
	// MethodForm: a form said so, and nobody confirmed it.
	MethodForm = "form"
	// MethodDoubleOptIn: the holder of the address confirmed it by a mail.
	MethodDoubleOptIn = "double-opt-in"
	// MethodUnsubscribe: over the link in a mail.
	MethodUnsubscribe = "unsubscribe"
	// MethodPreferences: on the page of preferences.
	MethodPreferences = "preferences"
)

// ConsentRequest is what somebody asked for in the name of an address.
type ConsentRequest struct {
	Address  string // as crm.NormalizeEmail makes it
	Purposes []string
	Locale   string // "" where it is not known
	TimeZone string // "" where it is not known
	Source   string // of the form, such as shop
}

// UnknownPurposeError says that no policy in force lets people subscribe to a purpose.
type UnknownPurposeError struct {
	Purpose string
	Known   []string
}

func (e *UnknownPurposeError) Error() string {
	return fmt.Sprintf("nobody can subscribe to purpose %q", e.Purpose)
}

// ErrTooManyRequests says that so many requests wait for a worker that no more are taken.
var ErrTooManyRequests = errors.New("too many requests for consent wait to be looked at")

// maxWaitingRequests bounds the requests that nobody has looked at: who floods a form fills no disk.
const maxWaitingRequests = 10_000

// RequestConsent records that somebody asks to be written to, in a form or elsewhere. A worker looks at it: what it finds out
// about the address changes nothing in the answer, nor in how long that takes. A request that is like one that waits already
// adds nothing. It returns an *UnknownPurposeError or ErrTooManyRequests.
func (db *DB) RequestConsent(ctx context.Context, r ConsentRequest) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		policies, err := consentPolicies(ctx, tx, inForce)
		if err != nil {
			return err
		}
		wanted, err := groupRequest(policies, r.Purposes)
		if err != nil {
			return err
		}
		var full bool
		// Those whose time is over, or whose policy is, wait for nobody: they keep no one out.
		err = tx.QueryRow(ctx, `select count(*) >= $1 from (select from consent_request r join consent_policy p on p.name = r.policy
			where r.send_id is null and r.confirmed_at is null and r.expires_at > now() and `+inForce+` limit $1) w`, maxWaitingRequests).Scan(&full)
		if err != nil {
			return err
		}
		if full {
			return ErrTooManyRequests
		}
		for _, w := range wanted {
			_, err := tx.Exec(ctx, insertRequest+`
				select $1, $2, keyed_hash(k.key, $2), null, $3, $4, nullif($5, ''), nullif($6, ''), $7, now() + make_interval(secs => $8)
				from secret_key k where k.purpose = 'address' `+mergeRequest,
				w.policy.Name, r.Address, w.purposes, w.versions, r.Locale, r.TimeZone, SourceSubscription+":"+r.Source, wholeSeconds(w.policy.ValidFor))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record a request for consent: %w", err)
	}
	return nil
}

const (
	insertRequest = `insert into consent_request (policy, address, address_hash, contact_id, purposes, versions, locale, time_zone, source, expires_at)`
	// A purpose is asked for once, in the version that was asked for last.
	mergeRequest = `on conflict (policy, address_hash) where send_id is null and confirmed_at is null do update set
		purposes = excluded.purposes || array(select p from unnest(consent_request.purposes) p where p <> all (excluded.purposes)),
		versions = excluded.versions || array(
			select v from unnest(consent_request.purposes, consent_request.versions) o(p, v) where p <> all (excluded.purposes)),
		expires_at = excluded.expires_at`
)

// wantedPurposes are those of a request that one policy has.
type wantedPurposes struct {
	policy             ConsentPolicy
	purposes, versions []string
}

// groupRequest finds the policies of purposes. Only what a consent is the basis of can be subscribed to.
func groupRequest(policies []ConsentPolicy, purposes []string) ([]wantedPurposes, error) {
	var groups []wantedPurposes
	var known []string
	found := map[string]bool{}
	for _, p := range policies {
		w := wantedPurposes{policy: p}
		for _, u := range p.Purposes {
			if !u.Basis.Refusable() {
				continue
			}
			known = append(known, u.Name)
			if slices.Contains(purposes, u.Name) {
				found[u.Name] = true
				w.purposes, w.versions = append(w.purposes, u.Name), append(w.versions, u.TextVersion)
			}
		}
		if len(w.purposes) > 0 {
			groups = append(groups, w)
		}
	}
	for _, purpose := range purposes {
		if !found[purpose] {
			return nil, &UnknownPurposeError{Purpose: purpose, Known: known}
		}
	}
	return groups, nil
}

// ConfirmConsent grants what requests ask for that the mail of a send asked a contact about, and that were shown: it is what the person
// has decided, it clears what they or somebody with their address had refused before, and it verifies that the address is theirs: the one
// that the mail went to, which need not be the one that was typed in where they have several. What was asked for meanwhile is left open
// unless it asks for nothing else. It tells whether it granted anything, and returns ErrNotFound where nothing was asked, or the time
// for it is over. To confirm twice changes nothing.
func (db *DB) ConfirmConsent(ctx context.Context, sendID, contactID int64, shown []int64) (granted bool, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		// Whatever the database's default is: the answer to the person stands on this.
		if _, err := tx.Exec(ctx, "set local synchronous_commit = on"); err != nil {
			return err
		}
		var asked, open int
		err := tx.QueryRow(ctx, `
			select count(*), count(*) filter (where confirmed_at is null and id = any ($3))
			from (select id, confirmed_at from consent_request where send_id = $1 and contact_id = $2 and expires_at > now() order by id for update) r`,
			sendID, contactID, shown).Scan(&asked, &open)
		if err != nil {
			return err
		}
		if asked == 0 {
			return ErrNotFound
		}
		if open == 0 {
			return nil
		}
		granted = true
		for _, statement := range []string{grantRequested, clearRefusals, closeRequests} {
			if _, err := tx.Exec(ctx, statement, sendID, contactID, shown); err != nil {
				return err
			}
		}
		return confirmAddress(ctx, tx, sendID, contactID)
	})
	if err != nil {
		return false, fmt.Errorf("confirm a consent: %w", err)
	}
	return granted, nil
}

// confirming are the purposes of a contact's requests that are confirmed at this moment.
const confirming = `select distinct on (o.purpose) r.contact_id, r.address_hash, r.source, o.purpose, o.version
	from consent_request r cross join unnest(r.purposes, r.versions) o(purpose, version)
	where r.send_id = $1 and r.contact_id = $2 and r.id = any ($3) and r.confirmed_at is null and r.expires_at > now() order by o.purpose, r.id desc`

var (
	grantRequested = `
		insert into consent (contact_id, purpose, granted, by_contact, source, method, text_version, given_at)
		select ` + contactNow("c.contact_id") + `, c.purpose, true, true, c.source, '` + MethodDoubleOptIn + `', nullif(c.version, ''), now()
		from (` + confirming + `) c
		on conflict (contact_id, purpose) do update set granted = true, by_contact = true, source = excluded.source, method = excluded.method,
			text_version = excluded.text_version, given_at = excluded.given_at, recorded_at = now()`
	clearRefusals = `delete from refusal f using (` + confirming + `) c where f.address_hash = (` + mailedHash + `) and f.purpose = c.purpose`
	// A request is answered when all that it asks for was shown, in the same version of the text, by whichever request.
	closeRequests = `
		with answered as (
			select o.purpose, o.version from consent_request r cross join unnest(r.purposes, r.versions) o(purpose, version)
			where r.send_id = $1 and r.contact_id = $2 and r.id = any ($3) and r.confirmed_at is null and r.expires_at > now())
		update consent_request r set confirmed_at = now()
		where r.send_id = $1 and r.contact_id = $2 and r.confirmed_at is null and r.expires_at > now() and not exists (
			select from unnest(r.purposes, r.versions) o(purpose, version) where (o.purpose, o.version) not in (select purpose, version from answered))`
)

// Asked is what a link for confirming is about.
type Asked struct {
	Reader
	Purposes []AskedPurpose // those that can still be confirmed; none where all are
	Requests []int64        // that ask for them: of several for the same one, in the same version of the text, the first
}

// AskedPurpose is a purpose that a consent is asked for.
type AskedPurpose struct {
	Name   string         `json:"name"`
	Labels []PurposeLabel `json:"labels"`
}

// FindAsked tells what the mail of a send asked a contact for. It returns ErrNotFound where nothing was asked, or the time for it
// is over, with the reader all the same.
func (db *DB) FindAsked(ctx context.Context, sendID, contactID int64) (Asked, error) {
	var a Asked
	var found bool
	err := db.Pool.QueryRow(ctx, `
		select coalesce((select jsonb_agg(jsonb_build_object('name', o.p, 'labels', coalesce(u.labels, '[]')) order by u.position, o.p)
				from (select distinct p from consent_request r cross join unnest(r.purposes) p
					where r.send_id = $1 and r.contact_id = $2 and r.expires_at > now() and r.confirmed_at is null) o
				left join purpose u on u.name = o.p), '[]'),
			array(select distinct min(r.id) from consent_request r cross join unnest(r.purposes, r.versions) o(purpose, version)
				where r.send_id = $1 and r.contact_id = $2 and r.expires_at > now() and r.confirmed_at is null group by o.purpose, o.version order by 1),
			coalesce((select locale from contact where id = `+contactNow("$2::bigint")+`), ''), t.display_name, t.locales,
			exists (select from consent_request where send_id = $1 and contact_id = $2 and expires_at > now())
		from tenant t`, sendID, contactID).
		Scan(&a.Purposes, &a.Requests, &a.Locale, &a.DisplayName, &a.Locales, &found)
	if err == nil && !found || errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return a, fmt.Errorf("read what was asked: %w", err)
	}
	return a, nil
}
