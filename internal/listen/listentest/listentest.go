// Package listentest holds the suite that every connector passes, and what a network's fake is made with.
//
// A connector's test gives a function that makes the fake network for one test: what it can be told to do, as functions, and how the
// connector is opened. What a network cannot do is left nil, and the tests that need it are skipped, visibly.
//
//	func TestConformance(t *testing.T) {
//		listentest.Run(t, func(t *testing.T, clock *listentest.Clock) *listentest.Network {
//			fake := newFake(clock)                             // an http.Handler, say
//			server := listentest.NewServer(t, fake, false)     // true: over TLS, which the suite's client trusts
//			return &listentest.Network{
//				Open:    func(o listen.Options) (listen.Connector, error) { return New(o) },
//				Options: listen.Options{Source: "velo", Settings: settings(server.URL()), Credentials: map[string]string{"token": "s3cret"}},
//				Server:  server,                                   // misbehaves as the suite says, and remembers requests
//				Publish: fake.publish, Edit: fake.edit, Delete: fake.remove, Revoke: fake.revoke, Restore: fake.restore,
//				AwaitStream: fake.awaitStream,                     // of a Streamer
//				Hooks: fake.hooks, Sign: fake.sign,                // of a WebhookReceiver
//			}
//		})
//	}
//
// The suite drives the connector as a worker does: it polls, streams and receives, stores what comes in a store in memory that is unique
// by (network, id) and moves the cursor with it, and opens the connector anew wherever a worker could be killed. The fake takes the time
// from the clock, which moves when the suite says. Nothing sleeps.
//
// A network that is not asked over HTTP brings a front of its own: Misbehave in the place of Server, and Connections.
package listentest

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/egress"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
)

// UserAgent is what connectors under test are told to call themselves.
const UserAgent = "Tertulia-listentest/1 (+https://tertulia.example)"

// patience is how long the suite waits for what has to come by itself.
const patience = 20 * time.Second

// timeout is how long a request of a connector under test may take, and hasty is that where the network hangs.
const (
	timeout = patience
	hasty   = 2 * time.Second
)

// Item is what somebody writes on a fake network.
type Item struct {
	// Key is unique in a test, of small letters, digits and hyphens: for the network to make an id of.
	Key  string
	Text string
	// Markup says that Text is HTML, which a network that carries HTML serves as it is, where it would escape another text.
	Markup bool
	At     time.Time
}

// Network is a fake network and the connector that is tested on it. Functions are called by one goroutine at a time.
type Network struct {
	// Open makes a connector.
	Open func(listen.Options) (listen.Connector, error)
	// Options are what it is made with: Source, Settings, Credentials, Callback and Key. The suite sets the rest.
	Options listen.Options
	// Server is where its requests go.
	Server *Server

	// Publish makes an item readable, and says by which id it has to come in.
	Publish func(Item) (id string)
	// Edit gives an item that was published another text.
	Edit func(id, text string, at time.Time)
	// Delete takes an item back.
	Delete func(id string)
	// Forget makes the network forget what was published, as one that keeps it for a while, so that who has not read it never will.
	Forget func()
	// Revoke ends the validity of the credentials, and Restore brings it back.
	Revoke, Restore func()
	// Misbehave makes the network behave so to all who connect from now on; false: it cannot. nil: the Server does.
	Misbehave func(Behaviour) bool
	// AwaitStream waits until a stream of the connector is open, so that it will be told what is published from now on.
	AwaitStream func(context.Context) error
	// Connections tells how many connections are open at the network. nil: the Server knows.
	Connections func() int

	// Limit sets how long a connector that is open waits for an answer. nil: no longer than its client does.
	Limit func(c listen.Connector, within time.Duration)

	// Hooks gives the requests by which the network tells of everything since they were asked for last.
	Hooks func() []listen.Request
	// Sign makes a request of the network with this body, whatever it is.
	Sign func(body []byte) listen.Request
	// Bearer says that requests carry a secret and no signature of the body: an altered one cannot be told.
	Bearer bool

	// Many is how many items are published where it is about many. Default: 1,200.
	Many int
	// StreamOnly says that edits and deletions are told by streams, and polls do not see them.
	StreamOnly bool
	// FromNow says that with an empty cursor nothing comes of what was published before.
	FromNow bool
	// Unordered says that the network does not tell what was written first.
	Unordered bool
	// Plain says that the network has no HTML: markup is text there.
	Plain bool
	// Garbage are more bodies that the network can never mean.
	Garbage [][]byte
	// Flood is how an answer begins that never ends. Default: as JSON does.
	Flood []byte
	// Misdeclared are settings that Open has to refuse, beside those that are no object.
	Misdeclared []string
}

// Clock is the time of a test. It stands still until it is moved.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the time on.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Factory makes the network for one test, and ends it with it.
type Factory func(t *testing.T, clock *Clock) *Network

// Run runs the suite: what every connector promises, whatever its network.
func Run(t *testing.T, factory Factory) {
	tests := map[string]func(*bench){}
	maps.Copy(tests, plainTests)
	for name, test := range pollTests {
		tests["polling "+name] = func(b *bench) { test(b, newPolling(b)) }
	}
	for name, test := range streamTests {
		tests["streaming "+name] = func(b *bench) { test(b, newStreaming(b)) }
	}
	for name, test := range hookTests {
		tests["receiving "+name] = test
	}
	for name, test := range readTests {
		tests["polling "+name] = func(b *bench) { test(b, newPolling(b)) }
		tests["streaming "+name] = func(b *bench) { test(b, newStreaming(b)) }
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		t.Run(name, func(t *testing.T) { tests[name](newBench(t, factory)) })
	}
}

// bench is what one test works on.
type bench struct {
	t     *testing.T
	n     *Network
	clock *Clock
	store *store
	next  int // of keys

	connector listen.Connector // that was opened last, and its client
	client    *http.Client
	asked     atomic.Int64 // requests of all clients
}

func newBench(t *testing.T, factory Factory) *bench {
	t.Helper()
	clock := &Clock{now: time.Now().UTC().Truncate(time.Second)}
	b := &bench{t: t, n: factory(t, clock), clock: clock}
	b.store = newStore(t, clock)
	if b.n.Many == 0 {
		b.n.Many = 1200
	}
	if b.n.Flood == nil {
		b.n.Flood = []byte(`{"id":"1","content":"`)
	}
	if b.n.Misbehave == nil && b.n.Server != nil {
		b.n.Misbehave = func(how Behaviour) bool { b.n.Server.Behave(how); return true }
	}
	if b.n.Connections == nil && b.n.Server != nil {
		b.n.Connections = b.n.Server.Connections
	}
	t.Cleanup(func() {
		b.behave(Behaviour{})
		b.checkRequests()
	})
	return b
}

// options are what the connector is opened with, by a dialer of this kind.
func (b *bench) options(dialer egress.Dialer) (listen.Options, *http.Client) {
	o := b.n.Options
	var trust *tls.Config
	if b.n.Server != nil {
		trust = b.n.Server.TLSConfig()
	}
	client := fetch.NewClient(fetch.Options{Dialer: dialer, TLS: trust, Timeout: timeout})
	client.Transport = counting{client.Transport.(*http.Transport), &b.asked} //nolint:forcetypeassert // that is what it is made with
	o.UserAgent, o.Now, o.Client = UserAgent, b.clock.Now, client
	o.Dial = func(ctx context.Context, _, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, address)
	}
	return o, client
}

// counting counts requests where they are made: a server may hear of one when who made it has given it up already.
type counting struct {
	*http.Transport
	asked *atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (c counting) RoundTrip(r *http.Request) (*http.Response, error) {
	c.asked.Add(1)
	return c.Transport.RoundTrip(r)
}

// egressHere allows this machine to be dialled.
var egressHere = egress.Dialer{
	Allowed: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	Timeout: timeout,
}

// open opens the connector as a worker does, and the function that it returns closes it.
func (b *bench) open() (listen.Connector, func()) {
	b.t.Helper()
	o, client := b.options(egressHere)
	c, err := b.n.Open(o)
	if err != nil {
		b.t.Fatalf("open: %v", err)
	}
	b.connector, b.client = c, client
	return c, func() {
		if err := c.Close(); err != nil {
			b.t.Errorf("close: %v", err)
		}
		client.CloseIdleConnections()
	}
}

// limit sets how long the connector that was opened last waits for answers. It asks nothing meanwhile.
func (b *bench) limit(within time.Duration) {
	b.client.Timeout = within
	if b.n.Limit != nil {
		b.n.Limit(b.connector, within)
	}
}

// can skips a test of what the network cannot do.
func (b *bench) can(able bool, what string) {
	b.t.Helper()
	if !able {
		b.t.Skipf("the network cannot %s", what)
	}
}

// behave makes the network behave so, and says whether it can.
func (b *bench) behave(how Behaviour) bool {
	return b.n.Misbehave != nil && b.n.Misbehave(how)
}

// publish publishes a few items with a second between them and returns their ids.
func (b *bench) publish(n int) []string {
	b.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = b.publishItem(Item{Text: fmt.Sprintf("Velo number %d", b.next+1)})
	}
	return ids
}

func (b *bench) publishItem(item Item) string {
	b.t.Helper()
	b.clock.Advance(time.Second)
	b.next++
	item.Key = fmt.Sprintf("item-%d", b.next)
	if item.At.IsZero() {
		item.At = b.clock.Now()
	}
	id := b.n.Publish(item)
	if id == "" {
		b.t.Fatal("the network gives an item no id")
	}
	b.store.expectText(id, item.Text)
	return id
}

// checkRequests finds requests that do not say who asks.
func (b *bench) checkRequests() {
	if b.n.Server == nil {
		return
	}
	for _, r := range b.n.Server.Requests() {
		if got := r.Header.Get("User-Agent"); got != UserAgent {
			b.t.Errorf("%s %s says that it comes from %q", r.Method, r.Path, got)
			return
		}
	}
}
