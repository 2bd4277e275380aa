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
		if err := db.withShortLocks(ctx, func(tx pgx.Tx) error { return alterRecords(ctx, tx, p) }); err != nil {
			return err
		}
	}
	for _, a := range p.validate {
		if err := db.validateEnum(ctx, p.of, a); err != nil {
			return err
		}
	}
	for _, a := range p.dropIndex {
		if _, err := db.Pool.Exec(ctx, "drop index concurrently if exists "+sqlName(p.of.indexName(a))); err != nil {
			return fmt.Errorf("drop the index of attribute %q: %w", a.Name, err)
		}
	}
	for _, a := range p.buildIndex {
		// No lock_timeout: the build waits for old transactions without standing in anybody's way.
		_, err := db.Pool.Exec(ctx, "create index concurrently if not exists "+sqlName(p.of.indexName(a))+" on "+string(p.of)+" ("+sqlName(a.Column())+")")
		if err != nil {
			return fmt.Errorf("build the index of attribute %q: %w", a.Name, err)
		}
	}
	return nil
}

func alterRecords(ctx context.Context, tx pgx.Tx, p attributePlan) error {
	for _, change := range p.retype {
		if err := setAside(ctx, tx, p.of, change); err != nil {
			return err
		}
	}
	if len(p.add) > 0 {
		if err := addColumns(ctx, tx, p.of, p.add); err != nil {
			return err
		}
	}
	for _, a := range append(append([]crm.Attribute(nil), p.constrain...), p.widen...) {
		if err := replaceEnum(ctx, tx, p.of, a); err != nil {
			return err
		}
	}
	for _, a := range p.record {
		if err := recordAttribute(ctx, tx, p.of, a); err != nil {
			return err
		}
	}
	if len(p.undeclare) > 0 {
		_, err := tx.Exec(ctx, "update attribute set declared = false where record_type = $2 and name = any($1)", p.undeclare, p.of)
		if err != nil {
			return fmt.Errorf("record that attributes are no longer declared: %w", err)
		}
	}
	return nil
}

// addColumns makes columns without a default, which PostgreSQL does without touching a row.
func addColumns(ctx context.Context, tx pgx.Tx, of RecordType, attributes []crm.Attribute) error {
	clauses := make([]string, 0, len(attributes))
	for _, a := range attributes {
		sqlType := a.Type.SQLType()
		if sqlType == "" {
			return fmt.Errorf("attribute %q has the unknown type %q", a.Name, a.Type)
		}
		clauses = append(clauses, "add column "+sqlName(a.Column())+" "+sqlType)
	}
	if _, err := tx.Exec(ctx, "alter table "+string(of)+" "+strings.Join(clauses, ", ")); err != nil {
		return fmt.Errorf("add columns to %ss: %w", of, err)
	}
	return nil
}

// setAside renames a column whose attribute gets another type. It was seen to be empty; a value that came since is
// kept under the other name instead of being lost.
func setAside(ctx context.Context, tx pgx.Tx, of RecordType, change retyping) error {
	column := change.to.Column()
	if _, err := tx.Exec(ctx, "drop index if exists "+sqlName(of.indexName(change.to))); err != nil {
		return fmt.Errorf("drop the index of attribute %q: %w", change.to.Name, err)
	}
	if _, err := tx.Exec(ctx, "alter table "+string(of)+" drop constraint if exists "+sqlName(enumConstraint(change.to))); err != nil {
		return fmt.Errorf("drop the enumeration of attribute %q: %w", change.to.Name, err)
	}
	// The number of the column in its table is never given twice.
	var aside string
	err := tx.QueryRow(ctx, `select 'was_' || attnum || '_' || left($2, 48) from pg_attribute
		where attrelid = $3::text::regclass and attname = $1 and not attisdropped`, column, change.to.Name, of).Scan(&aside)
	if err != nil {
		return fmt.Errorf("find the column of attribute %q: %w", change.to.Name, err)
	}
	if _, err := tx.Exec(ctx, "alter table "+string(of)+" rename column "+sqlName(column)+" to "+sqlName(aside)); err != nil {
		return fmt.Errorf("set the column of attribute %q aside: %w", change.to.Name, err)
	}
	return nil
}

// replaceEnum makes the constraint of an enumeration without looking at a row; it holds for every row written from now on.
func replaceEnum(ctx context.Context, tx pgx.Tx, of RecordType, a crm.Attribute) error {
	if _, err := tx.Exec(ctx, "alter table "+string(of)+" drop constraint if exists "+sqlName(enumConstraint(a))); err != nil {
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
		"alter table "+string(of)+" add constraint %I check (%I = any (%L::text[])) not valid", enumConstraint(a), a.Column(), values)
}

// validateEnum reads every row while writers go on. A value that came between the plan and the constraint is refused
// nothing: the constraint goes again, and the change with it.
func (db *DB) validateEnum(ctx context.Context, of RecordType, a crm.Attribute) error {
	_, err := db.Pool.Exec(ctx, "alter table "+string(of)+" validate constraint "+sqlName(enumConstraint(a)))
	if hasCode(err, "23514") {
		dropped := db.withShortLocks(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "alter table "+string(of)+" drop constraint if exists "+sqlName(enumConstraint(a)))
			return err
		})
		if dropped != nil {
			return fmt.Errorf("withdraw the enumeration of attribute %q: %w", a.Name, dropped)
		}
		return &ErrLossyChange{Changes: []LossyChange{of.valueInUse(a)}}
	}
	if err != nil {
		return fmt.Errorf("validate the enumeration of attribute %q: %w", a.Name, err)
	}
	return nil
}

func recordAttribute(ctx context.Context, tx pgx.Tx, of RecordType, a crm.Attribute) error {
	_, err := tx.Exec(ctx, `
		insert into attribute (record_type, name, column_name, type, enum, indexed, personal, role, declared)
		values ($8, $1, $2, $3, $4, $5, $6, $7, true)
		on conflict (record_type, name) do update set type = excluded.type, enum = excluded.enum, indexed = excluded.indexed,
			personal = excluded.personal, role = excluded.role, declared = true`,
		a.Name, a.Column(), a.Type, a.Enum, a.Indexed, a.Personal, a.Role, of)
	if err != nil {
		return fmt.Errorf("record attribute %q: %w", a.Name, err)
	}
	return nil
}
