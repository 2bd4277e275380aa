package mastodon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/coder/websocket"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
)

const (
	// maxMessage bounds a message of a stream: a post of which 200 KiB are markup, escaped twice, with room to spare.
	maxMessage = 4 << 20
	// maxSockets is how many connections are opened where a server takes one stream on each.
	maxSockets = 8
)

// connect opens what all timelines are told by: one connection where the server takes several streams on it.
func (c *Connector) connect(ctx context.Context, at *url.URL) (sockets []*websocket.Conn, err error) {
	defer func() {
		if err != nil {
			hangUp(sockets)
			sockets = nil
		}
	}()
	groups := [][]timeline{c.timelines}
	if c.separate {
		groups = nil
		for _, t := range c.timelines {
			groups = append(groups, []timeline{t})
		}
	}
	if len(groups) > maxSockets {
		return nil, listen.Troublef(listen.Unreachable, "%s takes one stream on a connection, which are too many: it is polled.", at.Host)
	}
	for _, group := range groups {
		socket, err := c.subscribe(ctx, at, group)
		if err != nil {
			return sockets, err
		}
		sockets = append(sockets, socket)
	}
	return sockets, nil
}

// hangUp ends connections. Nothing is lost with them.
func hangUp(sockets []*websocket.Conn) {
	for _, s := range sockets {
		_ = s.CloseNow()
	}
}

// subscribe opens a connection for some timelines. One is named in the address, which every server understands; several by messages.
func (c *Connector) subscribe(ctx context.Context, at *url.URL, group []timeline) (*websocket.Conn, error) {
	u := *at
	if len(group) == 1 {
		u.RawQuery = group[0].stream.query().Encode()
	}
	socket, err := c.dial(ctx, &u)
	if err != nil {
		return nil, err
	}
	socket.SetReadLimit(maxMessage)
	if len(group) == 1 {
		return socket, nil
	}
	for _, t := range group {
		if err := c.ask(ctx, socket, t.stream); err != nil {
			_ = socket.CloseNow()
			return nil, fetch.Unreachable(ctx, &u, err)
		}
	}
	return socket, nil
}

// ask asks for a stream on a connection.
func (c *Connector) ask(ctx context.Context, socket *websocket.Conn, s subscription) error {
	message, err := json.Marshal(s)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.rhythm.handshake)
	defer cancel()
	return socket.Write(ctx, websocket.MessageText, message)
}

func (s subscription) query() url.Values {
	q := url.Values{"stream": {s.Stream}}
	if s.Tag != "" {
		q.Set("tag", s.Tag)
	}
	if s.List != "" {
		q.Set("list", s.List)
	}
	return q
}

// dial opens a connection. Mastodon takes the token as any request has it, some others only where browsers can put it.
func (c *Connector) dial(ctx context.Context, u *url.URL) (*websocket.Conn, error) {
	header := http.Header{}
	c.client.introduce(header)
	socket, err := c.handshake(ctx, u, header)
	if !isReason(err, listen.Unauthorized) {
		return socket, err
	}
	if _, refused := c.client.get(ctx, "/api/v1/apps/verify_credentials", nil); refused != nil && !isReason(refused, listen.NotFound) {
		return nil, refused
	}
	header = http.Header{"User-Agent": {c.client.agent}}
	socket, err = c.handshake(ctx, u, header, c.client.token)
	if isReason(err, listen.Unauthorized) {
		return nil, &listen.Trouble{Reason: listen.Unreachable, Err: err, Message: u.Host + " takes the access token, but for streams: it is polled."}
	}
	return socket, err
}

func (c *Connector) handshake(ctx context.Context, u *url.URL, header http.Header, protocols ...string) (*websocket.Conn, error) {
	socket, status, err := fetch.Socket(ctx, c.client.http, u, fetch.SocketOptions{
		Header: header, Protocols: protocols, Within: c.rhythm.handshake, Now: c.client.now,
	})
	var trouble *listen.Trouble
	if status < http.StatusBadRequest || !errors.As(err, &trouble) {
		return socket, err
	}
	switch trouble.Reason {
	case listen.NotFound, listen.Forbidden, listen.Malformed:
		return nil, &listen.Trouble{
			Reason: listen.Unreachable, Err: err, Wait: trouble.Wait, Message: fmt.Sprintf("%s has no stream (%d): it is polled.", u.Host, status),
		}
	}
	return nil, trouble
}
