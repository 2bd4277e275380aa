package mastodon_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon/mastodontest"
)

// patience is how long is waited for what has to come.
const patience = 20 * time.Second

const never = time.Hour

// stream streams until the function that it returns is called, which returns how it ended.
func (w *world) stream(soon, sweep, ping time.Duration) (ended chan error, stop func()) {
	w.t.Helper()
	c := w.open().(*mastodon.Connector)
	c.Hasten(soon, sweep, ping, w.handshake)
	ctx, cancel := context.WithCancel(context.Background())
	w.t.Cleanup(cancel)
	ended = make(chan error, 1)
	w.mu.Lock()
	cursor := w.cursor
	w.mu.Unlock()
	go func() { ended <- c.Stream(ctx, cursor, w.take) }()
	return ended, func() {
		w.t.Helper()
		cancel()
		if err := w.end(ended); !errors.Is(err, context.Canceled) {
			w.t.Errorf("it ends with %v", err)
		}
	}
}

func (w *world) end(ended chan error) error {
	w.t.Helper()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		w.t.Fatal("it does not end")
		return nil
	}
}

func (w *world) awaitStreams(n int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.fake.AwaitStreams(ctx, n); err != nil {
		w.t.Fatalf("no stream: %v", err)
	}
}

// await waits until something holds of what is stored.
func (w *world) await(what string, holds func() bool) {
	w.t.Helper()
	limit := time.After(patience)
	for {
		w.mu.Lock()
		came, ok := w.came, holds()
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-came:
		case <-limit:
			w.t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (w *world) awaitPost(id string) {
	w.t.Helper()
	w.await(id, func() bool { _, ok := w.posts[id]; return ok })
}

func TestOneConnectionForAll(t *testing.T) {
	for name, tc := range map[string]struct {
		o       mastodontest.Options
		sockets int
	}{
		"Multiplexed": {mastodontest.Options{}, 1},
		"Apart":       {mastodontest.Options{OneStream: true}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, mastodon.Settings{Hashtags: []string{"#Velo"}, Mentions: true, Lists: []string{"12"}}, tc.o)
			_, stop := w.stream(never, never, never)
			w.awaitStreams(3)
			if diff := cmp.Diff([]string{"hashtag:velo", "list:12", "user:notification"}, w.fake.Subscriptions()); diff != "" {
				t.Error(diff)
			}
			if n := w.fake.Sockets(); n != tc.sockets {
				t.Errorf("%d connections, want %d", n, tc.sockets)
			}
			ids := []string{
				w.fake.Publish(tagged("x")), w.fake.Publish(mastodontest.Post{Text: "y", Mentions: true}), w.fake.Publish(mastodontest.Post{Text: "z", List: "12"}),
			}
			for _, id := range ids {
				w.awaitPost(id)
			}
			stop()
			w.expect(ids...)
		})
	}
}

// TestNoGap: a stream does not repeat what happened while nobody listened.
func TestNoGap(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{})
	var want []string
	for range 5 {
		w.pass(time.Minute)
		want = append(want, w.fake.Publish(tagged("while nobody listened")))
		ended, _ := w.stream(never, never, never)
		w.awaitStreams(1)
		w.awaitPost(want[len(want)-1])
		for range 60 {
			w.pass(time.Second)
			want = append(want, w.fake.Publish(tagged("x")))
		}
		w.awaitPost(want[len(want)-1])
		w.fake.CutStreams()
		w.expectReason(w.end(ended), listen.Unreachable)
	}
	w.mustDrain()
	w.expect(want...)
}

// TestLostEvents: what a stream does not tell is read from the timeline, and edits and deletions are asked for.
func TestLostEvents(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{Limit: 1 << 20})
	_, stop := w.stream(10*time.Millisecond, 10*time.Millisecond, never)
	w.awaitStreams(1)
	first := w.fake.Publish(tagged("told"))
	w.awaitPost(first)
	lost := tagged("not told")
	lost.Silent = true
	id := w.fake.Publish(lost)
	w.awaitPost(id)
	w.fake.DeleteQuietly(first)
	w.await("the deletion", func() bool { return len(w.deleted) == 1 })
	stop()
	w.expect(id)
}

func TestStreamEnds(t *testing.T) {
	cases := map[string]struct {
		o      mastodontest.Options
		ping   time.Duration // default: never
		during func(w *world)
		want   listen.Reason
	}{
		"NoStreaming": {o: mastodontest.Options{NoStreaming: true}, want: listen.Unreachable},
		"Deaf":        {o: mastodontest.Options{Deaf: true}, ping: 200 * time.Millisecond, want: listen.Unreachable},
		"Cut":         {during: func(w *world) { w.fake.CutStreams() }, want: listen.Unreachable},
		"Huge":        {during: func(w *world) { w.fake.Say(`{"event":"update","payload":"` + strings.Repeat("x", 5<<20) + `"}`) }, want: listen.Unreachable},
		"Refused":     {during: func(w *world) { w.fake.Say(`{"error":"Unknown stream type","status":400}`) }, want: listen.Unreachable},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, velo, tc.o)
			ping := never
			if tc.ping > 0 {
				ping = tc.ping
			}
			ended, _ := w.stream(never, never, ping)
			if tc.during != nil {
				w.awaitStreams(1)
				id := w.fake.Publish(tagged("x"))
				w.awaitPost(id)
				tc.during(w)
			}
			w.expectReason(w.end(ended), tc.want)
		})
	}
}

// TestRevoked: the connection ends, and the next one is told why.
func TestRevoked(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{})
	ended, _ := w.stream(never, never, never)
	w.awaitStreams(1)
	w.awaitPost(w.fake.Publish(tagged("x"))) // timelines are read
	w.fake.Revoke()
	w.expectReason(w.end(ended), listen.Unreachable)
	ended, _ = w.stream(never, never, never)
	w.expectReason(w.end(ended), listen.Unauthorized)
	w.expectReason(w.drain(), listen.Unauthorized)
}

// TestHostileEvents: what cannot be read is counted, and the rest is read.
func TestHostileEvents(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{})
	_, stop := w.stream(never, never, never)
	w.awaitStreams(1)
	before := w.fake.Publish(tagged("before it"))
	w.awaitPost(before) // timelines are read
	said := []string{
		"", "null", "17", "\x00\xff", `{"event":"update"}`, `{"event":"update","payload":"{"}`, `{"event":"update","payload":"{\"id\":{}}"}`,
		`{"event":"notification","payload":"[]"}`, `{"event":"delete","payload":"` + strings.Repeat("9", 1000) + `"}`,
		strings.Repeat("[", 100_000), `{"event":"` + strings.Repeat("x", 100_000) + `"}`,
	}
	for _, text := range said {
		w.fake.Say(text)
	}
	id := w.fake.Publish(tagged("after it"))
	w.awaitPost(id)
	stop()
	w.expect(before, id)
	if w.refused < 5 || w.refused > len(said) {
		t.Errorf("%d were refused", w.refused)
	}
}

// TestManyWhileSweeping: what streams tell while timelines are read is neither lost nor stored twice.
func TestManyWhileSweeping(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{Limit: 1 << 20})
	_, stop := w.stream(time.Millisecond, time.Millisecond, never)
	w.awaitStreams(1)
	var want []string
	for i := range 400 {
		w.pass(time.Second)
		want = append(want, w.fake.Publish(tagged(fmt.Sprint(i))))
	}
	for _, id := range want {
		w.awaitPost(id)
	}
	stop()
	w.expect(want...)
}

// TestHandshakeHangs: a server that takes a connection and says nothing is told of as that.
func TestHandshakeHangs(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{Hanging: true})
	w.handshake = time.Second
	ended, _ := w.stream(never, never, never)
	w.expectReason(w.end(ended), listen.Unreachable)
}

// TestManyTimelines: as many as a source may have are read to their ends, however many requests that takes, and then no more.
func TestManyTimelines(t *testing.T) {
	s := mastodon.Settings{Mentions: true}
	var busy []string
	for i := range 24 {
		s.Hashtags = append(s.Hashtags, fmt.Sprintf("velo%d", i))
		busy = append(busy, s.Hashtags[i])
	}
	for i := range 10 {
		s.Lists = append(s.Lists, fmt.Sprint(i+1))
	}
	w := newWorld(t, s, mastodontest.Options{Limit: 1 << 20})
	var want []string
	for range 100 {
		w.pass(time.Second)
		want = append(want, w.fake.Publish(mastodontest.Post{Text: "x", Tags: busy}))
	}
	gone := w.fake.Publish(mastodontest.Post{Text: "x", Tags: busy})
	_, stop := w.stream(never, never, never)
	w.awaitStreams(35)
	for _, id := range want {
		w.awaitPost(id)
	}
	w.fake.DeleteQuietly(gone)
	stop()
	w.mustDrain()
	w.expect(want...)
	if n := w.fake.Asked(); n > 1000 {
		t.Errorf("it took %d requests", n)
	}
}
