package bluesky

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/egress"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/bluesky/blueskytest"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
	"github.com/tertulia-crm/tertulia/internal/listen/listentest"
	"github.com/tertulia-crm/tertulia/internal/local/ports/portstest"
)

// here dials this machine.
type here egress.Dialer

var dialHere = here(egress.Dialer{Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, Timeout: 20 * time.Second})

func (h here) dial(ctx context.Context, _, address string) (net.Conn, error) {
	return egress.Dialer(h).DialContext(ctx, address)
}

// world is a network with a connector, in a test of this package.
type world struct {
	t       *testing.T
	fake    *blueskytest.Network
	clock   *listentest.Clock
	server  *httptest.Server
	options listen.Options
	listen.Connector

	mu      sync.Mutex
	batches []listen.Batch
}

func newWorld(t *testing.T, w wants, change func(*Settings)) *world {
	t.Helper()
	clock := &listentest.Clock{}
	for clock.Now().Before(arrived) { // a duration has three centuries at most
		clock.Advance(arrived.Sub(clock.Now()))
	}
	fake := newFake(clock.Now)
	server := httptest.NewServer(fake)
	t.Cleanup(server.Close)
	var s Settings
	if err := json.Unmarshal(w.settings(t, server.URL), &s); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&s)
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	shared.open, shared.rest = nil, nil // nothing is left of tests before
	o := listen.Options{
		Source: "velo", Settings: data, Credentials: w.credentials(), UserAgent: listentest.UserAgent, Now: clock.Now,
		Client: fetch.NewClient(fetch.Options{Dialer: egress.Dialer(dialHere)}), Dial: dialHere.dial, Languages: []string{"es", "en"},
	}
	made := &world{t: t, fake: fake, clock: clock, server: server, options: o}
	made.renew()
	return made
}

// renew opens another connector.
func (w *world) renew() {
	w.t.Helper()
	c, err := openQuick(w.options)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Connector = c
}

func (w *world) take(_ context.Context, b listen.Batch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batches = append(w.batches, b)
	return nil
}

// all is what was handed over, as one batch.
func (w *world) all() (all listen.Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all.Rejected = map[string]int{}
	for _, b := range w.batches {
		all.Posts, all.Deleted, all.Gaps = append(all.Posts, b.Posts...), append(all.Deleted, b.Deleted...), append(all.Gaps, b.Gaps...)
		if b.Next != nil {
			all.Next = b.Next
		}
		for reason, n := range b.Rejected {
			all.Rejected[reason] += n
		}
	}
	return all
}

// stream begins to stream, and the function that it returns ends it and tells how it ended.
func (w *world) stream(after listen.Cursor) (stop func() error) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Connector.(listen.Streamer).Stream(ctx, after, w.take) }()
	limit, done := context.WithTimeout(ctx, 10*time.Second)
	defer done()
	if err := w.fake.AwaitStream(limit); err != nil {
		w.t.Fatalf("no stream is opened: %v", err)
	}
	w.t.Cleanup(cancel)
	return func() error { cancel(); return <-ended }
}

// eventually waits for something to be handed over.
func (w *world) eventually(what string, holds func(listen.Batch) bool) {
	w.t.Helper()
	g := gomega.NewWithT(w.t)
	g.Eventually(func() bool { return holds(w.all()) }).WithTimeout(10*time.Second).WithPolling(5*time.Millisecond).Should(gomega.BeTrue(), what)
}

func textsOf(all listen.Batch) (texts []string) {
	for _, p := range all.Posts {
		texts = append(texts, p.Text)
	}
	return texts
}

func inSpanish(text string) map[string]any {
	return map[string]any{"text": text, "langs": []string{"es"}}
}

func TestStreamJudges(t *testing.T) {
	w := newWorld(t, wants{keywords: true}, nil)
	stop := w.stream(nil)
	w.clock.Advance(time.Second)
	w.fake.Post(anasDID, "1", inSpanish("Nada de eso"))
	id := w.fake.Post(anasDID, "2", inSpanish("Mi VELO nuevo"))
	w.fake.Post(anasDID, "3", map[string]any{"text": "velo auf Deutsch", "langs": []string{"de"}})
	w.fake.Post(anasDID, "4", map[string]any{"text": "velo, de-CH et en-GB", "langs": []string{"de-CH", "en-GB"}})
	other := w.fake.Post(anasDID, "5", inSpanish("velo"))
	w.eventually("the posts", func(all listen.Batch) bool { return len(all.Posts) == 3 })
	w.fake.Edit(other, inSpanish("nada"))
	w.fake.Delete(id)
	w.fake.End("did:plc:deleted", "deleted")
	w.fake.End("did:plc:takendown", "takendown")
	w.fake.End("did:plc:resting", "deactivated")
	w.fake.End("did:plc:suspended", "suspended")
	w.fake.Post(anasDID, "last", inSpanish("velo: fin"))
	w.eventually("the last post", func(all listen.Batch) bool { return len(all.Posts) >= 4 })
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with: %v", err)
	}
	all := w.all()
	if diff := cmp.Diff([]string{"Mi VELO nuevo", "velo, de-CH et en-GB", "velo", "velo: fin"}, textsOf(all)); diff != "" {
		t.Errorf("posts (-want +got):\n%s", diff)
	}
	want := []listen.Deletion{{PostID: other}, {PostID: id}, {AuthorID: "did:plc:deleted"}, {AuthorID: "did:plc:takendown"}}
	if diff := cmp.Diff(want, all.Deleted); diff != "" {
		t.Errorf("deletions (-want +got):\n%s", diff)
	}
	ana := all.Posts[0].Author
	if ana.Handle != "ana.example" || ana.Name != "Ana" || ana.Followers == nil || *ana.Followers != 12 || !ana.Bot || ana.ID != anasDID {
		t.Errorf("the author is %+v", ana)
	}
	if len(all.Gaps) > 0 || len(all.Rejected) > 0 {
		t.Errorf("gaps %v, rejected %v", all.Gaps, all.Rejected)
	}
}

// TestStreamMovesOn: the cursor moves too where nothing is wanted.
func TestStreamMovesOn(t *testing.T) {
	w := newWorld(t, wants{keywords: true}, nil)
	stop := w.stream(nil)
	w.clock.Advance(time.Minute)
	w.fake.Post(anasDID, "1", inSpanish("Nada de eso"))
	w.eventually("a cursor", func(all listen.Batch) bool {
		at, err := readCursor(all.Next)
		return err == nil && at.TimeUS == w.clock.Now().UnixMicro()
	})
	_ = stop()
}

func TestStreamResumes(t *testing.T) {
	w := newWorld(t, wants{keywords: true}, nil)
	host := strings.TrimPrefix(w.server.URL, "http://")
	base := w.clock.Now()
	for _, key := range []string{"1", "2", "3", "4"} {
		w.clock.Advance(10 * time.Second)
		w.fake.Post(anasDID, key, inSpanish("velo "+key))
	}
	at := func(server string, after time.Duration) listen.Cursor {
		c, err := cursor{Server: server, TimeUS: base.Add(after).UnixMicro()}.encode()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for name, tt := range map[string]struct {
		after listen.Cursor
		want  []string
		gap   bool
	}{
		"from where it was left, with what came just before": {at(host, 31*time.Second), []string{"velo 3", "velo 4"}, false},
		"from another server's time, with a minute before":   {at("other.example", 31*time.Second), []string{"velo 1", "velo 2", "velo 3", "velo 4"}, false},
		"what is played again begins later":                  {at(host, 3*time.Second), []string{"velo 1", "velo 2", "velo 3", "velo 4"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w.mu.Lock()
			w.batches = nil
			w.mu.Unlock()
			stop := w.stream(tt.after)
			w.eventually("what was before", func(all listen.Batch) bool { return len(all.Posts) >= len(tt.want) })
			_ = stop()
			all := w.all()
			if diff := cmp.Diff(tt.want, textsOf(all)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (len(all.Gaps) == 1) != tt.gap {
				t.Errorf("gaps: %+v", all.Gaps)
			}
		})
	}
}

// TestPileWithdraws: what is deleted before it was handed over is not handed over.
func TestPileWithdraws(t *testing.T) {
	p := newPile(0)
	for _, v := range []verdict{
		{time: 1, post: &listen.Post{ID: "1", Author: account("a")}},
		{time: 2, post: &listen.Post{ID: "2", Author: account("a")}},
		{time: 3, post: &listen.Post{ID: "3", Author: account("b")}},
		{time: 4, deletion: listen.Deletion{PostID: "1"}},
		{time: 5, deletion: listen.Deletion{AuthorID: "b"}},
	} {
		if err := p.add(t.Context(), v); err != nil {
			t.Fatal(err)
		}
	}
	b, timeUS, err := p.sweep()
	if len(b.Posts) != 1 || b.Posts[0].ID != "2" || len(b.Deleted) != 2 || timeUS != 5 || err != nil {
		t.Errorf("there is %+v, until %d, %v", b, timeUS, err)
	}
}

// TestPileWaits: who reads faster than is stored waits, and no batch is longer than it may be.
func TestPileWaits(t *testing.T) {
	p := newPile(0)
	const all = 3*listen.MaxBatch + 7
	go func() {
		for i := range all {
			_ = p.add(context.Background(), verdict{time: int64(i + 1), post: &listen.Post{ID: fmt.Sprint(i)}})
		}
		p.end(errors.New("the end"))
	}()
	got := 0
	for {
		<-p.full
		b, timeUS, err := p.sweep()
		if got += len(b.Posts); len(b.Posts) > listen.MaxBatch || timeUS != int64(got) {
			t.Fatalf("a batch of %d posts, until event %d of %d", len(b.Posts), timeUS, got)
		}
		if err != nil {
			break
		}
	}
	if got != all {
		t.Errorf("%d posts came, want %d", got, all)
	}
}

// TestStreamHostile: what is no event is counted, and the stream goes on.
func TestStreamHostile(t *testing.T) {
	w := newWorld(t, wants{keywords: true}, nil)
	stop := w.stream(nil)
	future := w.clock.Now().Add(time.Hour).UnixMicro()
	commit := func(rkey, record string) string {
		data, _ := json.Marshal(map[string]any{
			"did": anasDID, "kind": "commit", "time_us": w.clock.Now().UnixMicro(),
			"commit": map[string]any{"operation": "create", "collection": postCollection, "rkey": rkey, "record": json.RawMessage(record), "cid": "bafy"},
		})
		return string(data)
	}
	for _, message := range []string{
		"", "{", "null", `{"did":"nobody","time_us":1,"kind":"commit"}`, strings.Repeat("[", 1<<20), "\xff\xfe",
		strings.Replace(commit("future", `{"text":"velo"}`), `"time_us":`, `"time_us":`+string(mustJSON(future))+`,"x":`, 1),
		commit("../../x", `{"text":"velo"}`), commit(strings.Repeat("a", 600), `{"text":"velo"}`), commit("", `{"text":"velo"}`),
		commit("long", `{"text":"velo `+strings.Repeat("a", maxEvent)+`"}`),
		strings.Replace(commit("invalid", `{"text":"velo","x":"HERE"}`), `"HERE"`, `nonsense`, 1),
	} {
		w.fake.Send([]byte(message))
	}
	w.fake.Post(anasDID, "last", inSpanish("velo: fin"))
	w.eventually("the last post", func(all listen.Batch) bool { return len(all.Posts) > 0 })
	_ = stop()
	all := w.all()
	want := map[string]int{rejectUnreadable: 6, rejectFuture: 1, rejectNoID: 3, rejectTooLong: 1, rejectRecord: 1}
	if diff := cmp.Diff(want, all.Rejected); diff != "" {
		t.Errorf("rejected (-want +got):\n%s", diff)
	}
	if at, err := readCursor(all.Next); err != nil || at.TimeUS >= future {
		t.Errorf("the cursor is %s, after an event from the future", all.Next)
	}
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

// TestStreamOfSomethingElse: a stream in which nothing is an event is not read for ever.
func TestStreamOfSomethingElse(t *testing.T) {
	w := newWorld(t, wants{keywords: true}, nil)
	ended := make(chan error, 1)
	go func() { ended <- w.Connector.(listen.Streamer).Stream(context.Background(), nil, w.take) }()
	limit, done := context.WithTimeout(context.Background(), 10*time.Second)
	defer done()
	if err := w.fake.AwaitStream(limit); err != nil {
		t.Fatal(err)
	}
	for range maxUnreadable + 10 {
		w.fake.Send([]byte(`{"$type":"#commit","payload":{}}`))
	}
	var trouble *listen.Trouble
	if err := <-ended; !errors.As(err, &trouble) || trouble.Reason != listen.Malformed {
		t.Errorf("it ends with: %v", err)
	}
}

// TestStreamWithoutNames: who tells no names holds nothing up, and is not asked again at once.
func TestStreamWithoutNames(t *testing.T) {
	w := newWorld(t, wants{keywords: true}, func(s *Settings) { s.AppView = "http://" + portstest.Address(t) })
	stop := w.stream(nil)
	w.fake.Post(anasDID, "1", inSpanish("velo"))
	w.eventually("the post", func(all listen.Batch) bool { return len(all.Posts) == 1 && all.Posts[0].Author.Handle == "" })
	_ = stop()
	if rest := w.Connector.(streamer).profiles.rest; !rest.Equal(w.clock.Now().Add(profilesRest)) {
		t.Errorf("they are asked again at %s", rest)
	}
}

// TestStreamOfBoth: what is said to us comes by the stream at once, without any keyword, and what came before the stream by notifications.
func TestStreamOfBoth(t *testing.T) {
	w := newWorld(t, wants{keywords: true, mentions: true}, nil)
	ours := w.fake.Post(ourDID, "ours", inSpanish("Abrimos a las diez"))
	reference := map[string]any{"uri": ours, "cid": "x"}
	w.fake.Post(anasDID, "before", map[string]any{"text": "antes", "reply": map[string]any{"root": reference, "parent": reference}})
	stop := w.stream(nil)
	w.eventually("what was said before", func(all listen.Batch) bool { return len(all.Posts) == 1 })
	w.fake.Post(anasDID, "answer", map[string]any{"text": "respuesta", "langs": []string{"ja"}, "reply": map[string]any{"root": reference, "parent": reference}})
	w.fake.Post(anasDID, "quote", map[string]any{"text": "cita", "embed": map[string]any{"$type": embedRecord, "record": reference}})
	w.fake.Post(ourDID, "self", map[string]any{"text": "nosotros", "reply": map[string]any{"root": reference, "parent": reference}})
	w.fake.Post(anasDID, "word", inSpanish("un velo"))
	w.eventually("all", func(all listen.Batch) bool { // which may come by the stream and as a notification
		texts := textsOf(all)
		return slices.Contains(texts, "respuesta") && slices.Contains(texts, "cita") && slices.Contains(texts, "un velo")
	})
	w.eventually("where notifications were read", func(all listen.Batch) bool {
		at, err := readCursor(all.Next)
		return err == nil && at.Inbox != nil && at.TimeUS > 0 && len(at.Inbox.Recent) == 3
	})
	_ = stop()
	byText := map[string]listen.Post{}
	for _, p := range w.all().Posts {
		byText[p.Text] = p
	}
	if p := byText["respuesta"]; p.Kind != listen.Reply || p.Parent != ours || p.Thread != ours {
		t.Errorf("the answer is %+v", p)
	}
	if p := byText["cita"]; p.Kind != listen.Quote || p.Subject != ours {
		t.Errorf("the quote is %+v", p)
	}
	if _, there := byText["nosotros"]; there || len(byText) != 4 {
		t.Errorf("what came is %v", textsOf(w.all()))
	}
}

// TestPileIsBounded: posts of few words that weigh much, as by what their pictures are said to show, fill a batch by that.
func TestPileIsBounded(t *testing.T) {
	message := fmt.Appendf(nil, `{"did":%q,"time_us":%d,"kind":"commit","commit":{"operation":"create","collection":%q,"rkey":"1","cid":"b","record":{"text":"velo",
		"embed":{"$type":"app.bsky.embed.images","images":[{"alt":"%s","image":{"ref":{"$link":"bafk"}}}]}}}}`,
		anasDID, arrived.UnixMicro(), postCollection, strings.Repeat("x", 900<<10))
	w := newWorld(t, wants{keywords: true}, nil)
	j := judge{matcher: w.Connector.(streamer).matcher, now: w.clock.Now}
	p := newPile(0)
	for n := 0; !p.isFull(); n++ {
		if n > 2*maxPileBytes/len(message) {
			t.Fatalf("%d MB are held for a batch", n*len(message)>>20)
		}
		if err := p.add(t.Context(), j.judge(message)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStreamOfALaterTime: where all events are from the future it is our clock that is wrong, and that is said.
func TestStreamOfALaterTime(t *testing.T) {
	w := newWorld(t, wants{keywords: true}, nil)
	ended := make(chan error, 1)
	go func() { ended <- w.Connector.(listen.Streamer).Stream(context.Background(), nil, w.take) }()
	limit, done := context.WithTimeout(context.Background(), 10*time.Second)
	defer done()
	if err := w.fake.AwaitStream(limit); err != nil {
		t.Fatal(err)
	}
	for range maxUnreadable + 10 {
		w.fake.Send(fmt.Appendf(nil, `{"did":%q,"time_us":%d,"kind":"identity"}`, anasDID, w.clock.Now().Add(time.Hour).UnixMicro()))
	}
	var trouble *listen.Trouble
	if err := <-ended; !errors.As(err, &trouble) || trouble.Reason != listen.Malformed || !strings.Contains(trouble.Message, "clock") {
		t.Errorf("it ends with: %v", err)
	}
}

// TestStreamWhileOurServerIsAway: keywords are heard, it is told what stands in the way, and what was said to us meanwhile comes afterwards.
func TestStreamWhileOurServerIsAway(t *testing.T) {
	w := newWorld(t, wants{keywords: true, mentions: true}, nil)
	var at listen.Cursor
	w.poll(&at)
	var away atomic.Bool
	away.Store(true)
	var asked atomic.Int32
	w.server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/xrpc/app.bsky.notification") {
			asked.Add(1)
		}
		if away.Load() && strings.HasPrefix(r.URL.Path, "/xrpc/") {
			rw.WriteHeader(http.StatusBadGateway)
			return
		}
		w.fake.ServeHTTP(rw, r)
	})
	reference := map[string]any{"uri": w.fake.Post(ourDID, "ours", inSpanish("Abrimos")), "cid": "x"}
	w.fake.Post(anasDID, "missed", map[string]any{"text": "¿hoy?", "reply": map[string]any{"root": reference, "parent": reference}})
	if _, err := w.Connector.(listen.Poller).Poll(context.Background(), at); err == nil {
		t.Fatal("the server is away, and it is polled")
	}
	stop := w.stream(at)
	w.fake.Post(anasDID, "word", inSpanish("un velo"))
	w.eventually("the keyword", func(all listen.Batch) bool { return len(all.Posts) == 1 })
	w.eventually("another look", func(listen.Batch) bool { return asked.Load() >= 3 })
	w.mu.Lock()
	for _, b := range w.batches {
		if b.Trouble == nil || b.Trouble.Reason != listen.Unreachable || !strings.HasSuffix(b.Trouble.Message, "keywords are heard meanwhile.") {
			t.Errorf("a batch tells of the trouble: %v", b.Trouble)
		}
	}
	w.mu.Unlock()
	away.Store(false)
	w.eventually("what was missed", func(all listen.Batch) bool { return slices.Contains(textsOf(all), "¿hoy?") })
	w.fake.Post(anasDID, "more", inSpanish("otro velo"))
	w.eventually("more", func(all listen.Batch) bool { return slices.Contains(textsOf(all), "otro velo") })
	_ = stop()
	if last := w.batches[len(w.batches)-1]; last.Trouble != nil {
		t.Errorf("it is over, and the last batch tells: %v", last.Trouble)
	}
}
