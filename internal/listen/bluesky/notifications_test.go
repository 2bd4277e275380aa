package bluesky

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/bluesky/blueskytest"
)

// poll polls once and goes on from there.
func (w *world) poll(at *listen.Cursor) listen.Page {
	w.t.Helper()
	page, err := w.Connector.(listen.Poller).Poll(context.Background(), *at)
	if err != nil {
		w.t.Fatalf("poll: %v (%v)", err, errors.Unwrap(err))
	}
	*at = page.Next
	return page
}

func TestPollFollows(t *testing.T) {
	w := newWorld(t, wants{mentions: true}, nil)
	var at listen.Cursor
	id := w.fake.Post(anasDID, "1", addressed("Velo, ¿abrís hoy?", w.clock.Now()))
	first := w.poll(&at)
	if diff := cmp.Diff([]string{"Velo, ¿abrís hoy?"}, textsOf(first.Batch)); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
	p := first.Posts[0]
	if p.Author.Handle != "ana.example" || p.Engagement == nil || *p.Engagement != (listen.Engagement{Likes: 3, Reposts: 1, Replies: 2}) || !p.EditedAt.IsZero() {
		t.Errorf("the post is %+v", p)
	}
	w.fake.Hide(id, true)
	if page := w.poll(&at); len(page.Deleted) > 0 {
		t.Error("a post that the network did not know once counts as deleted")
	}
	w.fake.Hide(id, false)
	if page := w.poll(&at); len(page.Deleted)+len(page.Posts) > 0 {
		t.Errorf("nothing happened, and there is %+v", page.Batch)
	}
	w.clock.Advance(time.Hour)
	w.fake.Edit(id, addressed("Velo, ¿abrís mañana?", arrived))
	if page := w.poll(&at); len(page.Posts) != 1 || page.Posts[0].Text != "Velo, ¿abrís mañana?" || page.Posts[0].EditedAt.IsZero() || page.Posts[0].Revision == p.Revision {
		t.Errorf("after the edit there is %+v", page.Posts)
	}
	w.fake.Delete(id)
	var deleted []listen.Deletion
	for range missesBeforeGone {
		deleted = append(deleted, w.poll(&at).Deleted...)
	}
	if diff := cmp.Diff([]listen.Deletion{{PostID: id}}, deleted); diff != "" {
		t.Errorf("deletions (-want +got):\n%s", diff)
	}
}

// TestPollWalksBack: a long absence is read page by page, and none of it twice.
func TestPollWalksBack(t *testing.T) {
	w := newWorld(t, wants{mentions: true}, nil)
	var at listen.Cursor
	w.poll(&at)
	for i := range 450 {
		w.clock.Advance(time.Minute)
		w.fake.Post(anasDID, fmt.Sprint(i), addressed(fmt.Sprintf("velo %d", i), w.clock.Now()))
	}
	seen := map[string]int{}
	pages := 0
	for {
		page := w.poll(&at)
		pages++
		for _, p := range page.Posts {
			seen[p.ID]++
		}
		if len(at) > listen.MaxCursor {
			t.Fatalf("the cursor has %d bytes", len(at))
		}
		if !page.More {
			break
		}
	}
	for range 20 { // all those that are followed have their turn
		if page := w.poll(&at); len(page.Posts)+len(page.Deleted) > 0 {
			t.Errorf("nothing is new, and there is %+v", page.Batch)
		}
	}
	if len(seen) != 450 || pages != 5 {
		t.Errorf("%d posts in %d pages", len(seen), pages)
	}
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s came %d times", id, n)
		}
	}
}

// TestPollAsksLittle: what is known is not asked for at each poll, but some of it in turn.
func TestPollAsksLittle(t *testing.T) {
	w := newWorld(t, wants{mentions: true}, nil)
	for i := range 90 {
		w.clock.Advance(time.Minute)
		w.fake.Post(anasDID, fmt.Sprint(i), addressed(fmt.Sprintf("velo %d", i), w.clock.Now()))
	}
	var at listen.Cursor
	w.poll(&at)
	asked := 0
	fake := w.fake
	w.server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked += len(r.URL.Query()["uris"])
		fake.ServeHTTP(rw, r)
	})
	for range 4 { // 25, 25, 25 and 15
		w.poll(&at)
	}
	if asked != 90 {
		t.Errorf("in one turn %d posts are asked for", asked)
	}
}

// TestInboxFollowsTheNewest: of more than can be followed the newest are.
func TestInboxFollowsTheNewest(t *testing.T) {
	var b inbox
	b.watch("5", "a")
	b.watch("6", "a")
	b.Page, b.Turn = "a walk back", 1
	b.watch("4", "a")
	b.watch("3", "a")
	for i := range maxRecent {
		b.watch(fmt.Sprint("older ", i), "a")
	}
	if got := []string{b.Recent[maxRecent-2].ID, b.Recent[maxRecent-1].ID, b.Recent[maxRecent-3].ID}; len(b.Recent) != maxRecent || b.Recent[b.Turn].ID != "6" ||
		!cmp.Equal(got, []string{"5", "6", "4"}) {
		t.Errorf("%d are followed, the last are %v, and it is the turn of %s", len(b.Recent), got, b.Recent[b.Turn].ID)
	}
	b.Page = ""
	b.watch("7", "a")
	if len(b.Recent) != maxRecent || b.Recent[maxRecent-1].ID != "7" || b.Recent[b.Turn].ID != "6" {
		t.Errorf("%d are followed, the last is %s, and it is the turn of %s", len(b.Recent), b.Recent[maxRecent-1].ID, b.Recent[b.Turn].ID)
	}
}

func TestCursorIsBounded(t *testing.T) {
	box := &inbox{DID: "did:web:" + strings.Repeat("a", 240), Page: strings.Repeat("p", maxPage)}
	for i := range maxRecent {
		box.Recent = append(box.Recent, watched{ID: fmt.Sprintf("at://%0*d", maxWatched-5, i), CID: strings.Repeat("c", cidTail), Missed: 1})
	}
	c, err := cursor{Server: strings.Repeat("s", 255), TimeUS: 1 << 60, Inbox: box}.encode()
	if err != nil || len(c) > listen.MaxCursor {
		t.Errorf("the longest cursor has %d bytes: %v", len(c), err)
	}
}

// TestSession: a session is renewed when its token has expired, and begun anew only where that is over too.
func TestSession(t *testing.T) {
	var asked []string
	clock := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	fake := newFake(func() time.Time { return clock })
	w := newWorld(t, wants{mentions: true}, nil)
	w.server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path[strings.LastIndexByte(r.URL.Path, '.')+1:])
		fake.ServeHTTP(rw, r)
	})
	var at listen.Cursor
	expect := func(want ...string) {
		t.Helper()
		asked = nil
		w.poll(&at)
		if diff := cmp.Diff(want, asked); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	expect("createSession", "listNotifications")
	expect("listNotifications")
	clock = clock.Add(3 * time.Hour)
	expect("listNotifications", "refreshSession", "listNotifications")
	expect("listNotifications")
	clock = clock.Add(100 * 24 * time.Hour)
	expect("listNotifications", "refreshSession", "createSession", "listNotifications")
	old := w.Connector
	w.renew()
	expect("listNotifications")
	clock = clock.Add(3 * time.Hour)
	expect("listNotifications", "refreshSession", "listNotifications")
	w.Connector = old
	expect("listNotifications", "listNotifications") // the other one has renewed it
	w.options.Credentials = map[string]string{CredentialIdentifier: "velo.example", CredentialPassword: "nope"}
	w.renew()
	asked = nil
	if _, err := w.Connector.(listen.Poller).Poll(context.Background(), at); err == nil || len(asked) != 1 {
		t.Errorf("with another password it goes on with a session that was begun with the right one: %v, %v", asked, err)
	}
}

// TestRateLimit: the server says by its count when to go on, and not by Retry-After.
func TestRateLimit(t *testing.T) {
	w := newWorld(t, wants{mentions: true}, nil)
	fake := blueskytest.New(blueskytest.Options{Now: w.clock.Now, Requests: 2, Window: 5 * time.Minute})
	fake.AddAccount(blueskytest.Account{DID: ourDID, Handle: "velo.example", Password: ourKey})
	w.server.Config.Handler = fake
	var at listen.Cursor
	if page := w.poll(&at); page.Wait != 5*time.Minute {
		t.Errorf("no request is left, and the wait is %s", page.Wait)
	}
	_, err := w.Connector.(listen.Poller).Poll(context.Background(), at)
	var trouble *listen.Trouble
	if !errors.As(err, &trouble) || trouble.Reason != listen.Throttled || trouble.Wait != 5*time.Minute {
		t.Errorf("it was asked too often, and says: %+v", trouble)
	}
}

func TestTroubles(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		body   string
		want   listen.Reason
	}{
		"an account's own password": {401, `{"error":"AuthFactorTokenRequired","message":"A sign in code has been sent"}`, listen.Unauthorized},
		"a wrong one":               {401, `{"error":"AuthenticationRequired","message":"Invalid identifier or password"}`, listen.Unauthorized},
		"an account taken down":     {401, `{"error":"AccountTakedown","message":"Account has been taken down"}`, listen.Forbidden},
		"an account at rest":        {200, `{"did":"` + ourDID + `","accessJwt":"a","refreshJwt":"b","active":false,"status":"deactivated"}`, listen.Forbidden},
		"no session":                {200, `{}`, listen.Malformed},
		"another server":            {200, `<html>`, listen.Malformed},
		"no server of the kind":     {404, ``, listen.NotFound},
		"a server that is down":     {502, `Bad Gateway`, listen.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, wants{mentions: true}, nil)
			w.server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				rw.WriteHeader(tt.status)
				_, _ = rw.Write([]byte(tt.body))
			})
			_, err := w.Connector.(listen.Poller).Poll(context.Background(), nil)
			var trouble *listen.Trouble
			if !errors.As(err, &trouble) || trouble.Reason != tt.want {
				t.Errorf("it says: %v", err)
			}
			if strings.Contains(fmt.Sprint(err), "sign in code") || strings.Contains(fmt.Sprint(err), ourKey) {
				t.Errorf("it repeats what a stranger wrote, or a secret: %v", err)
			}
		})
	}
}

// TestAnotherAccount: where the credentials are of another account now, its notifications are read from their beginning.
func TestAnotherAccount(t *testing.T) {
	w := newWorld(t, wants{mentions: true}, nil)
	w.fake.Post(anasDID, "1", addressed("velo", w.clock.Now()))
	at, err := cursor{Inbox: &inbox{DID: "did:plc:before", Seen: w.clock.Now().Add(time.Hour), Page: "0::y"}}.encode()
	if err != nil {
		t.Fatal(err)
	}
	got := w.poll(&at).Posts
	got = append(got, w.poll(&at).Posts...)
	if now, err := readCursor(at); len(got) != 1 || err != nil || now.Inbox.DID != ourDID || now.Inbox.Seen.After(w.clock.Now()) {
		t.Errorf("%d posts come, and the cursor is %s", len(got), at)
	}
}

// TestLongAnswers: a page of notifications that is too long for one answer is asked for in smaller ones.
func TestLongAnswers(t *testing.T) {
	w := newWorld(t, wants{mentions: true}, nil)
	for i := range 18 {
		w.clock.Advance(time.Second)
		w.fake.Post(anasDID, fmt.Sprint(i), addressed("velo "+strings.Repeat("x", 950<<10), w.clock.Now()))
	}
	var at listen.Cursor
	seen := map[string]bool{}
	for more := true; more; {
		page := w.poll(&at)
		for _, p := range page.Posts {
			seen[p.ID] = true
		}
		more = page.More
	}
	if len(seen) != 18 {
		t.Errorf("of 18 long posts %d come", len(seen))
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(`{"notifications":[{"uri":"at://did:plc:abc/app.bsky.feed.post/1","cid":"b","author":{"did":"did:plc:abc","handle":"a.example"},"reason":"reply","record":{"text":"a"},"indexedAt":"2026-11-22T10:00:00Z"}],"cursor":"x"}`)
	f.Add(`{"posts":[{"uri":"at://did:plc:abc/app.bsky.feed.post/1","record":[]}],"notifications":[{"reason":"mention"}]}`)
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "createSession") {
			_, _ = rw.Write([]byte(`{"did":"` + ourDID + `","accessJwt":"a","refreshJwt":"b"}`))
			return
		}
		_, _ = rw.Write([]byte(body))
	}))
	defer server.Close()
	f.Fuzz(func(t *testing.T, answer string) {
		body = answer
		w := newWorld(t, wants{mentions: true}, nil)
		n := w.Connector.(poller).network
		n.settings.Service = server.URL
		page, err := w.Connector.(listen.Poller).Poll(context.Background(), nil)
		if err != nil {
			return
		}
		if len(page.Next) > listen.MaxCursor {
			t.Errorf("the cursor has %d bytes", len(page.Next))
		}
		for i := range page.Posts {
			if refused := listen.Normalize(&page.Posts[i], arrived); refused != "" {
				t.Errorf("a post cannot be kept: %s", refused)
			}
		}
	})
}

// TestWalkBackBeginsAnew: a cursor of the network's that it does not know any more holds up nothing, and loses nothing.
func TestWalkBackBeginsAnew(t *testing.T) {
	w := newWorld(t, wants{mentions: true}, nil)
	for i := range 150 {
		w.clock.Advance(time.Minute)
		w.fake.Post(anasDID, fmt.Sprint(i), addressed("velo", w.clock.Now()))
	}
	var at listen.Cursor
	seen := len(w.poll(&at).Posts)
	now, err := readCursor(at)
	if err != nil || now.Inbox.Page == "" {
		t.Fatalf("there is no walk back: %s, %v", at, err)
	}
	now.Inbox.Page = "of yesterday"
	if at, err = now.encode(); err != nil {
		t.Fatal(err)
	}
	if page := w.poll(&at); page.More || page.Wait == 0 {
		t.Errorf("it goes on at once: %+v", page)
	}
	for range 3 {
		seen += len(w.poll(&at).Posts)
	}
	if now, err = readCursor(at); seen != 150 || err != nil || now.Inbox.Page != "" {
		t.Errorf("of 150 posts %d come, and the cursor is %.200s", seen, at)
	}
}

// TestTheServerIsLeftAlone: for as long as it wants to be, whoever asks.
func TestTheServerIsLeftAlone(t *testing.T) {
	w := newWorld(t, wants{mentions: true}, nil)
	asked := 0
	w.server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		asked++
		rw.Header().Set("Retry-After", "90")
		rw.WriteHeader(http.StatusServiceUnavailable)
	})
	poll := func(want listen.Reason, wait time.Duration, requests int) {
		t.Helper()
		_, err := w.Connector.(listen.Poller).Poll(context.Background(), nil)
		var trouble *listen.Trouble
		if !errors.As(err, &trouble) || trouble.Reason != want || trouble.Wait != wait || asked != requests {
			t.Errorf("%v after %d requests: %+v", err, asked, trouble)
		}
	}
	poll(listen.Unreachable, 90*time.Second, 1)
	w.clock.Advance(30 * time.Second)
	w.renew()
	poll(listen.Throttled, time.Minute, 1)
	w.clock.Advance(time.Minute)
	poll(listen.Unreachable, 90*time.Second, 2)
}

// TestPasswordIsNotSentOn: where our server leads elsewhere nobody there is told who we are.
func TestPasswordIsNotSentOn(t *testing.T) {
	for _, status := range []int{http.StatusMovedPermanently, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		w := newWorld(t, wants{mentions: true}, nil)
		told := ""
		other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			told += string(body) + fmt.Sprint(r.Header)
		}))
		t.Cleanup(other.Close)
		w.server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, other.URL+r.URL.Path, status)
		})
		_, err := w.Connector.(listen.Poller).Poll(context.Background(), nil)
		var trouble *listen.Trouble
		if !errors.As(err, &trouble) || trouble.Reason != listen.Malformed || strings.Contains(told, ourKey) || strings.Contains(told, "velo.example") {
			t.Errorf("%d: %v, and the other server is told %s", status, err, told)
		}
	}
}
