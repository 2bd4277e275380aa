package store_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// networkPosts is how many posts the network of TestKilledWorkers has: post n has the id n.
// TestKilledWorkers has two workers read a source, in processes of their own, of which one is killed again and again, wherever it is. Neither is
// a post lost nor is one there twice, and nothing is left behind that the cursor does not cover.
func TestKilledWorkers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	l := newListening(t, "a")
	workers := [2]*exec.Cmd{}
	start := func(i int) {
		t.Helper()
		workers[i] = exec.Command(os.Args[0], "-test.run", "^TestWorkerThatIsKilled$") //nolint:gosec // this test binary
		workers[i].Env = append(os.Environ(), "TERTULIA_TEST_DATABASE="+storetest.URL(t, l.DB))
		if err := workers[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range workers {
		start(i)
	}
	defer func() {
		for _, w := range workers {
			_ = w.Process.Kill()
			_ = w.Wait()
		}
	}()
	random := rand.New(rand.NewPCG(uint64(os.Getpid()), 1))
	at := int64(0)
	for range 12 {
		// Some posts further on, and then anywhere in what it does.
		for goal := at + 1 + random.Int64N(200); at < goal; {
			err := l.Pool.QueryRow(ctx, "select coalesce((cursor::text)::bigint, 0) from social_source_state").Scan(&at)
			if err != nil {
				t.Fatal(err)
			}
		}
		i := random.IntN(len(workers))
		if err := workers[i].Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
		_ = workers[i].Wait()
		start(i)
		// What is committed is what the cursor covers.
		var stored, cursor int64
		err := l.Pool.QueryRow(ctx, "select (select count(*) from mention), coalesce((select (cursor::text)::bigint from social_source_state), 0)").Scan(&stored, &cursor)
		if err != nil || stored != cursor {
			t.Fatalf("%d posts are stored, and the cursor is at %d: %v", stored, cursor, err)
		}
	}
	for _, w := range workers {
		_ = w.Process.Kill()
		_ = w.Wait()
	}
	var stored, distinct, counted, cursor int64
	err := l.Pool.QueryRow(ctx, "select count(*), count(distinct native_id), s.stored, (s.cursor::text)::bigint from mention, social_source_state s group by 3, 4").
		Scan(&stored, &distinct, &counted, &cursor)
	if err != nil || stored != cursor || distinct != cursor || counted != cursor {
		t.Errorf("%d mentions of %d posts, %d counted, and the cursor is at %d: %v", stored, distinct, counted, cursor, err)
	}
}

// TestWorkerThatIsKilled is a worker of TestKilledWorkers.
func TestWorkerThatIsKilled(t *testing.T) {
	url := os.Getenv("TERTULIA_TEST_DATABASE")
	if url == "" {
		t.Skip("it is run by TestKilledWorkers")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute) // if the test that started it is killed itself
	defer cancel()
	db, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for {
		leases, err := db.LeaseSources(ctx, fmt.Sprint(os.Getpid()), 100*time.Millisecond, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, lease := range leases {
			if err := readOn(ctx, db, lease); err != nil && !errors.Is(err, store.ErrSourceLost) {
				t.Fatal(err)
			}
		}
	}
}

// readOn reads some pages of the network from the cursor on, and the last of the page before once more, as networks do.
func readOn(ctx context.Context, db *store.DB, lease store.SourceLease) error {
	var at int
	if lease.Cursor != nil {
		if err := json.Unmarshal(lease.Cursor, &at); err != nil {
			return err
		}
	}
	for range 5 {
		first := at
		at += 10
		var posts []store.Judged
		for n := max(0, first-1); n < at; n++ {
			posts = append(posts, post(fmt.Sprint(n), by(fmt.Sprint("a", n%50))))
		}
		if _, err := db.TakeMentions(ctx, lease, listen.Batch{Network: social, Next: []byte(fmt.Sprint(at))}, posts); err != nil {
			return err
		}
	}
	return db.ReleaseSource(ctx, lease, store.SourceRest{})
}
