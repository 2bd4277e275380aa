package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// Account is a company, or another organisation that contacts belong to.
type Account struct {
	ID          int64
	PublicID    string // UUID
	Name        string
	Attributes  map[string]json.RawMessage // by name; those without a value are absent
	Identifiers []AccountIdentifier
	Contacts    int64 // how many belong to it
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// AccountIdentifier is one by which an account is known.
type AccountIdentifier struct {
	Type   string `json:"type"` // domain, or external:<source>
	Value  string `json:"value"`
	Source string `json:"source"`
}

// LoadAccountAttributes reads the attributes that a RecordType declares of accounts.
func (db *DB) LoadAccountAttributes(ctx context.Context) ([]crm.Attribute, error) {
	rows, err := db.Pool.Query(ctx, `
		select name, type, enum, indexed, personal, role from attribute where record_type = $1 and declared order by name`, AccountType)
	if err != nil {
		return nil, fmt.Errorf("read the attributes of accounts: %w", err)
	}
	attributes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[crm.Attribute])
	if err != nil {
		return nil, fmt.Errorf("read the attributes of accounts: %w", err)
	}
	return attributes, nil
}

// AccountPage says which accounts are wanted.
type AccountPage struct {
	After  int64  // id of the last one of the page before
	Name   string // how the name begins, in whatever case
	Domain string // one of its domains
	Limit  int
}

const selectAccounts = `
	select a.id, a.public_id::text, coalesce(a.name, ''), to_jsonb(a),
		(select coalesce(jsonb_agg(jsonb_build_object('type', i.type, 'value', i.value, 'source', i.source) order by i.type, i.value), '[]')
			from account_identifier i where i.account_id = a.id),
		a.created_at, a.updated_at
	from account a `

// ListAccounts lists accounts as they came in. It does not count their contacts.
func (db *DB) ListAccounts(ctx context.Context, page AccountPage, attributes []crm.Attribute) ([]Account, error) {
	rows, err := db.Pool.Query(ctx, selectAccounts+`
		where a.id > $1 and ($2 = '' or starts_with(fold_case(a.name), fold_case($2)))
			and ($3 = '' or a.id in (select i.account_id from account_identifier i where i.type = 'domain' and i.value = $3))
		order by a.id limit $4`, page.After, page.Name, page.Domain, page.Limit)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanAccount(attributes))
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	return list, nil
}

// LoadAccount reads an account by its public id. It returns ErrNotFound for an unknown one.
func (db *DB) LoadAccount(ctx context.Context, publicID string, attributes []crm.Attribute) (Account, error) {
	var a Account
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, selectAccounts+"where a.public_id = $1::text::uuid", publicID)
		if err != nil {
			return err
		}
		if a, err = pgx.CollectExactlyOneRow(rows, scanAccount(attributes)); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "select count(*) from ("+membersSQL("s.account_id = $1")+") m", a.ID).Scan(&a.Contacts)
	})
	if errors.Is(err, pgx.ErrNoRows) || hasCode(err, "22P02") {
		err = ErrNotFound
	}
	if err != nil {
		return Account{}, fmt.Errorf("read the account: %w", err)
	}
	return a, nil
}

func scanAccount(attributes []crm.Attribute) pgx.RowToFunc[Account] {
	return func(row pgx.CollectableRow) (a Account, err error) {
		var values map[string]json.RawMessage
		if err = row.Scan(&a.ID, &a.PublicID, &a.Name, &values, &a.Identifiers, &a.CreatedAt, &a.UpdatedAt); err != nil {
			return a, err
		}
		a.Attributes = map[string]json.RawMessage{}
		for _, attribute := range attributes {
			if value := values[attribute.Column()]; value != nil && string(value) != "null" {
				a.Attributes[attribute.Name] = value
			}
		}
		return a, nil
	}
}

// DeleteAccount erases an account, with everything that was said of who belongs to it. Its contacts stay. It returns ErrNotFound for an unknown one.
func (db *DB) DeleteAccount(ctx context.Context, publicID string) error {
	tag, err := db.Pool.Exec(ctx, "delete from account where public_id = $1::text::uuid", publicID)
	if hasCode(err, "22P02") || err == nil && tag.RowsAffected() == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("delete the account: %w", err)
	}
	return nil
}
