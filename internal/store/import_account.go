package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// reasonNoAccount is why a row is rejected that names an account which is not there.
const reasonNoAccount = "account: the source has told of no account with this id: import its accounts first, with the same --source"

// gatherAccounts looks the accounts up that rows name.
func (w *contactWriter) gatherAccounts(ctx context.Context, tx pgx.Tx, f *facts, rows []ContactRow) error {
	if !w.columns.Accounts {
		return nil
	}
	f.accounts = map[string]int64{}
	for i := range rows {
		for _, id := range rows[i].Accounts {
			f.accounts[id] = 0
		}
	}
	values := make([]string, 0, len(f.accounts))
	for id := range f.accounts {
		values = append(values, id)
	}
	found, err := tx.Query(ctx, "select value, account_id from account_identifier where type = $1 and value = any ($2)",
		crm.ExternalIdentifier(w.source), values)
	if err != nil {
		return fmt.Errorf("look accounts up: %w", err)
	}
	var value string
	var account int64
	if _, err := pgx.ForEachRow(found, []any{&value, &account}, func() error { f.accounts[value] = account; return nil }); err != nil {
		return fmt.Errorf("look accounts up: %w", err)
	}
	return nil
}

// belonging is what a row says of a record: the accounts that it belongs to, the primary one first.
type belonging struct {
	record   int64
	accounts []int64
	role     string
}

// belongs finds the accounts that a row names. It is not ok where one is not there.
func (p *planner) belongs(row *ContactRow) (b belonging, ok bool) {
	for _, id := range row.Accounts {
		account := p.accounts[id]
		if account == 0 {
			return b, false
		}
		b.accounts = append(b.accounts, account)
	}
	b.role = row.AccountRole
	return b, true
}

// of adds what is said of a record to a list, if anything is.
func (b belonging) of(list []belonging, record int64) []belonging {
	if len(b.accounts) == 0 {
		return list
	}
	b.record = record
	return append(list, b)
}

// writeMemberships writes what accounts the source says that records belong to. Which it said before and does not say now, they belong to no more, by
// that source. It notes the records for which that is new.
func (w *contactWriter) writeMemberships(ctx context.Context, tx pgx.Tx, p *plan, changed map[int64]bool) error {
	if len(p.memberships) == 0 {
		return nil
	}
	var records, accounts []int64
	var roles []string
	var primary []bool
	for _, b := range p.memberships {
		for i, account := range b.accounts {
			role := ""
			if i == 0 {
				role = b.role
			}
			records, accounts, roles, primary = append(records, b.record), append(accounts, account), append(roles, role), append(primary, i == 0)
		}
	}
	rows, err := tx.Query(ctx, `
		with said as materialized (
			select distinct on (n.record_id, n.account_id) n.*
			from unnest($1::bigint[], $2::bigint[], $3::text[], $4::boolean[]) n(record_id, account_id, role, is_primary)
			order by n.record_id, n.account_id, n.is_primary desc
		), gone as (
			delete from account_membership m where m.source = $5 and m.record_id = any ($1)
				and (m.record_id, m.account_id) not in (select s.record_id, s.account_id from said s)
			returning m.record_id
		), written as (
			insert into account_membership (record_id, account_id, source, role, is_primary)
			select s.record_id, s.account_id, $5, s.role, s.is_primary from said s order by s.record_id, s.account_id
			on conflict (record_id, account_id, source) do update set role = coalesce(nullif(excluded.role, ''), account_membership.role),
				is_primary = excluded.is_primary, stated_at = now()
			where (account_membership.is_primary, account_membership.role)
				is distinct from (excluded.is_primary, coalesce(nullif(excluded.role, ''), account_membership.role))
			returning record_id
		)
		select record_id from gone union select record_id from written`, records, accounts, roles, primary, w.source)
	if err != nil {
		return fmt.Errorf("write who belongs to accounts: %w", err)
	}
	var record int64
	if _, err := pgx.ForEachRow(rows, []any{&record}, func() error { changed[record] = true; return nil }); err != nil {
		return fmt.Errorf("write who belongs to accounts: %w", err)
	}
	return nil
}
