package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/monitor"
)

// stepCounts reads what was counted in steps from one time up to another, without the steps of which there is no row, and which of them
// somebody filled in.
func stepCounts(ctx context.Context, tx pgx.Tx, topic int64, from, to time.Time) (counts map[time.Time]monitor.Count, filled map[time.Time]bool, err error) {
	rows, err := tx.Query(ctx, `
		select step, coalesce(sum(mentions) filter (where source_id = 0), sum(mentions))::bigint,
			coalesce(sum(negatives) filter (where source_id = 0), sum(negatives))::bigint, coalesce(max(authors), 0), bool_or(source_id = 0)
		from monitor_tally where topic_id = $1 and step >= $2 and step < $3 group by step`, topic, from, to)
	if err != nil {
		return nil, nil, fmt.Errorf("read the counts: %w", err)
	}
	defer rows.Close()
	counts, filled = map[time.Time]monitor.Count{}, map[time.Time]bool{}
	for rows.Next() {
		var start time.Time
		var mentions, negatives, authors int64
		var isFilled bool
		if err := rows.Scan(&start, &mentions, &negatives, &authors, &isFilled); err != nil {
			return nil, nil, fmt.Errorf("read the counts: %w", err)
		}
		start = start.UTC()
		// Counts that do not agree with one another would stop the detector for good: what there is of them is taken.
		c := monitor.Count{Start: start, Mentions: int(min(max(mentions, 0), monitor.MaxCount))}
		c.Negatives = int(min(max(negatives, 0), int64(c.Mentions)))
		c.Authors = int(min(max(authors, 0), int64(c.Mentions)))
		counts[start], filled[start] = c, isFilled
	}
	if err := rows.Err(); err != nil {
		return nil, nil, fmt.Errorf("read the counts: %w", err)
	}
	return counts, filled, nil
}

// stepAuthors reads how many people wrote negative mentions in each step.
func stepAuthors(ctx context.Context, tx pgx.Tx, topic int64, from, to time.Time) (map[time.Time]int, error) {
	// One after the other in the order of the index: the mentions are looked up, however many the planner takes them for.
	rows, err := tx.Query(ctx, `
		select date_bin('5 minutes', o.created_at, 'epoch'), count(distinct coalesce(m.author_id, 0))
		from mention_topic o cross join lateral (
			select m.author_id from mention m where m.id = o.mention_id and m.label = 'negative' and m.forgotten_at is null offset 0) m
		where o.topic_id = $1 and o.created_at >= $2 and o.created_at < $3 group by 1`, topic, from, to)
	if err != nil {
		return nil, fmt.Errorf("count the authors: %w", err)
	}
	defer rows.Close()
	authors := map[time.Time]int{}
	for rows.Next() {
		var step time.Time
		var n int
		if err := rows.Scan(&step, &n); err != nil {
			return nil, fmt.Errorf("count the authors: %w", err)
		}
		authors[step.UTC()] = n
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count the authors: %w", err)
	}
	return authors, nil
}

// gapOf is how much of a step has to be missing for the step to be a gap: a connection that breaks and is made anew is none.
const gapOf = tallyStep / 2

// missedSteps finds the steps of which a source of the monitor could not bring everything.
func missedSteps(ctx context.Context, tx pgx.Tx, sources []string, from, to time.Time) (map[time.Time]bool, error) {
	rows, err := tx.Query(ctx, `
		select greatest(coalesce(g.from_at, g.to_at - $4::interval), $2), least(g.to_at, $3)
		from source_gap g join social_source s on s.id = g.source_id
		where g.to_at > $2 and coalesce(g.from_at, g.to_at - $4::interval) < $3 and (cardinality($1::text[]) = 0 or s.name = any ($1))`,
		sources, from, to, tallyStep)
	if err != nil {
		return nil, fmt.Errorf("read the gaps of sources: %w", err)
	}
	spans, err := pgx.CollectRows(rows, pgx.RowToStructByPos[monitor.Span])
	if err != nil {
		return nil, fmt.Errorf("read the gaps of sources: %w", err)
	}
	missed := map[time.Time]time.Duration{}
	for _, s := range spans {
		for step := s.From.UTC().Truncate(tallyStep); step.Before(s.To); step = step.Add(tallyStep) {
			first, last := step, step.Add(tallyStep)
			if s.From.After(first) {
				first = s.From
			}
			if s.To.Before(last) {
				last = s.To
			}
			missed[step] += last.Sub(first)
		}
	}
	gaps := map[time.Time]bool{}
	for step, length := range missed {
		gaps[step] = length >= gapOf
	}
	return gaps, nil
}

// loadCounts reads the counts of every step from one time up to another, oldest first. A step without mentions has zeros, and one that a
// source missed is left out, unless somebody filled in its counts. Authors are counted from a later time on.
func loadCounts(ctx context.Context, tx pgx.Tx, w *watched, from, to, authorsFrom time.Time) ([]monitor.Count, error) {
	if !from.Before(to) {
		return nil, nil
	}
	counted, filled, err := stepCounts(ctx, tx, w.topic, from, to)
	if err != nil {
		return nil, err
	}
	authors, err := stepAuthors(ctx, tx, w.topic, later(from, authorsFrom), to)
	if err != nil {
		return nil, err
	}
	missed, err := missedSteps(ctx, tx, w.sources, from, to)
	if err != nil {
		return nil, err
	}
	var counts []monitor.Count
	for step := from; step.Before(to); step = step.Add(tallyStep) {
		if missed[step] && !filled[step] {
			continue
		}
		c := counted[step]
		c.Start = step
		if !filled[step] {
			c.Authors = min(authors[step], c.Mentions)
		}
		counts = append(counts, c)
	}
	return counts, nil
}
