package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// segmentBench is a tenant with a hundred segments, on a server of its own.
type segmentBench struct {
	Settings
	*segmentWorld
	dir, url string
}

// What is asked of segments.
const (
	mostOfByHand = 1.3             // of the time of a statement written by hand, for a first build
	longestLag   = 2 * time.Second // of 99 % of the changes
	mostCores    = 1.0             // of the worker and PostgreSQL together
	mostMemory   = 150.0           // MiB of the worker
)

// measureSegments builds a hundred segments beside statements written by hand, follows changes that another process makes, and counts what
// a change touches with half of the people and with all of them.
func measureSegments(ctx context.Context, s Settings) (rows []Row, err error) {
	at, err := s.scratch(ctx, "segment-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, at.remove(ctx)) }()
	db, err := newDatabase(ctx, at.server, "segments")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	b := &segmentBench{Settings: s, segmentWorld: &segmentWorld{DB: db, now: time.Now()}, dir: at.dir, url: at.server.URL("segments")}
	b.cpu = b.databaseTime
	if err := b.prepareSegments(ctx); err != nil {
		return nil, err
	}
	return b.measure(ctx)
}

func (b *segmentBench) measure(ctx context.Context) ([]Row, error) {
	contacts := max(1, b.Rows/(2*peopleUnit)) * 2 * peopleUnit
	batches := batchesIn(b.Changes, b.Load)
	if batches*changeBatch > contacts/5 {
		return nil, fmt.Errorf("%d contacts are too few for %d changes: nobody may be changed twice", contacts, batches*changeBatch)
	}
	half, err := b.measureHalf(ctx, contacts/2)
	if err != nil {
		return nil, err
	}
	if err := b.invent(ctx, contacts/2, contacts); err != nil {
		return nil, err
	}
	if err := settle(ctx, b.DB); err != nil {
		return nil, err
	}
	bare, err := b.bareLoad(ctx, changePace{contacts, 0, batches, b.Changes})
	if err != nil {
		return nil, err
	}
	b.report("changes without a segment: PostgreSQL used %.2f cores", bare.cores(bare.database))
	builds, err := b.firstBuilds(ctx)
	if err != nil {
		return nil, err
	}
	if b.Plans != "" {
		if err := b.writePlans(ctx, builds); err != nil {
			return nil, err
		}
	}
	load, err := b.followLoad(ctx, changePace{contacts, batches, batches, b.Changes})
	if err != nil {
		return nil, err
	}
	b.report("changes with %d segments: PostgreSQL used %.2f cores, the worker %.2f", len(b.cases), load.cores(load.database), load.cores(load.worker.cpu))
	whole, err := b.touch(ctx, contacts, 2*batches)
	if err != nil {
		return nil, err
	}
	if err := b.compareAll(ctx); err != nil {
		return nil, err
	}
	return slices.Concat(b.buildRows(contacts, builds), b.loadRows(bare, load), touchRows(contacts, half, whole)), nil
}

// measureHalf counts what a change touches with half of the people, and then forgets the segments.
func (b *segmentBench) measureHalf(ctx context.Context, contacts int) (t touched, err error) {
	if err := b.invent(ctx, 0, contacts); err != nil {
		return t, err
	}
	for _, c := range b.cases {
		if err := b.define(ctx, c); err != nil {
			return t, err
		}
		if _, err := b.EvaluateSegment(ctx, c.name); err != nil {
			return t, err
		}
	}
	b.report("%d segments of half of the contacts", len(b.cases))
	if err := b.alone(ctx, []string{"vacuum (analyze)"}); err != nil {
		return t, err
	}
	if t, err = b.touch(ctx, contacts, 0); err != nil {
		return t, err
	}
	b.report("a change touches %.0f buffers and %.0f rows with %d contacts", t.buffers, t.rows, contacts)
	if err := b.forgetSegments(ctx); err != nil {
		return t, err
	}
	// Who has done something for the first time has to be able to do so again.
	_, err = b.Pool.Exec(ctx, "delete from event where source = $1", changeSource)
	return t, err
}

// compareAll compares every membership that followed changes with the statement written by hand.
func (w *segmentWorld) compareAll(ctx context.Context) error {
	for _, c := range w.cases {
		var differ int64
		err := w.Pool.QueryRow(ctx, `
			with hand (id) as materialized (`+c.byHand+`), ours as (
				select m.contact_id id from segment_member m join segment g on g.id = m.segment_id and g.name = $1)
			select (select count(*) from (table hand except all table ours) q) +
				 (select count(*) from (table ours except all table hand) q)`, c.name).Scan(&differ)
		if err != nil {
			return fmt.Errorf("compare segment %s: %w", c.name, err)
		}
		if differ > 0 {
			return fmt.Errorf("segment %s: after the changes %d contacts are not where the statement written by hand has them", c.name, differ)
		}
	}
	w.report("every membership is what the statement written by hand says")
	return nil
}

// databaseTime is the CPU time that PostgreSQL has used.
func (b *segmentBench) databaseTime() (time.Duration, error) {
	return serverTime(filepath.Join(b.dir, "postgres"))
}

// buildRows tell of first builds: the one in the middle, and the worst.
func (b *segmentBench) buildRows(contacts int, builds []firstBuild) []Row {
	byFactor := slices.SortedFunc(slices.Values(builds), func(a, b firstBuild) int { return cmp.Compare(a.factor(), b.factor()) })
	middle, worst := byFactor[len(byFactor)/2], byFactor[len(byFactor)-1]
	row := func(name string, f firstBuild) Row { return Time(name, "s", f.ours.Seconds(), f.hand.Seconds()) }
	median, last := row("segment/build", middle), row("segment/build-worst", worst)
	var ours, hand time.Duration
	within := 0
	for _, f := range builds {
		ours, hand = ours+f.ours, hand+f.hand
		if f.factor() <= mostOfByHand {
			within++
		}
	}
	median.Note = fmt.Sprintf("first build of the segment in the middle of %d (%s, %d members) over %d contacts and %d events; bound: a statement "+
		"written by hand for the same question that writes the same membership into the same table; %.2f of its time (the median of "+
		"PostgreSQL's CPU time: %.2f), wanted: %.1f; %d of %d are within that; all together %.0f s and %.0f s",
		len(builds), middle.name, middle.members, contacts, contacts*eventsEach, middle.factor(),
		middleOfCPU(builds), mostOfByHand, within, len(builds), ours.Seconds(), hand.Seconds())
	var worse []string
	for _, f := range slices.Backward(byFactor[max(0, len(byFactor)-8):]) {
		worse = append(worse, fmt.Sprintf("%s %.1f (%.1f s)", f.name, f.factor(), f.ours.Seconds()))
	}
	last.Note = fmt.Sprintf("%s: `%s`; the worst, as multiples of the time of the statement written by hand: %s",
		worst.name, worst.match, strings.Join(worse, ", "))
	return []Row{median, last}
}

// loadRows tell of changes that were followed.
func (b *segmentBench) loadRows(bare, load followedLoad) []Row {
	lag := Time("segment/lag", "s", percentile(load.lags, 99).Seconds(), longestLag.Seconds())
	lag.Note = fmt.Sprintf("from a change until its membership was seen, 99 %% of %d; bound: what is wanted; half of them within %.2f s, all within %.2f s; "+
		"%d changes in transactions of %d by another process in %.1f s (wanted: %d a second), at most %.0f ms late; "+
		"everything was followed %.1f s after the last; %d moves",
		len(load.lags), percentile(load.lags, 50).Seconds(), percentile(load.lags, 100).Seconds(),
		batchesIn(b.Changes, b.Load)*changeBatch, changeBatch, load.made.Took.Seconds(), b.Changes, milliseconds(load.made.Late),
		load.rest.Seconds(), load.moves)
	used := load.cores(load.worker.cpu + load.database)
	cores := Time("segment/cores", "cores", used, mostCores)
	cores.CPUSeconds = load.worker.cpu.Seconds()
	cores.Note = fmt.Sprintf("processors that the worker (%.3f) and PostgreSQL (%.3f) used while %d segments followed the changes; "+
		"bound: what is wanted; PostgreSQL used %.3f for the same changes without any segment",
		load.cores(load.worker.cpu), load.cores(load.database), len(b.cases),
		bare.cores(bare.database))
	memory := Time("segment/memory", "MiB", float64(load.worker.peakRSS)/(1<<20), mostMemory)
	memory.PeakRSSMB = memory.Value
	memory.Note = "of the worker at most; bound: what is wanted"
	return []Row{lag, cores, memory}
}

// touchRows tell what a change touches.
func touchRows(contacts int, half, whole touched) []Row {
	buffers := Time("segment/buffers", "buffers", whole.buffers, half.buffers)
	buffers.Note = fmt.Sprintf("pages touched for a change with %d contacts; bound: with half of them, in the same run; "+
		"wanted: at most 1.15 times as many; %.2f moves for a change and %.2f",
		contacts, whole.moves, half.moves)
	rows := Time("segment/rows", "rows", whole.rows, half.rows)
	rows.Note = "rows and entries of indexes read and rows written for a change; bound: with half of the contacts"
	return []Row{buffers, rows}
}
