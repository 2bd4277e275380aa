package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// LossyChange is a change of one attribute that could lose what people's rows hold, and how to go on without it.
type LossyChange struct {
	Attribute string
	What      string
	Mend      string
}

// ErrLossyChange says that attributes were left as they are, all of them, because a change could lose data.
type ErrLossyChange struct {
	Changes []LossyChange
}

// Error implements error. It names attributes, types and values of enumerations, and nothing of a person.
func (e *ErrLossyChange) Error() string {
	message := ""
	for i, c := range e.Changes {
		if i > 0 {
			message += "; "
		}
		message += fmt.Sprintf("attribute %q: %s: %s", c.Attribute, c.What, c.Mend)
	}
	return message
}

// RecordType is what attributes extend. It names the table, too.
type RecordType string

// The record types.
const (
	ContactType RecordType = "contact"
	AccountType RecordType = "account"
)

// EnsureAttributes makes the attributes of contacts those that are wanted, as EnsureAttributesOf does.
func (db *DB) EnsureAttributes(ctx context.Context, wanted []crm.Attribute) (columns int, changed bool, err error) {
	return db.EnsureAttributesOf(ctx, ContactType, wanted)
}

// EnsureAttributesOf makes the attributes of records of a type those that are wanted, while the database is in use: columns are
// added under short locks, constraints validated and indexes built without blocking writers. It returns how many
// attributes are in force, whether anything was changed, and *ErrLossyChange when a change could lose data; then
// nothing was touched. No column is ever dropped: an attribute that is no longer wanted keeps its column, and comes back
// with its values when it is wanted again.
func (db *DB) EnsureAttributesOf(ctx context.Context, of RecordType, wanted []crm.Attribute) (columns int, changed bool, err error) {
	present, err := db.loadColumns(ctx, of)
	if err != nil {
		return 0, false, err
	}
	plan := planAttributes(wanted, present)
	plan.of = of
	lossy, err := db.findLosses(ctx, plan)
	if err != nil {
		return 0, false, err
	}
	if len(lossy) > 0 {
		return 0, false, &ErrLossyChange{Changes: lossy}
	}
	if err := db.applyAttributes(ctx, plan); err != nil {
		return 0, false, err
	}
	return len(wanted), !plan.empty(), nil
}

// column is an attribute as the database has it.
type column struct {
	crm.Attribute
	Declared  bool
	SQLType   string // of the real column; "" when the row has no column
	Check     bool   // the enumeration's constraint is there
	Validated bool   // and holds for every row
	Index     string // "", "valid" or "invalid"
}

func enumConstraint(a crm.Attribute) string { return a.Column() + "_enum" }

func (r RecordType) indexName(a crm.Attribute) string { return string(r) + "_" + a.Column() }

func (db *DB) loadColumns(ctx context.Context, of RecordType) ([]column, error) {
	rows, err := db.Pool.Query(ctx, `
		select a.name, a.type, a.enum, a.indexed, a.personal, a.role, a.declared,
			coalesce((select format_type(t.atttypid, null) from pg_attribute t
				where t.attrelid = $2::text::regclass and t.attname = a.column_name and not t.attisdropped), ''),
			k.oid is not null, coalesce(k.convalidated, false),
			case when i.indexrelid is null then '' when i.indisvalid and i.indisready then 'valid' else 'invalid' end
		from attribute a
		left join pg_constraint k on k.conrelid = $2::text::regclass and k.conname = a.column_name || '_enum'
		left join pg_index i on i.indrelid = $2::text::regclass
			and i.indexrelid = to_regclass(format('%I.%I', $1::text, $2::text || '_' || a.column_name))
		where a.record_type = $2`, Schema, of)
	if err != nil {
		return nil, fmt.Errorf("read the columns of %ss: %w", of, err)
	}
	columns, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c column, err error) {
		err = row.Scan(&c.Name, &c.Type, &c.Enum, &c.Indexed, &c.Personal, &c.Role, &c.Declared, &c.SQLType, &c.Check, &c.Validated, &c.Index)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the columns of %ss: %w", of, err)
	}
	return columns, nil
}

// findLosses asks the rows whether a planned change would lose what they hold.
func (db *DB) findLosses(ctx context.Context, p attributePlan) ([]LossyChange, error) {
	var lossy []LossyChange
	for _, change := range p.retype {
		var used bool
		query := "select exists(select from " + string(p.of) + " where " + sqlName(change.to.Column()) + " is not null)"
		if err := db.Pool.QueryRow(ctx, query).Scan(&used); err != nil {
			return nil, fmt.Errorf("look for values of attribute %q: %w", change.to.Name, err)
		}
		if used {
			lossy = append(lossy, p.of.typeChange(change))
		}
	}
	for _, a := range p.constrain {
		used, err := db.usedOutside(ctx, p.of, a)
		if err != nil {
			return nil, err
		}
		if used {
			lossy = append(lossy, p.of.valueInUse(a))
		}
	}
	return lossy, nil
}

func (r RecordType) typeChange(c retyping) LossyChange {
	return LossyChange{
		Attribute: c.to.Name,
		What:      fmt.Sprintf("%ss have values of type %s, which type %s could lose", r, c.from, c.to.Type),
		Mend:      fmt.Sprintf("restore type %s, or declare another attribute for the new type", c.from),
	}
}

func (r RecordType) valueInUse(a crm.Attribute) LossyChange {
	return LossyChange{
		Attribute: a.Name,
		What:      string(r) + "s have values that enum does not list",
		Mend:      fmt.Sprintf("list those values too, or give these %ss another value first", r),
	}
}

// usedOutside tells whether a row has a value that the enumeration does not list.
func (db *DB) usedOutside(ctx context.Context, of RecordType, a crm.Attribute) (bool, error) {
	if a.Enum == nil {
		return false, nil
	}
	var used bool
	// "<> all" of a null is null: a record without a value is in nobody's way.
	err := db.Pool.QueryRow(ctx, "select exists(select from "+string(of)+" where "+sqlName(a.Column())+" <> all ($1::text[]))", a.Enum).Scan(&used)
	if err != nil {
		return false, fmt.Errorf("look for values of attribute %q: %w", a.Name, err)
	}
	return used, nil
}
