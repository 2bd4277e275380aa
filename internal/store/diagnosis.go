package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Diagnosis is what can be said of a database without a row of it: for support, which must not see people.
type Diagnosis struct {
	PostgreSQL    string // the server's version
	SchemaVersion int64
	Bytes         int64 // on disk
	InRecovery    bool  // a standby, which takes no writes
	ReadOnly      bool  // new transactions may not write
	Settings      map[string]string
	Tables        []TableSize      // by name
	Connections   map[string]int64 // to this database, by application
	Sends         map[string]int64 // by state
	OpenChunks    int64            // that workers still have to settle
	Processes     []Process
}

// TableSize is how large a table is, with its partitions. Rows are PostgreSQL's estimate.
type TableSize struct {
	Name         string
	Rows, Dead   int64
	Bytes        int64 // with indexes
	Partitions   int64
	LastVacuumed *time.Time // of the partition that has waited longest; nil where one never was
	LastAnalyzed *time.Time
}

// diagnosedSettings are the parameters that explain how a database behaves. None of them is a secret.
var diagnosedSettings = []string{
	"autovacuum", "default_transaction_isolation", "deadlock_timeout", "effective_cache_size", "fsync", "full_page_writes",
	"idle_in_transaction_session_timeout", "jit", "lock_timeout", "maintenance_work_mem", "max_connections", "max_wal_size",
	"server_encoding", "shared_buffers", "statement_timeout", "synchronous_commit", "TimeZone", "wal_level", "work_mem",
}

// Diagnose reads it. It looks at catalogs and at tables whose rows are not people.
func (db *DB) Diagnose(ctx context.Context) (Diagnosis, error) {
	d := Diagnosis{}
	err := pgx.BeginTxFunc(ctx, db.Pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		err = tx.QueryRow(ctx, `
			select current_setting('server_version'), (select max(version_id) from schema_version where is_applied),
				pg_database_size(current_database()), pg_is_in_recovery(), current_setting('default_transaction_read_only')::boolean,
				(select count(*) from send_chunk where open)`).
			Scan(&d.PostgreSQL, &d.SchemaVersion, &d.Bytes, &d.InRecovery, &d.ReadOnly, &d.OpenChunks)
		if err != nil {
			return err
		}
		if d.Settings, err = readPairs[string](ctx, tx, "select name, setting || coalesce(' ' || unit, '') from pg_settings where name = any($1)",
			diagnosedSettings); err != nil {
			return err
		}
		if d.Connections, err = readPairs[int64](ctx, tx, `select coalesce(nullif(application_name, ''), 'unnamed'), count(*)
			from pg_stat_activity where datname = current_database() and backend_type = 'client backend' group by 1`); err != nil {
			return err
		}
		if d.Sends, err = readPairs[int64](ctx, tx, "select state, count(*) from send where dormant_since is null group by state"); err != nil {
			return err
		}
		d.Tables, err = readTables(ctx, tx)
		return err
	})
	if err != nil {
		return Diagnosis{}, fmt.Errorf("diagnose the database: %w", err)
	}
	d.Processes, err = db.Processes(ctx)
	return d, err
}

func readPairs[V any](ctx context.Context, tx pgx.Tx, query string, arguments ...any) (map[string]V, error) {
	rows, err := tx.Query(ctx, query, arguments...)
	if err != nil {
		return nil, err
	}
	pairs := map[string]V{}
	var name string
	var value V
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		pairs[name] = value
		return nil
	})
	return pairs, err
}

func readTables(ctx context.Context, tx pgx.Tx) ([]TableSize, error) {
	rows, err := tx.Query(ctx, `
		select coalesce(pg_partition_root(c.oid), c.oid)::regclass::text as name, sum(greatest(c.reltuples, 0))::bigint,
			coalesce(sum(s.n_dead_tup), 0)::bigint, sum(pg_total_relation_size(c.oid))::bigint, count(*) filter (where c.relispartition),
			case when bool_or(greatest(s.last_vacuum, s.last_autovacuum) is null) then null else min(greatest(s.last_vacuum, s.last_autovacuum)) end,
			case when bool_or(greatest(s.last_analyze, s.last_autoanalyze) is null) then null else min(greatest(s.last_analyze, s.last_autoanalyze)) end
		from pg_class c left join pg_stat_user_tables s on s.relid = c.oid
		where c.relnamespace = $1::regnamespace and c.relkind = 'r'
		group by 1 order by 1`, Schema)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[TableSize])
}
