package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// SuppressReason is why an address is not written to.
type SuppressReason string

// The reasons.
const (
	// SuppressBounced: its server refuses mail for it.
	SuppressBounced SuppressReason = "bounced"
	// SuppressComplained: its holder has called a message spam.
	SuppressComplained SuppressReason = "complained"
	// SuppressManual: somebody of the tenant has decided so.
	SuppressManual SuppressReason = "manual"
	// SuppressUnsubscribed: its holder has said no. Only they can take it back.
	SuppressUnsubscribed SuppressReason = "unsubscribed"
)

// Suppression keeps an address from being written to.
type Suppression struct {
	// Address is an e-mail address as crm.NormalizeEmail makes it. Where it is empty Hash is the keyed hash of one, as the
	// ledger holds it.
	Address string
	Hash    []byte
	// Purpose is what it is not written to for; "" for anything at all.
	Purpose string
	Reason  SuppressReason
	// Source is who or what told, such as a channel's name; no person.
	Source string
	// ExpiresAt is when it ends; the zero time for never.
	ExpiresAt time.Time
}

// Suppress records suppressions, all or none, and returns how many are new or last longer than before. One that lasts for ever
// is never made shorter.
func (db *DB) Suppress(ctx context.Context, list ...Suppression) (changed int, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		changed, err = suppressIn(ctx, tx, list)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("suppress addresses: %w", err)
	}
	return changed, nil
}

// suppressIn records suppressions in the order of their keys, so that two calls with the same addresses cannot wait for each
// other.
func suppressIn(ctx context.Context, tx pgx.Tx, list []Suppression) (changed int, err error) {
	hashed, err := hashSuppressions(ctx, tx, list)
	if err != nil {
		return 0, err
	}
	batch := &pgx.Batch{}
	for _, s := range hashed {
		statement, arguments := suppressGlobally, []any{s.Hash, s.Reason, s.Source, nullTime(s.ExpiresAt)}
		if s.Purpose != "" {
			statement, arguments = suppressForPurpose, append(arguments, s.Purpose)
		}
		batch.Queue(statement, arguments...)
	}
	results := tx.SendBatch(ctx, batch)
	for range hashed {
		tag, err := results.Exec()
		if err != nil {
			return 0, errors.Join(err, results.Close())
		}
		changed += int(tag.RowsAffected())
	}
	return changed, results.Close()
}

// What the holder of an address has decided themself is not overwritten by what others found out before or later, and lasts as long
// as either says.
var (
	suppressGlobally = `insert into suppression (address_hash, reason, source, expires_at) values ($1, $2, $3, $4)
		on conflict (address_hash) do update set ` + suppressAgain("suppression") + `, created_at = now() ` + suppressMore("suppression")
	suppressForPurpose = `insert into refusal (address_hash, purpose, reason, source, expires_at) values ($1, $5, $2, $3, $4)
		on conflict (address_hash, purpose) do update set ` + suppressAgain("refusal") + `, recorded_at = now() ` + suppressMore("refusal")
)

// suppressAgain is what a row of a table becomes by another suppression of its address.
func suppressAgain(table string) string {
	return `reason = case when ` + table + `.reason = '` + string(SuppressUnsubscribed) + `' then ` + table + `.reason else excluded.reason end,
		source = excluded.source,
		expires_at = case when ` + table + `.expires_at is not null and excluded.expires_at is not null
			then greatest(` + table + `.expires_at, excluded.expires_at) end`
}

// suppressMore is true where that one lasts longer, or is the holder's own.
func suppressMore(table string) string {
	return `where ` + table + `.expires_at is not null and (excluded.expires_at is null or excluded.expires_at > ` + table + `.expires_at)
		or excluded.reason = '` + string(SuppressUnsubscribed) + `' and ` + table + `.reason <> excluded.reason`
}

// hashSuppressions puts the hashes of addresses in the place of addresses, and the list in its order.
func hashSuppressions(ctx context.Context, tx pgx.Tx, list []Suppression) ([]Suppression, error) {
	addresses := make([]string, len(list))
	for i, s := range list {
		addresses[i] = s.Address
	}
	hashes, err := hashAddresses(ctx, tx, addresses)
	if err != nil {
		return nil, err
	}
	hashed := slices.Clone(list)
	for i := range hashed {
		if hashed[i].Address != "" {
			hashed[i].Hash = hashes[i]
		}
		if len(hashed[i].Hash) == 0 {
			return nil, errors.New("neither an address nor its hash was given")
		}
	}
	slices.SortStableFunc(hashed, func(a, b Suppression) int {
		if c := slices.Compare(a.Hash, b.Hash); c != 0 {
			return c
		}
		return slices.Compare([]byte(a.Purpose), []byte(b.Purpose))
	})
	return hashed, nil
}

// hashAddresses returns the keyed hashes of addresses, in their order.
func hashAddresses(ctx context.Context, q manyQuerier, addresses []string) ([][]byte, error) {
	rows, err := q.Query(ctx, `select keyed_hash(k.key, a.value) from unnest($1::text[]) with ordinality a(value, ord)
		cross join secret_key k where k.purpose = 'address' order by a.ord`, addresses)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[[]byte])
}

func nullTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Unsuppress ends suppressions of addresses for a purpose ("" for those of everything) and returns how many it ended and how many
// it kept: those that the holder of the address has asked for stay.
func (db *DB) Unsuppress(ctx context.Context, addresses []string, purpose string) (ended, kept int, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		hashes, err := hashAddresses(ctx, tx, addresses)
		if err != nil {
			return err
		}
		statement, arguments := "delete from suppression where address_hash = any ($1) and reason <> $2", []any{hashes, SuppressUnsubscribed}
		count := "select count(*) from suppression where address_hash = any ($1)"
		if purpose != "" {
			statement, arguments = "delete from refusal where address_hash = any ($1) and reason <> $2 and purpose = $3", append(arguments, purpose)
			count = "select count(*) from refusal where address_hash = any ($1) and purpose = $2"
		}
		tag, err := tx.Exec(ctx, statement, arguments...)
		if err != nil {
			return err
		}
		ended = int(tag.RowsAffected())
		counted := []any{hashes}
		if purpose != "" {
			counted = append(counted, purpose)
		}
		return tx.QueryRow(ctx, count, counted...).Scan(&kept)
	})
	if err != nil {
		return 0, 0, fmt.Errorf("end suppressions: %w", err)
	}
	return ended, kept, nil
}

// FoundSuppression is what is recorded of an address.
type FoundSuppression struct {
	Address   string
	Purpose   string // "" for anything at all
	Reason    SuppressReason
	Source    string
	CreatedAt time.Time
	ExpiresAt *time.Time // nil: never
}

// FindSuppressions tells what keeps addresses from being written to now, in their order.
func (db *DB) FindSuppressions(ctx context.Context, addresses []string) ([]FoundSuppression, error) {
	rows, err := db.Pool.Query(ctx, `
		with asked as (
			select a.value, a.ord, keyed_hash(k.key, a.value) hash from unnest($1::text[]) with ordinality a(value, ord)
			cross join secret_key k where k.purpose = 'address')
		select value, purpose, reason, source, at, expires_at from (
			select a.ord, a.value, '' purpose, x.reason, x.source, x.created_at at, x.expires_at from asked a join suppression x on x.address_hash = a.hash
			union all
			select a.ord, a.value, r.purpose, r.reason, r.source, r.recorded_at, r.expires_at from asked a join refusal r on r.address_hash = a.hash) f
		where expires_at is null or expires_at > now() order by ord, purpose`, addresses)
	if err != nil {
		return nil, fmt.Errorf("look for suppressions: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[FoundSuppression])
	if err != nil {
		return nil, fmt.Errorf("look for suppressions: %w", err)
	}
	return found, nil
}

// SuppressionCount is how many addresses are suppressed for one purpose and reason.
type SuppressionCount struct {
	Purpose string // "" for anything at all
	Reason  SuppressReason
	// Addresses that are suppressed now, and how many of them are so for a time only.
	Addresses, Expiring int64
}

// CountSuppressions counts the suppressions in force, by purpose and reason.
func (db *DB) CountSuppressions(ctx context.Context) ([]SuppressionCount, error) {
	rows, err := db.Pool.Query(ctx, `
		select purpose, reason, count(*), count(expires_at) from (
			select '' purpose, reason, expires_at from suppression union all select purpose, reason, expires_at from refusal) s
		where expires_at is null or expires_at > now() group by 1, 2 order by 1, 2`)
	if err != nil {
		return nil, fmt.Errorf("count suppressions: %w", err)
	}
	counts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[SuppressionCount])
	if err != nil {
		return nil, fmt.Errorf("count suppressions: %w", err)
	}
	return counts, nil
}
