package crash

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/pace"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

var paceScenarios = []Scenario{
	{
		Name: "pace-worker-killed", run: killWhilePaced, Allows: Allowance{WorkerDeaths: 1},
		Done: "two workers share a channel with a rate and a bound for the day; one is killed, then the bound is reached, and then it is raised",
	},
}

// pacedSeconds is for how long a send is spread over by the rate of its channel.
const pacedSeconds = 5

func killWhilePaced(ctx context.Context, w *world) error {
	if _, err := w.db.Pool.Exec(ctx, "update tenant set time_zone = $1", storetest.NoonZone()); err != nil { // no day ends meanwhile
		return fmt.Errorf("move the tenant: %w", err)
	}
	limits := pace.Limits{PerSecond: w.parameters.Size / pacedSeconds, PerDay: int64(w.parameters.Size) * 7 / 10}
	if err := w.saveChannel(ctx, &limits); err != nil {
		return err
	}
	workers, err := w.begin(ctx, 2)
	if err != nil {
		return err
	}
	err = w.disturb(ctx, w.shares(1)[0]/2, func() error { return w.killOne(ctx, workers...) })
	if err != nil {
		return err
	}
	if err := w.awaitCap(ctx, limits); err != nil {
		return err
	}
	if err := w.withinLimits(ctx, limits); err != nil {
		return err
	}
	limits.PerDay *= 10
	if err := w.saveChannel(ctx, &limits); err != nil {
		return err
	}
	if err := w.awaitEnd(ctx); err != nil {
		return err
	}
	return w.withinLimits(ctx, limits)
}

// awaitCap waits until the channel has sent what the day allows, and nothing is under way any more.
func (w *world) awaitCap(ctx context.Context, l pace.Limits) error {
	return w.await(ctx, "the bound of the day is reached", func() (bool, string, error) {
		var intents int
		var begun int64
		err := w.db.Pool.QueryRow(ctx, "select count(*) filter (where state = 'intent'), count(intent_at) from ledger").Scan(&intents, &begun)
		if err != nil {
			return false, "", fmt.Errorf("count the intents: %w", err)
		}
		if begun > l.PerDay {
			return false, "", fmt.Errorf("the day allows %d messages, and %d were begun", l.PerDay, begun)
		}
		throttling, err := w.db.LoadThrottling(ctx, "newsletter")
		return err == nil && throttling.CappedUntil != nil && intents == 0, fmt.Sprintf("%d intents, capped until %v", intents, throttling.CappedUntil), err
	})
}

// lostTokens bounds how many tokens a worker's death takes along: a quarter of a second's rate that it keeps, and one for each message
// that it was about to begin.
func lostTokens(l pace.Limits) int { return l.PerSecond/4 + Allowance{WorkerDeaths: 1}.Most() }

// withinLimits wants that over no time more messages were begun than the rate allows, with a burst of a second and what a worker
// may have kept for another, that the day's bound was kept, and that a worker's death has cost no more tokens than it may.
func (w *world) withinLimits(ctx context.Context, l pace.Limits) error {
	rows, err := w.ledger(ctx, "")
	if err != nil {
		return err
	}
	var begun []time.Time
	for _, row := range rows {
		if !row.intentAt.IsZero() {
			begun = append(begun, row.intentAt)
		}
	}
	slices.SortFunc(begun, time.Time.Compare)
	entries, err := w.relay.record.Entries()
	if err != nil {
		return err
	}
	var granted int
	if err := w.db.Pool.QueryRow(ctx, "select granted from pace where channel = 'newsletter' and receiver = 0").Scan(&granted); err != nil {
		return fmt.Errorf("read what was granted: %w", err)
	}
	switch lost := granted - len(begun); {
	case int64(max(len(begun), len(entries), granted)) > l.PerDay:
		return fmt.Errorf("the day allows %d messages: %d were begun, %d arrived, %d tokens are gone", l.PerDay, len(begun), len(entries), granted)
	case lost < 0 || lost > lostTokens(l):
		return fmt.Errorf("%d tokens are gone for %d messages", granted, len(begun))
	}
	return overdrawn(begun, float64(l.PerSecond))
}

// overdrawn finds a time in which more messages were begun than a bucket of this rate can have given. They are in order.
func overdrawn(begun []time.Time, rate float64) error {
	// Over any i to j: j - i + 1 ≤ rate·(t + 1) + rate + 1, which is to be looked for once from left to right: with the level of a
	// bucket that holds two seconds' tokens and one.
	most := 2*rate + 1
	level := most
	for i, at := range begun {
		if i > 0 {
			level = min(most, level+rate*at.Sub(begun[i-1]).Seconds())
		}
		if level--; level < 0 {
			return fmt.Errorf("message %d of %d was begun at %s, before a rate of %.0f in a second has a token for it", i+1, len(begun), at, rate)
		}
	}
	return nil
}
