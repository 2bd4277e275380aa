package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// openRequest is a request for consent that nobody has looked at.
type openRequest struct {
	ID                 int64
	Policy             string
	Address            string // "" where the contact is known
	Contact            int64  // 0 where it is not known
	Hash               []byte
	Purposes, Versions []string
	Locale, TimeZone   string
	Source             string
	Channel, Template  string // of the mail that asks; "" where none is sent
	DoubleOptIn        []string
}

// asking is what asks: the mail of a policy, in one template over one channel.
type asking struct{ policy, template, channel string }

// AnswerRequests looks at requests for consent, at most so many: it finds or makes their contacts, grants at once what needs no
// confirmation, and has a mail ask for the rest. It returns how many it looked at. It is safe to repeat, at any point.
func (db *DB) AnswerRequests(ctx context.Context, now time.Time, most int) (answered int, err error) {
	var requests []openRequest
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		if requests, err = lockRequests(ctx, tx, most); err != nil {
			return err
		}
		for i := range requests {
			if err := bindRequest(ctx, tx, &requests[i]); err != nil {
				return err
			}
			if err := grantUnconfirmed(ctx, tx, &requests[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("look at requests for consent: %w", err)
	}
	for by, group := range groupAsking(requests) {
		if err := db.ask(ctx, by, group, now); err != nil {
			return 0, fmt.Errorf("ask for consents of policy %q: %w", by.policy, err)
		}
	}
	return len(requests), nil
}

// groupAsking parts the requests that have something left to be confirmed by the mail that asks.
func groupAsking(requests []openRequest) map[asking][]openRequest {
	groups := map[asking][]openRequest{}
	for _, r := range requests {
		if len(r.Purposes) > 0 && r.Template != "" {
			by := asking{policy: r.Policy, template: r.Template, channel: r.Channel}
			groups[by] = append(groups[by], r)
		}
	}
	return groups
}

func lockRequests(ctx context.Context, tx pgx.Tx, most int) ([]openRequest, error) {
	rows, err := tx.Query(ctx, `
		select r.id, r.policy, coalesce(r.address, ''), coalesce(r.contact_id, 0), r.address_hash, r.purposes, r.versions, coalesce(r.locale, ''),
			coalesce(r.time_zone, ''), r.source, coalesce(p.channel, ''), coalesce(p.template, ''),
			array(select u.name from purpose u where u.policy = p.name and u.double_opt_in)
		from consent_request r join consent_policy p on p.name = r.policy
		where r.send_id is null and r.confirmed_at is null and r.expires_at > now() and `+inForce+`
		order by r.id limit $1 for update of r skip locked`, most)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[openRequest])
}

// bindRequest finds the contact of a request: whose address it verifiably is, else the first that is known to have it, else a
// new one. The request then holds the address no longer.
func bindRequest(ctx context.Context, tx pgx.Tx, r *openRequest) error {
	if r.Contact != 0 {
		return nil
	}
	made := false
	err := tx.QueryRow(ctx, `select l.contact_id from identifier i join identifier_link l on l.identifier_id = i.id
		where i.type = 'email' and i.value = $1 order by l.verified desc, l.linked_at, l.contact_id limit 1`, r.Address).Scan(&r.Contact)
	if errors.Is(err, pgx.ErrNoRows) {
		made = true
		err = makeAsker(ctx, tx, r)
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, "update consent_request set contact_id = $2, address = null, made_contact = $3 where id = $1", r.ID, r.Contact, made)
	return err
}

func makeAsker(ctx context.Context, tx pgx.Tx, r *openRequest) error {
	err := tx.QueryRow(ctx, "insert into contact (locale, time_zone) values (nullif($1, ''), nullif($2, '')) returning id",
		r.Locale, r.TimeZone).Scan(&r.Contact)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "insert into identifier (type, value) values ('email', $1) on conflict do nothing", r.Address); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `insert into identifier_link (identifier_id, contact_id, verified, source)
		select id, $2, false, $3 from identifier where type = 'email' and value = $1`, r.Address, r.Contact, r.Source)
	return err
}

// grantUnconfirmed grants what a form said where a policy asks for no confirmation. Somebody else may have typed the address in: it
// overrides nothing that the holder has decided, which takes a confirmation. What is left of the request is to be confirmed.
func grantUnconfirmed(ctx context.Context, tx pgx.Tx, r *openRequest) error {
	purposes, versions := []string{}, []string{}
	for i, purpose := range r.Purposes {
		plain := !slices.Contains(r.DoubleOptIn, purpose) && r.Source != preferencesSource
		if plain {
			var refused bool
			err := tx.QueryRow(ctx, `select exists (select from consent k where k.contact_id = $1 and k.purpose = $2 and k.by_contact and not k.granted)
				or exists (select from refusal f where f.address_hash = $3 and f.purpose = $2 and (f.expires_at is null or f.expires_at > now()))`,
				r.Contact, purpose, r.Hash).Scan(&refused)
			if err != nil {
				return err
			}
			plain = !refused
		}
		if !plain {
			purposes, versions = append(purposes, purpose), append(versions, r.Versions[i])
			continue
		}
		_, err := tx.Exec(ctx, `
			insert into consent (contact_id, purpose, granted, source, method, text_version, given_at) values ($1, $2, true, $3, $4, nullif($5, ''), now())
			on conflict (contact_id, purpose) do update set granted = true, source = excluded.source, method = excluded.method,
				text_version = excluded.text_version, given_at = excluded.given_at, recorded_at = now()
			where not consent.granted and not consent.by_contact`, r.Contact, purpose, r.Source, MethodForm, r.Versions[i])
		if err != nil {
			return err
		}
	}
	// Without a mail that could ask, what is left cannot be confirmed: the request ends.
	over := len(purposes) == 0 || r.Template == ""
	if !over && len(purposes) == len(r.Purposes) {
		return nil
	}
	_, err := tx.Exec(ctx, `update consent_request set purposes = case when $4 then purposes else $2 end, versions = case when $4 then versions else $3 end,
		confirmed_at = case when $4 then now() end where id = $1`, r.ID, purposes, versions, over)
	r.Purposes, r.Versions = purposes, versions
	if over {
		r.Purposes = nil
	}
	return err
}

// preferencesSource is the source of what is asked for on the page of preferences, of a purpose that was refused.
const preferencesSource = SourceSubscription + ":preferences"

// ask has the mail of a policy sent to the contacts of requests. Nobody gets two messages of a send, and a day has one: whoever's
// address is typed in ten times in a day is asked once. Who has answered is asked again by the day's next send.
func (db *DB) ask(ctx context.Context, by asking, requests []openRequest, now time.Time) error {
	for place := 0; place < maxAskedTimes && len(requests) > 0; place++ {
		send, err := db.ensureAsking(ctx, by, place, now)
		if err != nil {
			return err
		}
		answered, err := db.answeredIn(ctx, send, requests)
		if err != nil {
			return err
		}
		last := place == maxAskedTimes-1
		var ids, contacts []int64
		var next []openRequest
		for _, r := range requests {
			if answered[r.Contact] && !last {
				next = append(next, r)
				continue
			}
			ids, contacts = append(ids, r.ID), append(contacts, r.Contact)
		}
		// Nobody is added twice: where a worker dies between the two, the next repeats them.
		if _, err := db.AppendRows(ctx, send, contacts, now); err != nil {
			return err
		}
		if _, err = db.Pool.Exec(ctx, "update consent_request set send_id = $2 where id = any ($1)", ids, send); err != nil {
			return err
		}
		requests = next
	}
	return nil
}

// answeredIn tells which contacts have answered all that a send asked them.
func (db *DB) answeredIn(ctx context.Context, send int64, requests []openRequest) (map[int64]bool, error) {
	contacts := make([]int64, len(requests))
	for i, r := range requests {
		contacts[i] = r.Contact
	}
	rows, err := db.Pool.Query(ctx, `select contact_id from consent_request where send_id = $1 and contact_id = any ($2)
		group by contact_id having bool_and(confirmed_at is not null)`, send, contacts)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	answered := make(map[int64]bool, len(found))
	for _, contact := range found {
		answered[contact] = true
	}
	return answered, err
}

// ensureAsking declares a send that asks, unless it is there: the one of this place among those of its day.
func (db *DB) ensureAsking(ctx context.Context, by asking, place int, now time.Time) (id int64, err error) {
	key := askingPrefix + by.policy
	occurrence := fmt.Sprintf("%s/%d/%s/%s", now.UTC().Format(time.DateOnly), place, by.template, by.channel)
	err = db.Pool.QueryRow(ctx, `
		with declared as (
			insert into send (send_key, occurrence, campaign, purpose, channel, segments, max_recipients, variants,
				starts_at, deadline, state, frozen_at, priority)
			values ($1, $2, $1, $1, $3, '{}', $4, $5, $6, $6, $7, $6, $8)
			on conflict (send_key, occurrence) do nothing returning id)
		select id from declared union all select id from send where send_key = $1 and occurrence = $2 limit 1`,
		key, occurrence, by.channel, int64(maxAskedADay), []SendVariant{{Name: "a", Template: by.template, Weight: 1}}, now, campaign.Sending,
		int(campaign.Transactional)).Scan(&id)
	return id, err
}

const (
	// maxAskedADay bounds the mails of a send that asks: who floods a form mails no million strangers.
	maxAskedADay = 100_000
	// maxAskedTimes bounds the sends of a day that ask, in one template over one channel.
	maxAskedTimes = 4
)
