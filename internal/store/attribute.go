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

// EnsureAttributes makes the attributes of contacts those that are wanted, while the database is in use: columns are
// added under short locks, constraints validated and indexes built without blocking writers. It returns how many
// attributes are in force, whether anything was changed, and *ErrLossyChange when a change could lose data; then
// nothing was touched. No column is ever dropped: an attribute that is no longer wanted keeps its column, and comes back
// with its values when it is wanted again.
func (db *DB) EnsureAttributes(ctx context.Context, wanted []crm.Attribute) (columns int, changed bool, err error) {
	present, err := db.loadColumns(ctx)
	if err != nil {
		return 0, false, err
	}
	plan := planAttributes(wanted, present)
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
func indexName(a crm.Attribute) string      { return "contact_" + a.Column() }

func (db *DB) loadColumns(ctx context.Context) ([]column, error) {
	rows, err := db.Pool.Query(ctx, `
		select a.name, a.type, a.enum, a.indexed, a.personal, a.declared,
			coalesce((select format_type(t.atttypid, null) from pg_attribute t
				where t.attrelid = 'contact'::regclass and t.attname = a.column_name and not t.attisdropped), ''),
			k.oid is not null, coalesce(k.convalidated, false),
			case when i.indexrelid is null then '' when i.indisvalid and i.indisready then 'valid' else 'invalid' end
		from attribute a
		left join pg_constraint k on k.conrelid = 'contact'::regclass and k.conname = a.column_name || '_enum'
		left join pg_index i on i.indrelid = 'contact'::regclass and i.indexrelid = to_regclass(format('%I.%I', $1::text, 'contact_' || a.column_name))
		where a.record_type = 'contact'`, Schema)
	if err != nil {
		return nil, fmt.Errorf("read the columns of contacts: %w", err)
	}
	columns, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c column, err error) {
		err = row.Scan(&c.Name, &c.Type, &c.Enum, &c.Indexed, &c.Personal, &c.Declared, &c.SQLType, &c.Check, &c.Validated, &c.Index)
		return c, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the columns of contacts: %w", err)
	}
	return columns, nil
}

// findLosses asks the rows whether a planned change would lose what they hold.
func (db *DB) findLosses(ctx context.Context, p attributePlan) ([]LossyChange, error) {
	var lossy []LossyChange
	for _, change := range p.retype {
		var used bool
		query := "select exists(select from contact where " + sqlName(change.to.Column()) + " is not null)"
		if err := db.Pool.QueryRow(ctx, query).Scan(&used); err != nil {
			return nil, fmt.Errorf("look for values of attribute %q: %w", change.to.Name, err)
		}
		if used {
			lossy = append(lossy, typeChange(change))
		}
	}
	for _, a := range p.constrain {
		used, err := db.usedOutside(ctx, a)
		if err != nil {
			return nil, err
		}
		if used {
			lossy = append(lossy, valueInUse(a))
		}
	}
	return lossy, nil
}

func typeChange(c retyping) LossyChange {
	return LossyChange{
		Attribute: c.to.Name,
		What:      fmt.Sprintf("contacts have values of type %s, which type %s could lose", c.from, c.to.Type),
		Mend:      fmt.Sprintf("restore type %s, or declare another attribute for the new type", c.from),
	}
}

func valueInUse(a crm.Attribute) LossyChange {
	return LossyChange{
		Attribute: a.Name,
		What:      "contacts have values that enum does not list",
		Mend:      "list those values too, or give these contacts another value first",
	}
}

// usedOutside tells whether a row has a value that the enumeration does not list.
func (db *DB) usedOutside(ctx context.Context, a crm.Attribute) (bool, error) {
	if a.Enum == nil {
		return false, nil
	}
	var used bool
	// "<> all" of a null is null: a contact without a value is in nobody's way.
	err := db.Pool.QueryRow(ctx, "select exists(select from contact where "+sqlName(a.Column())+" <> all ($1::text[]))", a.Enum).Scan(&used)
	if err != nil {
		return false, fmt.Errorf("look for values of attribute %q: %w", a.Name, err)
	}
	return used, nil
}
