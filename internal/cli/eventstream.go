package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// streamEvent is an event of a stream (HTML, 9.2: server-sent events).
type streamEvent struct {
	id, name, data string
}

const (
	// maxStreamLine is how long a line of a stream may be. A mention is one: text, 64 links and 64 media with what is written of them
	// have up to 600 KiB, and strangers can choose letters of which each takes six.
	maxStreamLine = 8 << 20
	// streamSilence is for how long a stream may say nothing: the server sends a heartbeat each 15 seconds.
	streamSilence = time.Minute
)

// errSilent is that a stream ended because nothing came any more.
var errSilent = errors.New("nothing came for a minute")

// readStream hands over the events of a stream until it ends. A comment, which heartbeats are, is no event.
func readStream(in io.Reader, heard func(), take func(streamEvent) error) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 64<<10), maxStreamLine)
	var e streamEvent
	var data []string
	for lines.Scan() {
		heard()
		name, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case lines.Text() == "":
			if len(data) > 0 {
				e.data = strings.Join(data, "\n")
				if err := take(e); err != nil {
					return err
				}
			}
			e, data = streamEvent{id: e.id}, nil
		case name == "id":
			e.id = value
		case name == "event":
			e.name = value
		case name == "data":
			data = append(data, value)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the stream: %w", err)
	}
	return io.EOF
}

// follow reads a stream from where last says, which is "" for the present. It ends when the connection does, with the id of the last event.
func (c *tenantClient) follow(ctx context.Context, path, last string, take func(streamEvent) error) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return last, fmt.Errorf("prepare the request: %w", err)
	}
	request.Header.Set("Accept", "text/event-stream")
	if last != "" {
		request.Header.Set("Last-Event-ID", last)
	}
	var heardAt atomic.Int64
	heard := func() { heardAt.Store(time.Now().UnixNano()) }
	heard()
	defer watchSilence(ctx, &heardAt, cancel)()
	answer, err := c.do(request)
	if err != nil {
		return last, err
	}
	defer func() { _ = answer.Body.Close() }()
	err = readStream(answer.Body, heard, func(e streamEvent) error {
		last = e.id
		return take(e)
	})
	if cause := context.Cause(ctx); errors.Is(cause, errSilent) {
		err = cause
	}
	return last, err
}

// watchSilence ends a connection by which nothing comes any more: the other side may be gone without a word.
func watchSilence(ctx context.Context, heardAt *atomic.Int64, cancel context.CancelCauseFunc) (stop func()) {
	ticker := time.NewTicker(streamSilence / 4)
	stopped := make(chan struct{})
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-stopped:
				return
			case now := <-ticker.C:
				if now.UnixNano()-heardAt.Load() > int64(streamSilence) {
					cancel(errSilent)
				}
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(stopped)
	}
}
