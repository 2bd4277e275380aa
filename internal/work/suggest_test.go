package work_test

import (
	"context"
	"testing"
	"time"

	"github.com/onsi/gomega"
)

// TestWorkersSuggest waits for what a worker makes of two who have one name, with the right of the runtime role and no more.
func TestWorkersSuggest(t *testing.T) {
	h := newHouse(t, 20)
	h.exec("update attribute set role = 'Name' where name = 'first_name'")
	o := h.options()
	o.SuggestPoll = 20 * time.Millisecond
	h.worker(o)
	h.worker(o)
	suggested := func() (n int64) {
		counts, err := h.db.CountSuggestions(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if counts.Due > 0 || counts.Scanning {
			return -1
		}
		return counts.Waiting
	}
	g := gomega.NewWithT(t)
	g.Eventually(suggested, patience, 20*time.Millisecond).Should(gomega.BeZero())
	h.exec("update contact set attr_first_name = 'Nuria Vidal' where id in (2, 5)")
	g.Eventually(suggested, patience, 20*time.Millisecond).Should(gomega.BeEquivalentTo(1))
	h.exec("update contact set attr_first_name = 'Olga Pino' where id = 5")
	g.Eventually(suggested, patience, 20*time.Millisecond).Should(gomega.BeZero())
}
