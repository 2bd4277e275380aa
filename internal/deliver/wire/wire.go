// Package wire asks the API of a network over HTTP, and tells how far a request has come: whether the server can have it. Every request and
// every answer is bounded in size and time, no redirect is followed, and no request is made twice.
//
// net/http would: it repeats a request that bears an Idempotency-Key when a connection ends before the answer, though not every server keeps
// the promise that is in the name. A request here has a body that cannot be read again, and a connection of its own, so that none is
// written to a connection which the server was just closing.
package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/egress"
)

// Options of a client. Base is required.
type Options struct {
	// Base is the server's address: https, or http to a network that Allowed names.
	Base string
	// Allowed are networks that are not public and may be asked all the same.
	Allowed []netip.Prefix
	TLS     *tls.Config // what certificates are trusted. Default: the system's
	// Timeout of a request with its answer, to which come 16 s for each MiB of it. Default: 30 s
	Timeout time.Duration
	// UserAgent names us. Default: Tertulia
	UserAgent string
	Now       func() time.Time // Default: time.Now
}

const (
	maxHeader = 64 << 10
	// maxAnswer is read of an answer where a request does not say how much.
	maxAnswer = 1 << 20
	// slowest is how much time each MiB of a request gets: 64 KiB/s.
	slowest = 16 * time.Second
)

// Client asks one server. It is made by New and safe for concurrent use.
type Client struct {
	o    Options
	base *url.URL
	http *http.Client
	// closing ends what is under way.
	closing context.Context //nolint:containedctx // it lives as long as the client
	close   context.CancelCauseFunc

	mu   sync.Mutex
	rest map[string]time.Time // by path: until when the server takes no more
}

// New checks the options. The error names no secret: an address has none.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.Base)
	switch {
	case err != nil || base.Hostname() == "" || base.Opaque != "":
		return nil, errors.New("the address of the server cannot be read: write it as https://social.example")
	case base.Scheme != "https" && base.Scheme != "http":
		return nil, errors.New("the address of the server is neither https nor http: write it as https://social.example")
	case base.User != nil || base.RawQuery != "" || base.Fragment != "" || base.Path != "" && base.Path != "/":
		return nil, errors.New("the address of the server is more than a host: write it as https://social.example")
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.UserAgent == "" {
		o.UserAgent = "Tertulia"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Client{o: o, base: &url.URL{Scheme: base.Scheme, Host: base.Host}, rest: map[string]time.Time{}}
	c.closing, c.close = context.WithCancelCause(context.Background())
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext:            c.dial,
			TLSClientConfig:        o.TLS,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: maxHeader,
			DisableKeepAlives:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// errClear is that a token would be readable on its way.
var errClear = errors.New("credentials are not sent in the clear: write the address with https")

func (c *Client) dial(ctx context.Context, _, address string) (net.Conn, error) {
	conn, err := egress.Dialer{Allowed: c.o.Allowed, Timeout: min(c.o.Timeout, 10*time.Second)}.DialContext(ctx, address)
	if err != nil {
		return nil, err
	}
	if to, err := netip.ParseAddrPort(conn.RemoteAddr().String()); c.base.Scheme == "http" && (err != nil || egress.IsPublic(to.Addr())) {
		_ = conn.Close()
		return nil, errClear
	}
	return conn, nil
}

// Host is the server's name, with the port where it has one.
func (c *Client) Host() string { return c.base.Host }

// Now is the time.
func (c *Client) Now() time.Time { return c.o.Now() }

// Patience is how long a request that publishes may take: it is shorter than a MiB.
func (c *Client) Patience() time.Duration { return c.o.Timeout + slowest }

// Close ends what is under way.
func (c *Client) Close() error {
	c.close(errClosed)
	return nil
}

var errClosed = errors.New("the publisher is closed")

// Request is what is asked.
type Request struct {
	Method, Path string
	Query        url.Values
	Header       map[string]string
	Token        string // bearer; "" for none
	Body         []byte // nil for none
	ContentType  string // of Body
	Limit        int64  // of the answer. Default: 1 MiB
	// Completes keeps the request from being ended with ctx once it has begun: its effect would not be known.
	Completes bool
}

// Answer is what the server answered. Where Cut is not nil the body ended too soon, or was too long; the status has been said all the same.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Cut    error
}

// Failure is that there was no answer.
type Failure struct {
	// Whole: the server may have the whole request, and have acted on it.
	Whole bool
	Err   error
}

// Error implements error.
func (f *Failure) Error() string { return f.Err.Error() }

// Unwrap is the cause.
func (f *Failure) Unwrap() error { return f.Err }

// Do asks. The error is a *Failure, or wraps ctx's cause where ctx ended before the request began.
func (c *Client) Do(ctx context.Context, r Request) (*Answer, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if c.closing.Err() != nil {
		return nil, &Failure{Err: errClosed}
	}
	asked := ctx
	if r.Completes {
		ctx = context.WithoutCancel(ctx)
	}
	limit := c.o.Timeout + time.Duration(len(r.Body)>>10)*slowest/1024
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(c.closing, cancel)()
	body := &onceBody{}
	request, err := c.request(ctx, r, body)
	if err != nil {
		return nil, &Failure{Err: err}
	}
	response, err := c.http.Do(request)
	switch {
	case err != nil && !r.Completes && asked.Err() != nil:
		return nil, context.Cause(asked)
	case err != nil:
		return nil, &Failure{Whole: body.mayBeThere(), Err: withoutURL(err)}
	}
	defer response.Body.Close() //nolint:errcheck // read as far as is wanted
	if r.Limit == 0 {
		r.Limit = maxAnswer
	}
	a := &Answer{Status: response.StatusCode, Header: response.Header}
	a.Body, a.Cut = io.ReadAll(io.LimitReader(response.Body, r.Limit+1))
	if a.Cut == nil && int64(len(a.Body)) > r.Limit {
		a.Body, a.Cut = a.Body[:r.Limit], errTooLong
	}
	c.remember(r.Path, a)
	return a, nil
}

var errTooLong = errors.New("the answer is too long")

func (c *Client) request(ctx context.Context, r Request, body *onceBody) (*http.Request, error) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(info httptrace.WroteRequestInfo) {
		if info.Err != nil {
			body.failed.Store(true)
		}
	}})
	u := *c.base
	u.Path, u.RawQuery = r.Path, r.Query.Encode()
	var content io.Reader
	if r.Body != nil {
		body.r = bytes.NewReader(r.Body)
		content = body
	}
	request, err := http.NewRequestWithContext(ctx, r.Method, u.String(), content)
	if err != nil {
		return nil, errors.New("the request cannot be made")
	}
	if r.Body != nil {
		request.ContentLength = int64(len(r.Body))
		request.Header.Set("Content-Type", r.ContentType)
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", c.o.UserAgent)
	if r.Token != "" {
		request.Header.Set("Authorization", "Bearer "+r.Token)
	}
	for name, value := range r.Header {
		request.Header.Set(name, value)
	}
	return request, nil
}

// onceBody is a body that can be read once, and tells whether the last of it was. A server acts on no request of which it lacks the end.
type onceBody struct {
	r      *bytes.Reader
	ended  atomic.Bool
	failed atomic.Bool // to be written
}

// Read implements io.Reader.
func (b *onceBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.r.Len() == 0 {
		b.ended.Store(true) // before the transport has it, so before it can be written
	}
	return n, err
}

func (b *onceBody) mayBeThere() bool { return b.ended.Load() && !b.failed.Load() }

// withoutURL is an error without the address that net/http adds: it may name a person.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return deliver.WithoutAddresses(err)
}
