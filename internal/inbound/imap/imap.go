// Package imap takes the messages of a mailbox (RFC 9051, and RFC 3501 before it), each once and in their order. It changes
// nothing in the mailbox: how far it was read is remembered by who reads.
package imap

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/tertulia-crm/tertulia/internal/inbound"
)

// TLSMode says how the connection is protected.
type TLSMode string

// The modes, written as MessageChannel writes them.
const (
	StartTLS TLSMode = "StartTLS"
	Implicit TLSMode = "Implicit" // usually port 993 (RFC 8314)
	None     TLSMode = "None"
)

// Options name a mailbox.
type Options struct {
	Host     string
	Port     int
	TLS      TLSMode
	Mailbox  string // default: INBOX
	Username string
	Password string

	TLSConfig *tls.Config // what certificates are trusted. Default: the system's, for Host

	// Dial connects by TCP. Default: to any address.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Events takes what the server says by itself.
	Events *imapclient.UnilateralDataHandler
}

// Message is a message of a mailbox.
type Message struct {
	UID uint32
	// Raw is the message, of which no more than inbound.MaxMessage bytes are taken.
	Raw []byte
}

// batch is how many messages are taken at a time: together they are no more than 20 MiB.
const batch = 20

// Trouble says what stands in the way of reading a mailbox, in words for the author of the channel, without people or
// secrets.
type Trouble struct {
	Server string // host:port
	Stage  string // connect, STARTTLS, LOGIN, EXAMINE, FETCH
	Reason string // what happened, and how to mend it where that is known
	Err    error
}

// Error implements error.
func (t *Trouble) Error() string { return fmt.Sprintf("%s at %s: %s", t.Stage, t.Server, t.Reason) }

// Unwrap is the cause.
func (t *Trouble) Unwrap() error { return t.Err }

// Connect logs in for who reads a mailbox in another way than Take does. The connection ends with ctx, or by the function that it
// returns. The error is a *Trouble, or ctx's.
func Connect(ctx context.Context, o Options) (*imapclient.Client, func(), error) {
	s, err := open(ctx, o)
	if err != nil {
		return nil, nil, s.told(ctx, err)
	}
	return s.client, s.close, nil
}

// Take reads what a mailbox holds behind a cursor and gives it to take, batch by batch, with the cursor after it; take
// returns when it is on disk. A mailbox that numbers its messages anew (UIDVALIDITY) is read from its beginning. The error
// is a *Trouble, ctx's, or what take returned.
func Take(ctx context.Context, o Options, after inbound.Cursor, take func(ctx context.Context, messages []Message, read inbound.Cursor) error) error {
	s, err := open(ctx, o)
	if err != nil {
		return s.told(ctx, err)
	}
	defer s.close()
	selected, err := s.client.Select(cmp.Or(o.Mailbox, "INBOX"), &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		return s.told(ctx, s.trouble("EXAMINE", "the mailbox cannot be opened: check its name", err))
	}
	if selected.UIDValidity != after.Validity {
		after = inbound.Cursor{Validity: selected.UIDValidity}
	}
	uids, err := s.above(after.UID)
	if err != nil {
		return s.told(ctx, err)
	}
	for some := range slices.Chunk(uids, batch) {
		messages, err := s.fetch(some)
		if err != nil {
			return s.told(ctx, err)
		}
		after.UID = uint32(some[len(some)-1])
		if err := take(ctx, messages, after); err != nil {
			return err
		}
	}
	return nil
}

// session is a connection that has logged in.
type session struct {
	server string
	socket net.Conn
	client *imapclient.Client
	stop   func() bool // of what ends the connection with its context
}

// dialTimeout bounds connecting; what follows is bounded by the context.
const dialTimeout = 30 * time.Second

func open(ctx context.Context, o Options) (*session, error) {
	s := &session{server: net.JoinHostPort(o.Host, strconv.Itoa(o.Port)), stop: func() bool { return true }}
	dial := o.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	socket, err := dial(ctx, "tcp", s.server)
	if err != nil {
		return s, s.trouble("connect", "cannot reach the server: check host and port, and that it runs", err)
	}
	s.socket = socket
	s.stop = context.AfterFunc(ctx, func() { _ = socket.Close() })
	if err := s.greet(ctx, o); err != nil {
		s.close()
		return s, err
	}
	if err := s.client.Login(o.Username, o.Password).Wait(); err != nil {
		s.close()
		return s, s.trouble("LOGIN", "the server refuses username or password: correct the Secret", err)
	}
	return s, nil
}

func (s *session) greet(ctx context.Context, o Options) error {
	config := o.TLSConfig.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.ServerName == "" {
		config.ServerName = o.Host
	}
	const untrusted = "the connection cannot be protected: the certificate must be good for the host, and the server must offer TLS so"
	var err error
	switch o.TLS {
	case Implicit:
		config.NextProtos = []string{"imap"}
		protected := tls.Client(s.socket, config)
		if err := protected.HandshakeContext(ctx); err != nil {
			return s.trouble("connect", untrusted, err)
		}
		s.client = imapclient.New(protected, &imapclient.Options{UnilateralDataHandler: o.Events})
	case StartTLS:
		if s.client, err = imapclient.NewStartTLS(s.socket, &imapclient.Options{TLSConfig: config, UnilateralDataHandler: o.Events}); err != nil {
			return s.trouble("STARTTLS", untrusted, err)
		}
	case None:
		s.client = imapclient.New(s.socket, &imapclient.Options{UnilateralDataHandler: o.Events})
	default:
		return s.trouble("connect", fmt.Sprintf("the TLS mode %q is none of StartTLS, Implicit, None", o.TLS), nil)
	}
	if err := s.client.WaitGreeting(); err != nil {
		return s.trouble("connect", "the server does not greet", err)
	}
	return nil
}

// above lists the UIDs of the messages behind one, in their order.
func (s *session) above(uid uint32) ([]imap.UID, error) {
	if uid == 1<<32-1 {
		return nil, nil
	}
	from := imap.UID(uid + 1)
	found, err := s.client.UIDSearch(&imap.SearchCriteria{UID: []imap.UIDSet{{{Start: from}}}}, nil).Wait()
	if err != nil {
		return nil, s.trouble("FETCH", "the mailbox cannot be searched", err)
	}
	// A range that ends with * holds the last message also where that is before its beginning.
	uids, err := UIDs(found, from)
	if err != nil {
		return nil, s.trouble("FETCH", "the answer to a search cannot be believed", err)
	}
	return uids, nil
}

// maxUIDs is how many messages a search finds at most.
const maxUIDs = 4 << 20

// UIDs are what a search found from one on, in order. A server may tell them as ranges (RFC 4731): one of a few bytes that names four
// thousand million messages, or has no end, is an error.
func UIDs(found *imap.SearchData, from imap.UID) ([]imap.UID, error) {
	set, ok := found.All.(imap.UIDSet)
	if !ok {
		return nil, nil
	}
	total := uint64(0)
	for _, r := range set {
		if r.Start == 0 || r.Stop < r.Start {
			return nil, errors.New("the search found a range without an end")
		}
		if total += uint64(r.Stop-r.Start) + 1; total > maxUIDs {
			return nil, fmt.Errorf("the search found more than %d messages", maxUIDs)
		}
	}
	uids := make([]imap.UID, 0, total)
	for _, r := range set {
		for n := range uint64(r.Stop-r.Start) + 1 {
			if uid := r.Start + imap.UID(n); uid >= from {
				uids = append(uids, uid)
			}
		}
	}
	slices.Sort(uids)
	return slices.Compact(uids), nil
}

func (s *session) fetch(uids []imap.UID) ([]Message, error) {
	var set imap.UIDSet
	set.AddNum(uids...)
	section := &imap.FetchItemBodySection{Peek: true, Partial: &imap.SectionPartial{Size: inbound.MaxMessage}}
	command := s.client.Fetch(set, &imap.FetchOptions{UID: true, BodySection: []*imap.FetchItemBodySection{section}})
	defer func() { _ = command.Close() }()
	var messages []Message
	for item := command.Next(); item != nil; item = command.Next() {
		m, err := read(item)
		if err != nil {
			return nil, s.trouble("FETCH", "a message cannot be read", err)
		}
		if slices.Contains(uids, imap.UID(m.UID)) && len(messages) < len(uids) { // others are not asked for
			messages = append(messages, m)
		}
	}
	if err := command.Close(); err != nil {
		return nil, s.trouble("FETCH", "messages cannot be read", err)
	}
	return messages, nil
}

func read(item *imapclient.FetchMessageData) (Message, error) {
	var m Message
	for data := item.Next(); data != nil; data = item.Next() {
		switch data := data.(type) {
		case imapclient.FetchItemDataUID:
			m.UID = uint32(data.UID)
		case imapclient.FetchItemDataBodySection:
			if data.Literal == nil {
				continue
			}
			var err error
			if m.Raw, err = io.ReadAll(io.LimitReader(data.Literal, inbound.MaxMessage)); err != nil {
				return m, err
			}
		}
	}
	return m, nil
}

func (s *session) close() {
	s.stop()
	if s.client != nil {
		_ = s.client.Close() // without LOGOUT: nothing is left to be said
	}
	_ = s.socket.Close()
}

func (s *session) trouble(stage, reason string, err error) error {
	return &Trouble{Server: s.server, Stage: stage, Reason: reason, Err: err}
}

// told is the trouble, or ctx's end where that was the cause of it.
func (s *session) told(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), err)
	}
	return err
}
