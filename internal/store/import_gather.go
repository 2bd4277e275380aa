package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// identityLock is the advisory lock under which identifiers and links are made. Who holds it can look identifiers up
// and copy the missing ones in: nobody else makes the same ones meanwhile.
const identityLock = 7_302_115_847

// lockIdentities takes the lock for the rest of a transaction, and tells the planner to look rows up by their keys. Its
// choice would be made for the tables' size of the moment; ours is right at every size, because a batch is small.
const lockIdentities = `select pg_advisory_xact_lock($1),
	set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), set_config('enable_seqscan', 'off', true),
	set_config('plan_cache_mode', 'force_custom_plan', true),
	set_config('client_min_messages', 'warning', true), set_config('idle_in_transaction_session_timeout', '5min', true),
	set_config('tertulia.evidence', 'stated', true)`

const findIdentifiers = `select k.ord::int - 1, i.id, coalesce(l.contact_id, 0)
	from unnest($2::text[]) with ordinality k(value, ord)
	join identifier i on i.type = $1 and i.value = k.value
	left join identifier_link l on l.identifier_id = i.id and l.verified`

// gather looks the identifiers of a batch up, under the lock.
func gather(ctx context.Context, tx pgx.Tx, f *facts) error {
	batch := &pgx.Batch{}
	batch.Queue(lockIdentities, int64(identityLock))
	for _, k := range f.all() {
		if len(k.values) == 0 {
			continue
		}
		batch.Queue(findIdentifiers, k.kind, k.values).Query(func(rows pgx.Rows) error { return readKeys(rows, k) })
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("look up identifiers: %w", err)
	}
	return gatherMore(ctx, tx, f)
}

func readKeys(rows pgx.Rows, k *keys) error {
	var at int32
	var id, owner int64
	_, err := pgx.ForEachRow(rows, []any{&at, &id, &owner}, func() error {
		k.id[at], k.owner[at], k.known[at] = id, owner, true
		return nil
	})
	return err
}

// gatherMore reads the links of the contacts that were found, and takes ids for what the batch may create.
func gatherMore(ctx context.Context, tx pgx.Tx, f *facts) error {
	contacts := map[int64]bool{}
	for _, k := range f.all() {
		for _, owner := range k.owner {
			if owner != 0 {
				contacts[owner] = true
			}
		}
	}
	batch := &pgx.Batch{}
	if len(contacts) > 0 {
		ids := make([]int64, 0, len(contacts))
		for id := range contacts {
			ids = append(ids, id)
		}
		batch.Queue("select identifier_id, contact_id, verified from identifier_link where contact_id = any($1)", ids).
			Query(func(rows pgx.Rows) error {
				var l link
				var verified bool
				_, err := pgx.ForEachRow(rows, []any{&l.identifier, &l.contact, &verified}, func() error {
					f.links[l] = verified
					return nil
				})
				return err
			})
		batch.Queue(findRecords, ids, f.external.id).Query(f.readRecords)
	}
	newContacts := 0
	for _, owner := range f.external.owner {
		if owner == 0 {
			newContacts++
		}
	}
	queueIDs(batch, "contact_id_seq", newContacts, &f.contactIDs)
	missing := 0
	for _, k := range f.all() {
		missing += k.missing()
	}
	queueIDs(batch, "identifier_id_seq", missing, &f.identifierIDs)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("look up links: %w", err)
	}
	return nil
}

// findRecords finds, of the contacts $1 that have several records, those that the external ids $2 name, and what they are known by.
const findRecords = `
	with record as (
		select distinct on (g.identifier_id) g.identifier_id, g.record_id from contact_record r
			join identifier_link_log g on g.record_id = r.id and g.identifier_id = any ($2) and g.verified and g.revoked_at is null
		where r.contact_id = any ($1) order by g.identifier_id, g.record_id)
	select r.identifier_id, r.record_id, g.identifier_id, bool_or(g.verified) from record r
		join identifier_link_log g on g.record_id = r.record_id and g.revoked_at is null
	group by r.identifier_id, r.record_id, g.identifier_id`

func (f *facts) readRecords(rows pgx.Rows) error {
	f.records, f.claims = map[int64]int64{}, map[link]bool{}
	var external, record int64
	var l link
	var verified bool
	_, err := pgx.ForEachRow(rows, []any{&external, &record, &l.identifier, &verified}, func() error {
		f.records[external], l.contact = record, record
		f.claims[l] = verified
		return nil
	})
	return err
}

func queueIDs(batch *pgx.Batch, sequence string, n int, into *[]int64) {
	if n == 0 {
		return
	}
	batch.Queue("select array(select nextval($1::text::regclass) from generate_series(1, $2))", sequence, n).
		QueryRow(func(row pgx.Row) error { return row.Scan(into) })
}
