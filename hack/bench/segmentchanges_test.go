package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// TestChangesAreSteady looks at as many batches as a run has: half of the changes are events, of people as busy as the past has them, and
// nobody whose change is timed is met twice.
func TestChangesAreSteady(t *testing.T) {
	const contacts = 200 * peopleUnit
	m := changeMaker{contacts: contacts}
	timed := map[move]bool{}
	sorts := map[string]int{}
	events, n := map[string]int{}, 0
	for i := range contacts / 5 / changeBatch {
		c := m.batch(i)
		if len(c.contacts) != changeBatch/2 || len(c.sources) != changeBatch/2 {
			t.Fatalf("batch %d has %d attributes and %d events", i, len(c.contacts), len(c.sources))
		}
		for _, change := range c.timed {
			if m := (move{change.Segment, change.Contact}); timed[m] {
				t.Fatalf("contact %d is met twice", change.Contact)
			} else {
				timed[m] = true
			}
			if of := change.Contact % 10; change.Segment == askers && of != 9 && of != 0 {
				t.Fatalf("contact %d, who has a past, asks for the first time", change.Contact)
			}
		}
		events[c.event]++
		for _, id := range slices.Concat(c.contacts, c.sources) {
			if id < 1 || id > contacts {
				t.Fatalf("there is no contact %d", id)
			}
		}
		if c.event == "ticket" {
			continue
		}
		for _, id := range c.sources {
			n++
			switch {
			case id%1000 == 1:
				sorts["busiest"]++
			case id%10 == 1:
				sorts["busy"]++
			case id%10 >= 2 && id%10 <= 5:
				sorts["others"]++
			}
		}
	}
	for sort, share := range map[string]float64{"busiest": 0.05, "busy": 0.5, "others": 0.4} {
		if got := float64(sorts[sort]) / float64(n); got < share-0.01 || got > share+0.01 {
			t.Errorf("%.3f of the events are of the %s, want %.2f", got, sort, share)
		}
	}
	if len(events) != len(segmentSchema.Events) {
		t.Errorf("the events are %v", slices.Sorted(maps.Keys(events)))
	}
	if share := float64(len(timed)) / float64(contacts/5); share < 0.1 {
		t.Errorf("%.2f of the changes are timed", share)
	}
}

// TestChangesAreSeen writes changes at a pace, follows them, and finds every move that was timed.
func TestChangesAreSeen(t *testing.T) {
	w := newSegmentWorld(t, 2*peopleUnit)
	w.cases = slices.DeleteFunc(w.cases, func(c segmentCase) bool { return c.name != detractors && c.name != askers })
	if _, err := w.firstBuilds(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := &segmentBench{segmentWorld: w}
	watcher, err := b.watchMoves(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.stop()
	const batches = 40
	began := time.Now()
	made, err := makeChanges(t.Context(), storetest.URL(t, w.DB), changePace{contacts: 2 * peopleUnit, batches: batches, perSecond: 2000})
	if err != nil {
		t.Fatal(err)
	}
	if pace := time.Second * (batches - 1) * changeBatch / 2000; made.Took < pace || made.Took > time.Since(began) {
		t.Errorf("changes for %s took %s", pace, made.Took)
	}
	if _, err := lags(made.Timed, nil); err == nil || !strings.Contains(err.Error(), "never moved") {
		t.Errorf("what was never seen: %v", err)
	}
	if _, err := w.FollowChanges(t.Context(), store.ChangesAtOnce); err != nil {
		t.Fatal(err)
	}
	moves, seen, err := watcher.end(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found, err := lags(made.Timed, seen)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 || moves < int64(len(found)) || found[0] <= 0 || found[len(found)-1] > time.Since(began) || !slices.IsSorted(found) {
		t.Errorf("%d moves, timed %v", moves, found)
	}
	if err := w.compareAll(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := lags(append(made.Timed, made.Timed[0]), seen); err == nil {
		t.Error("who is changed twice is timed")
	}
	if _, err := w.Pool.Exec(t.Context(), "update contact set attr_nps = case when attr_nps <= 6 then 9 else 1 end where id = 77"); err != nil {
		t.Fatal(err)
	}
	if err := w.compareAll(t.Context()); err == nil {
		t.Error("a membership that is behind is taken for one that is right")
	}
}

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for name, tc := range map[string]struct {
		of   []time.Duration
		p    int
		want time.Duration
	}{
		"nothing": {nil, 99, 0}, "one": {hundred[:1], 99, 1}, "almost all": {hundred, 99, 100}, "half": {hundred, 50, 51}, "all": {hundred, 100, 100},
	} {
		if got := percentile(tc.of, tc.p); got != tc.want {
			t.Errorf("%s: %d, want %d", name, got, tc.want)
		}
	}
}
