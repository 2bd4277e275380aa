package store

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/monitor"
)

// maxFilled is how many steps counts may be filled in for at once: six years.
const maxFilled = 6 * 366 * 288

// Backfilled is what was filled in.
type Backfilled struct {
	Topic   string
	Steps   int // of five minutes
	Skipped int // that had not ended when the topic was declared: from then on mentions are counted
	From    time.Time
	To      time.Time
}

// BackfillCounts fills in counts of the past for a topic; "" is the only one of the brand. They stand for whatever was counted of mentions in
// these steps, and for what was filled in before. Lines of more than five minutes are spread over their steps as chance would. What is usual is
// learned anew from them. The error is a *QueryError where it cannot be done as it was asked.
func (db *DB) BackfillCounts(ctx context.Context, name, topic string, h *monitor.History) (done Backfilled, err error) {
	a, err := db.askMonitor(ctx, name, topic, BrandTopic)
	if err != nil {
		return done, err
	}
	if len(a.topics) != 1 {
		return done, queryErrorf("monitor %q has %d topics of role Brand: name the topic", name, len(a.topics))
	}
	counts := spread(h)
	if len(counts) == 0 {
		return done, queryErrorf("there are no counts to fill in")
	}
	if len(counts) > maxFilled {
		return done, queryErrorf("%d steps of five minutes: fill in at most %d at once", len(counts), maxFilled)
	}
	id := a.topics[0].ID
	done.Topic = a.topics[0].Name
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		var live time.Time
		// The topic is locked as those do who evaluate it: history changes between two evaluations.
		if _, err := tx.Exec(ctx, "insert into monitor_detector (topic_id) values ($1) on conflict do nothing", id); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, "select t.live_from from topic t join monitor_detector d on d.topic_id = t.id where t.id = $1 for update of d", id).Scan(&live)
		if err != nil {
			return err
		}
		kept := counts[:0:0]
		for _, c := range counts {
			if !c.Start.Add(tallyStep).After(live) {
				kept = append(kept, c)
			}
		}
		done.Steps, done.Skipped = len(kept), len(counts)-len(kept)
		if len(kept) == 0 {
			return nil
		}
		done.From, done.To = kept[0].Start, kept[len(kept)-1].Start.Add(tallyStep)
		if err := fill(ctx, tx, id, kept); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "update monitor_detector set relearn = true where topic_id = $1", id)
		return err
	})
	if err != nil {
		return Backfilled{}, fmt.Errorf("fill in counts of topic %q of monitor %q: %w", done.Topic, name, err)
	}
	return done, nil
}

// filledAtOnce is how many steps one statement writes.
const filledAtOnce = 10_000

func fill(ctx context.Context, tx pgx.Tx, topic int64, counts []monitor.Count) error {
	for len(counts) > 0 {
		part := counts[:min(len(counts), filledAtOnce)]
		counts = counts[len(part):]
		var steps []time.Time
		var mentions, negatives, authors []int64
		for _, c := range part {
			steps, mentions = append(steps, c.Start), append(mentions, int64(c.Mentions))
			negatives, authors = append(negatives, int64(c.Negatives)), append(authors, int64(c.Authors))
		}
		_, err := tx.Exec(ctx, `
			insert into monitor_tally (topic_id, source_id, step, mentions, negatives, authors)
			select $1, 0, c.* from unnest($2::timestamptz[], $3::bigint[], $4::bigint[], $5::int[]) c
			on conflict (topic_id, source_id, step) do update set mentions = excluded.mentions, negatives = excluded.negatives, authors = excluded.authors`,
			topic, steps, mentions, negatives, authors)
		if err != nil {
			return err
		}
	}
	return nil
}

// spread brings counts into steps of five minutes. Each mention of a longer line falls into one of its steps, by a chance that is the same each
// time: counts that were shared out evenly would make people seem to talk like clocks.
func spread(h *monitor.History) (counts []monitor.Count) {
	parts := int(h.Step / tallyStep)
	if parts <= 1 {
		for _, c := range h.Counts {
			c.Start = c.Start.UTC().Truncate(tallyStep)
			if n := len(counts); n == 0 || c.Start.After(counts[n-1].Start) {
				counts = append(counts, c)
			}
		}
		return counts
	}
	for _, c := range h.Counts {
		seed := fnv.New64a()
		fmt.Fprint(seed, c.Start.Unix())
		r := rand.New(rand.NewPCG(seed.Sum64(), uint64(c.Mentions)))
		start := c.Start.UTC().Truncate(tallyStep)
		some := make([]monitor.Count, parts)
		share(r, c.Negatives, parts, func(i, n int) { some[i].Negatives = n })
		share(r, c.Mentions-c.Negatives, parts, func(i, n int) { some[i].Mentions = n + some[i].Negatives })
		for i := range some {
			some[i].Start = start.Add(time.Duration(i) * tallyStep)
			some[i].Authors = min(c.Authors, some[i].Mentions)
		}
		counts = append(counts, some...)
	}
	return counts
}

// share throws n things into parts. Many are thrown in bundles: it takes the time of some thousand throws at most.
func share(r *rand.Rand, n, parts int, to func(i, n int)) {
	const throws = 5000
	counts := make([]int, parts)
	for i := range counts {
		counts[i] = max(n-throws, 0) / parts
	}
	rest := n - parts*counts[0]
	for range rest {
		counts[r.IntN(parts)]++
	}
	for i, count := range counts {
		to(i, count)
	}
}
