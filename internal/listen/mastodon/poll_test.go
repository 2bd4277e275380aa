package mastodon_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/egress"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
	"github.com/tertulia-crm/tertulia/internal/listen/listentest"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon/mastodontest"
)

// world is a server, a listener and what it stored.
type world struct {
	t      *testing.T
	fake   *mastodontest.Server
	server *listentest.Server
	o      listen.Options

	handshake time.Duration // how long that of a stream may take

	mu      sync.Mutex
	now     time.Time
	cursor  listen.Cursor
	posts   map[string]listen.Post
	again   []string // ids of posts that came twice in one edition
	deleted []string
	gaps    []listen.Gap
	refused int
	came    chan struct{}
}

func newWorld(t *testing.T, s mastodon.Settings, o mastodontest.Options) *world {
	t.Helper()
	w := &world{
		t: t, now: time.Date(2026, 11, 2, 9, 31, 0, 0, time.UTC), posts: map[string]listen.Post{}, came: make(chan struct{}), handshake: patience,
	}
	o.Now = w.clock
	w.fake = mastodontest.New(o)
	w.server = listentest.NewServer(t, w.fake, true)
	w.fake.Change(func(o *mastodontest.Options) { o.URL = w.server.URL() })
	s.Instance = w.server.URL()
	dialer := egress.Dialer{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	client := fetch.NewClient(fetch.Options{Dialer: dialer, TLS: w.server.TLSConfig(), Timeout: patience})
	t.Cleanup(client.CloseIdleConnections)
	w.o = listen.Options{
		Source: "velo", Settings: settings(t, s), Credentials: map[string]string{mastodon.AccessToken: mastodontest.Token}, UserAgent: listentest.UserAgent,
		Client: client, Now: w.clock,
	}
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) open() listen.Connector {
	w.t.Helper()
	c, err := mastodon.New(w.o)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// take stores a batch.
func (w *world) take(_ context.Context, b listen.Batch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range b.Posts {
		if before, ok := w.posts[p.ID]; ok && before.Revision == p.Revision {
			w.again = append(w.again, p.ID)
		}
		w.posts[p.ID] = p
	}
	for _, d := range b.Deleted {
		delete(w.posts, d.PostID)
		w.deleted = append(w.deleted, d.PostID)
	}
	w.gaps = append(w.gaps, b.Gaps...)
	for _, n := range b.Rejected {
		w.refused += n
	}
	if b.Next != nil {
		w.cursor = b.Next
	}
	close(w.came)
	w.came = make(chan struct{})
	return nil
}

// drain polls until nothing is left, as a new worker does, and returns the last error.
func (w *world) drain() error {
	w.t.Helper()
	poller := w.open().(listen.Poller)
	for range 200 {
		w.mu.Lock()
		cursor := w.cursor
		w.mu.Unlock()
		page, err := poller.Poll(context.Background(), cursor)
		if err != nil {
			return err
		}
		if err := w.take(context.Background(), page.Batch); err != nil {
			return err
		}
		w.pass(page.Wait)
		if !page.More && page.Wait == 0 {
			return nil
		}
	}
	w.t.Fatal("there is always more")
	return nil
}

func (w *world) mustDrain() {
	w.t.Helper()
	if err := w.drain(); err != nil {
		w.t.Fatalf("%v: %v", err, errors.Unwrap(err))
	}
}

// expect compares what is stored, and that nothing came twice.
func (w *world) expect(ids ...string) {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	got := slices.Sorted(maps.Keys(w.posts))
	slices.Sort(ids)
	if diff := cmp.Diff(ids, got); diff != "" {
		w.t.Errorf("stored (-want +got):\n%s", diff)
	}
	if len(w.again) > 0 {
		w.t.Errorf("came twice: %.300v", w.again)
	}
}

func (w *world) expectReason(err error, want listen.Reason) {
	w.t.Helper()
	var trouble *listen.Trouble
	if !errors.As(err, &trouble) || trouble.Reason != want {
		w.t.Errorf("it ends with %v, want %s", err, want)
	}
}

var velo = mastodon.Settings{Hashtags: []string{"velo"}}

func tagged(text string) mastodontest.Post {
	return mastodontest.Post{Text: text, Tags: []string{"Velo"}}
}

// TestLatePosts: what other servers wrote comes in late, and then stands between what was read already.
func TestLatePosts(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{})
	first := w.fake.Publish(tagged("now"))
	w.mustDrain()
	late := tagged("five minutes ago")
	late.At, late.Received = w.clock().Add(-5*time.Minute), w.clock()
	between := w.fake.Publish(late)
	w.pass(time.Minute)
	last := w.fake.Publish(tagged("later"))
	w.mustDrain()
	w.mustDrain()
	w.expect(first, between, last)
}

// TestHoles: a page of which everything is hidden from us is no end.
func TestHoles(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{})
	want := []string{w.fake.Publish(tagged("first"))}
	w.mustDrain()
	for range 100 {
		w.pass(time.Second)
		hidden := tagged("hidden")
		hidden.Hidden = true
		w.fake.Publish(hidden)
	}
	want = append(want, w.fake.Publish(tagged("behind them")))
	w.mustDrain()
	w.expect(want...)
}

func TestMentionsAndLists(t *testing.T) {
	w := newWorld(t, mastodon.Settings{Mentions: true, Lists: []string{"12"}}, mastodontest.Options{})
	asked := w.fake.Publish(mastodontest.Post{Text: "@velo ¿tenéis bicis?", Mentions: true, Extra: map[string]any{"visibility": "direct"}})
	pressed := w.fake.Publish(mastodontest.Post{Text: "Noticias", List: "12", Author: "diario"})
	both := w.fake.Publish(mastodontest.Post{Text: "@velo y noticias", List: "12", Mentions: true})
	boost := w.fake.Publish(mastodontest.Post{List: "12", Reblog: pressed})
	w.fake.Publish(tagged("of no interest"))
	w.mustDrain()
	w.expect(asked, pressed, both, boost)
	if got := w.posts[asked]; got.Visibility != listen.Private || len(got.Mentions) != 1 || got.Mentions[0].Handle != "velo@"+mastodontest.Domain {
		t.Errorf("a direct message: %+v", got)
	}
	if got := w.posts[pressed].Author.Handle; got != "diario@"+mastodontest.Domain {
		t.Errorf("an account of the server itself is called %q", got)
	}
	if got := w.posts[boost]; got.Kind != listen.Repost || got.Subject != pressed {
		t.Errorf("a boost: %+v", got)
	}
	w.fake.Edit(asked, "@velo ¿y cascos?", w.clock())
	w.fake.Delete(both)
	w.mustDrain()
	w.expect(asked, pressed, boost)
	if got := w.posts[asked].Text; got != "@velo ¿y cascos?" {
		t.Errorf("edited: %q", got)
	}
}

// TestChecks: edits and deletions of what came long ago are found in turn.
func TestChecks(t *testing.T) {
	for name, o := range map[string]mastodontest.Options{"Recent": {}, "Old": {Old: true}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, velo, o)
			ids := make([]string, 60)
			for i := range ids {
				w.pass(time.Minute)
				ids[i] = w.fake.Publish(tagged(fmt.Sprint(i)))
			}
			poll := func() { // as a worker does: by a connector of its own
				t.Helper()
				page, err := w.open().(listen.Poller).Poll(context.Background(), w.cursor)
				if err != nil {
					t.Fatal(err)
				}
				_ = w.take(context.Background(), page.Batch)
				w.pass(max(page.Wait, time.Minute))
			}
			for range 3 {
				poll()
			}
			w.pass(time.Hour)
			w.fake.Edit(ids[1], "edited", w.clock())
			w.fake.DeleteQuietly(ids[30])
			for range 40 {
				poll()
			}
			w.expect(slices.Delete(slices.Clone(ids), 30, 31)...)
			if got := w.posts[ids[1]]; got.Text != "edited" || got.EditedAt.IsZero() || got.Revision == "" {
				t.Errorf("edited: %+v", got)
			}
		})
	}
}

// TestCounts: what others do with a post after it came is counted anew.
func TestCounts(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{})
	id := w.fake.Publish(tagged("x"))
	w.mustDrain()
	w.fake.Count(id, 12)
	w.mustDrain()
	if got := w.posts[id].Engagement; got == nil || got.Likes != 12 {
		t.Errorf("counted: %+v", got)
	}
	if len(w.again) != 1 {
		t.Errorf("it came %d times more, want once", len(w.again))
	}
}

// TestNothingIsNotDeleted: a server that has lost all its addresses for a while takes nothing back.
func TestNothingIsNotDeleted(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{})
	id := w.fake.Publish(tagged("there"))
	poller := w.open().(listen.Poller)
	for i := range 4 {
		w.fake.Change(func(o *mastodontest.Options) { o.Nothing = i > 0 })
		page, err := poller.Poll(context.Background(), w.cursor)
		if err != nil {
			t.Fatal(err)
		}
		_ = w.take(context.Background(), page.Batch)
	}
	w.expect(id)
	w.expectReason(w.drain(), listen.NotFound)
}

// TestListGap: servers keep the last 400 posts of a list.
func TestListGap(t *testing.T) {
	w := newWorld(t, mastodon.Settings{Lists: []string{"12"}}, mastodontest.Options{})
	w.fake.Publish(mastodontest.Post{Text: "first", List: "12"})
	w.mustDrain()
	for range 500 {
		w.pass(time.Minute)
		w.fake.Publish(mastodontest.Post{Text: "more", List: "12"})
	}
	w.mustDrain()
	if len(w.posts) != 401 || len(w.gaps) != 1 || !w.gaps[0].From.Before(w.gaps[0].To) {
		t.Errorf("%d posts, gaps %+v", len(w.posts), w.gaps)
	}
}

// TestListDeleted: what else is listened to goes on, and then a person is told.
func TestListDeleted(t *testing.T) {
	w := newWorld(t, mastodon.Settings{Hashtags: []string{"velo"}, Lists: []string{"11", "12"}}, mastodontest.Options{})
	w.fake.DeleteList("12")
	for range 3 {
		id := w.fake.Publish(tagged("x"))
		w.expectReason(w.drain(), listen.NotFound)
		if _, ok := w.posts[id]; !ok {
			t.Errorf("%s did not come", id)
		}
		w.pass(time.Minute)
	}
}

// TestRateLimit: it stops before the server has to say so.
func TestRateLimit(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{Limit: 20})
	var want []string
	for range 1000 {
		w.pass(time.Second)
		want = append(want, w.fake.Publish(tagged("x")))
	}
	w.mustDrain()
	w.expect(want...)
	if n := w.fake.Refused(); n > 0 {
		t.Errorf("%d requests were refused", n)
	}
}

func TestHashtagNobodyUsed(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{})
	w.mustDrain()
	var want []string
	for range 90 {
		want = append(want, w.fake.Publish(tagged("x")))
	}
	w.mustDrain()
	w.expect(want...)
}

func TestWithoutToken(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{})
	w.o.Credentials = nil
	id := w.fake.Publish(tagged("x"))
	w.mustDrain()
	w.expect(id)
	if _, streams := w.open().(listen.Streamer); streams {
		t.Error("it wants to stream without a token")
	}
	w.fake.Change(func(o *mastodontest.Options) { o.Closed = true })
	w.expectReason(w.drain(), listen.Unauthorized)
	w.fake.Change(func(o *mastodontest.Options) { o.Old = true })
	w.expectReason(w.drain(), listen.Unauthorized)
	w.o.Settings = settings(t, mastodon.Settings{Instance: w.server.URL(), Mentions: true})
	_, err := mastodon.New(w.o)
	w.expectReason(err, listen.Unauthorized)
}

// TestNarrowToken: what a token does not open keeps nothing else from being read.
func TestNarrowToken(t *testing.T) {
	w := newWorld(t, mastodon.Settings{Hashtags: []string{"velo"}, Mentions: true}, mastodontest.Options{Narrow: true})
	id := w.fake.Publish(tagged("x"))
	w.expectReason(w.drain(), listen.Forbidden)
	w.expect(id)
}

func TestNoMastodon(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{Nothing: true})
	w.expectReason(w.drain(), listen.NotFound)
}

// TestNameless: who does not say who asks gets nothing, and it is told.
func TestNameless(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{})
	w.o.UserAgent = ""
	w.expectReason(w.drain(), listen.Malformed)
}

// TestUnreadableCursor begins anew, and says so.
func TestUnreadableCursor(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{})
	id := w.fake.Publish(tagged("x"))
	w.cursor = listen.Cursor(`{"timelines":[]}`)
	w.mustDrain()
	w.expect(id)
	if len(w.gaps) != 1 {
		t.Errorf("gaps: %+v", w.gaps)
	}
}

// TestHistory: a source begins a week before the newest post.
func TestHistory(t *testing.T) {
	w := newWorld(t, velo, mastodontest.Options{})
	var want []string
	for day := range 20 {
		id := w.fake.Publish(tagged("x"))
		if day >= 12 {
			want = append(want, id)
		}
		w.pass(24*time.Hour - time.Second)
	}
	w.mustDrain()
	w.expect(want...)
}

// TestListDeletedAndPosts: while one timeline is gone, what became of the posts of the others is asked for all the same.
func TestListDeletedAndPosts(t *testing.T) {
	w := newWorld(t, mastodon.Settings{Hashtags: []string{"velo"}, Lists: []string{"12"}}, mastodontest.Options{})
	stays, goes := w.fake.Publish(tagged("x")), w.fake.Publish(tagged("y"))
	w.fake.DeleteList("12")
	w.expectReason(w.drain(), listen.NotFound)
	w.fake.Delete(goes)
	w.expectReason(w.drain(), listen.NotFound)
	w.expect(stays)
}

// TestMentionsByStrangers: also those that the account's policy keeps apart from its other notifications.
func TestMentionsByStrangers(t *testing.T) {
	w := newWorld(t, mastodon.Settings{Mentions: true}, mastodontest.Options{})
	id := w.fake.Publish(mastodontest.Post{Text: "@velo hola", Mentions: true, Filtered: true, Extra: map[string]any{"visibility": "direct"}})
	w.mustDrain()
	w.expect(id)
}
