package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/egress"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
	"github.com/tertulia-crm/tertulia/internal/listen/listentest"
)

// reader polls as a worker does, at a time that tests set.
type reader struct {
	t      *testing.T
	o      listen.Options
	now    time.Time
	hooked time.Time
	cursor listen.Cursor
}

func newReader(t *testing.T, server *listentest.Server, settings Settings) *reader {
	t.Helper()
	r := &reader{t: t, now: noon}
	encoded, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	client := fetch.NewClient(fetch.Options{
		Dialer: egress.Dialer{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, TLS: server.TLSConfig(), Timeout: 10 * time.Second,
	})
	t.Cleanup(client.CloseIdleConnections)
	r.o = listen.Options{
		Source: "velo-blog", Settings: encoded, UserAgent: listentest.UserAgent, Client: client, Now: func() time.Time { return r.now },
		Callback: callback, Key: sourceKey, Hooked: func() time.Time { return r.hooked },
	}
	return r
}

func (r *reader) open() *Connector {
	r.t.Helper()
	c, err := New(r.o)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// poll polls by a new connector, as after a restart, and moves the cursor.
func (r *reader) poll() listen.Page {
	r.t.Helper()
	page, err := r.open().Poll(r.t.Context(), r.cursor)
	if err != nil {
		r.t.Fatalf("poll: %v (%v)", err, errors.Unwrap(err))
	}
	if page.Next != nil {
		r.cursor = page.Next
	}
	return page
}

func (r *reader) state() state { return readState(r.cursor, r.open().settings.URL) }

func ids(page listen.Page) []string {
	var list []string
	for _, p := range page.Posts {
		list = append(list, p.ID)
	}
	return list
}

// page serves a document that a test changes.
type pageOf struct {
	body    string
	headers map[string]string
	status  int
	asked   []http.Header
	to      string // where it redirects to
}

func (p *pageOf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.asked = append(p.asked, r.Header.Clone())
	for name, value := range p.headers {
		w.Header().Set(name, value)
	}
	if p.to != "" && r.URL.Path == "/feed" {
		w.Header().Set("Location", p.to)
		w.WriteHeader(p.status)
		return
	}
	if p.status != 0 && p.to == "" {
		w.WriteHeader(p.status)
		return
	}
	_, _ = fmt.Fprint(w, p.body)
}

func atomOf(entries ...string) string {
	return `<feed xmlns="http://www.w3.org/2005/Atom" xmlns:at="http://purl.org/atompub/tombstones/1.0"><title>Velo</title>` +
		strings.Join(entries, "") + `</feed>`
}

func entryOf(name, text string, at time.Time) string {
	return fmt.Sprintf(`<entry><id>tag:a,2026:%s</id><published>%s</published><content>%s</content></entry>`, name, at.Format(time.RFC3339), text)
}

// TestWhatScrollsOutStays: absence is no deletion, and what comes back is nothing new.
func TestWhatScrollsOutStays(t *testing.T) {
	page := &pageOf{body: atomOf(entryOf("2", "b", noon), entryOf("1", "a", noon.Add(-time.Hour)))}
	server := listentest.NewServer(t, page, false)
	r := newReader(t, server, Settings{URL: server.URL() + "/feed"})
	if got := ids(r.poll()); !slices.Equal(got, []string{"tag:a,2026:1", "tag:a,2026:2"}) {
		t.Errorf("first: %q", got)
	}
	page.body = atomOf(entryOf("2", "b", noon))
	if got := r.poll(); len(got.Deleted)+len(got.Posts)+len(got.Gaps) > 0 {
		t.Errorf("one scrolled out: %+v", got)
	}
	page.body = atomOf(entryOf("2", "b", noon), entryOf("1", "a", noon.Add(-time.Hour)))
	if got := r.poll(); len(got.Posts) > 0 {
		t.Errorf("it came back: %q", ids(got))
	}
}

// TestTombstones: of a deletion and an entry the later counts.
func TestTombstones(t *testing.T) {
	stone := func(name string, at time.Time) string {
		return fmt.Sprintf(`<at:deleted-entry ref="tag:a,2026:%s" when="%s"/>`, name, at.Format(time.RFC3339))
	}
	page := &pageOf{body: atomOf(
		stone("gone", noon), stone("again", noon.Add(-time.Hour)), stone("late", noon.Add(time.Hour)), stone("gone", noon),
		entryOf("again", "a", noon), entryOf("late", "b", noon))}
	server := listentest.NewServer(t, page, false)
	got := newReader(t, server, Settings{URL: server.URL() + "/feed"}).poll()
	want := []listen.Deletion{{PostID: "tag:a,2026:gone"}, {PostID: "tag:a,2026:late"}}
	if diff := cmp.Diff(want, got.Deleted); diff != "" || !slices.Equal(ids(got), []string{"tag:a,2026:again"}) {
		t.Errorf("the posts %q, deleted (-want +got):\n%s", ids(got), diff)
	}
}

// TestEdits: the same id with other words is another edition, by the feed's own date where that is new.
func TestEdits(t *testing.T) {
	page := &pageOf{body: atomOf(entryOf("1", "a", noon.Add(-24*time.Hour)))}
	server := listentest.NewServer(t, page, false)
	r := newReader(t, server, Settings{URL: server.URL() + "/feed"})
	first := r.poll().Posts[0]
	r.now = noon.Add(time.Hour)
	page.body = atomOf(entryOf("1", "b", noon.Add(-24*time.Hour)))
	second := r.poll().Posts[0]
	r.now = noon.Add(2 * time.Hour)
	updated := noon.Add(90 * time.Minute)
	page.body = atomOf(strings.Replace(entryOf("1", "c", noon.Add(-24*time.Hour)), "<content>", "<updated>"+updated.Format(time.RFC3339)+"</updated><content>", 1))
	third := r.poll().Posts[0]
	if !first.EditedAt.IsZero() || !second.EditedAt.Equal(noon.Add(time.Hour)) || !third.EditedAt.Equal(updated) {
		t.Errorf("edited at %s, %s, %s", first.EditedAt, second.EditedAt, third.EditedAt)
	}
	if first.Revision == second.Revision || second.Revision == third.Revision {
		t.Errorf("the revisions are %q, %q, %q", first.Revision, second.Revision, third.Revision)
	}
	// Back to the first words: that is an edit too, and no repetition of what was there.
	r.now = noon.Add(3 * time.Hour)
	page.body = atomOf(entryOf("1", "a", noon.Add(-24*time.Hour)))
	if back := r.poll().Posts; len(back) != 1 || back[0].Revision == first.Revision || !back[0].EditedAt.Equal(r.now) {
		t.Errorf("back to the first words: %+v", back)
	}
	if again := r.poll().Posts; len(again) > 0 {
		t.Errorf("nothing was edited: %+v", again)
	}
}

// TestConditional: what has not changed is not sent again, and is not stored again; nor is what is sent again as it was.
func TestConditional(t *testing.T) {
	page := &pageOf{body: atomOf(entryOf("1", "a", noon)), headers: map[string]string{"ETag": `"one"`, "Last-Modified": "Sun, 22 Nov 2026 12:00:00 GMT"}}
	server := listentest.NewServer(t, page, false)
	r := newReader(t, server, Settings{URL: server.URL() + "/feed"})
	r.poll()
	same := r.poll()
	if asked := page.asked[1]; asked.Get("If-None-Match") != `"one"` || asked.Get("If-Modified-Since") != "Sun, 22 Nov 2026 12:00:00 GMT" {
		t.Errorf("it asks with %v", asked)
	}
	page.status = http.StatusNotModified
	if unchanged := r.poll(); !same.Empty() || !unchanged.Empty() {
		t.Errorf("nothing changed: %+v, %+v", same, unchanged)
	}
	r.now = noon.Add(time.Hour)
	if later := r.poll(); later.Next == nil || !r.state().Read.Equal(r.now) {
		t.Errorf("an hour later the cursor is %s", r.cursor)
	}
	page.status, page.body, page.headers = 0, atomOf(entryOf("2", "b", noon), entryOf("1", "a", noon)), nil
	if got := ids(r.poll()); !slices.Equal(got, []string{"tag:a,2026:2"}) {
		t.Errorf("one is new: %q", got)
	}
	if s := r.state(); s.ETag != "" || s.Modified != "" {
		t.Errorf("it would ask by what holds no more: %+v", s)
	}
}

func TestRhythm(t *testing.T) {
	ttl := func(minutes int) string {
		return fmt.Sprintf(`<rss version="2.0"><channel><title>Velo</title><ttl>%d</ttl></channel></rss>`, minutes)
	}
	for name, tc := range map[string]struct {
		body    string
		headers map[string]string
		want    time.Duration
	}{
		"nothing said":       {atomOf(), nil, 0},
		"freshness":          {atomOf(), map[string]string{"Cache-Control": "public, max-age=600"}, 10 * time.Minute},
		"freshness of years": {atomOf(), map[string]string{"Cache-Control": "max-age=99999999999"}, 24 * time.Hour},
		"freshness of none":  {atomOf(), map[string]string{"Cache-Control": "max-age=-1, max-age=x"}, 0},
		"to be left alone":   {atomOf(), map[string]string{"Retry-After": "900"}, 15 * time.Minute},
		"the document's":     {ttl(20), nil, 20 * time.Minute},
		"the longest":        {ttl(20), map[string]string{"Retry-After": "60", "Cache-Control": "max-age=600"}, 20 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			page := &pageOf{body: tc.body, headers: tc.headers}
			server := listentest.NewServer(t, page, false)
			r := newReader(t, server, Settings{URL: server.URL() + "/feed"})
			if got := r.poll().Wait; got != tc.want {
				t.Errorf("it waits %s, want %s", got, tc.want)
			}
			page.status = http.StatusNotModified
			if got := r.poll().Wait; got != tc.want {
				t.Errorf("where nothing changed it waits %s, want %s", got, tc.want)
			}
		})
	}
}

// TestMoved: a feed that has moved for ever is asked for where it is, until it is not there any more.
func TestMoved(t *testing.T) {
	for status, noted := range map[int]bool{
		http.StatusMovedPermanently: true, http.StatusPermanentRedirect: true, http.StatusFound: false, http.StatusTemporaryRedirect: false,
	} {
		page := &pageOf{body: atomOf(entryOf("1", "a", noon)), status: status, to: "/elsewhere"}
		server := listentest.NewServer(t, page, false)
		r := newReader(t, server, Settings{URL: server.URL() + "/feed"})
		if got := ids(r.poll()); !slices.Equal(got, []string{"tag:a,2026:1"}) {
			t.Errorf("%d: %q", status, got)
		}
		if got := r.state().Moved == server.URL()+"/elsewhere"; got != noted {
			t.Errorf("%d: the move is noted: %t", status, got)
		}
		before := len(server.Requests())
		r.poll()
		if asked := server.Requests()[before:]; noted && (len(asked) != 1 || asked[0].Path != "/elsewhere") || !noted && asked[0].Path != "/feed" {
			t.Errorf("%d: then it asks for %v", status, asked)
		}
	}
	page := &pageOf{body: atomOf(entryOf("1", "a", noon)), status: http.StatusMovedPermanently, to: "/elsewhere"}
	moved := true
	server := listentest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" && !moved {
			http.NotFound(w, r)
			return
		}
		page.ServeHTTP(w, r)
	}), false)
	r := newReader(t, server, Settings{URL: server.URL() + "/feed"})
	r.poll()
	moved, page.to, page.status = false, "", 0
	page.body = atomOf(entryOf("2", "b", noon), entryOf("1", "a", noon))
	if got := ids(r.poll()); !slices.Equal(got, []string{"tag:a,2026:2"}) || r.state().Moved != "" {
		t.Errorf("it came back: %q, moved to %q", got, r.state().Moved)
	}
}

// TestAMoveIsTold: where to, for who has to write it into the manifest, as long as it is so, and without what can be a secret.
func TestAMoveIsTold(t *testing.T) {
	page := &pageOf{body: atomOf(entryOf("1", "a", noon))}
	server := listentest.NewServer(t, page, false)
	old := Settings{URL: server.URL() + "/feed?key=s3cret"}
	r := newReader(t, server, old)
	if got := r.poll().Moved; got != "" {
		t.Errorf("it did not move, and is said to be at %q", got)
	}
	page.status, page.to = http.StatusFound, "/elsewhere"
	if got := r.poll().Moved; got != "" {
		t.Errorf("it did not move for ever, and is said to be at %q", got)
	}
	page.status, page.to = http.StatusPermanentRedirect, "/elsewhere?key=s3cret#there" // what is there is what was there
	for range 2 {
		if got := r.poll().Moved; got != server.URL()+"/elsewhere?…" {
			t.Errorf("it is said to be at %q", got)
		}
	}
	page.body = atomOf(entryOf("2", "b", noon), entryOf("1", "a", noon))
	if got := r.poll(); got.Moved != server.URL()+"/elsewhere?…" || len(got.Posts) != 1 {
		t.Errorf("with something new: %+v", got)
	}
	corrected := newReader(t, server, Settings{URL: server.URL() + "/elsewhere?key=s3cret"})
	corrected.cursor = r.cursor
	if got := corrected.poll(); got.Moved != "" || len(got.Posts) > 0 {
		t.Errorf("where it is declared to be it is said to be at %q, and brings %q", got.Moved, ids(got))
	}
}

// TestAMoveIntoNothing: a feed that cannot be read where it has moved is asked for where it was, unless somebody asks for patience.
func TestAMoveIntoNothing(t *testing.T) {
	for status, comesBack := range map[int]bool{
		http.StatusNotFound: true, http.StatusForbidden: true, http.StatusBadGateway: true, http.StatusUnauthorized: true, http.StatusTooManyRequests: false,
	} {
		page := &pageOf{body: atomOf(entryOf("1", "a", noon)), status: http.StatusMovedPermanently, to: "/elsewhere"}
		there := 0
		server := listentest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/elsewhere" && there != 0 {
				w.WriteHeader(there)
				return
			}
			page.ServeHTTP(w, r)
		}), false)
		r := newReader(t, server, Settings{URL: server.URL() + "/feed"})
		r.poll()
		there = status
		before := len(server.Requests())
		var trouble *listen.Trouble
		if _, err := r.open().Poll(t.Context(), r.cursor); !errors.As(err, &trouble) {
			t.Errorf("%d: it is nowhere, and the error is %v", status, err)
		}
		if asked := len(server.Requests()) - before; !comesBack && asked != 1 {
			t.Errorf("%d: it was asked %d times", status, asked)
		}
		page.to, page.status = "", 0
		answer, err := r.open().Poll(t.Context(), r.cursor)
		if (err == nil) != comesBack || comesBack && (answer.Moved != "" || answer.Next == nil) {
			t.Errorf("%d: it came back: %+v, %v", status, answer, err)
		}
	}
}

// TestAWebPageIsNoMove: what is no feed is not believed to be one that has moved.
func TestAWebPageIsNoMove(t *testing.T) {
	page := &pageOf{body: "<html><body>Log in</body></html>", status: http.StatusMovedPermanently, to: "/login"}
	server := listentest.NewServer(t, page, false)
	r := newReader(t, server, Settings{URL: server.URL() + "/feed"})
	_, err := r.open().Poll(t.Context(), nil)
	var trouble *listen.Trouble
	if !errors.As(err, &trouble) || trouble.Reason != listen.Malformed || strings.Contains(trouble.Message, "Log in") {
		t.Errorf("got %v", err)
	}
}

// TestPasswordsStayAtHome: who redirects does not get them for another host.
func TestPasswordsStayAtHome(t *testing.T) {
	var leaked []string
	stranger := listentest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		leaked = append(leaked, r.Header.Get("Authorization"))
		_, _ = fmt.Fprint(w, atomOf())
	}), true)
	home := listentest.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, given, _ := r.BasicAuth(); user != username || given != password {
			t.Errorf("it says that it is %q", user)
		}
		// Both servers are 127.0.0.1: by this name it is another host, and the certificate holds for it.
		http.Redirect(w, r, strings.Replace(stranger.URL(), "127.0.0.1", "example.com", 1)+"/feed", http.StatusMovedPermanently)
	}), true)
	r := newReader(t, home, Settings{URL: home.URL() + "/feed"})
	r.o.Credentials = map[string]string{usernameKey: username, passwordKey: password}
	client := r.o.Client.(*http.Client)
	client.Transport = &redial{transport: client.Transport.(*http.Transport), to: stranger.Host()}
	for range 2 {
		r.poll()
	}
	if !slices.Equal(leaked, []string{"", ""}) {
		t.Errorf("another host was told %q", leaked)
	}
}

// redial sends what is for example.com to this machine.
type redial struct {
	transport *http.Transport
	to        string
}

func (d *redial) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Host, "example.com") {
		r = r.Clone(r.Context())
		r.URL.Host = d.to
	}
	return d.transport.RoundTrip(r)
}

// TestLongFeeds: of very many entries the newest come, and are remembered in a cursor that is not too large.
func TestLongFeeds(t *testing.T) {
	var entries []string
	for i := range 3000 {
		entries = append(entries, entryOf(fmt.Sprintf("entry-%d", 3000-i), "a", noon.Add(-time.Duration(i)*time.Minute)))
	}
	page := &pageOf{body: atomOf(entries...), headers: map[string]string{
		"ETag": `"` + strings.Repeat("e", 400) + `"`, "Cache-Control": "max-age=60",
	}}
	server := listentest.NewServer(t, page, false)
	r := newReader(t, server, Settings{URL: server.URL() + "/feed?" + strings.Repeat("&", 900)})
	var got []string
	for page := r.poll(); ; page = r.poll() {
		got = append(got, ids(page)...)
		if len(page.Posts) > listen.MaxBatch || len(page.Next) > listen.MaxCursor {
			t.Errorf("a page has %d posts and a cursor of %d bytes", len(page.Posts), len(page.Next))
		}
		if (page.Wait == 0) != page.More {
			t.Errorf("there is more: %t, and the wait is %s", page.More, page.Wait)
		}
		if !page.More {
			break
		}
	}
	if len(got) != maxSeen || got[0] != "tag:a,2026:entry-501" || got[maxSeen-1] != "tag:a,2026:entry-3000" {
		t.Errorf("%d came, from %q to %q", len(got), got[0], got[len(got)-1])
	}
	page.body = atomOf(append([]string{entryOf("new", "b", noon)}, entries...)...)
	if got := ids(r.poll()); !slices.Equal(got, []string{"tag:a,2026:new"}) {
		t.Errorf("then %d came", len(got))
	}
}

// TestAnotherAddress: what was seen at the old one counts, and nothing else.
func TestAnotherAddress(t *testing.T) {
	page := &pageOf{body: atomOf(entryOf("1", "a", noon)), headers: map[string]string{"ETag": `"one"`}}
	server := listentest.NewServer(t, page, false)
	r := newReader(t, server, Settings{URL: server.URL() + "/feed"})
	r.poll()
	again := newReader(t, server, Settings{URL: server.URL() + "/new"})
	again.cursor = r.cursor
	if got := again.poll(); len(got.Posts) > 0 || page.asked[1].Get("If-None-Match") != "" {
		t.Errorf("%q came; it asked with %v", ids(got), page.asked[1])
	}
	// An id that counts within the feed is another one there, and what has it was read all the same.
	page.body = `<rss version="2.0"><channel><title>Velo</title><item><guid>17</guid><title>a</title></item></channel></rss>`
	page.headers = nil
	if got := ids(r.poll()); !slices.Equal(got, []string{"/feed 17"}) {
		t.Errorf("%q came", got)
	}
	again.cursor = r.cursor
	if got := again.poll(); len(got.Posts)+len(got.Gaps) > 0 {
		t.Errorf("at its new address %q came, with the gaps %v", ids(got), got.Gaps)
	}
}
