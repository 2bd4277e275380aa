package bluesky

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
)

// rhythm is when things are done. Tests have another.
type rhythm struct {
	sweep time.Duration // a batch waits no longer than this
	rest  time.Duration // between cursors that are stored without a post
	ping  time.Duration // a server that answers no ping in this time is gone
	inbox time.Duration // between looks at the notifications while the stream is read
	dial  time.Duration // at most for the stream's handshake
	names time.Duration // at most for the names of a batch's authors
}

var usual = rhythm{
	sweep: 200 * time.Millisecond, rest: time.Second, ping: 30 * time.Second, inbox: 2 * time.Minute, dial: 15 * time.Second, names: time.Second,
}

const (
	// overlap is by how much a stream is taken up before where it was left: events of one moment can lie on both sides of it. Another
	// server counts time by itself, and gets events a little sooner or later.
	overlap        = 2 * time.Second
	overlapOfOther = time.Minute
	// maxEvent bounds an event. A record has at most a megabyte, and a post far less; the server is asked for no longer ones.
	maxEvent = 2 << 20
	// maxUnreadable is how many events in a row may be no events before the stream is taken for something else.
	maxUnreadable = 1000
)

// streamer hears keywords.
type streamer struct{ *network }

var _ listen.Streamer = streamer{}

// Stream implements listen.Streamer.
func (s streamer) Stream(ctx context.Context, after listen.Cursor, take listen.Take) error {
	return s.stream(ctx, after, take)
}

// Close implements listen.Connector.
func (s streamer) Close() error { return s.close() }

// both hears keywords by the stream and what is said to us by notifications: Stream looks there too, and Poll looks there alone, for
// when there is no stream.
type both struct{ *network }

var (
	_ listen.Streamer = both{}
	_ listen.Poller   = both{}
	_ listen.Apart    = both{}
)

// Stream implements listen.Streamer.
func (b both) Stream(ctx context.Context, after listen.Cursor, take listen.Take) error {
	return b.stream(ctx, after, take)
}

// Poll implements listen.Poller.
func (b both) Poll(ctx context.Context, after listen.Cursor) (listen.Page, error) {
	return b.poll(ctx, after)
}

// Apart implements listen.Apart: the server of our account is not needed for keywords.
func (b both) Apart() {}

// Close implements listen.Connector.
func (b both) Close() error { return b.close() }

// stream reads the stream, and our notifications beside it, until one of them ends.
func (n *network) stream(ctx context.Context, after listen.Cursor, take listen.Take) error {
	at, err := readCursor(after)
	if err != nil {
		return err
	}
	own := ""
	if n.settings.Mentions {
		if own, err = n.ownDID(ctx, at); err != nil {
			return err
		}
	}
	host, from := n.resume(at)
	conn, err := n.dial(ctx, from)
	if err != nil {
		return err
	}
	defer conn.CloseNow() //nolint:errcheck // nothing is lost with it
	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)
	at.Server = host
	h := &hearing{network: n, at: at, take: take, pile: newPile(at.TimeUS)}
	running.Go(func() { h.pile.end(h.read(ctx, conn, own)) })
	running.Go(func() { fetch.KeepAlive(ctx, conn, h.rhythm.ping) })
	if n.settings.Mentions {
		h.letters = make(chan letters)
		running.Go(func() { h.lookForLetters(ctx, at.Inbox.clone()) })
	}
	return h.run(ctx)
}

// resume tells which server is read and from which moment on; 0 begins with what is new.
func (n *network) resume(at cursor) (host string, from int64) {
	u, err := url.Parse(n.settings.Jetstream)
	if err == nil {
		host = u.Host
	}
	if at.TimeUS == 0 {
		return host, 0
	}
	back := overlap
	if at.Server != host {
		back = overlapOfOther
	}
	return host, max(1, at.TimeUS-back.Microseconds())
}

// missing tells what was missed when the first event that a stream plays again, from a little before the last one that was read, is later than that
// one, which its server then has no longer.
func missing(last, first int64) (listen.Gap, bool) {
	if first <= last+overlap.Microseconds() {
		return listen.Gap{}, false
	}
	return listen.Gap{
		From: time.UnixMicro(last).UTC(), To: time.UnixMicro(first).UTC(),
		Reason: "The stream's server had no longer what came after the last event that was read.",
	}, true
}

// dial opens the stream at a moment.
func (n *network) dial(ctx context.Context, from int64) (*websocket.Conn, error) {
	address, err := url.Parse(n.settings.Jetstream)
	if err != nil {
		return nil, listen.Troublef(listen.Misdeclared, "The jetstream is no address: write one such as wss://bsky.example.")
	}
	query := address.Query()
	query.Set("wantedCollections", postCollection)
	query.Set("maxMessageSizeBytes", strconv.Itoa(maxEvent))
	if from > 0 {
		query.Set("cursor", strconv.FormatInt(from, 10))
	}
	address.RawQuery = query.Encode()
	conn, _, err := fetch.Socket(ctx, n.options.Client, address, fetch.SocketOptions{
		Header: http.Header{"User-Agent": {n.options.UserAgent}}, Within: n.rhythm.dial, Now: n.options.Now,
	})
	if err != nil {
		return nil, err
	}
	conn.SetReadLimit(-1) // read bounds what it keeps, and passes over the rest
	return conn, nil
}

// hearing is a stream that is being read.
type hearing struct {
	*network
	at      cursor // what was handed over, and what will be next
	take    listen.Take
	pile    *pile
	letters chan letters // nil where mentions are not wanted
	told    string       // what the last batch said to keep notifications from being read
}

// run hands over what is read until the stream or ctx ends.
func (h *hearing) run(ctx context.Context) error {
	tick := time.NewTicker(h.rhythm.sweep)
	defer tick.Stop()
	for idle := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case l := <-h.letters:
			if err := h.handOverLetters(ctx, l); err != nil {
				return err
			}
			continue
		case <-tick.C:
			idle += h.rhythm.sweep
		case <-h.pile.full:
		}
		b, timeUS, ended := h.pile.sweep()
		moved := timeUS > h.at.TimeUS
		if !b.Empty() || moved && (ended != nil || idle >= h.rhythm.rest) {
			h.at.TimeUS = max(h.at.TimeUS, timeUS)
			if err := h.handOver(ctx, b); err != nil {
				return err
			}
			idle = 0
		}
		if ended != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return ended
		}
	}
}

// handOver names authors, as far as that is possible soon, and has a batch stored.
func (h *hearing) handOver(ctx context.Context, b listen.Batch) (err error) {
	h.profiles.name(ctx, b.Posts)
	b.Network, b.Trouble, h.told = Network, h.away, ""
	if h.away != nil {
		h.told = h.away.Message
	}
	if b.Next, err = h.at.encode(); err != nil {
		return err
	}
	return h.take(ctx, b)
}

// read puts what the stream sends on the pile until it ends.
func (h *hearing) read(ctx context.Context, conn *websocket.Conn, own string) error {
	j := judge{matcher: h.matcher, languages: h.options.Languages, own: own, now: h.options.Now}
	messages := messages{conn: conn}
	unreadable := 0
	for {
		message, long, err := messages.next(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return h.broken(err)
		}
		v := verdict{rejected: rejectTooLong}
		if !long {
			v = j.judge(message)
		}
		if v.renamed != "" {
			h.profiles.forget(v.renamed)
		}
		if unreadable++; v.time != 0 {
			unreadable = 0
		}
		switch {
		case unreadable < maxUnreadable:
		case v.rejected == rejectFuture:
			return listen.Troublef(listen.Malformed, "The stream's events are all from the future: is the clock of this machine slow?")
		default:
			return listen.Troublef(listen.Malformed, "The stream sends what cannot be read as events of a Jetstream: is the address one of "+
				"version 1 (…/subscribe)?")
		}
		if err := h.pile.add(ctx, v); err != nil {
			return err
		}
	}
}

func (h *hearing) broken(err error) error {
	message := "The stream broke off."
	if status := websocket.CloseStatus(err); status != -1 {
		message = fmt.Sprintf("The stream was ended by its server (%d).", status)
	}
	return &listen.Trouble{Reason: listen.Unreachable, Err: err, Message: message}
}
