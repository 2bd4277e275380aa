package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// lookupKept is for how long the mail exchangers of a domain are believed, and lookupRetry when it is asked again for those
	// that could not be found out.
	lookupKept  = 14 * 24 * time.Hour
	lookupRetry = 6 * time.Hour
)

// ClaimDomains takes receiving domains whose mail exchangers are to be looked up, at most so many: first those never asked
// for. No other worker gets them for a while.
func (db *DB) ClaimDomains(ctx context.Context, most int) ([]string, error) {
	rows, err := db.Pool.Query(ctx, `
		update receiving_domain d set looked_up_at = now(), lookup_failed = true
		from (select domain from receiving_domain
			where looked_up_at is null or looked_up_at < now() - case when lookup_failed then $2::interval else $3::interval end
			order by looked_up_at nulls first, domain limit $1 for no key update skip locked) due
		where d.domain = due.domain returning d.domain`, most, lookupRetry, lookupKept)
	if err != nil {
		return nil, fmt.Errorf("look for domains whose receivers are not known: %w", err)
	}
	domains, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("look for domains whose receivers are not known: %w", err)
	}
	return domains, nil
}

// UnclaimDomains lets domains be asked for again at once.
func (db *DB) UnclaimDomains(ctx context.Context, domains []string) error {
	_, err := db.Pool.Exec(ctx, "update receiving_domain set looked_up_at = null, lookup_failed = false where domain = any ($1)", domains)
	if err != nil {
		return fmt.Errorf("put domains back whose receivers are not known: %w", err)
	}
	return nil
}

// ResolveReceivers records by whom the mail of domains is taken: for each a receiver's name, which is the domain itself where
// its mail exchangers are nobody else's. Rows that are frozen already keep the receiver that they have.
func (db *DB) ResolveReceivers(ctx context.Context, receivers map[string]string) error {
	domains, names := make([]string, 0, len(receivers)), make([]string, 0, len(receivers))
	for domain, name := range receivers {
		domains, names = append(domains, domain), append(names, name)
	}
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		// In order, so that two who name the same receivers cannot wait for each other.
		_, err := tx.Exec(ctx, `
			insert into receiver (name) select distinct n from unnest($1::text[]) n
			where not exists (select from receiver where name = n) order by n on conflict do nothing`, names)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			update receiving_domain d set receiver_id = r.id, looked_up_at = now(), lookup_failed = false
			from unnest($1::text[], $2::text[]) k (domain, name) join receiver r on r.name = k.name
			where d.domain = k.domain`, domains, names)
		return err
	})
	if err != nil {
		return fmt.Errorf("record the receivers of domains: %w", err)
	}
	return nil
}
