package smtp

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
)

// handedOver is what a Deliver returned.
type handedOver struct {
	results []deliver.Result
	err     error
}

// deliverBoth hands two messages over by one connection and, while the final dot of the first waits for its answer, a second batch
// of two. hold is what that answer waits for, and is closed when the second batch waits for the connection.
func deliverBoth(t *testing.T, answer func(delivertest.Event) delivertest.Action) (first, second handedOver, server *delivertest.Server) {
	t.Helper()
	reached, hold := make(chan struct{}), make(chan struct{})
	server = delivertest.NewServer(t, delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage == delivertest.Dot && e.Message == 1 && e.Connection == 1 {
			close(reached)
			return delivertest.Action{Wait: hold}
		}
		return answer(e)
	}})
	transport := connect(t, server, nil)
	ended := make(chan handedOver, 1)
	all := mails(4)
	go func() {
		results, err := transport.Deliver(context.Background(), all[:2])
		ended <- handedOver{results, err}
	}()
	<-reached
	go func() {
		eventually(t, func() bool {
			transport.mu.Lock()
			defer transport.mu.Unlock()
			return len(transport.batches) == 2
		})
		close(hold)
	}()
	second.results, second.err = transport.Deliver(context.Background(), all[2:])
	return <-ended, second, server
}

// TestOnward: a connection goes on with the batch that waits, and the one that it leaves is done with its own last answer.
func TestOnward(t *testing.T) {
	first, second, server := deliverBoth(t, func(delivertest.Event) delivertest.Action { return delivertest.Action{} })
	accepted := []deliver.Outcome{deliver.Accepted, deliver.Accepted}
	for name, got := range map[string]handedOver{"first": first, "second": second} {
		if diff := cmp.Diff(accepted, outcomes(got.results)); diff != "" || got.err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", name, got.err, diff)
		}
	}
	if got := server.Connections(); got != 1 {
		t.Errorf("%d connections, want one", got)
	}
	seen := map[string]bool{}
	for _, r := range server.Recipients() {
		if seen[r] {
			t.Errorf("%s got it twice", r)
		}
		seen[r] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d recipients, want 4", len(seen))
	}
}

// TestOnwardWithoutAnAnswer: the connection ends between the last dot of one batch and its answer. That message alone is Unknown; the
// next batch's, whose commands left with it, was not offered and is tried again.
func TestOnwardWithoutAnAnswer(t *testing.T) {
	first, second, _ := deliverBoth(t, func(e delivertest.Event) delivertest.Action {
		return delivertest.Action{Close: e.Stage == delivertest.Dot && e.Message == 2 && e.Connection == 1}
	})
	if diff := cmp.Diff([]deliver.Outcome{deliver.Accepted, deliver.Unknown}, outcomes(first.results)); diff != "" {
		t.Errorf("first: -want +got:\n%s", diff)
	}
	var trouble *deliver.Trouble
	if !errors.As(first.err, &trouble) || trouble.Stage != stageDot {
		t.Errorf("first: error %v", first.err)
	}
	for i, r := range second.results {
		if r.Outcome != deliver.Accepted && r.Outcome != deliver.Untouched {
			t.Errorf("second: message %d is %v", i, r.Outcome)
		}
		if r.Outcome == deliver.Untouched && second.err == nil {
			t.Error("second: something is left and there is no error")
		}
	}
}
