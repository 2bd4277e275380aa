package feed

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/listentest"
)

// blog is a feed with a hub, both on one server.
type blog struct {
	page   *pageOf
	asked  []url.Values // of the hub
	status int          // that the hub answers with
}

func (b *blog) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/hub" {
		b.page.ServeHTTP(w, r)
		return
	}
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		http.Error(w, "post a form", http.StatusBadRequest)
		return
	}
	b.asked = append(b.asked, r.PostForm)
	w.WriteHeader(b.status)
}

func newBlog(t *testing.T) (*blog, *reader, *listentest.Server) {
	t.Helper()
	b := &blog{page: &pageOf{body: atomOf(entryOf("1", "a", noon.Add(-time.Hour)))}, status: http.StatusAccepted}
	server := listentest.NewServer(t, b, false)
	b.page.headers = map[string]string{"Link": fmt.Sprintf(`<%s/hub>; rel="hub", <%s/feed>; rel="self"`, server.URL(), server.URL())}
	return b, newReader(t, server, Settings{URL: server.URL() + "/feed"}), server
}

// verification is how a hub asks whether we mean it.
func verification(t *testing.T, asked url.Values) listen.Request {
	t.Helper()
	address, err := url.Parse(asked.Get("hub.callback"))
	if err != nil || !strings.HasPrefix(address.String(), callback) {
		t.Fatalf("it wants to be called at %q", asked.Get("hub.callback"))
	}
	query := address.Query()
	query.Set("hub.mode", "subscribe")
	query.Set("hub.topic", asked.Get("hub.topic"))
	query.Set("hub.challenge", "<script>challenge</script>")
	query.Set("hub.lease_seconds", asked.Get("hub.lease_seconds"))
	return listen.Request{Method: http.MethodGet, Query: query}
}

// delivery is what a hub posts.
func delivery(asked url.Values, method string, algorithm func() hash.Hash, body string) listen.Request {
	address, _ := url.Parse(asked.Get("hub.callback"))
	mac := hmac.New(algorithm, []byte(asked.Get("hub.secret")))
	mac.Write([]byte(body))
	return listen.Request{
		Method: http.MethodPost, Query: address.Query(), Body: []byte(body), At: noon,
		Header: http.Header{"X-Hub-Signature": {method + "=" + hex.EncodeToString(mac.Sum(nil))}, "Content-Type": {"application/atom+xml"}},
	}
}

// TestAHub leads a subscription through its life: asked for, verified and written to by another process, polled past at leisure, renewed,
// and given up where the hub says nothing of what is new.
func TestAHub(t *testing.T) {
	b, r, server := newBlog(t)
	if wait := r.poll().Wait; wait != 0 || len(b.asked) != 1 {
		t.Fatalf("the hub was asked %d times, the wait is %s", len(b.asked), wait)
	}
	asked := b.asked[0]
	if asked.Get("hub.mode") != "subscribe" || asked.Get("hub.topic") != server.URL()+"/feed" || len(asked.Get("hub.secret")) != 64 ||
		asked.Get("hub.lease_seconds") != "864000" {
		t.Errorf("the hub was asked for %v", asked)
	}
	if strings.Contains(string(r.cursor), asked.Get("hub.secret")) {
		t.Error("the secret stands in the cursor")
	}

	// Another process is called.
	_, response, err := r.open().Receive(t.Context(), verification(t, asked))
	if err != nil || string(response.Body) != "<script>challenge</script>" || response.ContentType != "text/plain; charset=utf-8" || response.Status != 200 {
		t.Fatalf("the hub is answered %+v, %v", response, err)
	}
	r.hooked = noon.Add(-30 * time.Second) // by a clock that is behind
	batch, _, err := r.open().Receive(t.Context(), delivery(asked, "sha512", sha512.New, atomOf(entryOf("2", "b", noon))))
	if err != nil || len(batch.Posts) != 1 || batch.Posts[0].ID != "tag:a,2026:2" || batch.Next != nil {
		t.Fatalf("the hub brings %+v, %v", batch, err)
	}

	// Now that it speaks it is polled rarely, and what it brought costs no gap though everything scrolled by.
	r.now = noon.Add(time.Minute)
	if wait := r.poll().Wait; wait != told {
		t.Errorf("the hub speaks, and the wait is %s", wait)
	}
	r.hooked, r.now = noon.Add(30*time.Minute), noon.Add(31*time.Minute)
	b.page.body = atomOf(entryOf("3", "c", noon.Add(29*time.Minute)))
	if page := r.poll(); len(page.Gaps) > 0 || page.Wait != told || len(b.asked) != 1 {
		t.Errorf("the hub told of it: %+v, asked %d times", page, len(b.asked))
	}

	r.now = noon.Add(3 * time.Hour)
	if r.poll(); len(b.asked) != 1 {
		t.Errorf("a hub that speaks was asked %d times in three hours", len(b.asked))
	}

	// A day later the lease is renewed, by the same subscription.
	r.now, r.hooked = noon.Add(25*time.Hour), noon.Add(24*time.Hour)
	if wait := r.poll().Wait; wait != told || len(b.asked) != 2 || b.asked[1].Get("hub.callback") != asked.Get("hub.callback") {
		t.Errorf("the hub was asked %d times, the wait is %s", len(b.asked), wait)
	}
	r.hooked = r.now.Add(time.Second)

	// It says nothing of an entry: it is polled as before, and asked again.
	r.now = r.now.Add(2 * time.Hour)
	b.page.body = atomOf(entryOf("4", "d", r.now.Add(-time.Hour)), entryOf("3", "c", noon.Add(29*time.Minute)))
	if page := r.poll(); page.Wait != 0 || !slices.Equal(ids(page), []string{"tag:a,2026:4"}) || len(b.asked) != 3 {
		t.Errorf("the hub is silent: %+v, asked %d times", page, len(b.asked))
	}
	r.now = r.now.Add(time.Minute)
	if wait := r.poll().Wait; wait != 0 || len(b.asked) != 3 {
		t.Errorf("the hub has yet to call: the wait is %s, asked %d times", wait, len(b.asked))
	}
}

// TestADeadHub costs no poll, and is asked less and less.
func TestADeadHub(t *testing.T) {
	b, r, _ := newBlog(t)
	b.status = http.StatusBadGateway
	for range 14 * 24 * 4 {
		if page := r.poll(); page.Wait != 0 {
			t.Fatalf("the hub is dead, and the wait is %s", page.Wait)
		}
		r.now = r.now.Add(15 * time.Minute)
	}
	if len(b.asked) < 14 || len(b.asked) > 22 {
		t.Errorf("in two weeks it was asked %d times", len(b.asked))
	}
}

// TestAHubThatStopsToVerify is polled past no more.
func TestAHubThatStopsToVerify(t *testing.T) {
	b, r, _ := newBlog(t)
	r.poll()
	r.hooked, r.now = noon.Add(time.Second), noon.Add(25*time.Hour)
	if wait := r.poll().Wait; wait != told || len(b.asked) != 2 {
		t.Errorf("it was verified: the wait is %s, asked %d times", wait, len(b.asked))
	}
	r.now = r.now.Add(90 * time.Minute)
	if wait := r.poll().Wait; wait != 0 || len(b.asked) != 3 {
		t.Errorf("it was not verified again: the wait is %s, asked %d times", wait, len(b.asked))
	}
}

// TestWhereThereIsNoHub: nobody is asked to call where nobody can, or shall, or where nobody would know.
func TestWhereThereIsNoHub(t *testing.T) {
	for name, change := range map[string]func(*blog, *reader){
		"not wanted": func(_ *blog, r *reader) {
			r.o.Settings = []byte(strings.Replace(string(r.o.Settings), `}`, `,"webSub":false}`, 1))
		},
		"no public address":  func(_ *blog, r *reader) { r.o.Callback = "" },
		"no key":             func(_ *blog, r *reader) { r.o.Key = nil },
		"none in the feed":   func(b *blog, _ *reader) { b.page.headers = nil },
		"one that is no URL": func(b *blog, _ *reader) { b.page.headers = map[string]string{"Link": `<file:///etc/passwd>; rel=hub`} },
	} {
		t.Run(name, func(t *testing.T) {
			b, r, _ := newBlog(t)
			change(b, r)
			if page := r.poll(); page.Wait != 0 || len(b.asked) != 0 || strings.Contains(string(r.cursor), `"hub"`) {
				t.Errorf("asked %d times, the cursor is %s", len(b.asked), r.cursor)
			}
		})
	}
	b, r, _ := newBlog(t)
	r.poll()
	r.o.Settings = []byte(strings.Replace(string(r.o.Settings), `}`, `,"webSub":false}`, 1))
	if _, response, err := r.open().Receive(t.Context(), delivery(b.asked[0], "sha1", sha1.New, atomOf())); err != nil || response.Status != http.StatusGone {
		t.Errorf("no longer wanted, and the hub is answered %d, %v", response.Status, err)
	}
}

// TestAHubInTheClear: a secret is not sent where everybody can read it, unless the feed is read so as well.
func TestAHubInTheClear(t *testing.T) {
	clear := &blog{status: http.StatusAccepted}
	hub := listentest.NewServer(t, clear, false).URL() + "/hub"
	for name, page := range map[string]*pageOf{
		"in the header": {body: atomOf(), headers: map[string]string{"Link": "<" + hub + ">; rel=hub"}},
		"in the feed":   {body: atomOf(`<link rel="hub" href="` + strings.Replace(hub, "http", "HTTP", 1) + `"/>`)},
	} {
		server := listentest.NewServer(t, page, true)
		r := newReader(t, server, Settings{URL: server.URL() + "/feed"})
		if page := r.poll(); page.Wait != 0 || len(clear.asked) > 0 || strings.Contains(string(r.cursor), "hub") {
			t.Errorf("%s: it was asked %d times, and the cursor is %s", name, len(clear.asked), r.cursor)
		}
	}
}

// TestWhoIsNoHub: whoever does not know what only our hub was told changes nothing, and is told nothing.
func TestWhoIsNoHub(t *testing.T) {
	b, r, _ := newBlog(t)
	r.poll()
	asked := b.asked[0]
	verify := func(change func(url.Values)) listen.Request {
		request := verification(t, asked)
		change(request.Query)
		return request
	}
	deliver := func(change func(*listen.Request)) listen.Request {
		request := delivery(asked, "sha1", sha1.New, atomOf(entryOf("9", "x", noon)))
		change(&request)
		return request
	}
	for name, request := range map[string]listen.Request{
		"another topic":         verify(func(q url.Values) { q.Set("hub.topic", "https://stranger.example/feed") }),
		"no token":              verify(func(q url.Values) { q.Del(tokenParameter) }),
		"another token":         verify(func(q url.Values) { q.Set(tokenParameter, strings.Repeat("0", 32)) }),
		"two tokens":            verify(func(q url.Values) { q.Add(tokenParameter, q.Get(tokenParameter)) }),
		"no signature":          deliver(func(r *listen.Request) { r.Header.Del("X-Hub-Signature") }),
		"an unknown method":     deliver(func(r *listen.Request) { r.Header.Set("X-Hub-Signature", "md5=00") }),
		"no method":             deliver(func(r *listen.Request) { r.Header.Set("X-Hub-Signature", "00") }),
		"another body":          deliver(func(r *listen.Request) { r.Body = append(r.Body, ' ') }),
		"half a signature":      deliver(func(r *listen.Request) { r.Header.Set("X-Hub-Signature", r.Header.Get("X-Hub-Signature")[:25]) }),
		"of another's token":    deliver(func(r *listen.Request) { r.Query = map[string][]string{tokenParameter: {"x"}} }),
		"an empty signature":    deliver(func(r *listen.Request) { r.Header.Set("X-Hub-Signature", "sha256=") }),
		"what is no hex":        deliver(func(r *listen.Request) { r.Header.Set("X-Hub-Signature", "sha256=zz") }),
		"of no token, verified": {Method: http.MethodGet},
	} {
		batch, response, err := r.open().Receive(t.Context(), request)
		if !errors.Is(err, listen.ErrSignature) || !batch.Empty() || len(response.Body) > 0 {
			t.Errorf("%s: %+v, %+v, %v", name, batch, response, err)
		}
	}
	for name, request := range map[string]listen.Request{
		"no challenge":     verify(func(q url.Values) { q.Del("hub.challenge") }),
		"a long challenge": verify(func(q url.Values) { q.Set("hub.challenge", strings.Repeat("x", 2000)) }),
		"another mode":     verify(func(q url.Values) { q.Set("hub.mode", "publish") }),
		"an end":           verify(func(q url.Values) { q.Set("hub.mode", "unsubscribe") }),
		"a denial":         verify(func(q url.Values) { q.Set("hub.mode", "denied") }),
		"a PUT":            {Method: http.MethodPut},
	} {
		batch, response, err := r.open().Receive(t.Context(), request)
		var trouble *listen.Trouble
		if !errors.As(err, &trouble) || !batch.Empty() || len(response.Body) > 0 {
			t.Errorf("%s: %+v, %+v, %v", name, batch, response, err)
		}
	}
	other := *r
	other.o.Key = []byte("the key of another source, which is another")
	if _, _, err := other.open().Receive(t.Context(), verification(t, asked)); !errors.Is(err, listen.ErrSignature) {
		t.Errorf("another source believes it: %v", err)
	}
}

// TestMuchAtOnce: what a batch does not hold is left to the next poll.
func TestMuchAtOnce(t *testing.T) {
	b, r, _ := newBlog(t)
	r.poll()
	var entries []string
	for i := range 700 {
		entries = append(entries, entryOf(fmt.Sprint(i), "x", noon.Add(-time.Duration(i)*time.Second)))
	}
	batch, _, err := r.open().Receive(t.Context(), delivery(b.asked[0], "sha1", sha1.New, atomOf(entries...)))
	if err != nil || len(batch.Posts) != listen.MaxBatch || batch.Posts[listen.MaxBatch-1].ID != "tag:a,2026:0" {
		t.Errorf("%d came, %v", len(batch.Posts), err)
	}
}

// FuzzReceive: a stranger who does not know the secret changes nothing, and is told nothing of his own words.
func FuzzReceive(f *testing.F) {
	f.Add("GET", "0123", "https://velo.example/feed", "challenge", "subscribe", "", []byte(nil))
	f.Add("POST", "0123", "", "", "", "sha256=00", []byte("<rss/>"))
	f.Add("PUT", "", "", "", "denied", "=", []byte("{}"))
	f.Fuzz(func(t *testing.T, method, token, topic, challenge, mode, signature string, body []byte) {
		c, err := New(listen.Options{Settings: []byte(`{"url":"https://velo.example/feed"}`), Callback: callback, Key: sourceKey})
		if err != nil {
			t.Fatal(err)
		}
		batch, response, err := c.Receive(t.Context(), listen.Request{
			Method: method, Body: body, At: noon, Header: http.Header{"X-Hub-Signature": {signature}},
			Query: map[string][]string{tokenParameter: {token}, "hub.topic": {topic}, "hub.challenge": {challenge}, "hub.mode": {mode}},
		})
		if err == nil || !batch.Empty() || len(response.Body) > 0 {
			t.Errorf("it is answered %+v, %+v, %v", batch, response, err)
		}
	})
}
