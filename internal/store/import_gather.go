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
	set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true),
	set_config('client_min_messages', 'warning', true), set_config('idle_in_transaction_session_timeout', '5min', true)`

const findIdentifiers = `select k.ord::int - 1, i.id, coalesce(l.contact_id, 0)
	from unnest($2::text[]) with ordinality k(value, ord)
	join identifier i on i.type = $1 and i.value = k.value
	left join identifier_link l on l.identifier_id = i.id and l.verified`

// gather looks the identifiers of a batch up, under the lock.
func gather(ctx context.Context, tx pgx.Tx, f *facts) error {
	batch := &pgx.Batch{}
	batch.Queue(lockIdentities, int64(identityLock))
	for _, k := range []*keys{f.external, f.email, f.phone} {
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
	for _, k := range []*keys{f.external, f.email, f.phone} {
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
	}
	newContacts := 0
	for _, owner := range f.external.owner {
		if owner == 0 {
			newContacts++
		}
	}
	queueIDs(batch, "contact_id_seq", newContacts, &f.contactIDs)
	queueIDs(batch, "identifier_id_seq", f.external.missing()+f.email.missing()+f.phone.missing(), &f.identifierIDs)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("look up links: %w", err)
	}
	return nil
}

func queueIDs(batch *pgx.Batch, sequence string, n int, into *[]int64) {
	if n == 0 {
		return
	}
	batch.Queue("select array(select nextval($1::text::regclass) from generate_series(1, $2))", sequence, n).
		QueryRow(func(row pgx.Row) error { return row.Scan(into) })
}
