package work_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// square is a network of a test: people post there, and a source reads it by the connector below.
type square struct {
	t      *testing.T
	server *httptest.Server

	mu       sync.Mutex
	posts    []listen.Post
	deleted  map[int][]listen.Deletion // told with the post of this number
	changed  chan struct{}             // closed at each change
	polls    []time.Time               // when it was asked
	streams  int                       // how often a stream was begun
	whispers map[int]string            // the id of a post that one stream alone is told, by its number
	ended    map[int]bool              // streams
	token    string                    // that it wants; "" for none
	pageSize int
	trouble  string // that streams tell
	// misbehave may answer a request in place of the square.
	misbehave func(w http.ResponseWriter, r *http.Request) bool
}

func newSquare(t *testing.T) *square {
	t.Helper()
	s := &square{t: t, changed: make(chan struct{}), deleted: map[int][]listen.Deletion{}, pageSize: 50, whispers: map[int]string{}, ended: map[int]bool{}}
	s.server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(func() {
		s.server.CloseClientConnections()
		s.server.Close()
	})
	return s
}

// says posts texts, as post 1, 2, and so on.
func (s *square) says(texts ...string) {
	for _, text := range texts {
		s.post(listen.Post{Text: text})
	}
}

// post posts; what is left out is made up.
func (s *square) post(p listen.Post) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.posts) + 1
	if p.ID == "" {
		p.ID = fmt.Sprintf("post-%d", n)
	}
	if p.CreatedAt.IsZero() {
		p.CreatedAt = time.Now()
	}
	if p.Author.ID == "" {
		p.Author = listen.Account{ID: fmt.Sprintf("https://square.example/%d", n%7), Handle: fmt.Sprintf("u%d@square.example", n%7)}
	}
	s.posts = append(s.posts, p)
	close(s.changed)
	s.changed = make(chan struct{})
}

// chatter posts n texts.
func (s *square) chatter(n int) {
	for range n {
		s.says("Hoy he salido con la bici por la montaña")
	}
}

// deletes tells, with the post of a number, that another one was deleted.
func (s *square) deletes(with int, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deleted[with] = append(s.deleted[with], listen.Deletion{PostID: id})
}

// squarePage is what the square answers.
type squarePage struct {
	Posts   []listen.Post     `json:"posts"`
	Deleted []listen.Deletion `json:"deleted"`
	Next    int               `json:"next"`
	More    bool              `json:"more"`
	Wait    time.Duration     `json:"wait"`
	Moved   string            `json:"moved"`
	Trouble string            `json:"trouble"`
}

func (s *square) page(after int) (page squarePage, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := min(after+s.pageSize, len(s.posts))
	page.Posts, page.Next, page.More, page.Trouble = s.posts[after:end], end, end < len(s.posts), s.trouble
	for n := after + 1; n <= end; n++ {
		page.Deleted = append(page.Deleted, s.deleted[n]...)
	}
	return page, s.changed
}

func (s *square) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	misbehave, token := s.misbehave, s.token
	if r.URL.Path == "/stream" {
		s.streams++
		defer func(number int) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.ended[number] = true
		}(s.streams)
	} else {
		s.polls = append(s.polls, time.Now())
	}
	number := s.streams
	s.mu.Unlock()
	if misbehave != nil && misbehave(w, r) {
		return
	}
	if token != "" && r.Header.Get("Authorization") != "Bearer "+token {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	after, _ := strconv.Atoi(r.FormValue("after"))
	if r.URL.Path != "/stream" {
		page, _ := s.page(after)
		_ = json.NewEncoder(w).Encode(page)
		return
	}
	for lines := json.NewEncoder(w); ; {
		page, changed := s.page(after)
		if after = page.Next; s.whispered(number, &page) || len(page.Posts) > 0 {
			if lines.Encode(page) != nil {
				return
			}
		}
		w.(http.Flusher).Flush()
		if page.More {
			continue
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// whisper tells one stream alone of a post.
func (s *square) whisper(stream int, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.whispers[stream] = id
	close(s.changed)
	s.changed = make(chan struct{})
}

// whispered adds what a stream alone is told to a page.
func (s *square) whispered(stream int, page *squarePage) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, told := s.whispers[stream]
	if told {
		page.Posts = append(page.Posts[:len(page.Posts):len(page.Posts)], listen.Post{ID: id, Text: "Hola"})
		delete(s.whispers, stream)
	}
	return told
}

func (s *square) hasEnded(stream int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended[stream]
}

func (s *square) misbehaves(how func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.misbehave = how
}

// troubled tells with each page from now on what keeps a part of the square from being read; "" for nothing.
func (s *square) troubled(words string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = words
}

func (s *square) wants(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = token
}

func (s *square) counted() (polls []time.Time, streams int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.polls...), s.streams
}

// squareSettings are those of a source that reads a square.
type squareSettings struct {
	URL    string `json:"url"`
	Stream bool   `json:"stream"` // it streams, too
	Only   bool   `json:"only"`   // it does nothing else
	Apart  bool   `json:"apart"`  // what it streams is something else than what it polls for
	Panic  bool   `json:"panic"`
}

// squarePoller reads a square by asking, squareStreamer by being told, and squareBoth by either.
type (
	squarePoller struct {
		o listen.Options
		s squareSettings
	}
	squareStreamer struct{ reader squarePoller }
	squareBoth     struct {
		squarePoller
		squareStreamer
	}
	squareApart struct{ squareBoth }
)

// Apart implements listen.Apart.
func (squareApart) Apart() {}

// openSquare makes a connector of a square, in this process and in those that a test starts.
func openSquare(_ string, o listen.Options) (listen.Connector, error) {
	c := squarePoller{o: o}
	if err := json.Unmarshal(o.Settings, &c.s); err != nil {
		return nil, listen.Troublef(listen.Misdeclared, "The square's settings cannot be read.")
	}
	switch {
	case c.s.Only:
		return squareStreamer{c}, nil
	case c.s.Apart:
		return squareApart{squareBoth{c, squareStreamer{c}}}, nil
	case c.s.Stream:
		return squareBoth{c, squareStreamer{c}}, nil
	}
	return c, nil
}

func (squarePoller) Close() error   { return nil }
func (squareStreamer) Close() error { return nil }
func (squareBoth) Close() error     { return nil }

func (c squarePoller) request(ctx context.Context, path string, after listen.Cursor) (*http.Request, error) {
	n := 0
	if after != nil {
		if err := json.Unmarshal(after, &n); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.s.URL+path+"?after="+url.QueryEscape(strconv.Itoa(n)), nil)
	if err == nil {
		r.Header.Set("Authorization", "Bearer "+c.o.Credentials["access-token"])
		r.Header.Set("User-Agent", c.o.UserAgent)
	}
	return r, err
}

func (p squarePage) batch() listen.Batch {
	b := listen.Batch{Network: "square", Posts: p.Posts, Deleted: p.Deleted, Next: listen.Cursor(strconv.Itoa(p.Next))}
	if p.Trouble != "" {
		b.Trouble = listen.Troublef(listen.Unreachable, "%s", p.Trouble)
	}
	return b
}

func (c squarePoller) Poll(ctx context.Context, after listen.Cursor) (listen.Page, error) {
	if c.s.Panic {
		panic("ana@people.example wrote this")
	}
	r, err := c.request(ctx, "/", after)
	if err != nil {
		return listen.Page{}, err
	}
	answer, err := fetch.Do(c.o.Client, r, 1<<20)
	if err != nil {
		return listen.Page{}, err
	}
	var p squarePage
	if err := json.Unmarshal(answer.Body, &p); err != nil {
		return listen.Page{}, listen.Troublef(listen.Malformed, "The square cannot be read.")
	}
	return listen.Page{Batch: p.batch(), More: p.More, Wait: p.Wait, Moved: p.Moved}, nil
}

func (c squareStreamer) Stream(ctx context.Context, after listen.Cursor, take listen.Take) error {
	r, err := c.reader.request(ctx, "/stream", after)
	if err != nil {
		return err
	}
	client := http.Client{Transport: http.DefaultTransport} // a stream has no end
	response, err := client.Do(r)
	if err != nil {
		return errors.Join(listen.Troublef(listen.Unreachable, "The square cannot be reached."), err)
	}
	defer func() { _ = response.Body.Close() }()
	if trouble := fetch.Refused(response, time.Now()); trouble != nil {
		return trouble
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var p squarePage
		if err := json.Unmarshal(lines.Bytes(), &p); err != nil {
			return listen.Troublef(listen.Malformed, "The square cannot be read.")
		}
		if err := take(ctx, p.batch()); err != nil {
			return err
		}
	}
	return listen.Troublef(listen.Unreachable, "The square has hung up.")
}

// listens declares the source "square", and gives it back with how it was declared.
func (h *house) listens(s *square, change func(*store.Source, *squareSettings)) store.Source {
	h.t.Helper()
	settings := squareSettings{URL: s.server.URL}
	source := store.Source{Name: "square", Type: "Square", Interval: 20 * time.Millisecond}
	if change != nil {
		change(&source, &settings)
	}
	source.Settings, _ = json.Marshal(settings)
	h.declare(source)
	return source
}

func (h *house) declare(s store.Source) {
	h.t.Helper()
	if _, _, err := h.db.SaveSource(context.Background(), s); err != nil {
		h.t.Fatal(err)
	}
}

// loopback is where the servers of tests are.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

// stored are the mentions that are there, by their ids, as often as they are.
func (h *house) stored() map[string]int {
	h.t.Helper()
	rows, err := h.db.Pool.Query(context.Background(), "select native_id from mention where native_id is not null")
	if err != nil {
		h.t.Fatal(err)
	}
	defer rows.Close()
	got := map[string]int{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			h.t.Fatal(err)
		}
		got[id]++
	}
	return got
}

// posted are the posts from 1 to n, once each, but for some.
func posted(n int, but ...int) map[string]int {
	want := map[string]int{}
	for i := range n {
		want[fmt.Sprintf("post-%d", i+1)] = 1
	}
	for _, i := range but {
		delete(want, fmt.Sprintf("post-%d", i))
	}
	return want
}

// hears waits until these mentions are stored, and checks that none was counted twice.
func (h *house) hears(want map[string]int) {
	h.t.Helper()
	gomega.NewWithT(h.t).Eventually(func() string { return cmp.Diff(want, h.stored()) }).WithTimeout(patience).WithPolling(10 * time.Millisecond).
		Should(gomega.BeEmpty())
}

func (h *house) sourceState() store.SourceState {
	h.t.Helper()
	s, err := h.db.LoadSourceState(context.Background(), "square")
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// fares waits until the source is in a condition, for a reason.
func (h *house) fares(condition store.SourceCondition, reason listen.Reason) {
	h.t.Helper()
	gomega.NewWithT(h.t).Eventually(func() string {
		s := h.sourceState()
		return fmt.Sprint(s.Condition, " ", s.Reason)
	}).WithTimeout(patience).WithPolling(5 * time.Millisecond).Should(gomega.Equal(fmt.Sprint(condition, " ", reason)))
}

// secret gives the source a credential.
func (h *house) secret(token string) {
	h.t.Helper()
	tenant := credentials.Tenant{ID: tenantID, DatabaseURL: h.runtime, Sources: map[string]credentials.Source{"square": {"access-token": token}}}
	if err := credentials.Write(h.tenants, tenant); err != nil {
		h.t.Fatal(err)
	}
}

// monitor declares a monitor with one topic, which is a word.
func (h *house) monitor(name, topic, word string) {
	h.t.Helper()
	_, _, err := h.db.SaveMonitor(context.Background(), store.Monitor{Name: name, Topics: []store.MonitorTopic{
		{Role: store.BrandTopic, Definition: match.Topic{Name: topic, Any: []match.Term{{Word: word}}}},
	}})
	if err != nil {
		h.t.Fatal(err)
	}
}
