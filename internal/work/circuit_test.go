package work

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// clock is a time that a test moves.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func (c *clock) passes(d time.Duration) { c.at = c.at.Add(d) }

func TestCircuit(t *testing.T) {
	time0 := &clock{at: time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)}
	c := &circuit{backoff: campaign.Backoff{First: time.Second, Max: time.Minute}, now: time0.now}
	admits := func(why string, want int) {
		t.Helper()
		if got := c.admit(16); got != want {
			t.Errorf("%s: %d are admitted, not %d", why, got, want)
		}
	}
	admits("it works", 16)
	c.failed()
	c.failed() // another batch that was under way
	if c.failures != 1 {
		t.Errorf("two batches that failed together count as %d failures", c.failures)
	}
	admits("it has just failed", 0)
	time0.passes(time.Second)
	if !c.closed() {
		t.Error("the try is due")
	}
	admits("one may try", 1)
	admits("while one tries, nobody else does", 0)
	if c.closed() {
		t.Error("while one tries, no other work begins")
	}
	c.untold()
	admits("who was admitted learnt nothing: the next may try", 1)
	c.failed()
	time0.passes(time.Second)
	admits("it waits longer each time", 0)
	time0.passes(time.Second)
	admits("the second try", 1)
	c.succeeded()
	admits("it works again", 16)
}

func TestStatusNotes(t *testing.T) {
	now := time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)
	n := newStatusNotes(5 * time.Second)
	due := func(why string, after time.Duration, want ...string) {
		t.Helper()
		got := n.due(now.Add(after))
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", why, diff)
		}
	}
	due("nothing happened", 0)
	n.touch("a")
	n.touch("a")
	n.touch("b")
	due("the first change is told at once, and once", 0, "a", "b")
	n.touch("a")
	due("the next one waits", 4*time.Second)
	due("until its time has come", 5*time.Second, "a")
	due("and is told once", 60*time.Second)
	n.touch("b")
	if diff := cmp.Diff([]string{"b"}, n.rest()); diff != "" {
		t.Errorf("a worker that stops tells the rest (-want +got):\n%s", diff)
	}
	if rest := n.rest(); rest != nil {
		t.Errorf("there is nothing more to tell: %v", rest)
	}
}
