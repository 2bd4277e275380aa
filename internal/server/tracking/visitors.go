package tracking

import (
	"hash/maphash"
	"strings"
	"sync"

	"github.com/tertulia-crm/tertulia/internal/engagement"
)

const (
	maxAgents = 4096 // that are remembered
	maxAgent  = 512  // bytes of one that is
)

// Visitors tells who comes to a message apart, without knowing who it is: by hashes that mean nothing in another process, and are
// neither stored nor told. It remembers what agents say, of which there are few. The zero value is not ready: use NewVisitors.
type Visitors struct {
	seed   maphash.Seed
	mu     sync.RWMutex
	agents map[string]agent
}

type agent struct {
	signals engagement.Signals
	hash    uint64
}

// NewVisitors makes hashes of its own.
func NewVisitors() *Visitors { return &Visitors{seed: maphash.MakeSeed(), agents: map[string]agent{}} }

// Read tells what an agent says, and by what an agent and where it comes from are told apart. The origin is the connection's
// address, or what the proxies say of it.
func (v *Visitors) Read(name, origin string) (signals engagement.Signals, visitor uint64) {
	v.mu.RLock()
	known, ok := v.agents[name]
	v.mu.RUnlock()
	if !ok {
		known = agent{engagement.ReadAgent(name), maphash.String(v.seed, name)}
		v.remember(name, known)
	}
	return known.signals, known.hash ^ maphash.String(v.seed, origin)
}

func (v *Visitors) remember(name string, a agent) {
	if len(name) > maxAgent {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.agents) >= maxAgents {
		clear(v.agents) // somebody makes them up, or a year has passed
	}
	v.agents[strings.Clone(name)] = a
}
