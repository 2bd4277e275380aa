package mailbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	protocol "github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"github.com/tertulia-crm/tertulia/internal/egress"
	"github.com/tertulia-crm/tertulia/internal/inbound/imap"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
)

const (
	// maxMail is how many bytes of a mail are read: its beginning, where what somebody says stands.
	maxMail = 1 << 20
	// chunk is how many mails are fetched at a time.
	chunk = 10
	// Bounds of what a server may say while one command is answered.
	maxSaid    = 1 << 20
	maxNumbers = 32 << 20 // of a search: some million numbers
	maxFetched = chunk * (maxMail + 64<<10)
)

// session is a connection that has logged in and opened the mailbox.
type session struct {
	c      *Connector
	client *imapclient.Client
	socket *meter
	end    func()
	news   chan struct{} // holds one where the server said that something changed
	box    *protocol.SelectData
	mute   bool // the server cannot say what is new by itself
}

// mail is a message as the server has it.
type mail struct {
	uid      uint32
	received time.Time
	flags    []protocol.Flag
	raw      []byte
}

// open logs in and opens the mailbox.
func (c *Connector) open(ctx context.Context) (*session, error) {
	s := &session{c: c, news: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(ctx)
	o := c.login
	o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := c.dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		s.socket = &meter{Conn: conn}
		s.socket.left.Store(maxSaid)
		return s.socket, nil
	}
	o.Events = &imapclient.UnilateralDataHandler{
		Mailbox: func(*imapclient.UnilateralDataMailbox) { s.wake() },
		Expunge: func(uint32) {}, // mails that are gone were said all the same
	}
	late := time.AfterFunc(c.rhythm.command, cancel)
	client, hangUp, err := imap.Connect(ctx, o)
	if !late.Stop() && err == nil {
		hangUp()
		err = context.DeadlineExceeded
	}
	if err != nil && s.socket != nil && s.socket.left.Load() <= 0 {
		err = fmt.Errorf("%w: %w", errTooMuch, err)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	s.client = client
	s.end = func() { hangUp(); cancel() }
	if err := s.examine(); err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

func (s *session) wake() {
	select {
	case s.news <- struct{}{}:
	default:
	}
}

// examine opens the mailbox for reading alone.
func (s *session) examine() error {
	return s.within(maxSaid, func() (err error) {
		caps := s.client.Caps()
		s.mute = !caps.Has(protocol.CapIdle) && !caps.Has(protocol.CapIMAP4rev2)
		o := &protocol.SelectOptions{ReadOnly: true, CondStore: caps.Has(protocol.CapCondStore)}
		s.box, err = s.client.Select(s.c.settings.Mailbox, o).Wait()
		return stage("EXAMINE", err)
	})
}

// within does what takes a command, bounded in time and in what the server says.
func (s *session) within(bytes int64, do func() error) error {
	s.socket.left.Store(bytes)
	var late atomic.Bool
	timer := time.AfterFunc(s.c.rhythm.command, func() {
		late.Store(true)
		_ = s.socket.Close()
	})
	defer timer.Stop()
	err := do()
	if err != nil && late.Load() {
		return fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	if err != nil && s.socket.left.Load() <= 0 {
		return fmt.Errorf("%w: %w", errTooMuch, err)
	}
	return err
}

// find lists UIDs from one on by criteria, in order.
func (s *session) find(criteria *protocol.SearchCriteria, from protocol.UID) (uids []protocol.UID, err error) {
	err = s.within(maxNumbers, func() error {
		found, err := s.client.UIDSearch(criteria, nil).Wait()
		if err != nil {
			return stage("SEARCH", err)
		}
		if uids, err = imap.UIDs(found, from); err != nil {
			return fmt.Errorf("%w: %w", errTooMuch, err)
		}
		return nil
	})
	return uids, err
}

// above lists the UIDs behind one.
func (s *session) above(uid uint32) ([]protocol.UID, error) {
	if uid == 1<<32-1 {
		return nil, nil
	}
	from := protocol.UID(uid + 1)
	// A range that ends with * holds the last message also where that is before its beginning.
	return s.find(&protocol.SearchCriteria{UID: []protocol.UIDSet{{{Start: from}}}}, from)
}

// fetch gets mails, in the order of their numbers. Those that are gone meanwhile are left out.
func (s *session) fetch(uids []protocol.UID) (mails []mail, err error) {
	var set protocol.UIDSet
	set.AddNum(uids...)
	section := &protocol.FetchItemBodySection{Peek: true, Partial: &protocol.SectionPartial{Size: maxMail}}
	options := &protocol.FetchOptions{UID: true, InternalDate: true, Flags: true, BodySection: []*protocol.FetchItemBodySection{section}}
	err = s.within(maxFetched, func() error {
		command := s.client.Fetch(set, options)
		for item := command.Next(); item != nil; item = command.Next() {
			m, err := read(item)
			if err != nil {
				return stage("FETCH", err) // the connection broke within a mail: the command can only be left alone
			}
			asked := slices.Contains(uids, protocol.UID(m.uid)) && !slices.ContainsFunc(mails, func(o mail) bool { return o.uid == m.uid })
			if asked && m.raw != nil { // what else a server says is that flags changed
				mails = append(mails, m)
			}
		}
		return stage("FETCH", command.Close())
	})
	slices.SortFunc(mails, func(a, b mail) int { return int(int64(a.uid) - int64(b.uid)) })
	return mails, err
}

func read(item *imapclient.FetchMessageData) (m mail, err error) {
	for data := item.Next(); data != nil; data = item.Next() {
		switch data := data.(type) {
		case imapclient.FetchItemDataUID:
			m.uid = uint32(data.UID)
		case imapclient.FetchItemDataInternalDate:
			m.received = data.Time
		case imapclient.FetchItemDataFlags:
			m.flags = data.Flags
		case imapclient.FetchItemDataBodySection:
			if data.Literal == nil {
				m.raw = []byte{}
				continue
			}
			if m.raw, err = io.ReadAll(io.LimitReader(data.Literal, maxMail)); err != nil {
				return m, err
			}
		}
	}
	return m, nil
}

// await waits until the server says that something changed, or for a while.
func (s *session) await(ctx context.Context) error {
	if s.mute {
		timer := time.NewTimer(s.c.rhythm.look)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		return s.within(maxSaid, func() error { return stage("NOOP", s.client.Noop().Wait()) })
	}
	var idle *imapclient.IdleCommand
	err := s.within(maxSaid, func() (err error) {
		idle, err = s.client.Idle()
		return stage("IDLE", err)
	})
	if err != nil {
		return err
	}
	timer := time.NewTimer(s.c.rhythm.idle)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.news:
	case <-s.client.Closed():
	case <-timer.C:
	}
	return s.within(maxSaid, func() error {
		return stage("IDLE", errors.Join(idle.Close(), idle.Wait()))
	})
}

// meter is a connection that bounds what comes in.
type meter struct {
	net.Conn
	left atomic.Int64
}

var errTooMuch = errors.New("the server says more than it was asked for")

// Read implements net.Conn.
func (m *meter) Read(p []byte) (int, error) {
	if m.left.Load() <= 0 {
		return 0, errTooMuch
	}
	n, err := m.Conn.Read(p)
	m.left.Add(-int64(n))
	return n, err
}

// staged is an error with the command that it came from.
type staged struct {
	command string
	error
}

// Unwrap is the cause.
func (s *staged) Unwrap() error { return s.error }

func stage(command string, err error) error {
	if err == nil {
		return nil
	}
	return &staged{command, err}
}

// isPermanent tells that a server refused a command, and will the next time.
func isPermanent(err error) bool {
	var refused *protocol.Error
	if !errors.As(err, &refused) || refused.Type != protocol.StatusResponseTypeNo {
		return false
	}
	switch refused.Code {
	case protocol.ResponseCodeUnavailable, protocol.ResponseCodeInUse, protocol.ResponseCodeServerBug, protocol.ResponseCodeLimit:
		return false
	}
	return true
}

// trouble says what stands in the way of reading, or that ctx ended.
func (c *Connector) trouble(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var login *imap.Trouble
	var command *staged
	switch {
	case errors.As(err, new(*egress.ForbiddenError)):
		return fetch.Unreachable(ctx, &url.URL{Host: c.server()}, err)
	case errors.Is(err, errTooMuch):
		return &listen.Trouble{Reason: listen.Malformed, Err: err, Message: c.server() + " says more than it was asked for."}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &listen.Trouble{Reason: listen.Unreachable, Err: err, Message: c.server() + " does not answer in time."}
	case errors.As(err, &login):
		reason := listen.Unreachable
		if login.Stage == "LOGIN" && isPermanent(err) {
			reason = listen.Unauthorized
		}
		return &listen.Trouble{Reason: reason, Err: err, Message: fmt.Sprintf("%s cannot be read (%s): %s.", login.Server, login.Stage, login.Reason)}
	case errors.As(err, &command) && command.command == "EXAMINE" && isPermanent(err):
		return &listen.Trouble{Reason: listen.NotFound, Err: err, Message: c.server() + " has no such mailbox, or does not open it: check its name."}
	case errors.As(err, &command) && errors.As(err, new(*protocol.Error)):
		return &listen.Trouble{Reason: listen.Malformed, Err: err, Message: fmt.Sprintf("%s refuses %s.", c.server(), command.command)}
	}
	return &listen.Trouble{Reason: listen.Unreachable, Err: err, Message: c.server() + " ended the connection."}
}
