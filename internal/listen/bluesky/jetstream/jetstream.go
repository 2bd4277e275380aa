// Package jetstream serves the wire of a Jetstream (https://github.com/bluesky-social/jetstream, version 1): events as JSON over a WebSocket, of
// the collections and accounts and from the moment on that a reader asks for. Which events there are is left to who serves them. It does not
// compress.
package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// Posts is the collection of a repository that holds posts.
const Posts = "app.bsky.feed.post"

// sendLimit is how long a reader may take over one event.
const sendLimit = 30 * time.Second

// Asked is what a reader asks for. The zero value is all that happens from now on.
type Asked struct {
	Collections []string // with * at their ends for all that begin so; none: all
	Accounts    []string // by DID; none: all
	// Cursor is the moment from which on events are wanted, in microseconds since 1970; 0 for those that are to come.
	Cursor int64
	// Longest is how many bytes an event may have; 0: any number.
	Longest int
}

// Wants tells whether a reader is told of an event. It has no collection where it is about an account, of which every reader is told.
func (a *Asked) Wants(collection, account string, size int) bool {
	if a.Longest > 0 && size > a.Longest || len(a.Accounts) > 0 && !slices.Contains(a.Accounts, account) {
		return false
	}
	if len(a.Collections) == 0 || collection == "" {
		return true
	}
	return slices.ContainsFunc(a.Collections, func(name string) bool {
		prefix, isPrefix := strings.CutSuffix(name, "*")
		return collection == name || isPrefix && strings.HasPrefix(collection, prefix)
	})
}

// How much a reader may ask for.
const (
	maxCollections = 100
	maxAccounts    = 10_000
)

var collectionName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]*(\.[a-zA-Z][a-zA-Z0-9-]*)+(\.\*)?$`)

func readAsked(text string) (a Asked, err error) {
	query, err := url.ParseQuery(text)
	if err != nil {
		return a, errors.New("invalid subscriber options: the address cannot be read")
	}
	if query.Get("compress") == "true" {
		return a, errors.New("this stream is not compressed: leave compress out")
	}
	a.Collections, a.Accounts = query["wantedCollections"], query["wantedDids"]
	if len(a.Collections) > maxCollections || len(a.Accounts) > maxAccounts {
		return a, errors.New("invalid subscriber options: too many")
	}
	for _, name := range a.Collections {
		if !collectionName.MatchString(name) {
			return a, fmt.Errorf("invalid subscriber options: invalid collection: %q", name)
		}
	}
	a.Longest, _ = strconv.Atoi(query.Get("maxMessageSizeBytes")) // 0 where it is none
	if text := query.Get("cursor"); text != "" {
		if a.Cursor, err = strconv.ParseInt(text, 10, 64); err != nil || a.Cursor < 0 {
			return a, fmt.Errorf("invalid cursor: %q", text)
		}
	}
	return a, nil
}

// Stream is the connection of a reader.
type Stream struct {
	Asked
	conn *websocket.Conn
	ctx  context.Context
	end  context.CancelFunc
	slow *time.Timer
}

// Accept opens the stream that a request asks for; ok is false where it cannot have it, and was told why. It has to be closed.
func Accept(w http.ResponseWriter, r *http.Request) (s *Stream, ok bool) {
	asked, err := readAsked(r.URL.RawQuery)
	if strings.Contains(r.Header.Get("Socket-Encoding"), "zstd") {
		err = errors.New("this stream is not compressed: leave Socket-Encoding out")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil, false
	}
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		return nil, false // it was answered
	}
	s = &Stream{Asked: asked, conn: conn}
	s.ctx, s.end = context.WithCancel(r.Context())
	s.slow = time.AfterFunc(sendLimit, s.end)
	s.slow.Stop()
	go s.hear()
	return s, true
}

// hear reads what a reader says, until it is gone: nothing, or its options anew, of which no notice is taken.
func (s *Stream) hear() {
	defer s.end()
	for {
		kind, message, err := s.conn.Read(s.ctx)
		if err != nil {
			return
		}
		if kind == websocket.MessageText && !json.Valid(message) {
			_ = s.conn.Close(websocket.StatusNormalClosure, "failed to unmarshal subscriber sourced message")
			return
		}
	}
}

// Done ends when the reader is gone, or was cut off.
func (s *Stream) Done() <-chan struct{} { return s.ctx.Done() }

// End cuts the reader off: Send fails, and Done ends. Any goroutine may call it.
func (s *Stream) End() { s.end() }

// Send tells the reader of an event. Who is too slow is cut off.
func (s *Stream) Send(event []byte) error {
	if err := s.ctx.Err(); err != nil { // a write may be made all the same
		return err
	}
	s.slow.Reset(sendLimit)
	defer s.slow.Stop()
	return s.conn.Write(s.ctx, websocket.MessageText, event)
}

// Ping finds out whether the reader is still there.
func (s *Stream) Ping() error { return s.conn.Ping(s.ctx) }

// Close closes the connection.
func (s *Stream) Close() {
	s.end()
	_ = s.conn.CloseNow()
}
