package crash

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// talk is a public stream in the shape of Bluesky's Jetstream, on which somebody writes all the time. It begins when it is first
// listened to, and gives what was written after a moment again, as the real one does.
type talk struct {
	server *http.Server
	url    string
	begin  func()

	mu      sync.Mutex
	events  []talkEvent
	changed chan struct{} // closed at each event
	over    bool
	rounds  int // how often somebody came to listen
}

type talkEvent struct {
	at   int64 // in microseconds since 1970
	text string
	id   string // of the post that is written; "" where one is deleted
	gone string // the id of a post that is deleted
}

const (
	// talkPause is how long nobody says anything between two posts.
	talkPause = time.Millisecond
	// talkRegret is of how many posts one is deleted, talkLater posts later.
	talkRegret, talkLater = 10, 40
	talkKeyword           = "velociclismo"
)

func startTalk(ctx context.Context) (*talk, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for who listens: %w", err)
	}
	t := &talk{url: "ws://" + l.Addr().String() + "/subscribe", changed: make(chan struct{})}
	begun := make(chan struct{})
	t.begin = sync.OnceFunc(func() { close(begun) })
	t.server = &http.Server{Handler: http.HandlerFunc(t.serve), ReadHeaderTimeout: time.Minute}
	go func() { _ = t.server.Serve(l) }()
	go func() {
		select {
		case <-ctx.Done():
		case <-begun:
			t.write(ctx)
		}
	}()
	return t, nil
}

// close ends the stream.
func (t *talk) close() error {
	t.end()
	return t.server.Close()
}

// end has nobody write any more. It returns the posts that are there.
func (t *talk) end() (there map[string]bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	there = map[string]bool{}
	for _, e := range t.events {
		if e.gone != "" {
			delete(there, e.gone)
		} else {
			there[e.id] = true
		}
	}
	return there
}

// write writes posts until the end.
func (t *talk) write(ctx context.Context) {
	tick := time.NewTicker(talkPause)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !t.say(n) {
			return
		}
	}
}

const talkAuthor = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"

func talkKey(n int) string { return fmt.Sprintf("3l%011d", n) }

func talkPost(n int) string { return "at://" + talkAuthor + "/app.bsky.feed.post/" + talkKey(n) }

// say writes a post, and deletes one that was written before.
func (t *talk) say(n int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return false
	}
	now := time.Now()
	t.events = append(t.events, talkEvent{id: talkPost(n), at: now.UnixMicro(), text: fmt.Sprintf(
		`{"did":%q,"time_us":%d,"kind":"commit","commit":{"rev":"r","operation":"create","collection":"app.bsky.feed.post","rkey":%q,"cid":"c",`+
			`"record":{"$type":"app.bsky.feed.post","createdAt":%q,"langs":["es"],"text":"Hoy toca %s, salida %d"}}}`,
		talkAuthor, now.UnixMicro(), talkKey(n), now.UTC().Format(time.RFC3339Nano), talkKeyword, n)})
	if old := n - talkLater; old >= 0 && old%talkRegret == 3 {
		t.events = append(t.events, talkEvent{gone: talkPost(old), at: now.UnixMicro() + 1, text: fmt.Sprintf(
			`{"did":%q,"time_us":%d,"kind":"commit","commit":{"rev":"r","operation":"delete","collection":"app.bsky.feed.post","rkey":%q}}`,
			talkAuthor, now.UnixMicro()+1, talkKey(old))})
	}
	close(t.changed)
	t.changed = make(chan struct{})
	return true
}

// after returns what was written from a moment on, the number of what comes next, and what is closed when that is there.
func (t *talk) after(next int, cursor int64) ([]talkEvent, int, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for next < len(t.events) && t.events[next].at < cursor {
		next++
	}
	return t.events[next:len(t.events):len(t.events)], len(t.events), t.changed
}

// listened notes that somebody came to listen, and returns from where on.
func (t *talk) listened(r *http.Request) (next int, cursor int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rounds++
	cursor, err := strconv.ParseInt(r.URL.Query().Get("cursor"), 10, 64)
	if err != nil {
		return len(t.events), 0 // with what is new
	}
	return 0, cursor
}

func (t *talk) serve(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow() //nolint:errcheck // it is over
	ctx := conn.CloseRead(r.Context())
	next, cursor := t.listened(r)
	t.begin()
	for {
		var events []talkEvent
		var changed <-chan struct{}
		events, next, changed = t.after(next, cursor)
		for _, e := range events {
			if conn.Write(ctx, websocket.MessageText, []byte(e.text)) != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}
