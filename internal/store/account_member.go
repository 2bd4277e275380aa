package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Who belongs to an account is said of records, as links are: it goes with a record when contacts are merged, and comes back with it when they are
// parted. What a contact belongs to follows from all that is said of its records.

// Membership is that a contact belongs to an account.
type Membership struct {
	AccountID, ContactID int64
	Account, Contact     string // public ids
	AccountName          string
	Role                 string
	// Primary tells that it is the account that counts most of those that the contact belongs to.
	Primary bool
	// Sources say so, and ByHand tells that somebody decided so.
	Sources  []string
	ByHand   bool
	StatedAt time.Time
	// marked is what was said of its being the primary one: 2 by a person, 1 by a source.
	marked int
}

// membersSQL is who belongs to what, of the rows s of account_membership for which a condition holds. It has to hold for all or none of what is said of
// a contact and an account. What somebody decided last counts, else what sources say.
func membersSQL(condition string) string {
	return `
		select x.account_id, x.contact_id, (array_agg(x.role order by x.source <> '', x.stated_at desc, x.source))[1] as role,
			coalesce(array_agg(distinct x.source) filter (where x.source <> ''), '{}') sources, bool_or(x.source = '') by_hand,
			max(x.stated_at) stated_at, coalesce(max(case when x.source = '' then 2 else 1 end) filter (where x.is_primary), 0) marked
		from (select s.*, coalesce(r.contact_id, s.record_id) contact_id
			from account_membership s left join contact_record r on r.id = s.record_id where ` + condition + `) x
		group by x.account_id, x.contact_id
		having coalesce((array_agg(x.member order by x.stated_at desc) filter (where x.source = ''))[1], true)`
}

// membershipsOf reads what contacts belong to, by contact, the primary account first.
func membershipsOf(ctx context.Context, tx pgx.Tx, contacts []int64) (map[int64][]Membership, error) {
	rows, err := tx.Query(ctx, `
		select m.account_id, m.contact_id, a.public_id::text, c.public_id::text, coalesce(a.name, ''), m.role, m.sources, m.by_hand, m.stated_at, m.marked
		from (`+membersSQL("s.record_id in (select unnest($1::bigint[]) union all select x.id from contact_record x where x.contact_id = any ($1))")+`) m
			join account a on a.id = m.account_id join contact c on c.id = m.contact_id where m.contact_id = any ($1)`, contacts)
	if err != nil {
		return nil, err
	}
	found := map[int64][]Membership{}
	var m Membership
	into := []any{&m.AccountID, &m.ContactID, &m.Account, &m.Contact, &m.AccountName, &m.Role, &m.Sources, &m.ByHand, &m.StatedAt, &m.marked}
	_, err = pgx.ForEachRow(rows, into, func() error {
		found[m.ContactID] = append(found[m.ContactID], m)
		m.Sources = nil
		return nil
	})
	for _, list := range found {
		choosePrimary(list)
	}
	return found, err
}

// choosePrimary orders a contact's memberships, the primary one first: what a person marked so, then what a source did; the newest of these, then the
// account that came in first.
func choosePrimary(list []Membership) {
	slices.SortFunc(list, func(a, b Membership) int {
		return cmp.Or(cmp.Compare(b.marked, a.marked), b.StatedAt.Compare(a.StatedAt), cmp.Compare(a.AccountID, b.AccountID))
	})
	for i := range list {
		list[i].Primary = i == 0
	}
}

// LoadMemberships reads what a contact belongs to, by its id, the primary account first.
func (db *DB) LoadMemberships(ctx context.Context, contact int64) ([]Membership, error) {
	var list []Membership
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		found, err := membershipsOf(ctx, tx, []int64{contact})
		list = found[contact]
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the contact's accounts: %w", err)
	}
	return list, nil
}

// LoadMembers reads who belongs to an account, by its public id, from behind a contact's id on. It returns ErrNotFound for an unknown account.
func (db *DB) LoadMembers(ctx context.Context, account string, after int64, limit int) ([]Membership, error) {
	var list []Membership
	err := pgx.BeginTxFunc(ctx, db.Pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		id, err := findAccount(ctx, tx, account)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, "select m.contact_id from ("+membersSQL("s.account_id = $1")+") m where m.contact_id > $2 order by 1 limit $3",
			id, after, limit)
		if err != nil {
			return err
		}
		contacts, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		found, err := membershipsOf(ctx, tx, contacts)
		for _, contact := range contacts {
			if at := slices.IndexFunc(found[contact], func(m Membership) bool { return m.AccountID == id }); at >= 0 {
				list = append(list, found[contact][at])
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the account's contacts: %w", err)
	}
	return list, nil
}

func findAccount(ctx context.Context, tx pgx.Tx, publicID string) (id int64, err error) {
	err = tx.QueryRow(ctx, "select id from account where public_id = $1::text::uuid", publicID).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) || hasCode(err, "22P02") {
		return 0, ErrNotFound
	}
	return id, err
}

// MembershipDecision is what a person decides of a contact and an account.
type MembershipDecision struct {
	Account, Contact string // public ids
	Member           bool
	Role             string
	Primary          bool
	By               string
}

// DecideMembership records whether a contact belongs to an account. It counts before what sources say, until somebody decides otherwise. It returns
// ErrNotFound where one of both is not there.
func (db *DB) DecideMembership(ctx context.Context, d MembershipDecision) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		account, err := findAccount(ctx, tx, d.Account)
		if err != nil {
			return err
		}
		// Nobody merges or parts the contact meanwhile.
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock_shared($1)", int64(identityLock)); err != nil {
			return err
		}
		records, err := findPublic(ctx, tx, d.Contact)
		if err != nil {
			return err
		}
		contact, err := contactOf(ctx, tx, records[0])
		if err != nil {
			return err
		}
		if d.Member && d.Primary {
			_, err = tx.Exec(ctx, "update account_membership set is_primary = false where source = '' and is_primary and record_id = any ("+
				recordsSQL("$1::bigint")+")", contact)
			if err != nil {
				return err
			}
		}
		// It is said of all records that the contact has: whichever is taken out of it, what was decided goes with it.
		_, err = tx.Exec(ctx, `
			insert into account_membership (record_id, account_id, source, member, role, is_primary, by_whom)
			select distinct unnest(`+recordsSQL("$1::bigint")+`), $2::bigint, '', $3::boolean, $4, $5::boolean, $6 order by 1
			on conflict (record_id, account_id, source) do update
				set member = excluded.member, role = excluded.role, is_primary = excluded.is_primary, by_whom = excluded.by_whom, stated_at = now()`,
			contact, account, d.Member, d.Role, d.Member && d.Primary, d.By)
		return err
	})
	if err != nil {
		return fmt.Errorf("decide who belongs to an account: %w", err)
	}
	return nil
}
