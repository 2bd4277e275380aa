package work_test

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// proxy stands between workers and PostgreSQL and loses what a network loses.
type proxy struct {
	t        *testing.T
	listener net.Listener
	server   string

	mu      sync.Mutex
	conns   map[net.Conn]bool
	lost    map[net.Conn]bool // connections that lead nowhere
	down    bool
	mute    bool
	commits int
	// cutOn is a statement at whose first saying the connection ends; "" for none.
	cutOn string
	// onCommit decides about the nth commit that a client sends.
	onCommit func(n int) fate
}

// fate is what becomes of a commit.
type fate int

const (
	delivered fate = iota
	lost           // the connection ends before the server hears of it
	unheard        // the server commits, and the connection ends before the client hears of it
)

// newProxy puts a proxy before the house's database and lets workers go over it.
func newProxy(h *house) *proxy {
	h.t.Helper()
	target, err := url.Parse(h.runtime)
	if err != nil {
		h.t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		h.t.Fatal(err)
	}
	p := &proxy{t: h.t, listener: listener, server: target.Host, conns: map[net.Conn]bool{}, lost: map[net.Conn]bool{}}
	go p.accept()
	h.t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
	})
	target.Host = listener.Addr().String()
	h.runtime = target.String()
	h.credentials(nil)
	return p
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		refused, mute := p.down, p.mute
		p.conns[client] = true
		p.mu.Unlock()
		if mute {
			continue // it is taken, and nothing answers
		}
		server, err := net.Dial("tcp", p.server)
		if refused || err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[server] = true
		p.mu.Unlock()
		unheard := make(chan struct{})
		go p.forward(client, server, unheard)
		go p.answer(server, client, unheard)
	}
}

// swallows tells whether nothing passes any more. What a connection has lost once leads nowhere for ever.
func (p *proxy) swallows(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mute {
		p.lost[c] = true
	}
	return p.lost[c]
}

// forward copies what the client says, and looks out for commits.
func (p *proxy) forward(client, server net.Conn, unheardCommit chan struct{}) {
	defer func() { _ = server.Close(); _ = client.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if p.swallows(client) {
			continue
		}
		switch p.judge(buffer[:n]) {
		case delivered:
		case lost:
			return
		case unheard:
			close(unheardCommit)
			_, _ = server.Write(buffer[:n])
			// The server's answer ends in answer; until then the connection must stay open.
			_, _ = io.Copy(io.Discard, client)
			return
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// answer copies what the server says, but for the answer to a commit that is not to be heard.
func (p *proxy) answer(server, client net.Conn, unheardCommit chan struct{}) {
	defer func() { _ = server.Close(); _ = client.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		if p.swallows(client) {
			continue
		}
		select {
		case <-unheardCommit:
			return
		default:
		}
		if _, err := client.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) judge(said []byte) fate {
	if p.cuts(said) {
		return lost
	}
	if !bytes.Contains(said, []byte("commit\x00")) {
		return delivered
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commits++
	if p.onCommit == nil {
		return delivered
	}
	return p.onCommit(p.commits)
}

// cuts tells, once, that the statement is said at which the connection ends.
func (p *proxy) cuts(said []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cutOn == "" || !bytes.Contains(said, []byte(p.cutOn)) {
		return false
	}
	p.cutOn = ""
	return true
}

// cutsOn has the connection end on which a statement is said first.
func (p *proxy) cutsOn(statement string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutOn = statement
}

// hasCut tells whether it has.
func (p *proxy) hasCut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cutOn == ""
}

// losing makes commits meet their fate from now on.
func (p *proxy) losing(onCommit func(n int) fate) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.commits, p.onCommit = 0, onCommit
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

// goDown ends all connections and takes no new ones until comeUp.
func (p *proxy) goDown() {
	p.mu.Lock()
	p.down = true
	p.mu.Unlock()
	p.cut()
}

func (p *proxy) comeUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down, p.mute = false, false
}

// blackHole swallows what either side says, until comeUp, and ends no connection: as a machine that lost its power, or a
// firewall that forgot its connections.
func (p *proxy) blackHole() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = true
}
