package mastodontest

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// pingEvery is how often the server looks whether somebody is there; who does not answer is cut off.
const pingEvery = 30 * time.Second

// socket is a streaming connection.
type socket struct {
	conn    *websocket.Conn
	end     context.CancelFunc
	streams map[string]bool // under the server's lock
	queue   chan []byte
}

func (c *socket) close() { c.end() }

// stream takes a streaming connection.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	o := s.options()
	if o.NoStreaming {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	if o.Hanging {
		<-r.Context().Done()
		return
	}
	token, bears := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	protocol := r.Header.Get("Sec-WebSocket-Protocol")
	if !bears || o.ProtocolToken {
		token = protocol
	}
	s.mu.Lock()
	valid := token == Token && !s.revoked
	s.mu.Unlock()
	if !valid {
		refuse(w, http.StatusUnauthorized, "Invalid access token")
		return
	}
	accept := &websocket.AcceptOptions{InsecureSkipVerify: true}
	if protocol != "" {
		accept.Subprotocols = []string{protocol}
	}
	conn, err := websocket.Accept(w, r, accept)
	if err != nil {
		return
	}
	defer conn.CloseNow() //nolint:errcheck // it is over
	ctx, end := context.WithCancel(context.WithoutCancel(r.Context()))
	defer end()
	c := &socket{conn: conn, end: end, streams: map[string]bool{}, queue: make(chan []byte, 4096)}
	s.mu.Lock()
	s.sockets[c] = true
	s.notify()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.sockets, c)
		s.notify()
	}()
	if q := r.URL.Query(); q.Get("stream") != "" {
		s.subscribe(c, request{Type: "subscribe", Stream: q.Get("stream"), Tag: q.Get("tag"), List: q.Get("list")})
	}
	go func() {
		defer end()
		for {
			if o.Deaf {
				<-ctx.Done()
				return
			}
			_, text, err := conn.Read(ctx)
			if err != nil {
				return
			}
			var asked request
			switch {
			case o.OneStream:
				c.send(map[string]any{"error": "Unknown message", "status": http.StatusBadRequest})
			case json.Unmarshal(text, &asked) == nil:
				s.subscribe(c, asked)
			}
		}
	}()
	c.write(ctx)
}

// write sends what is queued until the connection ends.
func (c *socket) write(ctx context.Context) {
	tick := time.NewTicker(pingEvery)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case text := <-c.queue:
			err = c.conn.Write(ctx, websocket.MessageText, text)
		case <-tick.C:
			err = c.conn.Ping(ctx)
		}
		if err != nil {
			return
		}
	}
}

func (c *socket) send(body any) {
	text, err := json.Marshal(body)
	if err != nil {
		return
	}
	select {
	case c.queue <- text:
	default:
		c.close() // too slow
	}
}

type request struct {
	Type   string `json:"type"`
	Stream string `json:"stream"`
	Tag    string `json:"tag"`
	List   string `json:"list"`
}

// subscribe takes a subscription, and tells what is wrong with it as the streaming server does.
func (s *Server) subscribe(c *socket, r request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.notify()
	name, wrong, status := r.Stream, "", http.StatusBadRequest
	switch {
	case r.Type != "subscribe":
		return
	case r.Stream == "hashtag" && r.Tag == "":
		wrong = "Missing tag name parameter"
	case r.Stream == "hashtag":
		name += ":" + strings.ToLower(r.Tag)
	case r.Stream == "list" && r.List == "":
		wrong = "Missing list name parameter"
	case r.Stream == "list" && s.gone[r.List]:
		wrong, status = "Not authorized to stream this list", http.StatusUnauthorized
	case r.Stream == "list":
		name += ":" + r.List
	case r.Stream != "user:notification":
		wrong = "Unknown stream type"
	}
	if wrong != "" {
		c.send(map[string]any{"error": wrong, "status": status})
		return
	}
	c.streams[name] = true
}

// tell sends an event to those who subscribe to it. The caller holds the lock.
func (s *Server) tell(e *entry, event string) {
	if e.post.Hidden || e.post.Silent {
		return
	}
	for c := range s.sockets {
		for name := range c.streams {
			kind, of, _ := strings.Cut(name, ":")
			var payload any = s.status(e)
			named, is := event, false
			switch kind {
			case "hashtag":
				is = slices.ContainsFunc(e.post.Tags, func(t string) bool { return strings.EqualFold(t, of) })
			case "list":
				is = e.post.List == of
			case "user":
				is = e.post.Mentions && !e.post.Filtered && event == "update" // notifications know neither edits nor deletions
				named, payload = "notification", s.notification(e)
			}
			if !is {
				continue
			}
			text, err := json.Marshal(payload)
			if err != nil {
				continue
			}
			if event == "delete" {
				text = []byte(e.id)
			}
			c.send(map[string]any{"stream": strings.SplitN(name, ":", 2), "event": named, "payload": string(text)})
		}
	}
}

// Say sends a text to all connections, whatever it is.
func (s *Server) Say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.sockets {
		select {
		case c.queue <- []byte(text):
		default:
			c.close()
		}
	}
}
