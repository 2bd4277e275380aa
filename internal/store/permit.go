package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Identity names one ledger: the PostgreSQL cluster that holds it, the timeline of its history, the database and the table.
// A server that is promoted or recovered to another moment has another timeline, a restored dump other OIDs.
type Identity struct {
	SystemIdentifier int64
	Timeline         int64
	DatabaseOID      int64
	LedgerOID        int64
}

// SameLedger tells whether two identities differ in the timeline at most.
func (i Identity) SameLedger(o Identity) bool {
	i.Timeline = o.Timeline
	return i == o
}

// sendPermitted is true while this ledger is the permitted one and no quarantine is open. It stands in every statement that
// leases, freezes or commits intents, because what a connection found when it was made may have been replaced under it. The
// table comes before the function: a statement that waits for a restore to commit looks the function up afterwards.
const sendPermitted = `exists (select from send_permit where send_permitted())`

// Fence is what a database says about its own ledger.
type Fence struct {
	Identity Identity
	// Permit is the ledger that may be sent from; nil before there was one.
	Permit *Identity
	// Permitted tells whether anything may be sent now.
	Permitted bool
	// Mark is how many intents were ever committed in this ledger.
	Mark int64
	// Quarantine is the one that is not closed; nil where there is none.
	Quarantine *Quarantine
}

// ErrStandby says that a server is a standby, from which nothing can be sent and where nothing can be decided.
var ErrStandby = errors.New("the server is a standby")

// LoadFence reads what decides about the permit. It returns ErrStandby on a server that is in recovery. It adds up the
// intents of all chunks: a millisecond for each few thousand of them.
func (db *DB) LoadFence(ctx context.Context) (Fence, error) {
	var f Fence
	var permit [4]*int64
	here := &f.Identity
	// One statement with a snapshot of its own: tables that a restore has put in place of others would look empty to an older one.
	err := db.Pool.QueryRow(ctx, `
		select here.*, `+sendPermitted+`, (select coalesce(sum(intents), 0)::bigint from send_chunk),
			p.system_identifier, p.timeline, p.database_oid, p.ledger_oid
		from ledger_identity here left join send_permit p on true`).
		Scan(&here.SystemIdentifier, &here.Timeline, &here.DatabaseOID, &here.LedgerOID, &f.Permitted, &f.Mark, &permit[0], &permit[1], &permit[2], &permit[3])
	if err == nil && here.Timeline == 0 {
		err = ErrStandby
	}
	if err == nil {
		f.Quarantine, err = queryQuarantine(ctx, db.Pool, "where closed_at is null")
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Fence{}, fmt.Errorf("read the send permit: %w", err)
	}
	if permit[0] != nil {
		f.Permit = &Identity{SystemIdentifier: *permit[0], Timeline: *permit[1], DatabaseOID: *permit[2], LedgerOID: *permit[3]}
	}
	return f, nil
}

// SendPermitted tells whether anything may be sent from this ledger now.
func (db *DB) SendPermitted(ctx context.Context) (bool, error) {
	var permitted bool
	if err := db.Pool.QueryRow(ctx, "select "+sendPermitted).Scan(&permitted); err != nil {
		return false, fmt.Errorf("compare the send permit: %w", err)
	}
	return permitted, nil
}

// ErrOtherLedger says that the ledger is another than the one about which was decided.
var ErrOtherLedger = errors.New("the ledger is another one by now")

// PermitSending permits sending from the ledger with this identity, and closes its quarantine if that has been released. It
// returns ErrOtherLedger when the database holds another ledger by now, and writes nothing where all of it is so already.
func (db *DB) PermitSending(ctx context.Context, here Identity) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		var same bool
		err := tx.QueryRow(ctx, "select (here.*) = ($1::bigint, $2::bigint, $3::bigint, $4::bigint) from ledger_identity here", here.values()...).Scan(&same)
		if err != nil {
			return err
		}
		if !same {
			return ErrOtherLedger
		}
		_, err = tx.Exec(ctx, `
			insert into send_permit (system_identifier, timeline, database_oid, ledger_oid) select $1, $2, $3, $4
			where not exists (select from send_permit where (system_identifier, timeline, database_oid, ledger_oid) = ($1, $2, $3, $4))
			on conflict (singleton) do update set system_identifier = excluded.system_identifier, timeline = excluded.timeline,
				database_oid = excluded.database_oid, ledger_oid = excluded.ledger_oid, permitted_at = now()`, here.values()...)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "update quarantine set closed_at = now(), outcome = 'Released' where closed_at is null and released_at is not null")
		return err
	})
	if err != nil {
		return fmt.Errorf("permit sending: %w", err)
	}
	return nil
}

func (i Identity) values() []any {
	return []any{i.SystemIdentifier, i.Timeline, i.DatabaseOID, i.LedgerOID}
}

// Replication is what can be seen of a server's standbys.
type Replication struct {
	// Awaited is true where commits wait for synchronous standbys.
	Awaited bool
	// Standbys is how many stream from the server; backups and logical subscribers do not count.
	Standbys int
	// Asynchronous is how many of them no commit waits for.
	Asynchronous int
	// Hidden is true where the login may not see which they are.
	Hidden bool
}

// LoadReplication reads how the server's standbys follow, with the rights of the login itself: the role that the operator
// takes has none to see them.
func (db *DB) LoadReplication(ctx context.Context) (Replication, error) {
	var r Replication
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local role none"); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `
			select current_setting('synchronous_standby_names') <> '', count(*), count(*) filter (where r.sync_state in ('async', 'potential')),
				coalesce(bool_or(r.state is null), false)
			from pg_stat_replication r
			where coalesce(r.state, '') <> 'backup' and r.application_name not in ('pg_receivewal', 'barman_receive_wal')
				and not exists (select from pg_replication_slots s where s.active_pid = r.pid and s.slot_type = 'logical')
				and not exists (select from pg_stat_progress_basebackup b where b.pid = r.pid)`).
			Scan(&r.Awaited, &r.Standbys, &r.Asynchronous, &r.Hidden)
	})
	if err != nil {
		return r, fmt.Errorf("look at the server's standbys: %w", err)
	}
	return r, nil
}
