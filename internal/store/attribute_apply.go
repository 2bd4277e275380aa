package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// applyAttributes carries a plan out. What takes a lock that others wait for happens in one short transaction with the
// rows that record it, so that rows and columns never disagree; what takes long follows and hinders nobody. Interrupted
// anywhere, the next plan holds the rest.
func (db *DB) applyAttributes(ctx context.Context, p attributePlan) error {
	if len(p.retype)+len(p.add)+len(p.constrain)+len(p.widen)+len(p.record)+len(p.undeclare) > 0 {
		if err := db.withShortLocks(ctx, func(tx pgx.Tx) error { return alterContacts(ctx, tx, p) }); err != nil {
			return err
		}
	}
	for _, a := range p.validate {
		if err := db.validateEnum(ctx, a); err != nil {
			return err
		}
	}
	for _, a := range p.dropIndex {
		if _, err := db.Pool.Exec(ctx, "drop index concurrently if exists "+sqlName(indexName(a))); err != nil {
			return fmt.Errorf("drop the index of attribute %q: %w", a.Name, err)
		}
	}
	for _, a := range p.buildIndex {
		// No lock_timeout: the build waits for old transactions without standing in anybody's way.
		_, err := db.Pool.Exec(ctx, "create index concurrently if not exists "+sqlName(indexName(a))+" on contact ("+sqlName(a.Column())+")")
		if err != nil {
			return fmt.Errorf("build the index of attribute %q: %w", a.Name, err)
		}
	}
	return nil
}

func alterContacts(ctx context.Context, tx pgx.Tx, p attributePlan) error {
	for _, change := range p.retype {
		if err := setAside(ctx, tx, change); err != nil {
			return err
		}
	}
	if len(p.add) > 0 {
		if err := addColumns(ctx, tx, p.add); err != nil {
			return err
		}
	}
	for _, a := range append(append([]crm.Attribute(nil), p.constrain...), p.widen...) {
		if err := replaceEnum(ctx, tx, a); err != nil {
			return err
		}
	}
	for _, a := range p.record {
		if err := recordAttribute(ctx, tx, a); err != nil {
			return err
		}
	}
	if len(p.undeclare) > 0 {
		_, err := tx.Exec(ctx, "update attribute set declared = false where record_type = 'contact' and name = any($1)", p.undeclare)
		if err != nil {
			return fmt.Errorf("record that attributes are no longer declared: %w", err)
		}
	}
	return nil
}

// addColumns makes columns without a default, which PostgreSQL does without touching a row.
func addColumns(ctx context.Context, tx pgx.Tx, attributes []crm.Attribute) error {
	clauses := make([]string, 0, len(attributes))
	for _, a := range attributes {
		sqlType := a.Type.SQLType()
		if sqlType == "" {
			return fmt.Errorf("attribute %q has the unknown type %q", a.Name, a.Type)
		}
		clauses = append(clauses, "add column "+sqlName(a.Column())+" "+sqlType)
	}
	if _, err := tx.Exec(ctx, "alter table contact "+strings.Join(clauses, ", ")); err != nil {
		return fmt.Errorf("add columns to contacts: %w", err)
	}
	return nil
}

// setAside renames a column whose attribute gets another type. It was seen to be empty; a value that came since is
// kept under the other name instead of being lost.
func setAside(ctx context.Context, tx pgx.Tx, change retyping) error {
	column := change.to.Column()
	if _, err := tx.Exec(ctx, "drop index if exists "+sqlName(indexName(change.to))); err != nil {
		return fmt.Errorf("drop the index of attribute %q: %w", change.to.Name, err)
	}
	if _, err := tx.Exec(ctx, "alter table contact drop constraint if exists "+sqlName(enumConstraint(change.to))); err != nil {
		return fmt.Errorf("drop the enumeration of attribute %q: %w", change.to.Name, err)
	}
	// The number of the column in its table is never given twice.
	var aside string
	err := tx.QueryRow(ctx, `select 'was_' || attnum || '_' || left($2, 48) from pg_attribute
		where attrelid = 'contact'::regclass and attname = $1 and not attisdropped`, column, change.to.Name).Scan(&aside)
	if err != nil {
		return fmt.Errorf("find the column of attribute %q: %w", change.to.Name, err)
	}
	if _, err := tx.Exec(ctx, "alter table contact rename column "+sqlName(column)+" to "+sqlName(aside)); err != nil {
		return fmt.Errorf("set the column of attribute %q aside: %w", change.to.Name, err)
	}
	return nil
}

// replaceEnum makes the constraint of an enumeration without looking at a row; it holds for every row written from now on.
func replaceEnum(ctx context.Context, tx pgx.Tx, a crm.Attribute) error {
	if _, err := tx.Exec(ctx, "alter table contact drop constraint if exists "+sqlName(enumConstraint(a))); err != nil {
		return fmt.Errorf("replace the enumeration of attribute %q: %w", a.Name, err)
	}
	if a.Enum == nil {
		return nil
	}
	var values string
	if err := tx.QueryRow(ctx, "select $1::text[]::text", a.Enum).Scan(&values); err != nil {
		return fmt.Errorf("write the enumeration of attribute %q: %w", a.Name, err)
	}
	return executeFormatted(ctx, tx, fmt.Sprintf("replace the enumeration of attribute %q", a.Name),
		"alter table contact add constraint %I check (%I = any (%L::text[])) not valid", enumConstraint(a), a.Column(), values)
}

// validateEnum reads every row while writers go on. A value that came between the plan and the constraint is refused
// nothing: the constraint goes again, and the change with it.
func (db *DB) validateEnum(ctx context.Context, a crm.Attribute) error {
	_, err := db.Pool.Exec(ctx, "alter table contact validate constraint "+sqlName(enumConstraint(a)))
	if hasCode(err, "23514") {
		dropped := db.withShortLocks(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "alter table contact drop constraint if exists "+sqlName(enumConstraint(a)))
			return err
		})
		if dropped != nil {
			return fmt.Errorf("withdraw the enumeration of attribute %q: %w", a.Name, dropped)
		}
		return &ErrLossyChange{Changes: []LossyChange{valueInUse(a)}}
	}
	if err != nil {
		return fmt.Errorf("validate the enumeration of attribute %q: %w", a.Name, err)
	}
	return nil
}

func recordAttribute(ctx context.Context, tx pgx.Tx, a crm.Attribute) error {
	_, err := tx.Exec(ctx, `
		insert into attribute (record_type, name, column_name, type, enum, indexed, personal, declared)
		values ('contact', $1, $2, $3, $4, $5, $6, true)
		on conflict (record_type, name) do update set type = excluded.type, enum = excluded.enum, indexed = excluded.indexed,
			personal = excluded.personal, declared = true`,
		a.Name, a.Column(), a.Type, a.Enum, a.Indexed, a.Personal)
	if err != nil {
		return fmt.Errorf("record attribute %q: %w", a.Name, err)
	}
	return nil
}
