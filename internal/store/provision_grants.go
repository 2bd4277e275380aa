package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// access is what the runtime role may do with a relation of our schema: privileges on the whole of it, and an update of
// single columns.
type access struct {
	privileges []string
	update     []string // columns
}

var (
	readOnly  = access{privileges: []string{"SELECT"}}
	appended  = access{privileges: []string{"INSERT", "SELECT", "UPDATE"}}
	data      = access{privileges: []string{"DELETE", "INSERT", "SELECT", "UPDATE"}}
	numbering = access{privileges: []string{"USAGE"}}
)

// runtimeAccess says for every relation of the schema what workers and servers may do. They read configuration and
// write back the few columns in which they report. Keys of the ledger are never deleted. Partitions are not named: a
// statement on their parent needs no right on them, and nobody writes them directly.
var runtimeAccess = map[string]access{
	"schema_version":  readOnly,
	"tenant":          readOnly,
	"secret_key":      readOnly,
	"attribute":       readOnly,
	"event_type":      readOnly,
	"template":        readOnly,
	"send_permit":     readOnly,
	"ledger_identity": readOnly,
	"channel":         {privileges: []string{"SELECT"}, update: []string{"trouble", "trouble_since"}},
	"segment": {privileges: []string{"SELECT"}, update: []string{
		"built_at", "built_digest", "changed_at", "members", "refresh_asked_at",
	}},
	"quarantine": {privileges: []string{"SELECT"}, update: []string{
		"continued", "continued_all", "release_reason", "released_at", "released_by", "released_token",
	}},
	"send_hold": appended,
	"send":      {privileges: []string{"SELECT"}, update: []string{"audience", "finished_at", "frozen_at", "message", "state"}},

	"contact":         data,
	"identifier":      data,
	"identifier_link": data,
	"consent":         data,
	"suppression":     data,
	"refusal":         {privileges: []string{"INSERT", "SELECT"}},
	"event":           data,
	"event_key":       data,
	"segment_member":  data,
	"ledger":          appended,
	"send_chunk":      appended,
	"send_tally":      appended,
	"status_change":   data,
	"process":         data,
	"api_token":       {privileges: []string{"INSERT", "SELECT"}, update: []string{"revoked_at"}},

	"contact_id_seq":    numbering,
	"identifier_id_seq": numbering,
	"event_id_seq":      numbering,
}

// grant is one right: a privilege on a relation, or on one of its columns.
type grant struct {
	relation, privilege, column string
}

func (g grant) compare(o grant) int {
	return strings.Compare(g.relation+" "+g.privilege+" "+g.column, o.relation+" "+o.privilege+" "+o.column)
}

// EnsureGrants makes the rights of the runtime role exactly those of runtimeAccess, as the database's owner. It writes
// only what differs. Call it after every migration.
func (db *DB) EnsureGrants(ctx context.Context, runtime string) error {
	relations, have, err := db.loadGrants(ctx, runtime)
	if err != nil {
		return err
	}
	give, take := planGrants(runtimeAccess, relations, have)
	return db.InTx(ctx, func(tx pgx.Tx) error {
		if err := ensureDatabaseGrants(ctx, tx, runtime); err != nil {
			return err
		}
		for _, g := range give {
			if _, err := tx.Exec(ctx, "grant "+g.clause()+" to "+sqlName(runtime)); err != nil {
				return fmt.Errorf("grant %s on %s: %w", g.privilege, g.relation, err)
			}
		}
		for _, g := range take {
			if _, err := tx.Exec(ctx, "revoke "+g.clause()+" from "+sqlName(runtime)); err != nil {
				return fmt.Errorf("revoke %s on %s: %w", g.privilege, g.relation, err)
			}
		}
		return nil
	})
}

func (g grant) clause() string {
	what := g.privilege
	if g.column != "" {
		what += " (" + sqlName(g.column) + ")"
	}
	if g.privilege == "USAGE" {
		return what + " on sequence " + sqlName(g.relation)
	}
	return what + " on " + sqlName(g.relation)
}

// ensureDatabaseGrants lets the runtime role connect, use our schema and make temporary tables (imports stage rows in them).
func ensureDatabaseGrants(ctx context.Context, tx pgx.Tx, runtime string) error {
	var database string
	var connect, usage bool
	err := tx.QueryRow(ctx, `select current_database(),
			(select count(*) = 2 from pg_database d, aclexplode(d.datacl) a
			 where d.datname = current_database() and a.grantee = $1::regrole and a.privilege_type in ('CONNECT', 'TEMPORARY')),
			exists(select from pg_namespace n, aclexplode(n.nspacl) a
			 where n.nspname = $2 and a.grantee = $1::regrole and a.privilege_type = 'USAGE')`,
		sqlName(runtime), Schema).Scan(&database, &connect, &usage)
	if err != nil {
		return fmt.Errorf("read the rights of role %s: %w", runtime, err)
	}
	if !connect {
		if _, err := tx.Exec(ctx, "grant connect, temporary on database "+sqlName(database)+" to "+sqlName(runtime)); err != nil {
			return fmt.Errorf("let role %s connect: %w", runtime, err)
		}
	}
	if !usage {
		if _, err := tx.Exec(ctx, "grant usage on schema "+sqlName(Schema)+" to "+sqlName(runtime)); err != nil {
			return fmt.Errorf("let role %s use the schema: %w", runtime, err)
		}
	}
	return nil
}

// loadGrants reads which relations our schema has, and which rights on them the role was given.
func (db *DB) loadGrants(ctx context.Context, role string) (relations []string, have []grant, err error) {
	rows, err := db.Pool.Query(ctx, "select relname from pg_class where relnamespace = $1::regnamespace and relkind in ('r', 'p', 'S', 'v')", Schema)
	if err != nil {
		return nil, nil, fmt.Errorf("read the relations: %w", err)
	}
	if relations, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, nil, fmt.Errorf("read the relations: %w", err)
	}
	rows, err = db.Pool.Query(ctx, `
		select c.relname, a.privilege_type, ''
		from pg_class c, aclexplode(c.relacl) a
		where c.relnamespace = $1::regnamespace and a.grantee = $2::regrole
		union all
		select c.relname, a.privilege_type, t.attname
		from pg_class c join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) a
		where c.relnamespace = $1::regnamespace and not t.attisdropped and a.grantee = $2::regrole`, Schema, sqlName(role))
	if err != nil {
		return nil, nil, fmt.Errorf("read the rights of role %s: %w", role, err)
	}
	have, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (g grant, err error) {
		err = row.Scan(&g.relation, &g.privilege, &g.column)
		return g, err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read the rights of role %s: %w", role, err)
	}
	return relations, have, nil
}

// planGrants tells which rights to give and which to take. Relations that a newer or older schema lacks are left out.
func planGrants(want map[string]access, relations []string, have []grant) (give, take []grant) {
	wanted, held := map[grant]bool{}, map[grant]bool{}
	for _, g := range have {
		held[g] = true
	}
	for _, relation := range slices.Sorted(maps.Keys(want)) {
		if !slices.Contains(relations, relation) {
			continue
		}
		for _, privilege := range want[relation].privileges {
			wanted[grant{relation: relation, privilege: privilege}] = true
		}
		for _, column := range want[relation].update {
			wanted[grant{relation: relation, privilege: "UPDATE", column: column}] = true
		}
	}
	for g := range wanted {
		if !held[g] {
			give = append(give, g)
		}
	}
	for g := range held {
		if !wanted[g] {
			take = append(take, g)
		}
	}
	slices.SortFunc(give, grant.compare)
	slices.SortFunc(take, grant.compare)
	return give, take
}
