// Package smtp hands mail over to a relay by SMTP (RFC 5321) over pooled connections, one recipient in each mail
// transaction.
//
// Where the relay offers PIPELINING (RFC 2920), a message costs one round trip: its content, the final dot and the
// next message's MAIL, RCPT and DATA leave in one write ("the actual transfer of message content is explicitly allowed
// to be the first command in a group"). Elsewhere it goes reply by reply.
//
// # When the final dot is begun
//
// A message whose final dot may have left this process without an answer is Unknown and never sent again, so that
// moment is drawn sharply. Content and dot leave in one write: a write of its own for the dot would cost a system call
// and a packet for each message and would tell nothing more, because a relay that has the content and dies takes the
// dot's bytes into its socket all the same. Instead the socket is looked at before the content is written (a relay
// that is gone already costs nothing), and a write that fails says how many bytes the kernel took: if the dot is not
// among them, it was not begun and the message is Deferred.
package smtp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/lanes"
)

// TLSMode says how a connection is protected.
type TLSMode string

// The modes, written as MessageChannel writes them.
const (
	StartTLS TLSMode = "StartTLS" // RFC 3207; a relay that does not offer it gets nothing
	Implicit TLSMode = "Implicit" // RFC 8314: TLS from the first byte
	None     TLSMode = "None"     // in clear
)

// Options of a transport. Host, Port and TLS are required.
type Options struct {
	Host string
	Port int
	TLS  TLSMode

	// Username and Password for AUTH; without a Username none is attempted. They travel only over TLS or to this machine.
	Username, Password string

	Connections int           // most connections at a time. Default: 4
	MaxMessages int           // messages after which a connection is closed, as relays like it. Default: 1000
	IdleTimeout time.Duration // after which an unused connection is closed. Default: 1 m
	HELO        string        // the name given in EHLO. Default: the host's name
	TLSConfig   *tls.Config   // what certificates are trusted. Default: the system's, for Host
	Timeouts    Timeouts

	// Certificate is told at each handshake until when the relay's certificate is good, also where it is not any more. It
	// may be nil.
	Certificate func(notAfter time.Time)
}

// FinalDot is how long the answer to a final dot may take by RFC 5321, section 4.5.3.2.6.
const FinalDot = 10 * time.Minute

// Timeouts bound every wait; the defaults are those of RFC 5321, section 4.5.3.2, where it names one.
type Timeouts struct {
	Connect  time.Duration // to connect and for each step of TLS. Default: 30 s
	Greeting time.Duration // Default: 5 m
	Command  time.Duration // EHLO, AUTH, MAIL, RCPT, RSET. Default: 5 m
	Data     time.Duration // the answer to DATA. Default: 2 m
	Block    time.Duration // for every 64 KiB of content. Default: 3 m
	Dot      time.Duration // the answer to the final dot. Default: 10 m
}

func (t Timeouts) withDefaults() Timeouts {
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{
		{&t.Connect, 30 * time.Second},
		{&t.Greeting, 5 * time.Minute},
		{&t.Command, 5 * time.Minute},
		{&t.Data, 2 * time.Minute},
		{&t.Block, 3 * time.Minute},
		{&t.Dot, FinalDot},
	} {
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	return t
}

// Transport hands messages over to one relay. It is made by New and safe for concurrent use.
type Transport struct {
	o       Options
	address string // host:port
	pool    *lanes.Pool[*conn]

	mu      sync.Mutex
	batches []*batch // that are handed over, in the order in which they came
}

var _ deliver.Transport = (*Transport)(nil)

var heloName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$|^\[[0-9A-Fa-f:.]+\]$`)

// New checks the options and returns a transport, which connects when it is first used.
func New(o Options) (*Transport, error) {
	if err := o.check(); err != nil {
		return nil, fmt.Errorf("SMTP relay: %w", err)
	}
	o = o.withDefaults()
	address := net.JoinHostPort(o.Host, strconv.Itoa(o.Port))
	closed := &deliver.Trouble{Server: address, Stage: stageConnect, Reason: "the transport is closed"}
	return &Transport{o: o, address: address, pool: lanes.NewPool[*conn](o.Connections, o.IdleTimeout, closed)}, nil
}

func (o Options) check() error {
	switch {
	case o.Host == "":
		return errors.New("it has no host")
	case o.Port < 1 || o.Port > 65535:
		return fmt.Errorf("port %d is not between 1 and 65535", o.Port)
	case o.TLS != StartTLS && o.TLS != Implicit && o.TLS != None:
		return fmt.Errorf("TLS mode %q is none of StartTLS, Implicit, None", o.TLS)
	case o.HELO != "" && !heloName.MatchString(o.HELO):
		return fmt.Errorf("%q is not a host name for EHLO", o.HELO)
	case o.Connections < 0 || o.MaxMessages < 0:
		return errors.New("negative number of connections or messages")
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.Connections == 0 {
		o.Connections = 4
	}
	if o.MaxMessages == 0 {
		o.MaxMessages = 1000
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = time.Minute
	}
	if o.HELO == "" {
		o.HELO = "localhost"
		if name, err := os.Hostname(); err == nil && heloName.MatchString(name) {
			o.HELO = name
		}
	}
	o.Timeouts = o.Timeouts.withDefaults()
	return o
}

// Deliver implements deliver.Transport.
func (t *Transport) Deliver(ctx context.Context, messages []deliver.Message) ([]deliver.Result, error) {
	b := newBatch(ctx, messages)
	count := min(t.o.Connections, b.Waiting())
	if b.lanes = count; count == 0 {
		return b.Results, nil
	}
	t.mu.Lock()
	t.batches = append(t.batches, b)
	t.mu.Unlock()
	for range count {
		go t.lane(b)
	}
	<-b.over
	t.mu.Lock()
	t.batches = slices.DeleteFunc(t.batches, func(other *batch) bool { return other == b })
	t.mu.Unlock()
	return b.Results, b.Err("hand over to " + t.address)
}

// waiting finds a batch for a lane whose own has nothing left to hand over, and gives it to the lane. It is nil where none waits.
func (t *Transport) waiting(own *batch) *batch {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, b := range t.batches {
		if b != own && b.join() {
			return b
		}
	}
	return nil
}

// Patience implements deliver.Transport. When ctx ends, a connection may be waiting for the answer to one final dot and,
// where it pipelines, have begun the next message; one that is being opened waits for at most one more answer.
func (t *Transport) Patience(size int) time.Duration {
	limits := t.o.Timeouts
	blocks := time.Duration(size/writeBlock + 2)                                 // stuffed dots, and commands, may need another
	message := 3*limits.Command + limits.Data + blocks*limits.Block + limits.Dot // RSET, MAIL, RCPT; DATA; the content; the dot
	return max(limits.Dot+message, limits.Connect+limits.Greeting)
}

// lane hands messages over by one connection at a time, until none is left, their time is over or the channel is in trouble.
func (t *Transport) lane(b *batch) {
	defer func() { b.done() }()
	if !t.pool.Enter(b.Queue) {
		return
	}
	defer t.pool.Exit()
	for b.Remaining() {
		c, err := t.pool.Get(func() (*conn, error) { return t.another(b) })
		if err == nil && c != nil {
			b, err = c.serve(b)
			t.pool.Put(c)
		}
		if err != nil {
			b.Fail(err)
		}
		if err != nil || c == nil {
			return
		}
	}
}

// another opens a connection. It returns nil where that is pointless because a lane of this batch is in trouble already, or its
// time is over.
func (t *Transport) another(b *batch) (*conn, error) {
	if b.Failed() {
		return nil, nil
	}
	c, err := t.open(b.Context())
	if err != nil && b.Context().Err() != nil {
		return nil, nil
	}
	return c, err
}

// Close implements deliver.Transport. A message whose final dot was begun and not answered is Unknown then.
func (t *Transport) Close() error {
	t.pool.Close()
	return nil
}
