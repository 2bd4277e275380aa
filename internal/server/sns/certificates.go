package sns

import (
	"context"
	"crypto/x509"
	"errors"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/inbound"
)

// Bounds of what strangers can have us do. Anybody who knows a topic can post messages that name certificates which are not there,
// and before a certificate is there nobody can tell which of them are SNS's. So nothing that is bounded is shared by addresses but
// how many are fetched at the same moment: who posts bad messages keeps nobody from a certificate that we have, and takes a place in
// fetching one for no longer than that takes.
const (
	maxFetching = 4
	// maxKnown bounds the addresses that are remembered.
	maxKnown = 1024
	// failedFor is for how long an address that had no certificate is not asked again.
	failedFor = 30 * time.Second
)

// certificates are those that were fetched and checked, and the addresses that had none.
type certificates struct {
	mu       sync.Mutex
	known    map[string]*attempt
	fetching int
}

// attempt is one to fetch a certificate. What it came to may be read when done is closed.
type attempt struct {
	done        chan struct{}
	certificate *x509.Certificate
	err         error
	until       time.Time // when it may be tried again
}

// over tells whether an attempt came to an end, and that counts no longer.
func (a *attempt) over(now time.Time) bool {
	select {
	case <-a.done:
		return !now.Before(a.until)
	default:
		return false
	}
}

// certificate is the one at an address that was checked, good for one of the names. Who asks for the same one at the same time
// waits for one attempt.
func (c *Client) certificate(ctx context.Context, address string, names []string) (*x509.Certificate, error) {
	c.mu.Lock()
	a := c.known[address]
	if a == nil || a.over(c.now()) {
		if c.fetching >= maxFetching || !c.makeRoom() {
			c.mu.Unlock()
			return nil, ErrUnavailable
		}
		a = &attempt{done: make(chan struct{})}
		c.known[address] = a
		c.fetching++
		go c.try(context.WithoutCancel(ctx), a, address, names)
	}
	c.mu.Unlock()
	select {
	case <-a.done:
		return a.certificate, a.err
	case <-ctx.Done():
		return nil, ErrUnavailable
	}
}

// try fetches a certificate. It does not end with the request that asked for it first: others may wait for it too.
func (c *Client) try(ctx context.Context, a *attempt, address string, names []string) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	certificate, err := c.obtain(ctx, address, names)
	c.mu.Lock()
	defer c.mu.Unlock()
	a.certificate, a.err, a.until = certificate, err, c.now().Add(failedFor)
	if err == nil {
		a.until = certificate.NotAfter
	}
	c.fetching--
	close(a.done)
}

// makeRoom forgets an address where as many as may be are remembered: one that failed. It tells whether there is room.
func (c *Client) makeRoom() bool {
	if len(c.known) < maxKnown {
		return true
	}
	for address, a := range c.known {
		if a.over(c.now()) || errors.Is(a.err, ErrUnavailable) || errors.Is(a.err, inbound.ErrSignature) {
			delete(c.known, address)
			return true
		}
	}
	return false
}
