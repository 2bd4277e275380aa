package reconciling

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/onsi/gomega"
)

func TestNamespacesTakeTurns(t *testing.T) {
	turns := newTurns()
	turns.slowAfter = time.Millisecond
	begin := func(namespace string) (end func()) {
		t.Helper()
		end, ok := turns.begin(t.Context(), namespace)
		if !ok {
			t.Fatalf("no turn for namespace %s", namespace)
		}
		return end
	}
	var ends []func()
	for range slowest {
		ends = append(ends, begin("slow"))
	}
	gomega.NewWithT(t).Eventually(func() bool { return turns.full("slow") }, 30*time.Second).Should(gomega.BeTrue())
	if _, ok := turns.begin(t.Context(), "slow"); ok {
		t.Error("a namespace with enough slow passes began another one")
	}
	turns.slowAfter = time.Hour
	var others []func()
	for range places {
		others = append(others, begin("other"))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := turns.begin(ended, "third"); ok {
		t.Error("there are more passes at a time than there is room for")
	}
	for _, end := range append(ends, others...) {
		end()
	}
	if turns.full("slow") || len(turns.running) != 0 || len(turns.slow) != 0 {
		t.Errorf("passes that ended are still counted: %d run, slow are %v", len(turns.running), turns.slow)
	}
	begin("slow")()
}

func TestAPassIsBoundedButForWhatItDoesPatiently(t *testing.T) {
	ctx, cancel := hurried(t.Context(), 0)
	defer cancel()
	if err := ctx.Err(); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the pass goes on: %v", err)
	}
	patient, cancel := Patiently(ctx)
	defer cancel()
	verdict, cancel := forVerdict(ctx)
	defer cancel()
	for what, ctx := range map[string]context.Context{"what takes long": patient, "the verdict": verdict} {
		if _, bounded := ctx.Deadline(); ctx.Err() != nil || !bounded {
			t.Errorf("%s: ended %v, bounded %t", what, ctx.Err(), bounded)
		}
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	told, cancel := forVerdict(stopped)
	defer cancel()
	if told.Err() == nil {
		t.Error("an operator that stops goes on to write")
	}
}
