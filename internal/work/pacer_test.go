package work

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/pace"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// newTestPacer is a pacer without a database, at a time that the test says.
func newTestPacer(now *time.Time, view store.ChannelPace) *pacer {
	p := newPacer(&tenant{o: Options{Now: func() time.Time { return *now }, Metrics: NewMetrics(), SendPoll: time.Nanosecond}}, "mail")
	p.view = view
	p.settleView(*now)
	return p
}

func TestWithoutLimitsAdmittingCostsNothing(t *testing.T) {
	now := time.Now()
	p := newTestPacer(&now, store.ChannelPace{})
	rows := make([]store.PendingRow, 500)
	attempts, results := make([]store.Attempt, 40), make([]deliver.Result, 40)
	for i := range results {
		results[i] = deliver.Result{Outcome: deliver.Accepted, Code: 250}
	}
	ctx := context.Background()
	allocations := testing.AllocsPerRun(100, func() {
		admitted, wait, err := p.admit(ctx, pace.Bulk, rows, 40)
		if len(admitted) != 40 || !wait.until.IsZero() || err != nil || !p.open(pace.Bulk) {
			t.Fatal("all of them may be handed over")
		}
		p.report(ctx, admitted, attempts, results, time.Second)
	})
	if allocations != 0 {
		t.Errorf("%v allocations", allocations)
	}
}

// Whatever receivers the rows have and whatever tokens there are: rows are admitted for tokens only, none is lost, and all
// that are left stay in order.
func TestPick(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Now()
		view := store.ChannelPace{HeldBack: map[int32]pace.Receiver{2: {Slowed: 1, SlowedFrom: 2}}}
		view.Limits.PerSecond = rapid.SampledFrom([]int{0, 10}).Draw(t, "perSecond")
		view.Limits.PerDomainPerSecond = rapid.SampledFrom([]int{0, 10}).Draw(t, "perDomain")
		p := newTestPacer(&now, view)
		held := map[int32]int64{}
		p.classes[pace.Bulk].tokens = map[int32]tokens{}
		for receiver := range int32(5) {
			held[receiver] = rapid.Int64Range(0, 10).Draw(t, "tokens")
			p.classes[pace.Bulk].tokens[receiver] = tokens{n: held[receiver]}
		}
		rows := make([]store.PendingRow, rapid.IntRange(0, 40).Draw(t, "rows"))
		for i := range rows {
			rows[i] = store.PendingRow{Seq: int64(i + 1), Receiver: rapid.Int32Range(0, 4).Draw(t, "receiver")}
		}
		most := rapid.IntRange(0, 40).Draw(t, "most")
		n := p.pick(pace.Bulk, rows, 0, min(most, len(rows)))
		seen, used := map[int64]bool{}, map[int32]int64{}
		for i, row := range rows {
			seen[row.Seq] = true
			if i > 0 && i != n && rows[i-1].Seq > row.Seq {
				t.Fatalf("out of order: %v", rows)
			}
			if key := p.bucketOf(row.Receiver); i < n && (key != 0 || p.whole()) {
				used[key]++
			}
		}
		if len(seen) != len(rows) || n > most {
			t.Fatalf("%d of %d rows are left, %d of at most %d admitted", len(seen), len(rows), n, most)
		}
		for key, spent := range used {
			if spent > held[key] || p.classes[pace.Bulk].tokens[key].n != held[key]-spent {
				t.Fatalf("%d of %d tokens of bucket %d were used, %d are left", spent, held[key], key, p.classes[pace.Bulk].tokens[key].n)
			}
		}
	})
}

func TestWhatRowsWaitFor(t *testing.T) {
	now := time.Now()
	rows := []store.PendingRow{{Seq: 1, Receiver: 1}, {Seq: 2, Receiver: 2}}
	view := store.ChannelPace{HeldBack: map[int32]pace.Receiver{
		1: {Slowed: 1, SlowedFrom: 2, Until: now.Add(time.Hour)}, 2: {Slowed: 1, SlowedFrom: 2, Until: now.Add(time.Minute)},
	}}
	p := newTestPacer(&now, view)
	if wants := p.wants(pace.Transactional, rows, 10, now); len(wants) != 0 {
		t.Errorf("nobody is asked for while both are paused: %v", wants)
	}
	if got := p.pauseOf(pace.Bulk, rows); got.whole || !got.until.Equal(now.Add(time.Minute)) {
		t.Errorf("the first of them decides: %+v", got)
	}
	now = now.Add(2 * time.Minute)
	if diff := cmp.Diff([]store.TokenWant{{Receiver: 2, N: 1}}, p.wants(pace.Bulk, rows, 10, now)); diff != "" {
		t.Errorf("one pause is over (-want +got):\n%s", diff)
	}
	p.view.Limits.PerSecond = 5
	p.classes[pace.Bulk].closed = now.Add(time.Second)
	if got := p.pauseOf(pace.Bulk, rows); !got.whole || !got.until.Equal(now.Add(time.Second)) {
		t.Errorf("the channel as a whole waits: %+v", got)
	}
	if p.open(pace.Bulk) || !p.open(pace.Transactional) {
		t.Error("what is urgent need not wait for it")
	}
}
