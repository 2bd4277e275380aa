package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// ErrSourceLost says that a source's lease is somebody else's, or over because the source was declared anew: nothing was written.
var ErrSourceLost = errors.New("the source's lease is lost")

// SourceLease is the right to read a source and to write what it brings.
type SourceLease struct {
	Source
	ID       int64
	Epoch    int64
	Worker   string
	Cursor   listen.Cursor // how far it has been read; nil before the first time
	Until    time.Time
	Failures int       // attempts in a row that ended with trouble
	Troubled bool      // the last one did
	HookedAt time.Time // when its address last took something; zero for never
	// Live is set by who reads a stream that has caught up: everything has come in by the time that something is stored or the lease is
	// extended.
	Live bool
}

// SourceRest is what becomes of a source that is no longer read.
type SourceRest struct {
	Next     time.Duration // until it is due again
	Reason   listen.Reason // why it cannot be read, with words for an author; "" where it can
	Message  string
	Failures int
	// Behind says that more could have been read.
	Behind bool
	// Moved is where what is read has moved to for ever, "" where it has not, and nil where that was not asked.
	Moved *string
}

// durable has a transaction's commit wait for the disk, whatever the setting of the database: a stream goes on from what it was told is
// stored, who posts is told so, and an epoch that is lost with a crash would be given out twice. A stricter setting is kept.
const durable = "set_config('synchronous_commit', case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, true)"

// LeaseSources takes sources that are due and that nobody holds, those that have waited longest first; none of a tenant that is suspended.
func (db *DB) LeaseSources(ctx context.Context, worker string, lease time.Duration, limit int) ([]SourceLease, error) {
	rows, err := db.Pool.Query(ctx, `
		with due as (
			select t.source_id from social_source_state t join social_source s on s.id = t.source_id
			where t.next_at <= now() and (t.leased_until is null or t.leased_until < now()) and s.dormant_since is null and not s.suspended
				and not exists (select from tenant where suspended)
			order by t.next_at limit $3 for no key update of t skip locked)
		update social_source_state t set epoch = epoch + 1, worker = $1, leased_until = now() + $2::interval
		from due d join social_source s on s.id = d.source_id where t.source_id = d.source_id
		returning s.name, s.type, s.settings, s.languages, s.poll_every, s.keep, s.suspended,
			s.id, t.epoch, t.worker, t.cursor, t.leased_until, t.failures, t.trouble is not null, t.hooked_at, `+durable,
		worker, lease, limit)
	if err != nil {
		return nil, fmt.Errorf("lease sources: %w", err)
	}
	leases, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l SourceLease, err error) {
		var hooked *time.Time
		var commit string
		err = row.Scan(&l.Name, &l.Type, &l.Settings, &l.Languages, &l.Interval, &l.Keep, &l.Suspended,
			&l.ID, &l.Epoch, &l.Worker, &l.Cursor, &l.Until, &l.Failures, &l.Troubled, &hooked, &commit)
		if hooked != nil {
			l.HookedAt = *hooked
		}
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("lease sources: %w", err)
	}
	return leases, nil
}

// ExtendSource keeps a lease for longer. It returns ErrSourceLost where it is not this one's any more, or the tenant is suspended.
func (db *DB) ExtendSource(ctx context.Context, l SourceLease, lease time.Duration) error {
	tag, err := db.Pool.Exec(ctx, `
		update social_source_state set leased_until = now() + $3::interval, listened_at = case when $4 then now() else listened_at end
		where source_id = $1 and epoch = $2 and not exists (select from tenant where suspended)`, l.ID, l.Epoch, lease, l.Live)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrSourceLost
	}
	if err != nil {
		return fmt.Errorf("extend the lease of source %q: %w", l.Name, err)
	}
	return nil
}

// NoteSource tells how reading goes while the lease is kept: that a stream works, or that it broke and what comes next.
func (db *DB) NoteSource(ctx context.Context, l SourceLease, rest SourceRest) error {
	if err := db.restSource(ctx, l, rest, false); err != nil {
		return fmt.Errorf("note how reading source %q goes: %w", l.Name, err)
	}
	return nil
}

// ReleaseSource gives a lease back. It returns ErrSourceLost where it is not this one's any more.
func (db *DB) ReleaseSource(ctx context.Context, l SourceLease, rest SourceRest) error {
	if err := db.restSource(ctx, l, rest, true); err != nil {
		return fmt.Errorf("release source %q: %w", l.Name, err)
	}
	return nil
}

func (db *DB) restSource(ctx context.Context, l SourceLease, rest SourceRest, release bool) error {
	return db.InTx(ctx, func(tx pgx.Tx) error {
		var news bool
		err := tx.QueryRow(ctx, `
			update social_source_state t set failures = $3, trouble = nullif($4, ''), trouble_message = nullif($5, ''),
				moved = case when $9::text is null then t.moved else nullif($9, '') end,
				trouble_since = case when $4 = '' then null when t.trouble = $4 then t.trouble_since else now() end,
				read_at = case when $4 = '' then now() else t.read_at end,
				listened_at = case when $4 = '' and not $6 then now() else t.listened_at end,
				worker = case when $7 then null else t.worker end, leased_until = case when $7 then null else t.leased_until end,
				next_at = case when $7 then now() + $8::interval else t.next_at end
			from social_source_state w where t.source_id = $1 and t.epoch = $2 and w.source_id = t.source_id
			returning (t.trouble, t.trouble_message, t.moved, t.read_at is null) is distinct from
				(w.trouble, w.trouble_message, w.moved, w.read_at is null)`,
			l.ID, l.Epoch, rest.Failures, string(rest.Reason), rest.Message, rest.Behind, release, max(rest.Next, 0), rest.Moved).Scan(&news)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrSourceLost
		}
		if err != nil || !news {
			return err
		}
		return noteStatusChange(ctx, tx, SourceKind, l.Name)
	})
}

// statusEvery is how often at most the number of what a source brought is told to who keeps its object's status.
const statusEvery = time.Minute

// tellStored notes the sources that brought something since their status was last told, at most once a minute each.
func (db *DB) tellStored(ctx context.Context) error {
	_, err := db.Pool.Exec(ctx, `
		with told as (
			update social_source_state t set told_stored = t.stored, told_at = now()
			from (
				select source_id from social_source_state
				where stored <> told_stored and (told_at is null or told_at < now() - $2::interval) order by source_id for no key update skip locked) d
			where t.source_id = d.source_id returning t.source_id)
		insert into status_change (kind, name) select $1, s.name from told join social_source s on s.id = told.source_id order by s.name
		on conflict (kind, name) do update set name = excluded.name`, SourceKind, statusEvery)
	if err != nil {
		return fmt.Errorf("note what sources brought: %w", err)
	}
	return nil
}
