package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// proxy stands between a worker and PostgreSQL and loses what a network loses.
type proxy struct {
	listener net.Listener
	server   string

	mu      sync.Mutex
	conns   map[net.Conn]bool
	down    bool
	silence chan struct{} // closed while what both sides say passes
	random  *rand.Rand
	// most is how many bytes a connection carries in one direction before it is cut, at random, and cuts is how many are to be.
	most, cuts int
}

// startProxy puts a proxy before the scenario's database. Who connects to the URL that it returns connects through it.
func (w *world) startProxy(ctx context.Context) (*proxy, string, error) {
	url, err := w.database.url(runtimeName)
	if err != nil {
		return nil, "", err
	}
	server, err := hostOf(url)
	if err != nil {
		return nil, "", err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("put a proxy before PostgreSQL: %w", err)
	}
	passes := make(chan struct{})
	close(passes)
	p := &proxy{
		listener: listener, server: server, conns: map[net.Conn]bool{}, silence: passes,
		random: rand.New(rand.NewPCG(w.random.Uint64(), w.random.Uint64())),
	}
	w.proxies = append(w.proxies, p)
	go p.accept()
	url, err = withHost(url, listener.Addr().String())
	return p, url, err
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server) //nolint:noctx // it ends with the proxy
		p.mu.Lock()
		if err != nil || p.down {
			p.mu.Unlock()
			_ = client.Close()
			if server != nil {
				_ = server.Close()
			}
			continue
		}
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		end := func() {
			_ = client.Close()
			_ = server.Close()
			p.mu.Lock()
			defer p.mu.Unlock()
			delete(p.conns, client)
			delete(p.conns, server)
		}
		go p.carry(client, server, p.allowance(), end)
		go p.carry(server, client, p.allowance(), end)
	}
}

// allowance is how much a new connection carries; -1 is everything.
func (p *proxy) allowance() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cuts == 0 {
		return -1
	}
	return p.random.IntN(p.most)
}

// carry copies what one side says, until the connection has carried what it may, in the middle of a message if need be.
func (p *proxy) carry(from, to net.Conn, left int, end func()) {
	defer end()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		p.mu.Lock()
		passes := p.silence
		p.mu.Unlock()
		<-passes
		cut := left >= 0 && n > left && p.mayCut()
		if cut {
			n = left
		}
		if left >= 0 {
			left = max(0, left-n)
		}
		if _, err := to.Write(buffer[:n]); err != nil || cut {
			return
		}
	}
}

// mayCut counts a connection that is cut.
func (p *proxy) mayCut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cuts == 0 {
		return false
	}
	p.cuts--
	return true
}

// cutRandomly ends the connections, and so many of those that are made later: each after at most so many bytes in a direction.
func (p *proxy) cutRandomly(cuts, most int) {
	p.mu.Lock()
	p.cuts, p.most = cuts, most
	p.mu.Unlock()
	p.cut()
}

// cutsLeft is how many connections are yet to be cut.
func (p *proxy) cutsLeft() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

// cut ends all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// drop ends all connections and takes no new ones until comeBack.
func (p *proxy) drop() {
	p.mu.Lock()
	p.down = true
	p.mu.Unlock()
	p.cut()
}

// fallSilent swallows what either side says and ends no connection, as a firewall that forgot them. What was said meanwhile
// is gone when it comes back: those connections end.
func (p *proxy) fallSilent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silence = make(chan struct{})
}

func (p *proxy) comeBack() {
	p.cut()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = false
	select {
	case <-p.silence:
	default:
		close(p.silence)
	}
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.comeBack()
}
