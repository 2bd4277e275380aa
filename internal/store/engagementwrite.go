package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/engagement"
)

// EngagementBatch is what was done with messages, to be written at once.
type EngagementBatch struct {
	// Flusher names the process that writes, and Number counts its batches from 1: a batch that is written again, because nobody
	// knows whether its commit came through, counts once.
	Flusher string
	Number  int64
	Events  []engagement.Judged
	// Campaigns are the names of the sends' campaigns, whose status changes.
	Campaigns map[int64]string
}

// engagementLock is the advisory lock under which counts are read and written: processes take turns, each for some milliseconds.
// Its number means nothing beyond being ours.
const engagementLock = 7_302_115_847

// WriteEngagement appends events and counts them, in one transaction.
func (db *DB) WriteEngagement(ctx context.Context, b EngagementBatch) error {
	if len(b.Events) == 0 {
		return nil
	}
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		first, err := markFlush(ctx, tx, b)
		if err != nil || !first {
			return err
		}
		if err := appendEngagement(ctx, tx, b.Events); err != nil {
			return err
		}
		known, err := lockBlocks(ctx, tx, engagement.PlanBlocks(b.Events))
		if err != nil {
			return err
		}
		return writeCounting(ctx, tx, engagement.PlanCounting(b.Events, known), b.Campaigns)
	})
	if err != nil {
		return fmt.Errorf("write what was done with messages: %w", err)
	}
	return nil
}

// markFlush tells whether a batch is written for the first time.
func markFlush(ctx context.Context, tx pgx.Tx, b EngagementBatch) (bool, error) {
	tag, err := tx.Exec(ctx, `
		insert into engagement_flush (flusher, number) values ($1, $2)
		on conflict (flusher) do update set number = excluded.number, written_at = now() where engagement_flush.number < excluded.number`,
		b.Flusher, b.Number)
	return tag.RowsAffected() > 0, err
}

// appendEngagement copies events in the binary format, written by hand: at tens of thousands a second a value's way through an
// interface is most of the work.
func appendEngagement(ctx context.Context, tx pgx.Tx, events []engagement.Judged) error {
	_, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(encodeEngagement(events)),
		"copy engagement (at, send_id, seq, what, link_id, reason) from stdin binary")
	return err
}

// copySignature begins every binary COPY; no flags and no further header follow.
const copySignature = "PGCOPY\n\377\r\n\000" + "\000\000\000\000" + "\000\000\000\000"

const (
	engagementColumns = 6
	engagementSize    = 80 // of a row, about
)

// postgresEpoch is the moment from which PostgreSQL counts microseconds.
var postgresEpoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

func encodeEngagement(events []engagement.Judged) []byte {
	b := make([]byte, 0, len(copySignature)+len(events)*engagementSize+2)
	b = append(b, copySignature...)
	for i := range events {
		e := &events[i]
		b = binary.BigEndian.AppendUint16(b, engagementColumns)
		b = appendInt(b, e.At/int64(time.Microsecond)-postgresEpoch)
		b = appendInt(b, e.Send)
		b = appendInt(b, e.Seq)
		b = appendText(b, string(e.What))
		if e.Kind == engagement.Click {
			b = appendInt(b, e.Link)
		} else {
			b = appendNull(b)
		}
		if e.Reason != "" {
			b = appendText(b, string(e.Reason))
		} else {
			b = appendNull(b)
		}
	}
	return binary.BigEndian.AppendUint16(b, 0xffff)
}

func appendInt(b []byte, v int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, 8), uint64(v))
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

func appendNull(b []byte) []byte { return binary.BigEndian.AppendUint32(b, 0xffffffff) }

// lockBlocks makes other processes wait and reads who has done what already.
func lockBlocks(ctx context.Context, tx pgx.Tx, blocks []engagement.Block) (map[engagement.Block][]byte, error) {
	sends, numbers, whats := blockColumns(blocks)
	known := make(map[engagement.Block][]byte, len(blocks))
	var queue pgx.Batch
	queue.Queue("select pg_advisory_xact_lock($1)", int64(engagementLock))
	queue.Queue(`
		select s.send_id, s.block, s.what, s.seen
		from unnest($1::bigint[], $2::int[], $3::text[]) b (send_id, block, what) join engagement_seen s using (send_id, block, what)`,
		sends, numbers, whats).Query(func(rows pgx.Rows) error {
		var block engagement.Block
		var seen []byte
		_, err := pgx.ForEachRow(rows, []any{&block.Send, &block.Block, &block.What, &seen}, func() error {
			known[block] = slices.Clone(seen)
			return nil
		})
		return err
	})
	return known, tx.SendBatch(ctx, &queue).Close()
}

func blockColumns(blocks []engagement.Block) (sends []int64, numbers []int32, whats []string) {
	for _, b := range blocks {
		sends, numbers, whats = append(sends, b.Send), append(numbers, b.Block), append(whats, string(b.What))
	}
	return sends, numbers, whats
}

func writeCounting(ctx context.Context, tx pgx.Tx, c engagement.Counting, campaigns map[int64]string) error {
	var queue pgx.Batch
	blocks := slices.SortedFunc(maps.Keys(c.Blocks), engagement.Block.Compare)
	if len(blocks) > 0 {
		sends, numbers, whats := blockColumns(blocks)
		seen := make([][]byte, len(blocks))
		for i, b := range blocks {
			seen[i] = c.Blocks[b]
		}
		queue.Queue(`
			insert into engagement_seen (send_id, block, what, seen)
			select * from unnest($1::bigint[], $2::int[], $3::text[], $4::bytea[])
			on conflict (send_id, block, what) do update set seen = excluded.seen`, sends, numbers, whats, seen)
	}
	changed := map[string]bool{}
	for tally, growth := range c.Tallies {
		queue.Queue(`
			insert into engagement_tally (send_id, variant, what, people, total) values ($1, $2, $3, $4, $5)
			on conflict (send_id, variant, what) do update
				set people = engagement_tally.people + excluded.people, total = engagement_tally.total + excluded.total`,
			tally.Send, tally.Variant, string(tally.What), growth.People, growth.Total)
		if name := campaigns[tally.Send]; growth.People > 0 && name != "" {
			changed[name] = true
		}
	}
	if err := tx.SendBatch(ctx, &queue).Close(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		if err := noteStatusChange(ctx, tx, CampaignKind, name); err != nil {
			return err
		}
	}
	return nil
}
