package mailbox_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/listen/listentest"
)

// front stands before an IMAP server and behaves as it is told.
type front struct {
	listener net.Listener
	target   string

	mu      sync.Mutex
	how     listentest.Behaviour
	stall   int64    // bytes of the server after which nothing more comes
	mute    bool     // hide that the server can tell news
	said    []string // by clients
	conns   map[*fronted]bool
	changed chan struct{}
	running sync.WaitGroup
}

// fronted is a connection of a client.
type fronted struct {
	net.Conn
	idle bool
}

func newFront(t *testing.T, target string) *front {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{listener: listener, target: target, conns: map[*fronted]bool{}, changed: make(chan struct{})}
	f.running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			f.running.Go(func() { f.serve(&fronted{Conn: c}) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		f.cut()
		f.running.Wait()
	})
	return f
}

func (f *front) port() int { return f.listener.Addr().(*net.TCPAddr).Port }

// behave tells whether it can; it knows no 429.
func (f *front) behave(how listentest.Behaviour) bool {
	if how.Manner == listentest.Throttle {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.how = how
	return true
}

func (f *front) note(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	close(f.changed)
	f.changed = make(chan struct{})
}

// stallAfter makes the server say no more than so many bytes on a connection; 0: all.
func (f *front) stallAfter(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stall = bytes
}

func (f *front) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Close()
	}
}

func (f *front) connections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.conns)
}

// awaitIdle waits until somebody waits for news.
func (f *front) awaitIdle(ctx context.Context) error {
	for {
		f.mu.Lock()
		changed, idle := f.changed, false
		for c := range f.conns {
			idle = idle || c.idle
		}
		f.mu.Unlock()
		if idle {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *front) serve(c *fronted) {
	f.note(func() { f.conns[c] = true })
	defer f.note(func() { delete(f.conns, c) })
	defer c.Close() //nolint:errcheck // it is over
	f.mu.Lock()
	how, stall := f.how, f.stall
	f.mu.Unlock()
	most := int64(1 << 40)
	switch how.Manner {
	case listentest.Hang:
		_, _ = io.Copy(io.Discard, c)
		return
	case listentest.HangWithin:
		_, _ = io.WriteString(c, "* OK [CAPABILITY IMAP4rev1] ready\r\n")
		_, _ = io.Copy(io.Discard, c)
		return
	case listentest.Fail:
		_, _ = io.WriteString(c, "* BYE not now\r\n")
		return
	case listentest.Drop:
		return
	case listentest.Garble:
		_, _ = c.Write(how.Body)
		return
	case listentest.Flood, listentest.Inflate:
		_, _ = c.Write(how.Body)
		block := []byte(strings.Repeat("velo ", 1<<12))
		for sent := 0; sent < 1<<30; sent += len(block) {
			if _, err := c.Write(block); err != nil {
				return
			}
		}
		return
	case listentest.DropWithin:
		most = 900 // past the login
	}
	far, err := net.Dial("tcp", f.target)
	if err != nil {
		return
	}
	defer far.Close() //nolint:errcheck // it is over
	if stall > 0 {
		most = stall
	}
	ended := make(chan struct{})
	f.running.Go(func() {
		defer close(ended)
		defer far.Close() //nolint:errcheck // it is over
		f.forward(far, c)
	})
	_, _ = io.CopyN(writer(func(p []byte) (int, error) {
		f.mu.Lock()
		mute := f.mute
		f.mu.Unlock()
		if mute { // the capabilities come in one piece
			p = bytes.ReplaceAll(p, []byte(" IDLE"), []byte(" NONE"))
		}
		return c.Write(p)
	}), far, most)
	if stall > 0 {
		<-ended
	}
}

type writer func([]byte) (int, error)

// Write implements io.Writer.
func (w writer) Write(p []byte) (int, error) { return w(p) }

// commands are the names of the commands that clients gave, since they were asked for last.
func (f *front) commands() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	said := f.said
	f.said = nil
	return said
}

func (f *front) remember(said string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for line := range strings.SplitSeq(said, "\r\n") {
		if words := strings.Fields(line); len(words) > 1 && words[1] == "UID" && len(words) > 2 {
			f.said = append(f.said, words[2])
		} else if len(words) > 1 {
			f.said = append(f.said, words[1])
		}
	}
}

// forward copies what a client says, and notes when it waits.
func (f *front) forward(far io.Writer, c *fronted) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := c.Read(buffer)
		f.remember(string(buffer[:n]))
		if said := buffer[:n]; bytes.HasSuffix(said, []byte(" IDLE\r\n")) {
			f.note(func() { c.idle = true })
		} else if n > 0 {
			f.note(func() { c.idle = false })
		}
		if _, err := far.Write(buffer[:n]); err != nil {
			return
		}
		if err != nil {
			return
		}
	}
}
