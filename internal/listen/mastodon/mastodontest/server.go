// Package mastodontest is a server that speaks the Mastodon client API, for tests: as much of it as a listener asks for, written from
// the public documentation, and as strict as real servers are. It forgives nothing that they do not forgive.
package mastodontest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Token is the access token that the server gave out, of Account.
const Token = "s3cret-Token_of-43-characters-as-Mastodon-h"

// Domain is that of the server's accounts, which is not its host.
const Domain = "social.example"

// Options make the server another one. The zero value is a recent Mastodon.
type Options struct {
	// Now is the server's clock. Default: time.Now.
	Now func() time.Time
	// URL is where it is reached; it has to be set before it is asked.
	URL string
	// Limit is how many requests are granted in five minutes. Default: 300.
	Limit int
	// NoStreaming leaves the streaming server out.
	NoStreaming bool
	// OneStream takes a stream in the address of a connection and no subscriptions by message, as some servers do.
	OneStream bool
	// ProtocolToken takes the token for streams as a subprotocol alone, as some servers do.
	ProtocolToken bool
	// Old is before 4.0: without /api/v2/instance, and without posts by several ids.
	Old bool
	// Opaque ids tell no time.
	Opaque bool
	// Closed shows timelines to who has a token only.
	Closed bool
	// Narrow is the token's scope: it opens what everybody may read, and nothing of its account.
	Narrow bool
	// IgnoreLimit fills pages as it likes.
	IgnoreLimit bool
	// Deaf takes streams and then reads nothing any more, as a network that lost its other end.
	Deaf bool
	// Hanging takes a request for a stream and answers nothing.
	Hanging bool
	// Nothing is at any address.
	Nothing bool
	// Forgetful ignores the keys by which a post that is posted again would be known.
	Forgetful bool
	// Plain changes what is written as servers of another kind do, and does not give it for editing.
	Plain bool
	// Processing is how often an image that was uploaded is said not to be ready.
	Processing int
	// MaxCharacters of a post. Default: 500.
	MaxCharacters int
}

// Post is what somebody writes.
type Post struct {
	Author    string // acct: bea, or ana@velo.example. Default: ana@velo.example
	Text      string // is escaped, unless HTML is set
	HTML      string
	Tags      []string
	Mentions  bool   // of the account that the token is of
	List      string // the author is on it
	At        time.Time
	Received  time.Time // when it came to the server. Default: now. The id is of At where that is earlier
	InReplyTo string
	Reblog    string
	Quote     string
	Silent    bool           // streams are not told, as when they lose something
	Hidden    bool           // by a filter or a block: it leaves a hole in its page
	Filtered  bool           // by the account's policy for notifications: it is in them for who asks for filtered ones
	Extra     map[string]any // fields that replace others
}

type entry struct {
	id     string
	post   Post
	edited time.Time
	notice string // id of the notification
}

// Server is an http.Handler.
type Server struct {
	mu      sync.Mutex
	o       Options
	mux     *http.ServeMux
	entries []*entry // by id
	last    int64    // id
	notices int64
	revoked bool
	window  time.Time
	asked   int
	all     int             // requests there were
	refused int             // for having been asked too often
	gone    map[string]bool // lists that were deleted
	sockets map[*socket]bool
	changed chan struct{} // closed when a socket comes, goes or subscribes
	posting posting
}

// New makes a server.
func New(o Options) *Server {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Limit == 0 {
		o.Limit = 300
	}
	s := &Server{o: o, mux: http.NewServeMux(), gone: map[string]bool{}, sockets: map[*socket]bool{}, notices: 68_739_215, changed: make(chan struct{})}
	s.route()
	return s
}

// Change changes the server while it runs.
func (s *Server) Change(change func(*Options)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.o)
}

func (s *Server) options() Options {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.o
}

// Publish makes a post readable, tells streams of it, and returns its id.
func (s *Server) Publish(p Post) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	if p.At.IsZero() {
		p.At = now
	}
	if p.Author == "" {
		p.Author = "ana@velo.example"
	}
	at := now
	if !p.Received.IsZero() {
		at = p.At
	}
	e := &entry{id: s.nextID(at), post: p}
	if p.Mentions {
		s.notices++
		e.notice = strconv.FormatInt(s.notices, 10)
	}
	s.entries = append(s.entries, e)
	slices.SortFunc(s.entries, func(a, b *entry) int { return compare(a.id, b.id) })
	s.tell(e, "update")
	return e.id
}

// nextID is a snowflake: milliseconds and 16 bits. Ids of one millisecond count up.
func (s *Server) nextID(at time.Time) string {
	id := at.UnixMilli() << 16
	if s.o.Opaque {
		id = 1_000_000
	}
	for s.find(s.format(id)) != nil || s.o.Opaque && id <= s.last {
		id++
	}
	s.last = max(s.last, id)
	return s.format(id)
}

// format writes an id; an opaque one as ULIDs are, in one length.
func (s *Server) format(id int64) string {
	if s.o.Opaque {
		return fmt.Sprintf("01H%023d", id)
	}
	return strconv.FormatInt(id, 10)
}

func compare(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func (s *Server) find(id string) *entry {
	for _, e := range s.entries {
		if e.id == id {
			return e
		}
	}
	return nil
}

// Edit gives a post another text.
func (s *Server) Edit(id, text string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(id)
	e.post.Text, e.post.HTML, e.edited = text, "", at
	s.tell(e, "status.update")
}

// Count gives a post so many favourites. Streams are not told.
func (s *Server) Count(id string, favourites int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.find(id).post.Extra = map[string]any{"favourites_count": favourites}
}

// Delete takes a post back.
func (s *Server) Delete(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(id)
	s.entries = slices.DeleteFunc(s.entries, func(e *entry) bool { return e.id == id })
	s.tell(e, "delete")
}

// DeleteQuietly takes a post back without telling streams.
func (s *Server) DeleteQuietly(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = slices.DeleteFunc(s.entries, func(e *entry) bool { return e.id == id })
}

// DeleteList takes a list away.
func (s *Server) DeleteList(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone[id] = true
}

// Revoke ends the validity of the token, and of the connections that were opened by it.
func (s *Server) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = true
	s.cut()
}

// Restore makes the token valid again.
func (s *Server) Restore() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.revoked = false
}

// CutStreams ends all streams.
func (s *Server) CutStreams() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut()
}

// cut ends connections, and forgets them: who waits for a stream waits for another one.
func (s *Server) cut() {
	for c := range s.sockets {
		c.close()
		delete(s.sockets, c)
	}
	s.notify()
}

// Subscriptions are the streams that are subscribed to, by name, over all connections.
func (s *Server) Subscriptions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subscriptions()
}

func (s *Server) subscriptions() []string {
	var names []string
	for c := range s.sockets {
		for name := range c.streams {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Sockets is how many streaming connections are open.
func (s *Server) Sockets() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sockets)
}

// AwaitStreams waits until so many streams are subscribed to.
func (s *Server) AwaitStreams(ctx context.Context, n int) error {
	for {
		s.mu.Lock()
		got, changed := len(s.subscriptions()), s.changed
		s.mu.Unlock()
		if got >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// AwaitNoStream waits until no connection is open.
func (s *Server) AwaitNoStream(ctx context.Context) error {
	for {
		s.mu.Lock()
		got, changed := len(s.sockets), s.changed
		s.mu.Unlock()
		if got == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Refused is how many requests came although no more were granted.
func (s *Server) Refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// Asked is how many requests there were, but for streams.
func (s *Server) Asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

// notify tells who waits. The caller holds the lock.
func (s *Server) notify() {
	close(s.changed)
	s.changed = make(chan struct{})
}
