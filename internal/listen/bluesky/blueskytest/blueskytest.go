// Package blueskytest is a small network of the AT Protocol for tests, the demo and benchmarks: a Jetstream with its replay, and of the
// XRPC servers what a connector asks. It is strict about what the real ones are strict about, and gives the same names to what it refuses.
package blueskytest

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The collection that holds posts.
const postCollection = "app.bsky.feed.post"

// Options of a Network. The zero value works.
type Options struct {
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Token is for how long an access token holds. Default: 2 h.
	Token time.Duration
	// Requests is how many requests are answered in Window. Zero sets no limit; the real ones allow 3,000 in 5 min.
	Requests int
	// Window defaults to 5 min.
	Window time.Duration
	// Kept is how many events are played again at most. Default: 100,000.
	Kept int
	// Ping is how often a stream is pinged. Default: 30 s.
	Ping time.Duration
}

// Network is an http.Handler: the stream at /subscribe, and XRPC below /xrpc/.
type Network struct {
	options Options

	mu          sync.Mutex
	changed     chan struct{} // closed when a stream opens or ends
	accounts    map[string]*account
	posts       map[string]*post
	order       []string // of posts, as they came
	log         []logged
	last        int64 // time_us of the latest event
	subscribers map[*subscriber]struct{}
	sessions    map[string]*token
	serial      int
	window      time.Time
	requests    int
	hidden      map[string]bool
	blobs       map[string]blob // by the CID of their content
}

type account struct {
	Account
	created time.Time
	revoked bool
	gone    string // why it is not active
}

// Account is somebody on the network.
type Account struct {
	DID, Handle, Name string
	Followers         int64
	// Labels are those that the account gives itself, such as bot.
	Labels []string
	// Password is an app password of it; "" for accounts as which nobody logs in.
	Password string
}

type post struct {
	uri, cid, did string
	record        json.RawMessage
	said          said
	indexed       time.Time
}

// New makes an empty network.
func New(o Options) *Network {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Token == 0 {
		o.Token = 2 * time.Hour
	}
	if o.Window == 0 {
		o.Window = 5 * time.Minute
	}
	if o.Kept == 0 {
		o.Kept = 100_000
	}
	if o.Ping == 0 {
		o.Ping = 30 * time.Second
	}
	return &Network{
		options: o, changed: make(chan struct{}), accounts: map[string]*account{}, posts: map[string]*post{},
		subscribers: map[*subscriber]struct{}{}, sessions: map[string]*token{}, hidden: map[string]bool{},
		blobs: map[string]blob{},
	}
}

// ServeHTTP implements http.Handler.
func (n *Network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, isCall := strings.CutPrefix(r.URL.Path, "/xrpc/")
	switch {
	case r.URL.Path == "/subscribe":
		n.subscribe(w, r)
	case isCall:
		n.call(w, r, name)
	default:
		http.NotFound(w, r)
	}
}

// AddAccount adds somebody. The stream tells of it, as of every account.
func (n *Network) AddAccount(a Account) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.accounts[a.DID] = &account{Account: a, created: n.options.Now()}
	n.tell("", a.DID, map[string]any{"kind": "identity", "identity": map[string]any{"did": a.DID, "handle": a.Handle, "seq": n.next(), "time": n.stamp()}})
	n.tell("", a.DID, map[string]any{"kind": "account", "account": map[string]any{"active": true, "did": a.DID, "seq": n.next(), "time": n.stamp()}})
}

// Post writes a record into somebody's repository, under a key that must be new there, and returns the post's address. The record's
// $type and createdAt are added where they are missing.
func (n *Network) Post(did, rkey string, record map[string]any) (uri string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	uri = "at://" + did + "/" + postCollection + "/" + rkey
	if _, there := n.posts[uri]; there {
		panic("blueskytest: there is a post of that key already: " + rkey)
	}
	n.put(uri, did, rkey, "create", record)
	n.order = append(n.order, uri)
	return uri
}

// Edit puts another record in the place of a post's.
func (n *Network) Edit(uri string, record map[string]any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.posts[uri]
	if p == nil {
		panic("blueskytest: there is no post at " + uri)
	}
	n.put(uri, p.did, uri[strings.LastIndexByte(uri, '/')+1:], "update", record)
}

func (n *Network) put(uri, did, rkey, operation string, record map[string]any) {
	whole := map[string]any{"$type": postCollection, "createdAt": n.stamp()}
	for name, value := range record {
		whole[name] = value
	}
	data := encode(whole)
	p := &post{uri: uri, cid: CID(data), did: did, record: data, indexed: n.options.Now()}
	_ = json.Unmarshal(data, &p.said) // a record may say what it likes
	if old := n.posts[uri]; old != nil {
		p.indexed = old.indexed
	}
	n.posts[uri] = p
	n.tell(postCollection, did, map[string]any{"kind": "commit", "commit": map[string]any{
		"rev": n.rev(), "operation": operation, "collection": postCollection, "rkey": rkey, "record": p.record, "cid": p.cid,
	}})
}

// Delete takes a post back.
func (n *Network) Delete(uri string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.posts[uri]
	if p == nil {
		panic("blueskytest: there is no post at " + uri)
	}
	delete(n.posts, uri)
	n.order = slices.DeleteFunc(n.order, func(other string) bool { return other == uri })
	n.tell(postCollection, p.did, map[string]any{"kind": "commit", "commit": map[string]any{
		"rev": n.rev(), "operation": "delete", "collection": postCollection, "rkey": uri[strings.LastIndexByte(uri, '/')+1:],
	}})
}

// End makes an account inactive: deleted, takendown, suspended or deactivated.
func (n *Network) End(did, status string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a := n.accounts[did]; a != nil {
		a.gone = status
	}
	n.tell("", did, map[string]any{"kind": "account", "account": map[string]any{
		"active": false, "did": did, "seq": n.next(), "status": status, "time": n.stamp(),
	}})
}

// Rename gives an account another handle.
func (n *Network) Rename(did, handle string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.accounts[did].Handle = handle
	n.tell("", did, map[string]any{"kind": "identity", "identity": map[string]any{"did": did, "handle": handle, "seq": n.next(), "time": n.stamp()}})
}

// Send sends a message to all streams as it is, whatever it is and whatever they want. It is not played again.
func (n *Network) Send(message []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for s := range n.subscribers {
		s.outbox <- message
	}
}

// Forget drops what could be played again.
func (n *Network) Forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log = nil
}

// Hide makes getPosts not know a post for as long as it is hidden, as servers do now and then.
func (n *Network) Hide(uri string, hidden bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hidden[uri] = hidden
}

// Revoke ends the app password of an account, and all sessions that were made with it. With the real network access tokens that were given
// out hold until they expire.
func (n *Network) Revoke(did string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.accounts[did].revoked = true
	for _, t := range n.sessions {
		if t.did == did {
			t.revoked = true
		}
	}
}

// Restore makes the password hold again.
func (n *Network) Restore(did string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.accounts[did].revoked = false
}

// AwaitStream waits until a stream is open and has been told all there was, so that it will be told what comes from now on.
func (n *Network) AwaitStream(ctx context.Context) error {
	for {
		n.mu.Lock()
		open, changed := len(n.subscribers) > 0, n.changed
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

// Streams tells how many streams are open.
func (n *Network) Streams() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.subscribers)
}

func (n *Network) next() int { n.serial++; return n.serial }

func (n *Network) stamp() string { return n.options.Now().UTC().Format("2006-01-02T15:04:05.000Z") }

// rev is a timestamp identifier, as repositories count their revisions.
func (n *Network) rev() string {
	const letters = "234567abcdefghijklmnopqrstuvwxyz"
	value := uint64(n.options.Now().UnixMicro())<<10 | uint64(n.next()&1023) //nolint:gosec // a time after 1970
	var text [13]byte
	for i := range text {
		text[len(text)-1-i] = letters[value>>(5*i)&31]
	}
	return string(text[:])
}

// CID names content as the network does: version 1, DAG-CBOR, SHA-256 (of the JSON here), base32.
func CID(data []byte) string {
	sum := sha256.Sum256(data)
	raw := append([]byte{0x01, 0x71, 0x12, 0x20}, sum[:]...)
	return "b" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw))
}

func encode(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("blueskytest: write a record: %v", err))
	}
	return data
}
