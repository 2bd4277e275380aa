package crash

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// kills is how often a worker is killed in a scenario that kills again and again.
const kills = 3

var workerScenarios = []Scenario{
	{
		Name: "worker-killed", Done: "kill -9 of the only worker, three times at random; another takes its place each time",
		Allows: Allowance{WorkerDeaths: kills}, run: killAgainAndAgain,
	},
	{
		Name: "one-of-two-killed", Done: "two workers send, and one of them is killed (kill -9) and stays away",
		Allows: Allowance{WorkerDeaths: 1}, run: killOneOf(2),
	},
	{
		Name: "one-of-four-killed", Done: "four workers send, and one of them is killed (kill -9) and stays away",
		Allows: Allowance{WorkerDeaths: 1}, run: killOneOf(4),
	},
	{
		Name: "worker-stopped", Done: "one of two workers is stopped (SIGSTOP) until the other has taken it for dead and sent the rest, then goes on",
		Allows: Allowance{WorkerDeaths: 1}, run: stopPastLease,
	},
	{
		Name: "worker-terminated", Done: "SIGTERM to the only worker, three times at random; another takes its place each time",
		run: terminateAgainAndAgain,
	},
}

func killAgainAndAgain(ctx context.Context, w *world) error {
	workers, err := w.begin(ctx, 1)
	if err != nil {
		return err
	}
	worker := workers[0]
	for _, share := range w.shares(kills) {
		err := w.disturb(ctx, share, func() error {
			if err := w.kill(worker); err != nil {
				return err
			}
			worker, err = w.startWorker(ctx, w.tenant)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func killOneOf(n int) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		workers, err := w.begin(ctx, n)
		if err != nil {
			return err
		}
		return w.disturb(ctx, w.shares(1)[0], func() error { return w.killOne(ctx, workers...) })
	}
}

// killOne kills one of the workers that works.
func (w *world) killOne(ctx context.Context, workers ...*process) error {
	victim, err := w.working(ctx, workers...)
	if err != nil {
		return err
	}
	return w.kill(victim)
}

// working waits until one of the workers works on a chunk and returns it: to disturb an idle one would prove nothing.
func (w *world) working(ctx context.Context, workers ...*process) (found *process, err error) {
	err = w.await(ctx, "a worker works on a chunk", func() (bool, string, error) {
		owners := map[string]bool{}
		rows, err := w.db.Pool.Query(ctx, "select owner from send_chunk where owner is not null and leased_until is not null")
		if err != nil {
			return false, "", err
		}
		defer rows.Close()
		for rows.Next() {
			var owner string
			if err := rows.Scan(&owner); err != nil {
				return false, "", err
			}
			owners[owner] = true
		}
		for _, at := range w.random.Perm(len(workers)) {
			for owner := range owners {
				if strings.HasPrefix(owner, workers[at].name+"-") {
					found = workers[at]
					return true, "", nil
				}
			}
		}
		return false, fmt.Sprintf("%d owners of chunks, none of them meant", len(owners)), rows.Err()
	})
	return found, err
}

func stopPastLease(ctx context.Context, w *world) error {
	workers, err := w.begin(ctx, 2)
	if err != nil {
		return err
	}
	var stopped *process
	err = w.disturb(ctx, w.shares(1)[0], func() error {
		if stopped, err = w.working(ctx, workers...); err != nil {
			return err
		}
		return stopped.signal(syscall.SIGSTOP)
	})
	if err != nil {
		return err
	}
	// The other takes its chunks over, sends the rest of them, and takes what it had begun for lost.
	if err := errors.Join(w.awaitEnd(ctx), stopped.signal(syscall.SIGCONT)); err != nil {
		return err
	}
	return w.awaitQuiet(ctx)
}

// quiet is at how many looks in a row nothing must have changed for nothing to be under way: while a machine stands still, nothing is looked at.
const quiet = int(2 * time.Second / ask)

// awaitQuiet waits until neither ledger nor mail server has anything new for a while: a worker that goes on after a stop may
// bring outcomes late, and rows that it had not offered to anybody are pending again.
func (w *world) awaitQuiet(ctx context.Context) error {
	last, looks := "", 0
	return w.await(ctx, "nothing changes any more", func() (bool, string, error) {
		counts, err := w.relay.record.Counts()
		if err != nil {
			return false, "", err
		}
		s, err := w.db.SendStatus(ctx, campaignName)
		if err != nil {
			return false, "", err
		}
		now := fmt.Sprint(counts, s.State, s.Sent, s.Failed, s.Ambiguous, s.Pending)
		if looks++; now != last {
			last, looks = now, 0
		}
		return looks > quiet && s.State == campaign.Completed, now, nil
	})
}

func terminateAgainAndAgain(ctx context.Context, w *world) error {
	workers, err := w.begin(ctx, 1)
	if err != nil {
		return err
	}
	worker := workers[0]
	for _, share := range w.shares(kills) {
		err := w.disturb(ctx, share, func() error {
			w.forget(worker)
			if err := worker.terminate(ctx); err != nil {
				return err
			}
			if err := w.nothingOpen(ctx); err != nil {
				return err
			}
			worker, err = w.startWorker(ctx, w.tenant)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// nothingOpen wants that nobody holds a chunk, and that no row is without an outcome that was ever offered to anybody.
func (w *world) nothingOpen(ctx context.Context) error {
	var leases, intents, ambiguous int
	err := w.db.Pool.QueryRow(ctx, `select (select count(*) from send_chunk where leased_until is not null),
		count(*) filter (where state = 'intent'), count(*) filter (where state = 'ambiguous') from ledger`).Scan(&leases, &intents, &ambiguous)
	if err != nil {
		return fmt.Errorf("look for what a worker left: %w", err)
	}
	if leases+intents+ambiguous > 0 {
		return fmt.Errorf("a worker that was asked to end left %d leases, %d intents and %d ambiguous rows", leases, intents, ambiguous)
	}
	return nil
}
