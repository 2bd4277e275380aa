package work

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// However chunks of any size come together, no more intents are held than a worker's death may leave ambiguous, no batch holds
// more than half of that, and an urgent send always finds room.
func TestShares(t *testing.T) {
	for connections := range 101 {
		bound := intentsPerConnection * max(1, connections)
		for _, rows := range []int{1, 2, 7, 120, 499, 500} {
			bulk, urgent := planShare(connections, rows, false), planShare(connections, rows, true)
			if bulk.want > bound/2 || bulk.want < 1 || bulk.least != bulk.want {
				t.Errorf("%d connections, %d rows: a batch of %+v where %d may be open", connections, rows, bulk, bound)
			}
			if bulk.most+urgent.least > bound || urgent.most > bound || urgent.least < 1 {
				t.Errorf("%d connections, %d rows: %+v leave no room for %+v within %d", connections, rows, bulk, urgent, bound)
			}
			if batches := (rows + bulk.want - 1) / bulk.want; rows > bulk.want && batches*bulk.want-rows >= batches {
				t.Errorf("%d connections, %d rows: batches of %d are uneven", connections, rows, bulk.want)
			}
		}
	}
}

func TestRoom(t *testing.T) {
	var r room
	over, cancel := context.WithCancel(t.Context())
	cancel()
	steps := []struct {
		least, want, most, taken int
	}{
		{least: 4, want: 4, most: 7, taken: 4},
		{least: 4, want: 4, most: 7, taken: 0}, // it would have to wait
		{least: 1, want: 4, most: 8, taken: 4},
		{least: 1, want: 4, most: 8, taken: 0},
	}
	for i, s := range steps {
		if got := r.take(over, share{s.least, s.want, s.most}); got != s.taken {
			t.Errorf("step %d: got %d, want %d", i, got, s.taken)
		}
	}
	waiting := make(chan int)
	go func() { waiting <- r.take(t.Context(), share{3, 3, 7}) }()
	r.give(4)
	if got := <-waiting; got != 3 {
		t.Errorf("who waits gets room when some is given back: got %d", got)
	}
}

func TestTurns(t *testing.T) {
	big, small, urgent := store.SendableSend{ID: 1, Channel: "a"}, store.SendableSend{ID: 2, Channel: "a"}, store.SendableSend{ID: 3, Channel: "a", Urgent: true}
	for name, c := range map[string]struct {
		sends []store.SendableSend
		rest  map[int64]bool
		want  []int64
	}{
		"two take turns":           {sends: []store.SendableSend{big, small}, want: []int64{1, 2, 1, 2, 1, 2}},
		"an urgent one goes first": {sends: []store.SendableSend{big, small, urgent}, want: []int64{3, 3, 3, 3, 3, 3}},
		"who may not has no turn":  {sends: []store.SendableSend{big, small, urgent}, rest: map[int64]bool{3: true, 1: true}, want: []int64{2, 2, 2, 2, 2, 2}},
		"nobody":                   {sends: []store.SendableSend{big}, rest: map[int64]bool{1: true}},
	} {
		t.Run(name, func(t *testing.T) {
			var turns turns
			var got []int64
			// Each turn is of a round of its own, as when one slot becomes free at a time.
			for range 6 {
				send, ok := turns.next(c.sends, func(s store.SendableSend) bool { return !c.rest[s.ID] })
				if !ok {
					break
				}
				turns.took(send.ID)
				turns.forget(c.sends)
				got = append(got, send.ID)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("turns differ (-want +got):\n%s", diff)
			}
		})
	}
}
