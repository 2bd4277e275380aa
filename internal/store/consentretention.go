package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// PurgeConsents deletes what policies do not keep any longer: suppressions that have expired, proofs of consents that ended, and
// requests that nobody confirmed, with the contacts that were made for them. It deletes at most so many rows of each and returns
// how many it deleted.
func (db *DB) PurgeConsents(ctx context.Context, most int) (purged int64, err error) {
	for _, statement := range []string{purgeSuppressions, purgeRefusals, purgeProofs} {
		tag, err := db.Pool.Exec(ctx, statement, most)
		if err != nil {
			return purged, fmt.Errorf("purge consents: %w", err)
		}
		purged += tag.RowsAffected()
	}
	requests, err := db.purgeRequests(ctx, most)
	if err != nil {
		return purged, fmt.Errorf("purge requests for consent: %w", err)
	}
	return purged + requests, nil
}

// DefaultKeepRequests is how long a request for consent is kept where its policy does not say: who typed an address in, perhaps somebody
// else's, that nobody confirmed, leaves nothing behind for ever.
const DefaultKeepRequests = 30 * 24 * time.Hour

const (
	purgeSuppressions = `delete from suppression where address_hash in (
		select address_hash from suppression where expires_at < now() limit $1 for update skip locked)`
	purgeRefusals = `delete from refusal where (address_hash, purpose) in (
		select address_hash, purpose from refusal where expires_at < now() limit $1 for update skip locked)`
	purgeProofs = `delete from consent_history where id in (
		select h.id from purpose u join consent_policy p on p.name = u.policy join consent_history h on h.purpose = u.name
		where ` + inForce + ` and h.ended_at < now() - make_interval(secs => p.proof_seconds) limit $1)`
)

// purgeRequests deletes a batch of requests of which the time is over, whether they were confirmed or not: the proof of a
// consent stands with the consent.
func (db *DB) purgeRequests(ctx context.Context, most int) (purged int64, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			delete from consent_request where id in (
				select r.id from consent_request r left join consent_policy p on p.name = r.policy
				where r.expires_at < now() and r.requested_at < now() - make_interval(secs => coalesce(p.request_seconds, $2))
				order by r.id limit $1 for update of r skip locked)
			returning case when made_contact and confirmed_at is null then contact_id end`, most, wholeSeconds(DefaultKeepRequests))
		if err != nil {
			return err
		}
		contacts, err := pgx.CollectRows(rows, pgx.RowTo[*int64])
		if err != nil {
			return err
		}
		purged = int64(len(contacts))
		var made []int64
		for _, c := range contacts {
			if c != nil {
				made = append(made, *c)
			}
		}
		return forgetAskers(ctx, tx, made)
	})
	return purged, err
}

// forgetAskers deletes contacts that were made for a request alone: nobody has told anything else of them since, be it a value, a tag
// or that they do not want something.
func forgetAskers(ctx context.Context, tx pgx.Tx, contacts []int64) error {
	if len(contacts) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, `
		select c.id from contact c where c.id = any ($1) and c.updated_at = c.created_at
			and not exists (select from identifier_link l where l.contact_id = c.id and (l.verified or l.source not like $2 || '%'))
			and not exists (select from consent k where k.contact_id = c.id)
			and not exists (select from event e where e.contact_id = c.id)
			and not exists (select from consent_request r where r.contact_id = c.id)
		order by c.id for update`, contacts, SourceSubscription)
	if err != nil {
		return err
	}
	forgotten, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(forgotten) == 0 {
		return err
	}
	rows, err = tx.Query(ctx, "delete from identifier_link where contact_id = any ($1) returning identifier_id", forgotten)
	if err != nil {
		return err
	}
	identifiers, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	batch := &pgx.Batch{}
	batch.Queue(leaveSegmentsSQL, forgotten)
	for _, table := range []string{"consent", "consent_history"} {
		batch.Queue("delete from "+table+" where contact_id = any ($1)", forgotten)
	}
	batch.Queue(`delete from identifier i where i.id = any ($1) and not exists (select from identifier_link l where l.identifier_id = i.id)
		and not exists (select from event e where e.identifier_id = i.id)`, identifiers)
	batch.Queue("delete from contact where id = any ($1)", forgotten)
	return tx.SendBatch(ctx, batch).Close()
}
