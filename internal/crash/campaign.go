package crash

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// declare declares the campaign, due now, as the operator does.
func (w *world) declare(ctx context.Context) error {
	if w.cluster != nil {
		return w.cluster.applyCampaign(ctx)
	}
	return w.declareAs(ctx, nil)
}

// declareAs declares the campaign with a change.
func (w *world) declareAs(ctx context.Context, change func(*store.SendConfig)) error {
	c := store.SendConfig{
		SendKey: campaignName, Campaign: campaignName, Purpose: "newsletter", Channel: "newsletter", Segments: []string{"everybody"},
		MaxRecipients: int64(w.parameters.Size), Variants: []store.SendVariant{{Name: "a", Template: campaignName, Weight: 1}},
		StartsAt: time.Now().Add(-time.Minute), Deadline: time.Now().Add(time.Hour),
	}
	if change != nil {
		change(&c)
	}
	_, err := w.db.UpsertSend(ctx, c)
	return err
}

// begin declares the campaign and starts n workers.
func (w *world) begin(ctx context.Context, n int) ([]*process, error) {
	if err := w.declare(ctx); err != nil {
		return nil, err
	}
	return w.startWorkers(ctx, n)
}

// patience is how long to wait for what must happen while nothing does: it is reached only when something is broken.
func (w *world) patience() time.Duration {
	return time.Minute + time.Duration(w.parameters.Size)*8*time.Millisecond
}

// slowness is by how much slower than it should be a machine may be, while something still happens.
const slowness = 5

// How often the suite looks whether something has happened: in the mail server's record, and where it has to ask a server, which has
// better things to do.
const (
	look = 5 * time.Millisecond
	ask  = 50 * time.Millisecond
)

// await asks until done is true. What is asked says how it stands; while that changes, it goes on, on a machine that is slow for as many patiences as
// slowness can explain.
func (w *world) await(ctx context.Context, what string, done func() (bool, string, error)) error {
	return w.awaitEvery(ctx, ask, what, done)
}

func (w *world) awaitEvery(ctx context.Context, interval time.Duration, what string, done func() (bool, string, error)) error {
	ctx, cancel := context.WithTimeout(ctx, slowness*w.patience())
	defer cancel()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	changed, stood := time.Now(), ""
	for {
		ok, stands, err := done()
		if err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
		if ok {
			return nil
		}
		if stands != stood {
			changed, stood = time.Now(), stands
		} else if time.Since(changed) > w.patience() {
			cancel()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w; it stands so: %s", what, ctx.Err(), stands)
		case <-ticker.C:
		}
	}
}

// latest is the share of a send after which nothing that happens to it proves anything.
const latest = 0.9

// awaitShare waits until the mail server has this share of the send.
func (w *world) awaitShare(ctx context.Context, share float64) error {
	want := max(1, int(share*float64(w.parameters.Size)))
	return w.awaitEvery(ctx, look, fmt.Sprintf("%d messages have arrived", want), func() (bool, string, error) {
		counts, err := w.relay.record.Counts()
		return counts.Dots-w.before >= want, fmt.Sprintf("%d have", counts.Dots-w.before), err
	})
}

// disturb waits until this share of the send has arrived and does something. It fails where it came too late.
func (w *world) disturb(ctx context.Context, share float64, do func() error) error {
	if err := w.awaitShare(ctx, share); err != nil {
		return err
	}
	before, err := w.relay.record.Counts()
	if err != nil {
		return err
	}
	arrived := before.Dots - w.before
	if arrived > int(latest*float64(w.parameters.Size)) {
		return fmt.Errorf("the disturbance came after %d of %d messages, and so it proves nothing", arrived, w.parameters.Size)
	}
	if err := do(); err != nil {
		return err
	}
	if w.result.Disturbed != "" {
		w.result.Disturbed += ", "
	}
	w.result.Disturbed += fmt.Sprint(arrived)
	return nil
}

// shares are n moments of a send at random, in their order, apart from each other, and none of them late.
func (w *world) shares(n int) []float64 {
	const first, last = 0.08, 0.65
	shares := make([]float64, n)
	for i := range shares {
		width := (last - first) / float64(n)
		shares[i] = first + width*(float64(i)+0.8*w.random.Float64())
	}
	return shares
}

// awaitEnd waits until every row has an outcome and the send says that it is completed.
func (w *world) awaitEnd(ctx context.Context) error {
	return w.await(ctx, "the send is completed", func() (bool, string, error) {
		s, err := w.db.SendStatus(ctx, campaignName)
		switch {
		case errors.Is(err, context.Canceled):
			return false, "", err
		case err != nil: // the database may be away for a moment
			return false, err.Error(), nil
		}
		return s.State == campaign.Completed && s.Pending == 0,
			fmt.Sprintf("%s, planned %d, sent %d, failed %d, ambiguous %d, pending %d", s.State, s.Planned, s.Sent, s.Failed, s.Ambiguous, s.Pending), nil
	})
}
