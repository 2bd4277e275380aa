package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// since reads what is new from a place on.
func (l listening) since(after int64, q store.MentionQuery) (natives []string, next int64) {
	l.t.Helper()
	list, next, err := l.MentionsSince(context.Background(), after, q, 100)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, m := range list {
		natives = append(natives, m.NativeID)
	}
	return natives, next
}

// Who has drawn ids and is not done is waited for, and nobody else's posts are passed over meanwhile.
func TestAStreamWaitsForWhoCommitsLate(t *testing.T) {
	ctx := context.Background()
	l := newListening(t, "slow", "quick")
	slow, quick := l.lease("slow"), l.lease("quick")
	l.take(slow, post("0", by("ana")))
	begin, err := l.MentionsNow(ctx)
	if err != nil {
		t.Fatal(err)
	}
	// The author's row is somebody else's: who stores a new name waits for it, with ids in hand.
	letGo := l.held("select from author for update")
	done := make(chan error, 1)
	go func() {
		renamed := post("1", by("ana"))
		renamed.Author.Name = "Ana María"
		_, err := l.TakeMentions(ctx, slow, listen.Batch{Network: social}, []store.Judged{renamed})
		done <- err
	}()
	l.waits()
	l.take(quick, post("2", by("dora")))
	natives, next := l.since(begin, store.MentionQuery{})
	if len(natives) != 0 {
		t.Errorf("behind a gap: %s", natives)
	}
	letGo()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	natives, next = l.since(next, store.MentionQuery{})
	if fmt.Sprint(natives) != "[1 2]" {
		t.Errorf("%s", natives)
	}
	if natives, again := l.since(next, store.MentionQuery{}); len(natives) > 0 || again != next {
		t.Errorf("again: %s, %d after %d", natives, again, next)
	}
	if natives, _ := l.since(next+1_000_000, store.MentionQuery{}); len(natives) > 0 {
		t.Errorf("from ahead: %s", natives)
	}
}

// What is not wanted is passed over.
func TestAStreamOfSome(t *testing.T) {
	l := newListening(t, "a", "b")
	l.take(l.lease("a"), post("1"), post("2", func(j *store.Judged) { j.Language = "en" }))
	l.take(l.lease("b"), post("3"))
	natives, next := l.since(0, store.MentionQuery{Source: "a", Language: "es"})
	if fmt.Sprint(natives) != "[1]" {
		t.Errorf("%s", natives)
	}
	if now, err := l.MentionsNow(context.Background()); err != nil || next != now {
		t.Errorf("to be gone on from %d; everything is at %d", next, now)
	}
}

// Many write the same and others at the same time, and somebody reads along: each post is stored once, and read once. Two workers hold each
// source by turns, and who lost it writes nothing.
func TestManyWritersAndAReader(t *testing.T) {
	const writers, posts = 4, 400
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	names := []string{"a", "b"}
	l := newListening(t, names...)
	finished := make(chan struct{})
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 7))
			var lease *store.SourceLease
			for stored := 0; stored < 40; { // however often it loses a source
				if lease == nil || random.IntN(10) == 0 {
					lease = l.steal(ctx, fmt.Sprint("worker-", w), names[random.IntN(len(names))])
				}
				var batch []store.Judged
				for range 1 + random.IntN(20) {
					n := random.IntN(posts)
					batch = append(batch, post(fmt.Sprint(n), by(fmt.Sprint("a", n%17)), func(j *store.Judged) {
						j.Author.Name = fmt.Sprint("name ", random.IntN(3))
						j.Mentions = []listen.Account{{ID: fmt.Sprint("https://social.example/users/a", random.IntN(17)), Handle: "x"}}
						edited(time.Duration(random.IntN(3))*time.Minute, "", "text")(j)
					}))
				}
				_, err := l.TakeMentions(ctx, *lease, listen.Batch{Network: social, Next: []byte(fmt.Sprint(lease.Epoch))}, batch)
				switch {
				case err == nil:
					stored++
				case errors.Is(err, store.ErrSourceLost):
					lease = nil
				default:
					t.Errorf("worker %d: %v", w, err)
					return
				}
			}
		})
	}
	go func() { group.Wait(); close(finished) }()
	read := map[string]int{}
	last := false
	for after := int64(0); ; {
		natives, next := l.since(after, store.MentionQuery{})
		for _, n := range natives {
			read[n]++
		}
		if last && next == after {
			break
		}
		after = next
		select {
		case <-finished:
			last = true
		default:
		}
	}
	stored := query(t, l.DB, "select native_id from mention order by native_id")
	if distinct := slices.Compact(slices.Clone(stored)); len(distinct) != len(stored) || len(stored) < posts*9/10 {
		t.Errorf("%d mentions of %d posts", len(stored), len(distinct))
	}
	for _, n := range stored {
		if read[n] != 1 {
			t.Errorf("post %s was read %d times", n, read[n])
		}
		delete(read, n)
	}
	if len(read) > 0 {
		t.Errorf("read and not stored: %v", read)
	}
	// The cursor is the one of the last who held the source, or of somebody before, and never of one who had lost it.
	for _, ahead := range query(t, l.DB, "select source_id::text from social_source_state where (cursor::text)::bigint > epoch") {
		t.Errorf("the cursor of source %s is ahead", ahead)
	}
}

// steal leases a source although somebody holds it, as it is when a lease ends.
func (l listening) steal(ctx context.Context, worker, name string) *store.SourceLease {
	for {
		_, err := l.Pool.Exec(ctx, `update social_source_state set leased_until = now() - interval '1 s', next_at = now()
			where source_id = (select id from social_source where name = $1)`, name)
		if err != nil {
			l.t.Error(err)
			return &store.SourceLease{}
		}
		leases, err := l.LeaseSources(ctx, worker, time.Minute, 1)
		if err != nil {
			l.t.Error(err)
			return &store.SourceLease{}
		}
		if len(leases) == 1 {
			return &leases[0]
		}
	}
}

// Two hold a source's lease, one of them a stale one, and both write at the same moment: the one that was taken over writes nothing.
func TestOfTwoHoldersOneWrites(t *testing.T) {
	ctx := context.Background()
	l := newListening(t, "a")
	for n := range 20 {
		stale := l.lease("a")
		var taken *store.SourceLease
		errs := make(chan error, 2)
		go func() {
			taken = l.steal(ctx, "other", "a")
			_, err := l.TakeMentions(ctx, *taken, listen.Batch{Network: social, Next: []byte(`"new"`)}, []store.Judged{post(fmt.Sprint("new", n))})
			errs <- err
		}()
		_, err := l.TakeMentions(ctx, stale, listen.Batch{Network: social, Next: []byte(`"stale"`)}, []store.Judged{post(fmt.Sprint("stale", n))})
		if other := <-errs; other != nil {
			t.Fatal(other)
		}
		if err != nil && !errors.Is(err, store.ErrSourceLost) {
			t.Fatal(err)
		}
		var stored bool
		if err := l.Pool.QueryRow(ctx, "select exists (select from mention where native_id = $1)", fmt.Sprint("stale", n)).Scan(&stored); err != nil {
			t.Fatal(err)
		}
		if stored != (err == nil) {
			t.Errorf("the stale holder was told %v, and its post is stored: %t", err, stored)
		}
		var cursor string
		if err := l.Pool.QueryRow(ctx, "select cursor::text from social_source_state").Scan(&cursor); err != nil || cursor != `"new"` {
			t.Errorf("the cursor is %s, %v", cursor, err)
		}
	}
}
