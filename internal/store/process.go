package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ProcessKind is what a process of the data plane does.
type ProcessKind string

// The kinds of processes.
const (
	WorkerProcess ProcessKind = "worker"
	ServerProcess ProcessKind = "server"
)

const (
	// ProcessInterval is how often a process says that it is there while nothing changes.
	ProcessInterval = time.Minute
	// processAge is when a process that has not said so is forgotten.
	processAge = time.Hour
)

// Process is a worker or a server of the tenant.
type Process struct {
	ID      string // of one start of one process
	Kind    ProcessKind
	Version string
	// Digest is that of the tenant directory which the process uses (credentials.Tenant.Digest): of what it has taken over,
	// and not only read.
	Digest string
	// Uptime is for how long the process has run, and Silent for how long it has said nothing: by the database's clock. One
	// that is silent for much longer than ProcessInterval is gone, or cut off.
	Uptime, Silent time.Duration
}

// SaveProcess says that a process is there. The tenant's status is noted for another look when it is new, or its version or
// its digest are.
func (db *DB) SaveProcess(ctx context.Context, p Process) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		var known bool
		err := tx.QueryRow(ctx, `select exists (select from process where id = $1 and version = $2 and digest = $3)`, p.ID, p.Version, p.Digest).Scan(&known)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			insert into process (id, kind, version, digest, started_at) values ($1, $2, $3, $4, now() - $5::interval)
			on conflict (id) do update set version = excluded.version, digest = excluded.digest, seen_at = now()`,
			p.ID, p.Kind, p.Version, p.Digest, p.Uptime)
		if err != nil || known {
			return err
		}
		return noteStatusChange(ctx, tx, TenantKind, tenantObject)
	})
	if err != nil {
		return fmt.Errorf("say that the process is there: %w", err)
	}
	return nil
}

// DeleteProcess says that a process has ended.
func (db *DB) DeleteProcess(ctx context.Context, id string) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "delete from process where id = $1", id)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return noteStatusChange(ctx, tx, TenantKind, tenantObject)
	})
	if err != nil {
		return fmt.Errorf("say that the process has ended: %w", err)
	}
	return nil
}

// Processes lists the workers and servers of the tenant, by kind and age. One that was killed stays for up to an hour:
// Silent tells.
func (db *DB) Processes(ctx context.Context) ([]Process, error) {
	rows, err := db.Pool.Query(ctx, `
		select id, kind, version, digest, greatest(now() - started_at, '0'), greatest(now() - seen_at, '0')
		from process order by kind, started_at, id`)
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	processes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Process])
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	return processes, nil
}

// SweepProcesses forgets the processes that have said nothing for an hour.
func (db *DB) SweepProcesses(ctx context.Context) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "delete from process where seen_at < now() - $1::interval", processAge)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return noteStatusChange(ctx, tx, TenantKind, tenantObject)
	})
	if err != nil {
		return fmt.Errorf("forget processes that are gone: %w", err)
	}
	return nil
}
