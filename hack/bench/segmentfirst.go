package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// firstBuild is what the first build of a segment took, and what the statement written by hand.
type firstBuild struct {
	segmentCase
	members          int64
	ours, hand       time.Duration
	oursCPU, handCPU time.Duration // of PostgreSQL
}

// factor is how much longer ours took.
func (b firstBuild) factor() float64 { return quotient(b.ours.Seconds(), b.hand.Seconds()) }

// middleOfCPU is the factor of CPU times in the middle, of the segments that took long enough to be measured so: other work on the
// machine does not count.
func middleOfCPU(builds []firstBuild) float64 {
	var factors []float64
	for _, b := range builds {
		if b.handCPU >= 20*clockTick {
			factors = append(factors, quotient(b.oursCPU.Seconds(), b.handCPU.Seconds()))
		}
	}
	if len(factors) == 0 {
		return 0
	}
	slices.Sort(factors)
	return factors[len(factors)/2]
}

// handSegment is the segment whose membership the statements written by hand write: a row like any other, into the same table with
// the same indexes and constraints.
const handSegment = "by-hand"

// firstBuilds brings every segment into force and builds it for the first time, and by turns writes the same membership by hand, in one run over the same
// data: the odd ones first this way and then that, the even ones the other way round. Both memberships must be the same.
func (w *segmentWorld) firstBuilds(ctx context.Context) ([]firstBuild, error) {
	hand, err := w.newHandSegment(ctx)
	if err != nil {
		return nil, err
	}
	builds := make([]firstBuild, 0, len(w.cases))
	var spent time.Duration
	for i, c := range w.cases {
		if err := w.define(ctx, c); err != nil {
			return nil, err
		}
		b := firstBuild{segmentCase: c}
		for attempt := 0; ; attempt++ {
			same, err := w.buildBoth(ctx, hand, i%2 == 1, &b)
			if err != nil {
				return nil, fmt.Errorf("segment %s: %w", c.name, err)
			}
			if same {
				break
			}
			// A day may have begun between the two, once.
			if attempt > 0 {
				return nil, fmt.Errorf("segment %s has other members than the statement written by hand", c.name)
			}
		}
		builds = append(builds, b)
		spent += b.ours + b.hand
		if i%10 == 9 {
			if err := w.alone(ctx, []string{"vacuum (analyze) segment_member"}); err != nil {
				return nil, err
			}
			w.report("%d segments, %.0f s", i+1, spent.Seconds())
		}
	}
	return builds, w.forgetHandSegment(ctx, hand)
}

// newHandSegment makes a segment that nobody follows.
func (w *segmentWorld) newHandSegment(ctx context.Context) (id int64, err error) {
	err = w.Pool.QueryRow(ctx, `
		insert into segment (name, match, digest, predicate, arguments, suspended, follows)
		values ($1, 'false', 'hand', 'false', '[]', true, '{"watches": [], "boundaries": []}')
		returning id`, handSegment).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("make the segment of who writes by hand: %w", err)
	}
	return id, nil
}

func (w *segmentWorld) forgetHandSegment(ctx context.Context, id int64) error {
	return w.alone(ctx, []string{fmt.Sprintf("delete from segment where id = %d", id), "vacuum (analyze)"})
}

// buildBoth builds a segment both ways, compares, and takes away what was written by hand.
func (w *segmentWorld) buildBoth(ctx context.Context, hand int64, handFirst bool, b *firstBuild) (same bool, err error) {
	// Whoever comes second would find everything in memory.
	if _, err := w.Pool.Exec(ctx, "select count(*) from ("+b.byHand+") q"); err != nil {
		return false, err
	}
	if err := w.forgetMembership(ctx, b.name); err != nil {
		return false, err
	}
	steps := []func() error{
		func() (err error) {
			b.oursCPU, err = w.used(func() (err error) { b.ours, b.members, err = w.buildOurs(ctx, b.name); return err })
			return err
		},
		func() (err error) {
			b.handCPU, err = w.used(func() (err error) { b.hand, err = w.buildByHand(ctx, hand, b.byHand); return err })
			return err
		},
	}
	if handFirst {
		steps[0], steps[1] = steps[1], steps[0]
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return false, err
		}
	}
	err = w.Pool.QueryRow(ctx, `
		with hand as (select contact_id from segment_member where segment_id = $1),
			ours as (select contact_id from segment_member where segment_id = (select id from segment where name = $2))
		select not exists (table ours except table hand) and not exists (table hand except table ours)`,
		hand, b.name).Scan(&same)
	if err != nil {
		return false, fmt.Errorf("compare the memberships: %w", err)
	}
	_, err = w.Pool.Exec(ctx, "delete from segment_member where segment_id = $1", hand)
	return same, err
}

// used is the CPU time of PostgreSQL that f takes, where that can be known.
func (w *segmentWorld) used(f func() error) (time.Duration, error) {
	if w.cpu == nil {
		return 0, f()
	}
	before, err := w.cpu()
	if err != nil {
		return 0, err
	}
	if err := f(); err != nil {
		return 0, err
	}
	after, err := w.cpu()
	return after - before, err
}

// forgetMembership makes the next build of a segment its first. Without a build it has none to forget.
func (w *segmentWorld) forgetMembership(ctx context.Context, name string) error {
	var built bool
	if err := w.Pool.QueryRow(ctx, "select built_digest is not null from segment where name = $1", name).Scan(&built); err != nil || !built {
		return err
	}
	for _, statement := range []string{
		"delete from segment_member where segment_id = (select id from segment where name = $1)",
		"delete from segment_tally where segment_id = (select id from segment where name = $1)",
		"update segment set built_digest = null, built_at = null, refresh_asked_at = now() where name = $1",
	} {
		if _, err := w.Pool.Exec(ctx, statement, name); err != nil {
			return err
		}
	}
	return nil
}

// buildOurs builds a segment as a worker does.
func (w *segmentWorld) buildOurs(ctx context.Context, name string) (took time.Duration, members int64, err error) {
	began := time.Now()
	result, err := w.BuildSegment(ctx, name, time.Hour)
	took = time.Since(began)
	if err != nil {
		return 0, 0, err
	}
	if result == nil {
		return 0, 0, errors.New("it was not due to be built")
	}
	return took, result.Members, nil
}

// buildByHand writes a membership by a statement written by hand.
func (w *segmentWorld) buildByHand(ctx context.Context, hand int64, query string) (time.Duration, error) {
	began := time.Now()
	err := w.InTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, fmt.Sprintf(insertByHand, hand, query), pgx.QueryExecModeExec)
		return err
	})
	return time.Since(began), err
}

// insertByHand writes a membership: of a segment, by a query.
const insertByHand = "insert into segment_member (segment_id, contact_id, reason)\nselect %d, q.id, 'Definition' from (\n%s\n) q (id)"
