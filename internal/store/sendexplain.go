package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/explain"
)

// workerSilence is when a worker that has said nothing counts as gone.
const workerSilence = 3 * ProcessInterval

// ExplainFacts gathers what is known of a campaign's send, for the question why it is not being sent: of the occurrence that
// is under way, else of the declaration, else of the last send. It returns ErrNotFound when the campaign never declared one.
func (db *DB) ExplainFacts(ctx context.Context, name string) (explain.Facts, error) {
	f := explain.Facts{Campaign: name}
	err := pgx.BeginTxFunc(ctx, db.Pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		id, err := explainSend(ctx, tx, &f)
		if err != nil {
			return err
		}
		if err := explainParts(ctx, tx, id, &f); err != nil {
			return err
		}
		return explainChunks(ctx, tx, id, &f)
	})
	if errors.Is(err, ErrNotFound) {
		return f, ErrNotFound
	}
	if err != nil {
		return f, fmt.Errorf("gather what is known of campaign %q: %w", name, err)
	}
	throttling, err := db.LoadThrottling(ctx, f.Channel.Name)
	if err != nil {
		return f, err
	}
	f.CappedUntil = throttling.CappedUntil
	for _, r := range throttling.Receivers {
		f.Throttled = append(f.Throttled, explain.Receiver{Name: r.Name, Until: r.Until})
	}
	last, pause, err := db.LastCommands(ctx, f.SendKey)
	if err != nil {
		return f, err
	}
	if pause != nil {
		f.Pause = &explain.Command{By: pause.By, Reason: pause.Reason, Until: pause.Until}
	}
	if last != nil && last.Verb == campaign.Abort {
		f.Abort = &explain.Command{By: last.By, Reason: last.Reason}
	}
	return f, nil
}

// explainSend reads the send's own row and what holds for the whole tenant.
func explainSend(ctx context.Context, tx pgx.Tx, f *explain.Facts) (id int64, err error) {
	var tally map[string]int64
	err = tx.QueryRow(ctx, `
		select s.id, s.send_key, s.occurrence, s.state, coalesce(s.message, ''), s.starts_at, s.deadline, s.ends_at, s.suspended, s.dormant_since,
			`+sendHeld+`, `+sendPermitted+`, exists (select from quarantine where closed_at is null), tenant.suspended,
			pg_is_in_recovery() or (select setting::boolean from pg_settings where name = 'default_transaction_read_only'),
			(select count(*) from process where kind = $2 and seen_at > now() - $3::interval),
			s.channel, case when ch.name is null or ch.dormant_since is not null then $4 when ch.suspended then $5 else $6 end, coalesce(ch.trouble, ''),
			coalesce((ch.rate ->> 'perSecond')::int, 0), put_off.code,
			coalesce((select jsonb_object_agg(t.outcome, t.n) from (select outcome, sum(n) n from send_tally where send_id = s.id group by outcome) t), '{}')
		from send s cross join tenant left join channel ch on ch.name = s.channel
			left join lateral (`+waitingSQL+`) put_off on s.state = 'Sending'
		where s.campaign = $1
		order by s.dormant_since desc nulls first, s.state in ('Freezing', 'Sending', 'Held') desc, s.cron is not null desc, s.id desc limit 1`,
		f.Campaign, WorkerProcess, workerSilence, explain.Missing, explain.Suspended, explain.InForce).Scan(
		&id, &f.SendKey, &f.Occurrence, &f.State, &f.Message, &f.StartsAt, &f.Deadline, &f.EndsAt, &f.Suspended, &f.DormantSince,
		&f.HeldBack, &f.Permitted, &f.Quarantined, &f.TenantSuspended, &f.ReadOnly, &f.Workers,
		&f.Channel.Name, &f.Channel.State, &f.Trouble, &f.PerSecond, &f.Code, &tally)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, ErrNotFound
	}
	var s SendStatus
	s.count(tally)
	f.Counts = s.Counts
	return id, err
}

// waitingSQL finds the message of a send s that waits longest for its moment: with the enhanced status code of the far end
// that put it off, "" where it gave none, and null where no far end did. The rest of a reply may name the recipient.
const waitingSQL = `
	select case when l.attempts > 0 then coalesce(substring(l.reply from '^(?:4[0-9][0-9][ -])?(4\.[0-9]{1,3}\.[0-9]{1,3})'), '') end code
	from (select first_seq, last_seq from send_chunk where send_id = s.id and open and next_at > now() and next_at < 'infinity'
			order by next_at limit 1) waiting
		join ledger l on l.send_id = s.id and l.seq between waiting.first_seq and waiting.last_seq
	where l.state = 'pending' and l.not_before > now()
	order by l.not_before, l.seq limit 1`

// explainParts reads which templates and segments of a send are not in force.
func explainParts(ctx context.Context, tx pgx.Tx, id int64, f *explain.Facts) error {
	rows, err := tx.Query(ctx, `
		select true, v.value ->> 'template', case when t.name is null or t.dormant_since is not null then $2 else $3 end
		from send s cross join jsonb_array_elements(s.variants) v left join template t on t.name = v.value ->> 'template'
		where s.id = $1 and (t.name is null or t.suspended or t.dormant_since is not null)
		union
		select false, n.name, case when g.name is null or g.dormant_since is not null then $2 else $4 end
		from send s cross join unnest(s.segments || s.exclude) as n (name) left join segment g on g.name = n.name
		where s.id = $1 and (g.name is null or g.dormant_since is not null or g.built_digest is distinct from g.digest)
		order by 1, 2`, id, explain.Missing, explain.Suspended, explain.Unbuilt)
	if err != nil {
		return err
	}
	var template bool
	var p explain.Part
	_, err = pgx.ForEachRow(rows, []any{&template, &p.Name, &p.State}, func() error {
		if template {
			f.Templates = append(f.Templates, p)
		} else {
			f.Segments = append(f.Segments, p)
		}
		return nil
	})
	return err
}

// explainChunks counts the open chunks of a send by what becomes of them next.
func explainChunks(ctx context.Context, tx pgx.Tx, id int64, f *explain.Facts) error {
	var next *time.Time
	err := tx.QueryRow(ctx, `
		select count(*), count(*) filter (where leased), count(*) filter (where free), count(*) filter (where lost),
			count(*) filter (where staged), count(*) filter (where paused), min(next_at) filter (where next_at > now() and not leased and next_at < 'infinity')
		from (
			select c.next_at, coalesce(c.leased_until > now(), false) leased,
				`+chunkFree+` or s.publication is not null and c.next_at <= now() free,
				c.owner is not null and coalesce(c.leased_until <= now(), true) lost,
				c.stage > 0 and s.winner is null staged,
				exists (select from pace p where p.channel = s.channel and p.receiver = c.receiver and p.paused_until > now()) paused
			from send s join send_chunk c on c.send_id = s.id where s.id = $1 and c.open) c`, id).Scan(
		&f.Chunks.Open, &f.Chunks.Leased, &f.Chunks.Free, &f.Chunks.Lost, &f.Chunks.Staged, &f.Chunks.Paused, &next)
	f.Chunks.NextAt = next
	return err
}
