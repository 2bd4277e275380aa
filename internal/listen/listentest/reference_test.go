package listentest_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
	"github.com/tertulia-crm/tertulia/internal/listen/listentest"
	"github.com/tertulia-crm/tertulia/internal/signature"
)

// The network by which the suite itself is tested is a log: each thing that happens has a number.
type entry struct {
	Number  int       `json:"number"`
	Op      string    `json:"op"` // put or delete
	ID      string    `json:"id"`
	Text    string    `json:"text,omitempty"`
	Markup  bool      `json:"markup,omitempty"`
	At      time.Time `json:"at"`
	Edited  time.Time `json:"edited,omitzero"`
	Edition int       `json:"edition,omitempty"`
}

const (
	token   = "s3cret-token"
	hookKey = "a signing key of 24 bytes, and more"
)

type logNetwork struct {
	mu      sync.Mutex
	log     []entry
	first   int // number of the first entry that is kept
	hooked  int
	streams int
	revoked bool
	changed chan struct{}
}

func (n *logNetwork) do(e entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e.Number = n.first + len(n.log)
	n.log = append(n.log, e)
	close(n.changed)
	n.changed = make(chan struct{})
}

// after gives entries behind a number, and says whether some before them are forgotten.
func (n *logNetwork) after(number, limit int) (list []entry, forgotten bool, changed chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	from := max(number+1-n.first, 0)
	list = slices.Clone(n.log[min(from, len(n.log)):])
	return list[:min(limit, len(list))], number+1 < n.first, n.changed
}

func (n *logNetwork) publish(i listentest.Item) string {
	n.do(entry{Op: "put", ID: i.Key, Text: i.Text, Markup: i.Markup, At: i.At})
	return i.Key
}

func (n *logNetwork) edit(id, text string, at time.Time) {
	n.mu.Lock()
	var last entry
	for _, e := range n.log {
		if e.ID == id && e.Op == "put" {
			last = e
		}
	}
	n.mu.Unlock()
	last.Text, last.Edited, last.Edition = text, at, last.Edition+1
	n.do(last)
}

func (n *logNetwork) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.first += len(n.log)
	n.log = nil
}

func (n *logNetwork) revoke(is bool) func() {
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.revoked = is
	}
}

func (n *logNetwork) awaitStream(ctx context.Context) error {
	for {
		n.mu.Lock()
		open, changed := n.streams > 0, n.changed
		n.mu.Unlock()
		if open {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (n *logNetwork) streaming(by int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.streams += by
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *logNetwork) hooks() []listen.Request {
	list, _, _ := n.after(n.hooked, 1<<20)
	var requests []listen.Request
	for _, e := range list {
		n.hooked = e.Number
		body, _ := json.Marshal([]entry{e})
		requests = append(requests, sign(body))
	}
	return requests
}

func sign(body []byte) listen.Request {
	keys, _ := signature.ParseKeys(hookKey)
	h := http.Header{"Content-Type": {"application/json"}}
	now := time.Now()
	h.Set(signature.IDHeader, "msg")
	h.Set(signature.TimestampHeader, strconv.FormatInt(now.Unix(), 10))
	h.Set(signature.SignatureHeader, keys.Sign("msg", now, body))
	return listen.Request{Method: http.MethodPost, Header: h, Body: body}
}

// answer is a page of the log.
type answer struct {
	Entries   []entry `json:"entries"`
	Forgotten bool    `json:"forgotten"`
}

func (n *logNetwork) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	refused := n.revoked || r.Header.Get("Authorization") != "Bearer "+token
	n.mu.Unlock()
	if refused {
		http.Error(w, "the token "+token+" does not hold", http.StatusUnauthorized)
		return
	}
	number, _ := strconv.Atoi(r.URL.Query().Get("after"))
	if r.URL.Path == "/log" {
		list, forgotten, _ := n.after(number, 100)
		_ = json.NewEncoder(w).Encode(answer{Entries: list, Forgotten: forgotten})
		return
	}
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w)
	_ = flush.Flush()
	n.streaming(1)
	defer n.streaming(-1)
	for {
		list, forgotten, changed := n.after(number, 100)
		if len(list) > 0 || forgotten {
			if json.NewEncoder(w).Encode(answer{Entries: list, Forgotten: forgotten}) != nil || flush.Flush() != nil {
				return
			}
			if len(list) > 0 {
				number = list[len(list)-1].Number
				continue
			}
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}

// logConnector reads the log. A fault makes it one that the suite has to find out.
type logConnector struct {
	o     listen.Options
	base  string
	fault string
}

func openLog(o listen.Options, fault string) (*logConnector, error) {
	var settings struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal(o.Settings, &settings); err != nil || settings.URL == "" {
		if fault != "takes any settings" {
			return nil, listen.Troublef(listen.Misdeclared, "The log's url is missing.")
		}
	}
	if fault == "names nobody" {
		o.UserAgent = "curl"
	}
	if fault == "leaves goroutines" {
		go func() { select {} }()
	}
	return &logConnector{o: o, base: settings.URL, fault: fault}, nil
}

func (c *logConnector) Close() error { return nil }

func (c *logConnector) request(ctx context.Context, path string, after listen.Cursor) (*http.Request, int, error) {
	var number int
	if after != nil {
		if err := json.Unmarshal(after, &number); err != nil {
			number = 0 // it is read from its beginning
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path+"?"+url.Values{"after": {strconv.Itoa(number)}}.Encode(), http.NoBody)
	if err != nil {
		return nil, 0, err
	}
	r.Header.Set("User-Agent", c.o.UserAgent)
	r.Header.Set("Authorization", "Bearer "+c.o.Credentials["token"])
	return r, number, nil
}

func (c *logConnector) Poll(ctx context.Context, after listen.Cursor) (listen.Page, error) {
	r, number, err := c.request(ctx, "/log", after)
	if err != nil {
		return listen.Page{}, err
	}
	limit := int64(4 << 20)
	if c.fault == "reads everything" {
		limit = 1 << 40
	}
	got, err := fetch.Do(c.o.Client, r, limit)
	var trouble *listen.Trouble
	switch {
	case errors.As(err, &trouble) && trouble.Reason == listen.Throttled && c.fault == "asks again at once":
		return c.Poll(ctx, after)
	case errors.As(err, &trouble) && trouble.Reason == listen.Unauthorized && c.fault == "tells secrets":
		return listen.Page{}, listen.Troublef(listen.Unauthorized, "The token %s does not hold.", c.o.Credentials["token"])
	case err != nil:
		return listen.Page{}, err
	}
	batch, err := c.read(got.Body, number)
	return listen.Page{Batch: batch, More: len(batch.Posts) > 0}, err
}

func (c *logConnector) read(body []byte, number int) (listen.Batch, error) {
	var page answer
	if err := json.Unmarshal(body, &page); err != nil || page.Entries == nil && !page.Forgotten && !json.Valid(body) {
		if c.fault == "swallows nonsense" {
			return listen.Batch{Network: "log"}, nil
		}
		return listen.Batch{}, listen.Troublef(listen.Malformed, "The log cannot be read.")
	}
	b := listen.Batch{Network: "log"}
	if page.Forgotten && c.fault != "hides gaps" {
		b.Gaps = []listen.Gap{{To: c.o.Now(), Reason: "the log was cut"}}
	}
	c.translate(&b, page.Entries)
	if len(page.Entries) > 0 {
		b.Next, _ = json.Marshal(page.Entries[len(page.Entries)-1].Number)
	} else if page.Forgotten {
		b.Next, _ = json.Marshal(max(number, 0))
	}
	return b, nil
}

func (c *logConnector) translate(b *listen.Batch, list []entry) {
	for i, e := range list {
		if e.Op == "delete" {
			if c.fault != "forgets deletions" {
				b.Deleted = append(b.Deleted, listen.Deletion{PostID: e.ID})
				b.Posts = slices.DeleteFunc(b.Posts, func(p listen.Post) bool { return p.ID == e.ID })
			}
			continue
		}
		if c.fault == "loses one of a page" && i == 1 {
			continue
		}
		p := listen.Post{ID: e.ID, Text: e.Text, CreatedAt: e.At, EditedAt: e.Edited, Revision: strconv.Itoa(e.Edition)}
		if e.Markup && c.fault != "shows scripts" {
			p.Text, p.Links = listen.PlainText(e.Text)
		}
		b.Posts = append(b.Posts, p)
	}
	if c.fault == "turns the order" {
		slices.Reverse(b.Posts)
	}
}

func (c *logConnector) Stream(ctx context.Context, after listen.Cursor, take listen.Take) error {
	r, number, err := c.request(ctx, "/stream", after)
	if err != nil {
		return err
	}
	client := *c.o.Client.(*http.Client)
	limit := client.Timeout // a test's stream is never silent for longer
	client.Timeout = 0
	asking, giveUp := context.WithCancel(ctx)
	defer giveUp()
	idle := time.AfterFunc(limit, giveUp)
	defer idle.Stop()
	response, err := client.Do(r.WithContext(asking))
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		_, err = fetch.Do(c.o.Client, r, 1) // to say it in the same words
		return err
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	if trouble := fetch.Refused(response, time.Now()); trouble != nil {
		return trouble
	}
	lines := bufio.NewScanner(io.LimitReader(response.Body, 64<<20))
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		idle.Reset(limit)
		batch, err := c.read(lines.Bytes(), number)
		if ctx.Err() != nil { // the line may have been cut
			return ctx.Err()
		}
		if err != nil {
			return err
		}
		if err := take(ctx, batch); err != nil && c.fault != "goes on where nothing is stored" {
			return err
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return listen.Troublef(listen.Unreachable, "The log ended.")
}

func (c *logConnector) Receive(_ context.Context, r listen.Request) (listen.Batch, listen.Response, error) {
	keys, err := signature.ParseKeys(hookKey)
	if err != nil {
		return listen.Batch{}, listen.Response{}, err
	}
	h := r.Header
	err = keys.Verify(h.Get(signature.IDHeader), h.Get(signature.TimestampHeader), h.Get(signature.SignatureHeader), r.Body, time.Now())
	if err != nil && c.fault != "believes anybody" {
		return listen.Batch{}, listen.Response{}, listen.ErrSignature
	}
	var list []entry
	if err := json.Unmarshal(r.Body, &list); err != nil {
		return listen.Batch{}, listen.Response{}, listen.Troublef(listen.Malformed, "It is no log.")
	}
	b := listen.Batch{Network: "log"}
	c.translate(&b, list)
	return b, listen.Response{}, nil
}
