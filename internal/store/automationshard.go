package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// shardOf is the shard in which what happens to a contact is handled.
func shardOf(contact int64) int16 { return int16(contact & 15) } //nolint:gosec // four bits

// putBackForeign puts events back of which it turned out whose they are, where another worker handles what else happens to these at this moment: what
// somebody does is handled by one after the other, so that nobody awaits what another one has just passed over.
func (w *walker) putBackForeign(ctx context.Context, list []*happening) error {
	foreign := map[int16][]*happening{}
	for _, h := range list {
		if h.known && h.contact != 0 && shardOf(h.contact) != h.shard {
			foreign[shardOf(h.contact)] = append(foreign[shardOf(h.contact)], h)
		}
	}
	if len(foreign) == 0 {
		return nil
	}
	rows, err := w.tx.Query(ctx, "select s from unnest($1::smallint[]) s where not pg_try_advisory_xact_lock(1902115851, s)",
		slices.Sorted(maps.Keys(foreign)))
	if err != nil {
		return fmt.Errorf("look who else handles events: %w", err)
	}
	taken, err := pgx.CollectRows(rows, pgx.RowTo[int16])
	if err != nil {
		return fmt.Errorf("look who else handles events: %w", err)
	}
	var back []*happening
	for _, shard := range taken {
		back = append(back, foreign[shard]...)
	}
	if len(back) == 0 {
		return nil
	}
	// Were there nothing else, it would be of no use to come again at once.
	w.counts.Events -= len(back)
	w.counts.Repeat = w.counts.Events > 0
	return w.putBack(ctx, back)
}

func (w *walker) putBack(ctx context.Context, back []*happening) error {
	watches, details, at := make([]int32, len(back)), make([]string, len(back)), make([]time.Time, len(back))
	contacts, refs, refs2, refs3 := make([]int64, len(back)), make([]int64, len(back)), make([]int64, len(back)), make([]int64, len(back))
	for i, h := range back {
		h.known = false
		watches[i], details[i], at[i] = h.watch, h.detail, h.notedAt
		contacts[i], refs[i], refs2[i], refs3[i] = h.contact, h.ref, h.ref2, h.ref3
	}
	_, err := w.tx.Exec(ctx, `
		insert into domain_event_queue (side, shard, watch_id, contact_id, ref, ref2, ref3, detail, at)
		select (select newest from domain_event_side), (q.contact_id & 15)::smallint, q.watch_id, q.contact_id, q.ref, nullif(q.ref2, 0), nullif(q.ref3, 0),
			nullif(q.detail, ''), q.at
		from unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::timestamptz[])
			q (watch_id, contact_id, ref, ref2, ref3, detail, at)`, watches, contacts, refs, refs2, refs3, details, at)
	if err != nil {
		return fmt.Errorf("put events back: %w", err)
	}
	return nil
}
