package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// SourceKind is the kind of sources, in status_change.
const SourceKind = "SocialSource"

// DefaultKeep is for how long what a source brings is kept where it does not say.
const DefaultKeep = 400 * 24 * time.Hour

// Source is a source's row: from where conversations come in. Credentials are never in it.
type Source struct {
	Name      string
	Type      string          // Feed, Mastodon, Bluesky, Mailbox, Webhook
	Settings  json.RawMessage // of its type
	Languages []string        // as two letters, whose posts are kept; none: all
	Interval  time.Duration   // between two polls
	Keep      time.Duration   // what is older is forgotten; 0 means DefaultKeep
	Suspended bool
	// ReplyChannel is over which what it brings is answered; "": over none.
	ReplyChannel string
}

// SourceCondition is what a source is doing.
type SourceCondition string

// The conditions of sources.
const (
	SourceListening SourceCondition = "Listening"
	SourceWaiting   SourceCondition = "Waiting" // it has not been read yet, or was asked for patience
	SourceFailing   SourceCondition = "Failing" // it cannot be read
	SourceSuspended SourceCondition = "Suspended"
)

// SourceState is what the data plane says of a source.
type SourceState struct {
	Condition SourceCondition
	Reason    listen.Reason // why it cannot be read; "" when it can
	Message   string        // the same in words for an author
	Since     *time.Time    // since when
	Moved     string        // where what is read has moved to for ever, for its author; "" where it has not
	// Brought is how many mentions it ever brought that were stored, and LastBrought when the last of them came. Those count too that are forgotten
	// by now, and those that another source had brought before: the sum over sources is no number of mentions.
	Brought     int64
	LastBrought *time.Time
	Rejected    int64       // posts that could not be read or kept
	Gaps        int64       // how many times something was missed
	LastGap     *listen.Gap // the last of them
	ReadAt      *time.Time  // when it was last read without trouble
	ListenedAt  *time.Time  // until when everything had come in
}

// SourceOverview is a source with what the data plane says of it.
type SourceOverview struct {
	Source
	SourceState
}

// SaveSource brings a source into force, a dormant one too. It writes only what differs, and returns what the data plane says of it. What
// changes how it is read ends the lease and the trouble: who reads it begins anew, from the same cursor unless the type is another one.
func (db *DB) SaveSource(ctx context.Context, s Source) (changed bool, state SourceState, err error) {
	if s.Keep == 0 {
		s.Keep = DefaultKeep
	}
	if s.Languages == nil {
		s.Languages = []string{}
	}
	err = db.InTx(ctx, func(tx pgx.Tx) (err error) {
		changed, err = saveSource(ctx, tx, s)
		return err
	})
	if err != nil {
		return false, SourceState{}, fmt.Errorf("save source %q: %w", s.Name, err)
	}
	state, err = db.LoadSourceState(ctx, s.Name)
	return changed, state, err
}

func saveSource(ctx context.Context, tx pgx.Tx, s Source) (changed bool, err error) {
	var id int64
	var again, other bool
	err = tx.QueryRow(ctx, `
		with was as (select * from social_source where name = $1), now as (
			insert into social_source (name, type, settings, languages, poll_every, keep, suspended, reply_channel)
			select $1, $2, $3, $4, $5, $6, $7, $8 where not exists (
				select from was where type = $2 and settings = $3 and languages = $4 and poll_every = $5 and keep = $6 and suspended = $7
					and reply_channel = $8 and dormant_since is null)
			on conflict (name) do update set type = excluded.type, settings = excluded.settings, languages = excluded.languages,
				poll_every = excluded.poll_every, keep = excluded.keep, suspended = excluded.suspended, reply_channel = excluded.reply_channel,
				dormant_since = null
			returning id)
		select n.id, w.id is null or (w.type, w.settings, w.languages, w.poll_every, w.suspended, w.dormant_since)
				is distinct from ($2::text, $3::jsonb, $4::text[], $5::interval, $7::boolean, null::timestamptz),
			coalesce(w.type <> $2, false)
		from now n left join was w on true`,
		s.Name, s.Type, s.Settings, s.Languages, s.Interval, s.Keep, s.Suspended, s.ReplyChannel).Scan(&id, &again, &other)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil || !again {
		return err == nil, err
	}
	_, err = tx.Exec(ctx, `
		insert into social_source_state as s (source_id) values ($1)
		on conflict (source_id) do update set epoch = s.epoch + 1, worker = null, leased_until = null, next_at = now(), failures = 0,
			trouble = null, trouble_message = null, trouble_since = null, moved = null, cursor = case when $2 then null else s.cursor end`, id, other)
	return true, err
}

// DormantSource records that a source's object was deleted: nothing comes in by it until it is declared again. What came in stays.
func (db *DB) DormantSource(ctx context.Context, name string) error {
	_, err := db.Pool.Exec(ctx, `
		with asleep as (update social_source set dormant_since = now() where name = $1 and dormant_since is null returning id)
		update social_source_state s set epoch = epoch + 1, worker = null, leased_until = null from asleep a where s.source_id = a.id`, name)
	if err != nil {
		return fmt.Errorf("put source %q to sleep: %w", name, err)
	}
	return nil
}

const selectSources = `
	select s.name, s.type, s.settings, s.languages, s.poll_every, s.keep, s.suspended, s.reply_channel,
		coalesce(t.trouble, ''), coalesce(t.trouble_message, ''), t.trouble_since, coalesce(t.moved, ''), t.stored, t.stored_at, t.rejected, t.gaps,
		t.read_at, t.listened_at, g.from_at, g.to_at, g.reason, s.suspended or exists (select from tenant where suspended)
	from social_source s join social_source_state t on t.source_id = s.id
		left join lateral (select * from source_gap where source_id = s.id order by to_at desc, id desc limit 1) g on true `

func scanSource(row pgx.CollectableRow) (s SourceOverview, err error) {
	var from, to *time.Time
	var reason *string
	var suspended bool // it, or the tenant
	err = row.Scan(&s.Name, &s.Type, &s.Settings, &s.Languages, &s.Interval, &s.Keep, &s.Suspended, &s.ReplyChannel,
		&s.Reason, &s.Message, &s.Since, &s.Moved, &s.Brought, &s.LastBrought, &s.Rejected, &s.Gaps, &s.ReadAt, &s.ListenedAt, &from, &to, &reason, &suspended)
	if to != nil {
		s.LastGap = &listen.Gap{To: *to, Reason: *reason}
		if from != nil {
			s.LastGap.From = *from
		}
	}
	switch {
	case suspended:
		s.Condition = SourceSuspended
	case s.Reason == listen.Throttled, s.Reason == "" && s.ReadAt == nil:
		s.Condition = SourceWaiting
	case s.Reason != "":
		s.Condition = SourceFailing
	default:
		s.Condition = SourceListening
	}
	return s, err
}

func (db *DB) loadSource(ctx context.Context, name, where string) (SourceOverview, error) {
	rows, err := db.Pool.Query(ctx, selectSources+where, name)
	if err != nil {
		return SourceOverview{}, fmt.Errorf("read source %q: %w", name, err)
	}
	s, err := pgx.CollectExactlyOneRow(rows, scanSource)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return SourceOverview{}, fmt.Errorf("read source %q: %w", name, err)
	}
	return s, nil
}

// LoadSource reads a source that is in force, suspended or not. It returns ErrNotFound for one that was never declared or is dormant.
func (db *DB) LoadSource(ctx context.Context, name string) (SourceOverview, error) {
	return db.loadSource(ctx, name, "where s.name = $1 and s.dormant_since is null")
}

// LoadSourceState reads what the data plane says of a source, of a dormant one too.
func (db *DB) LoadSourceState(ctx context.Context, name string) (SourceState, error) {
	s, err := db.loadSource(ctx, name, "where s.name = $1")
	return s.SourceState, err
}

// Sources lists the sources in force by name.
func (db *DB) Sources(ctx context.Context) (list []SourceOverview, err error) {
	err = db.look(ctx, lookLimit, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, selectSources+"where s.dormant_since is null order by s.name")
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, scanSource)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look at the sources: %w", err)
	}
	return list, nil
}
