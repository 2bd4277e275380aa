package conversation

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen/bluesky/blueskytest"
)

// The shop's account may be written by whoever runs the server.
const (
	ShopHandle = "velo.example"
	// AppPassword opens this server and nothing else.
	AppPassword = "only-for-this-machine"
)

// repositories are what accounts of the network have written: that of the shop, which can be written to, and as much of those of people as
// somebody has asked for.
type repositories struct {
	network *blueskytest.Network

	mu        sync.Mutex
	complaint time.Time       // of the timeline
	known     map[string]bool // posts of people that the network has, by address
	written   []message       // by the shop, as the stream tells it
	told      time.Time       // until when streams were told of it
}

func newRepositories(o Options) *repositories {
	r := &repositories{network: blueskytest.New(blueskytest.Options{Now: o.Now}), complaint: o.Timeline.Complaint, known: map[string]bool{}}
	r.add(theShop, AppPassword)
	for i := range people {
		r.add(&people[i], "")
	}
	return r
}

func (r *repositories) add(p *Person, password string) {
	r.network.AddAccount(blueskytest.Account{DID: p.DID, Handle: p.Handle, Name: p.Name, Followers: int64(p.Followers), Password: password})
}

// Complain has a customer of the shop write to it, angrily and in public, unless one has: once for a conversation. It returns when, which
// is to be Timeline.Complaint if the conversation goes on later.
func (c *Conversation) Complain() time.Time {
	r := c.repositories
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.complaint.IsZero() {
		r.complaint = c.options.Now().UTC().Truncate(time.Millisecond).Add(time.Millisecond)
	}
	return r.complaint
}

// Answers are what the shop has answered the customer who complained.
func (c *Conversation) Answers() (texts []string) {
	t := c.timeline()
	for _, posted := range c.repositories.network.Posted(theShop.DID) {
		var said record
		if json.Unmarshal(posted.Record, &said) == nil && said.Reply != nil && said.Reply.Parent.URI == addressOf(t.demand()) {
			texts = append(texts, said.Text)
		}
	}
	return texts
}

// timeline is what people say, with what was said by request.
func (c *Conversation) timeline() *Timeline {
	t := c.options.Timeline
	c.repositories.mu.Lock()
	defer c.repositories.mu.Unlock()
	t.Complaint = c.repositories.complaint
	return &t
}

// serveRepositories answers what a server of the network answers of repositories.
func (c *Conversation) serveRepositories(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, ".getRecord") {
		query := r.URL.Query()
		c.learn(query.Get("repo"), query.Get("rkey"))
	}
	c.repositories.network.ServeHTTP(w, r)
	if r.Method == http.MethodPost {
		c.repositories.note(c.options.Now())
	}
}

// learn has the network know a post of a person, if there is such a one and nobody has deleted it.
func (c *Conversation) learn(did, key string) {
	at, ok := momentOf(key)
	now := c.options.Now()
	if !ok || accounts[did] == nil || at.Before(c.options.Since) || at.After(now) {
		return
	}
	var found *Post
	deleted := false
	for e := range c.timeline().Events(at.Add(-time.Microsecond), earlier(now, at.Add(latest+slot))) {
		switch mine := e.Post.Author.DID == did && e.Post.At.Equal(at); {
		case mine && e.Deleted:
			deleted = true
		case mine:
			found = e.Post
		}
	}
	r := c.repositories
	r.mu.Lock()
	defer r.mu.Unlock()
	switch address := "at://" + did + "/" + postCollection + "/" + key; {
	case deleted && r.known[address]:
		delete(r.known, address)
		r.network.Delete(address)
	case found != nil && !deleted && !r.known[address]:
		r.known[address] = true
		r.network.Post(did, key, fieldsOf(messageOf(Event{At: at, Post: found}).Commit.Record))
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// fieldsOf are a record's as the network takes them.
func fieldsOf(r *record) map[string]any {
	fields := map[string]any{}
	if text, err := json.Marshal(r); err == nil {
		_ = json.Unmarshal(text, &fields) // what was just written
	}
	return fields
}

// note has the stream tell what the shop has written since the last time, as of a moment of which no stream was told.
func (r *repositories) note(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !now.After(r.told) {
		now = r.told.Add(time.Microsecond)
	}
	posted := r.network.Posted(theShop.DID)
	for _, p := range posted[min(len(r.written), len(posted)):] {
		m := message{DID: theShop.DID, TimeUS: now.UnixMicro(), Kind: "commit", Commit: commit{
			Rev: keyOf(now), Operation: "create", Collection: postCollection, RKey: p.URI[strings.LastIndexByte(p.URI, '/')+1:], CID: p.CID, Record: &record{},
		}}
		if json.Unmarshal(p.Record, m.Commit.Record) == nil {
			r.written = append(r.written, m)
		}
	}
}

// since is what the shop has written after a moment and up to another one.
func (r *repositories) since(after, until time.Time) (messages []message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if until.After(r.told) {
		r.told = until
	}
	for _, m := range r.written {
		if m.TimeUS > after.UnixMicro() && m.TimeUS <= until.UnixMicro() {
			messages = append(messages, m)
		}
	}
	return messages
}
