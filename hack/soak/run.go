package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/tertulia-crm/tertulia/internal/crash"
)

// job is one run of a scenario.
type job struct {
	scenario crash.Scenario
	seed     uint64
}

// queue holds the runs that are to be made, those of one kind in their order.
type queue struct {
	mu             sync.Mutex
	plain, cluster []job
}

// take gives the next run. Only one lane takes those with a cluster, which they share.
func (q *queue) take(withCluster bool) (job, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	from := &q.plain
	if withCluster && len(q.cluster) > 0 {
		from = &q.cluster
	}
	if len(*from) == 0 {
		return job{}, false
	}
	next := (*from)[0]
	*from = (*from)[1:]
	return next, true
}

// runAll runs every scenario with every seed. What does not hold stops nothing.
func runAll(ctx context.Context, o options, progress *os.File) ([]*crash.Result, error) {
	suite, err := crash.NewSuite(ctx)
	if err != nil {
		return nil, err
	}
	q := &queue{}
	for _, seed := range o.seeds {
		for _, s := range o.scenarios {
			if s.Cluster {
				q.cluster = append(q.cluster, job{s, seed})
			} else {
				q.plain = append(q.plain, job{s, seed})
			}
		}
	}
	show := newNarrator(progress, len(q.plain)+len(q.cluster))
	var mu sync.Mutex
	var results []*crash.Result
	var lanes errgroup.Group
	for lane := range o.parallel {
		lanes.Go(func() error {
			for {
				next, ok := q.take(lane == 0)
				if !ok || ctx.Err() != nil {
					return ctx.Err()
				}
				r := suite.Run(ctx, next.scenario, crash.Parameters{Size: o.size, Seed: next.seed})
				mu.Lock()
				results = append(results, r)
				show.tell(r)
				mu.Unlock()
			}
		})
	}
	err = lanes.Wait()
	show.end()
	if closed := suite.Close(); err == nil {
		err = closed
	}
	return results, err
}

// narrator tells what comes of each run, under a bar where somebody watches.
type narrator struct {
	out   io.Writer
	bar   *progressbar.ProgressBar
	began time.Time
}

func newNarrator(out *os.File, runs int) *narrator {
	n := &narrator{out: out, began: time.Now()}
	drawn := io.Discard
	if term.IsTerminal(int(out.Fd())) {
		drawn = out
	}
	n.bar = progressbar.NewOptions(runs, progressbar.OptionSetWriter(drawn), progressbar.OptionSetDescription("runs"), progressbar.OptionShowCount(),
		progressbar.OptionSetWidth(40), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish())
	_ = n.bar.RenderBlank() // a bar that cannot be drawn stops nothing
	return n
}

func (n *narrator) tell(r *crash.Result) {
	verdict := fmt.Sprintf("held: received %d, sent %d, ambiguous %d of at most %d", r.Received, r.Sent, r.Ambiguous, r.Bound)
	if !r.Held() {
		verdict = "BROKEN: " + r.Trouble[0]
	}
	_ = n.bar.Clear()
	since := time.Since(n.began)
	fmt.Fprintf(n.out, "%3d:%02d  %-24s seed %d  %s (%.0f s)\n", int(since.Minutes()), int(since.Seconds())%60, r.Scenario, r.Seed, verdict, r.Seconds)
	_ = n.bar.Add(1)
}

func (n *narrator) end() { _ = n.bar.Finish() }
