package blueskytest

import (
	"net/http"
	"slices"
	"sort"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen/bluesky/jetstream"
)

// logged is an event that can be played again.
type logged struct {
	timeUS          int64
	collection, did string
	data            []byte
}

// tell sends an event to all streams that want it, and keeps it.
func (n *Network) tell(collection, did string, e map[string]any) {
	n.last = max(n.last+1, n.options.Now().UnixMicro())
	e["did"], e["time_us"] = did, n.last
	l := logged{timeUS: n.last, collection: collection, did: did, data: encode(e)}
	n.log = append(n.log, l)
	if over := len(n.log) - n.options.Kept; over > 0 {
		n.log = slices.Clone(n.log[over:])
	}
	for s := range n.subscribers {
		s.offer(l)
	}
}

// subscriber is a stream. Events wait in its outbox; who reads too slowly is cut off, as the real server does.
type subscriber struct {
	*jetstream.Stream
	outbox chan []byte
}

// outboxSize is how many events wait for a stream at most.
const outboxSize = 10_000

func (s *subscriber) wants(l logged) bool { return s.Wants(l.collection, l.did, len(l.data)) }

func (s *subscriber) offer(l logged) {
	if !s.wants(l) {
		return
	}
	select {
	case s.outbox <- l.data:
	default:
		s.End()
	}
}

func (n *Network) subscribe(w http.ResponseWriter, r *http.Request) {
	stream, ok := jetstream.Accept(w, r)
	if !ok {
		return
	}
	defer stream.Close()
	s := &subscriber{Stream: stream, outbox: make(chan []byte, outboxSize)}
	replay := n.join(s)
	defer n.leave(s)
	for _, l := range replay {
		if s.wants(l) && s.Send(l.data) != nil {
			return
		}
	}
	tick := time.NewTicker(n.options.Ping)
	defer tick.Stop()
	for {
		select {
		case <-s.Done():
			return
		case message := <-s.outbox:
			if s.Send(message) != nil {
				return
			}
		case <-tick.C:
			if s.Ping() != nil {
				return
			}
		}
	}
}

// join adds a stream, and gives what is to be played to it first: nothing from a moment on that is to come.
func (n *Network) join(s *subscriber) []logged {
	n.mu.Lock()
	defer n.mu.Unlock()
	var replay []logged
	if s.Cursor > 0 {
		from := sort.Search(len(n.log), func(i int) bool { return n.log[i].timeUS >= s.Cursor })
		replay = slices.Clone(n.log[from:])
	}
	n.subscribers[s] = struct{}{}
	n.announce()
	return replay
}

func (n *Network) leave(s *subscriber) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.subscribers, s)
	n.announce()
}

func (n *Network) announce() {
	close(n.changed)
	n.changed = make(chan struct{})
}
