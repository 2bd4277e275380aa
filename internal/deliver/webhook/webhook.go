// Package webhook hands messages over to an endpoint by HTTP: each is the body of a POST of its own, signed as package
// signature does. It speaks HTTP/1.1 over pooled connections of its own, one request at a time on each, because what must
// be known of a message is how far its request has come, and net/http does not tell.
//
// # What became of a message
//
// A campaign's message is posted at most once, unless the endpoint itself says that it has not taken it:
//
//   - 2xx: Accepted.
//   - 408, 425, 429, 503: Deferred, for as long as Retry-After asks.
//   - other 4xx: Refused. It concerns this message.
//   - 3xx, 401, 403, 404, 405, 407, 410, 411, 415, 417, 421, 426, 431, 501, 505, 511: the endpoint's address or the signing key is
//     wrong, which is the channel's trouble. The message is Untouched, and waits until that is mended. No redirect is followed.
//   - other 5xx, and any other answer: Unknown. The endpoint, or a gateway before it, failed while it had the message, and may
//     have acted on it. An endpoint that has not acted says so by 503.
//   - No answer in time, or the connection ended without one: Unknown where the whole request was written; Deferred where the
//     kernel had not taken all of it, because then no endpoint can have got it whole.
//
// The signed id is the same at every try, so that an endpoint that keeps the ids of some days can drop what it has.
package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/lanes"
	"github.com/tertulia-crm/tertulia/internal/egress"
	"github.com/tertulia-crm/tertulia/internal/signature"
)

// Options of a transport. URL and Keys are required.
type Options struct {
	// URL of the endpoint: https, or http to a network that Allowed names.
	URL string
	// Keys sign what is posted.
	Keys signature.Keys
	// Allowed are networks that are not public and may be posted to.
	Allowed []netip.Prefix

	Connections int           // most connections at a time. Default: 4
	Timeout     time.Duration // of the answer, and of every 64 KiB that are written. Default: 30 s
	Connect     time.Duration // to connect, TLS included. Default: 30 s
	// IdleTimeout is after which an unused connection is closed. It is shorter than that of any common server: who posts over a
	// connection that the server is closing at that moment learns nothing of the message. Default: 2 s
	IdleTimeout time.Duration
	TLSConfig   *tls.Config // what certificates are trusted. Default: the system's, for the URL's host

	// Certificate is told at each handshake until when the endpoint's certificate is good. It may be nil.
	Certificate func(notAfter time.Time)
	// Now is the clock of signatures. Default: time.Now
	Now func() time.Time
}

// Transport posts messages to one endpoint. It is made by New and safe for concurrent use.
type Transport struct {
	o      Options
	target target
	pool   *lanes.Pool[*conn]
}

var _ deliver.Transport = (*Transport)(nil)

// target is an endpoint's URL, taken apart.
type target struct {
	address string // host:port
	name    string // host, for TLS
	host    string // as the Host header says it
	path    string // with the query
	tls     bool
}

// ParseURL checks an endpoint's URL. Its errors do not repeat it, because some endpoints have a secret in their path.
func ParseURL(text string) error {
	_, err := parseTarget(text)
	return err
}

func parseTarget(text string) (target, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return target{}, errors.New("the URL cannot be read: write it as https://hooks.velo.example/messages")
	case u.Scheme != "https" && u.Scheme != "http":
		return target{}, errors.New("the URL is neither https nor http: write it as https://hooks.velo.example/messages")
	case u.Hostname() == "" || u.Opaque != "":
		return target{}, errors.New("the URL has no host: write it as https://hooks.velo.example/messages")
	case u.User != nil:
		return target{}, errors.New("the URL names a user: leave it out, messages are signed")
	case u.Fragment != "":
		return target{}, errors.New("the URL has a fragment, which is never sent: leave it out")
	}
	t := target{name: u.Hostname(), host: u.Host, path: u.RequestURI(), tls: u.Scheme == "https"}
	port := u.Port()
	if port == "" {
		port = map[bool]string{true: "443", false: "80"}[t.tls]
	}
	t.address = net.JoinHostPort(t.name, port)
	return t, nil
}

// New checks the options and returns a transport, which connects when it is first used.
func New(o Options) (*Transport, error) {
	target, err := parseTarget(o.URL)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	if len(o.Keys) == 0 {
		return nil, errors.New("webhook: there is no signing key")
	}
	if o.Connections < 0 {
		return nil, errors.New("webhook: negative number of connections")
	}
	if o.Connections == 0 {
		o.Connections = 4
	}
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{{&o.Timeout, 30 * time.Second}, {&o.Connect, 30 * time.Second}, {&o.IdleTimeout, 2 * time.Second}} {
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	closed := &deliver.Trouble{Server: target.address, Stage: stageConnect, Reason: "the transport is closed"}
	return &Transport{o: o, target: target, pool: lanes.NewPool[*conn](o.Connections, o.IdleTimeout, closed)}, nil
}

func (t *Transport) dialer() egress.Dialer {
	return egress.Dialer{Allowed: t.o.Allowed, Timeout: t.o.Connect}
}

// Deliver implements deliver.Transport.
func (t *Transport) Deliver(ctx context.Context, messages []deliver.Message) ([]deliver.Result, error) {
	q := lanes.NewQueue(ctx, messages, flaw)
	var group sync.WaitGroup
	for range min(t.o.Connections, q.Waiting()) {
		group.Go(func() { t.lane(ctx, q) })
	}
	group.Wait()
	return q.Results, q.Err("post to " + t.target.address)
}

// Patience implements deliver.Transport: when ctx ends, each connection may have begun a request.
func (t *Transport) Patience(size int) time.Duration {
	blocks := time.Duration(size/writeBlock + 2) // the headers may need another
	return max(t.o.Connect, (blocks+2)*t.o.Timeout)
}

// lane posts messages of a batch over one connection at a time until none is left, ctx ends or the channel is in trouble.
func (t *Transport) lane(ctx context.Context, q *lanes.Queue) {
	if !t.pool.Enter(q) {
		return
	}
	defer t.pool.Exit()
	var c *conn
	defer func() { t.pool.Put(c) }()
	for {
		i, ok := q.Take()
		if !ok {
			return
		}
		var err error
		if c == nil || !c.Usable() {
			t.pool.Put(c)
			c, err = t.pool.Get(func() (*conn, error) { return t.open(ctx) })
			if err != nil {
				if ctx.Err() == nil { // that it was told to end is no trouble
					q.Fail(err)
				}
				return
			}
		}
		if err = c.offer(q, i); err != nil {
			q.Fail(err)
			return
		}
	}
}

// offer posts a message of a batch, unless its sender has taken it back. An error is the channel's trouble.
func (c *conn) offer(q *lanes.Queue, i int) (err error) {
	message := &q.Messages[i]
	if !message.Claim.Take() {
		return nil
	}
	q.Results[i], err = c.post(message)
	if errors.Is(err, errNothingWritten) && c.served > 1 { // the endpoint had closed it: another connection tells more
		message.Claim.Return()
		q.PutBack(i)
		return nil
	}
	return err
}

// Close implements deliver.Transport. A message whose request was written and not answered is Unknown then.
func (t *Transport) Close() error {
	t.pool.Close()
	return nil
}
