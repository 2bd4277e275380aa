package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/pace"
)

// ChannelPace is what a worker must know of a channel to keep its pace.
type ChannelPace struct {
	Limits   pace.Limits
	TimeZone string    // of the tenant
	Now      time.Time // at the database's clock
	// HeldBack are the receivers that are offered less than the channel allows.
	HeldBack map[int32]pace.Receiver
}

// LoadPace reads the limits of a channel and who is held back, in one round trip. A channel that is not there has none.
func (db *DB) LoadPace(ctx context.Context, channel string) (ChannelPace, error) {
	p := ChannelPace{HeldBack: map[int32]pace.Receiver{}}
	var queue pgx.Batch
	queue.Queue(`select now(), coalesce(max(time_zone), 'UTC'), coalesce((select rate from channel where name = $1), '{}') from tenant`, channel).
		QueryRow(func(row pgx.Row) error { return row.Scan(&p.Now, &p.TimeZone, &p.Limits) })
	queue.Queue(`select receiver, `+patienceColumns+` from pace where channel = $1 and slowed is not null`, channel).
		Query(func(rows pgx.Rows) error {
			var id int32
			var r storedPatience
			_, err := pgx.ForEachRow(rows, append([]any{&id}, r.targets()...), func() error {
				p.HeldBack[id] = r.receiver()
				return nil
			})
			return err
		})
	if err := db.Pool.SendBatch(ctx, &queue).Close(); err != nil {
		return ChannelPace{}, fmt.Errorf("read the pace of channel %q: %w", channel, err)
	}
	return p, nil
}

// patienceColumns are those of a storedPatience.
const patienceColumns = `slowed, slowed_from, pauses, backoff_until, grown_at`

// storedPatience is a pace.Receiver as its row holds it.
type storedPatience struct {
	slowed, from *float64
	pauses       int
	until, grown *time.Time
}

func (s *storedPatience) targets() []any {
	return []any{&s.slowed, &s.from, &s.pauses, &s.until, &s.grown}
}

func (s *storedPatience) receiver() pace.Receiver {
	return pace.Receiver{
		Slowed: pace.Rate(valueOf(s.slowed)), SlowedFrom: pace.Rate(valueOf(s.from)), Pauses: s.pauses,
		Until: valueOf(s.until), GrownAt: valueOf(s.grown),
	}
}

// Learned is what workers have learnt of a receiver.
type Learned struct {
	Channel  string
	Receiver int32
	// Change makes of what was known what is known now, at the database's clock.
	Change func(r pace.Receiver, now time.Time) pace.Receiver
}

// LearnOfReceiver changes what is remembered of a receiver and returns it. Where that changes what a status shows, the channel
// is noted for another look.
func (db *DB) LearnOfReceiver(ctx context.Context, l Learned) (after pace.Receiver, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, ensurePaceSQL, l.Channel, []int32{l.Receiver}, nil, nil); err != nil {
			return err
		}
		var known storedPatience
		var now time.Time
		err := tx.QueryRow(ctx, `select `+patienceColumns+`, clock_timestamp() from pace where channel = $1 and receiver = $2 for no key update`,
			l.Channel, l.Receiver).Scan(append(known.targets(), &now)...)
		if err != nil {
			return err
		}
		before := known.receiver()
		if after = l.Change(before, now); after == before {
			return nil
		}
		var shown bool
		err = tx.QueryRow(ctx, `
			update pace set slowed = nullif($3::float8, 0), slowed_from = nullif($4::float8, 0), pauses = $5, backoff_until = $6, grown_at = $7,
				shown = shown or exists (select `+largeReceiver+` and c.receiver = $2),
				paused_until = case when $6::timestamptz > now() then greatest(paused_until, $6) else paused_until end
			where channel = $1 and receiver = $2 returning shown`,
			l.Channel, l.Receiver, float64(after.Slowed), float64(after.SlowedFrom), after.Pauses, orNull(after.Until), orNull(after.GrownAt)).Scan(&shown)
		if err != nil || !shown || (before.HeldBack() == after.HeldBack() && before.Until.Equal(after.Until)) {
			return err
		}
		return noteStatusChange(ctx, tx, ChannelKind, l.Channel)
	})
	if err != nil {
		return after, fmt.Errorf("record how a receiver takes the mail of channel %q: %w", l.Channel, err)
	}
	return after, nil
}

// orNull is null for a time that never was.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// largeReceiver finds the chunks c of open sends over channel $1 that hold rows of one receiver: as many as a chunk has, or
// more, have their mail there.
const largeReceiver = ` from send s join send_chunk c on c.send_id = s.id where s.channel = $1 and s.state = 'Sending' and c.receiver <> 0`

// LargeReceivers names the receivers for which the open sends of a channel have chunks of their own, the largest first, at
// most so many. So many people have their mail there that the name tells of nobody.
func (db *DB) LargeReceivers(ctx context.Context, channel string, most int) (map[int32]string, error) {
	rows, err := db.Pool.Query(ctx, `
		select r.id, r.name from (
			select c.receiver, count(*) n `+largeReceiver+`
			group by c.receiver order by n desc, c.receiver limit $2) large join receiver r on r.id = large.receiver`, channel, most)
	if err != nil {
		return nil, fmt.Errorf("name the large receivers of channel %q: %w", channel, err)
	}
	names := map[int32]string{}
	var id int32
	var name string
	if _, err := pgx.ForEachRow(rows, []any{&id, &name}, func() error { names[id] = name; return nil }); err != nil {
		return nil, fmt.Errorf("name the large receivers of channel %q: %w", channel, err)
	}
	return names, nil
}

// Throttling is what a status shows of a channel's pace.
type Throttling struct {
	// Receivers are the large ones that are held back, by name.
	Receivers []ThrottledReceiver
	// CappedUntil is when the next day begins, where the bound of this one is reached; nil where it is not.
	CappedUntil *time.Time
}

// ThrottledReceiver is a receiver that is held back.
type ThrottledReceiver struct {
	Name  string
	Until time.Time // nothing was offered before, at its last pause
}

// mostShown bounds a status.
const mostShown = 10

// LoadThrottling reads what a status shows of a channel's pace.
func (db *DB) LoadThrottling(ctx context.Context, channel string) (Throttling, error) {
	var t Throttling
	err := db.Pool.QueryRow(ctx, `select capped_until from pace where channel = $1 and receiver = 0 and capped_until > now()`, channel).Scan(&t.CappedUntil)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return Throttling{}, fmt.Errorf("read how channel %q is throttled: %w", channel, err)
	}
	rows, err := db.Pool.Query(ctx, `
		select r.name, p.backoff_until from pace p join receiver r on r.id = p.receiver
		where p.channel = $1 and p.slowed is not null and p.shown and p.backoff_until is not null
		order by r.name limit $2`, channel, mostShown)
	if err != nil {
		return Throttling{}, fmt.Errorf("read how channel %q is throttled: %w", channel, err)
	}
	if t.Receivers, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ThrottledReceiver]); err != nil {
		return Throttling{}, fmt.Errorf("read how channel %q is throttled: %w", channel, err)
	}
	return t, nil
}

// paceKept is how long what is remembered of a receiver outlives its last mail. A bucket is full by then, and whom a
// receiver was held back for is forgotten.
const paceKept = time.Hour

// SweepPace forgets receivers without mail, and bounds of days that have ended. Channels whose status this changes are noted
// for another look. Each statement locks rows of one kind, so that it cannot wait in a circle with those who take tokens.
func (db *DB) SweepPace(ctx context.Context) error {
	_, err := db.Pool.Exec(ctx, `
		with due as materialized (
			select channel from pace where receiver = 0 and capped_until <= now() order by channel for no key update skip locked
		), ended as (
			update pace p set capped_until = null from due where p.channel = due.channel and p.receiver = 0 returning p.channel
		)
		insert into status_change (kind, name) select $1, channel from ended order by channel
		on conflict (kind, name) do update set name = excluded.name`, ChannelKind)
	if err != nil {
		return fmt.Errorf("end the bounds of days: %w", err)
	}
	_, err = db.Pool.Exec(ctx, `
		with old as materialized (
			select channel, receiver from pace
			where receiver <> 0 and filled_at < now() - $1::interval and coalesce(greatest(backoff_until, grown_at) < now() - $1::interval, true)
			for update skip locked
		), gone as (
			delete from pace p using old where p.channel = old.channel and p.receiver = old.receiver returning p.channel, p.shown and p.slowed is not null shown
		)
		insert into status_change (kind, name) select distinct $2, channel from gone where shown order by channel
		on conflict (kind, name) do update set name = excluded.name`, paceKept, ChannelKind)
	if err != nil {
		return fmt.Errorf("forget what was remembered of receivers: %w", err)
	}
	return nil
}

// PutOffChunk keeps a chunk of several receivers, all of which wait, from being leased for a while. One that has been leased again
// since its lease gave it back is left alone. A chunk of one receiver, unless it is urgent, waits as long as the table pace says in
// any case.
func (db *DB) PutOffChunk(ctx context.Context, l Lease, urgent bool, wait time.Duration) error {
	_, err := db.Pool.Exec(ctx, `
		update send_chunk set next_at = greatest(next_at, now() + $4::interval)
		where send_id = $1 and chunk = $2 and epoch = $3 and leased_until is null and open and (receiver = 0 or $5)`,
		l.SendID, l.Chunk, l.Epoch, wait, urgent)
	if err != nil {
		return fmt.Errorf("put chunk %d of send %d off: %w", l.Chunk, l.SendID, err)
	}
	return nil
}
