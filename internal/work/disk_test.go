package work_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// smallDisk names a directory on a file system of its own that may be filled to the last byte, such as a tmpfs of 150 MB.
const smallDisk = "TERTULIA_SMALL_DISK"

// The disk on which PostgreSQL keeps data and log fills up in the middle of a send, and gets room again. PostgreSQL refuses
// statements, or ends because its log has no room; either way it is told, and nobody is lost or gets the message twice.
func TestADiskThatIsReallyFull(t *testing.T) {
	dir := os.Getenv(smallDisk)
	if dir == "" {
		t.Skip("needs a small file system: docs/runbooks/DatabaseDiskFull.md tells how to make one")
	}
	t.Setenv("TMPDIR", dir)
	db, again := storetest.NewDurable(t)
	const n = 3000
	h := newHouseIn(t, db, n)
	held := make(chan struct{})
	h.relay.Behave(delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
		if e.Stage == delivertest.Dot && e.To == "c700@people.example" {
			return delivertest.Action{Wait: held}
		}
		return delivertest.Action{}
	}})
	o := measuring(h)
	h.worker(o)
	h.campaign(nil)
	h.eventually("some messages should have arrived", func() bool { return len(h.received()) > 500 })
	ballast := filepath.Join(dir, "ballast")
	fill(t, ballast)
	close(held)
	h.eventually("the metrics should tell", func() bool {
		got := gathered(t, o.Metrics)
		return got["tertulia_database_failures_total disk_full "+tenantID]+got["tertulia_database_failures_total unavailable "+tenantID] > 0
	})
	t.Logf("told: disk_full %v, unavailable %v, unreachable %v", gathered(t, o.Metrics)["tertulia_database_failures_total disk_full "+tenantID],
		gathered(t, o.Metrics)["tertulia_database_failures_total unavailable "+tenantID],
		gathered(t, o.Metrics)["tertulia_database_failures_total unreachable "+tenantID])
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	again() // a server that has ended is started again, as a supervisor would
	h.becomes("Completed planned 3000 sent 3000 failed 0 ambiguous 0 pending 0")
	h.everybodyOnce(n)
}

// fill takes all the room that there is.
func fill(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file) //nolint:gosec // in the test's own directory
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 1<<20)
	for len(block) > 0 {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
	_ = f.Close()
}
