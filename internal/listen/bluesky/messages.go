package bluesky

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/coder/websocket"
)

// messages reads a connection's messages one by one into the same memory.
type messages struct {
	conn   *websocket.Conn
	buffer []byte
}

// maxPassed is how much of a message that is too long is passed over before the connection is given up.
const maxPassed = 64 << 20

var errEndless = errors.New("a message without an end")

// next is a message, which stays until the next one, or says that it was too long.
func (m *messages) next(ctx context.Context) (message []byte, long bool, err error) {
	_, r, err := m.conn.Reader(ctx)
	if err != nil {
		return nil, false, fmt.Errorf("wait for an event: %w", err)
	}
	if m.buffer == nil {
		m.buffer = make([]byte, 0, 16<<10)
	}
	m.buffer = m.buffer[:0]
	bounded := io.LimitReader(r, maxEvent+1)
	for {
		if len(m.buffer) == cap(m.buffer) {
			m.buffer = append(m.buffer, 0)[:len(m.buffer)]
		}
		n, err := bounded.Read(m.buffer[len(m.buffer):cap(m.buffer)])
		m.buffer = m.buffer[:len(m.buffer)+n]
		switch {
		case len(m.buffer) > maxEvent:
			m.buffer = nil
			return nil, true, pass(r)
		case errors.Is(err, io.EOF):
			return m.buffer, false, nil
		case err != nil:
			return nil, false, fmt.Errorf("read an event: %w", err)
		}
	}
}

func pass(r io.Reader) error {
	n, err := io.Copy(io.Discard, io.LimitReader(r, maxPassed))
	switch {
	case err != nil:
		return fmt.Errorf("pass over an event: %w", err)
	case n == maxPassed:
		return errEndless
	}
	return nil
}
