package work

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// announceAgain is how often a worker repeats what it knows of a channel. A row that says it already is not written.
const announceAgain = time.Minute

// channel is what a worker keeps of a channel: its connections and how it fares.
type channel struct {
	tenant  *tenant
	name    string
	circuit *circuit
	pacer   *pacer
	room    room
	yields  atomic.Bool // an urgent send waits for a slot: mass mails give theirs back

	mu      sync.Mutex
	chunks  int // that are held
	current *connections

	words  string    // why it does not deliver; "" when it does
	cause  string    // what words is about, for telling another trouble from the same one
	heard  bool      // something was learnt
	fresh  bool      // something was learnt since toldAt
	told   string    // the words that we last wrote into the channel's row
	toldAt time.Time // when; zero for never
}

func newChannel(t *tenant, name string) *channel {
	seed := fnv.New64a()
	_, _ = seed.Write([]byte(t.o.ID + "/" + name))
	for _, outcome := range outcomes {
		t.o.Metrics.Messages.WithLabelValues(t.id, name, outcome) // the series is there before the first message
	}
	return &channel{tenant: t, name: name, pacer: newPacer(t, name), circuit: &circuit{backoff: t.o.ChannelBackoff, seed: seed.Sum64(), now: t.o.Now}}
}

// takeSlot tells whether another chunk may be held, and counts it.
func (c *channel) takeSlot(urgent bool) bool {
	if !c.circuit.closed() {
		return false
	}
	most := chunksPerChannel
	if urgent {
		most += urgentChunks
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.chunks >= most {
		return false
	}
	c.chunks++
	return true
}

func (c *channel) giveSlot() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.chunks--
}

// connections is a transport with the settings that it was made from. It is closed when newer settings have replaced it
// and the last chunk that uses it is done.
type connections struct {
	deliver.Transport
	settings store.Channel
	secret   credentials.Channel
	users    int
	retired  bool
}

// useConnections returns the connections for these settings and the credentials of this moment. Who is given some
// returns them to doneWith.
func (c *channel) useConnections(settings store.Channel) (*connections, error) {
	secret := c.tenant.channelCredentials(c.name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current == nil || c.current.settings != settings || c.current.secret != secret {
		transport, err := c.tenant.o.Transport(settings, secret, func(notAfter time.Time) { c.tenant.noteCertificate(c.name, notAfter) })
		if err != nil {
			return nil, err
		}
		c.retire()
		c.current = &connections{Transport: transport, settings: settings, secret: secret}
		// The operator has forgotten the trouble of the settings before, and so do we.
		c.heard, c.words, c.cause, c.toldAt = false, "", "", time.Time{}
	}
	c.current.users++
	return c.current, nil
}

func (c *channel) doneWith(used *connections) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if used.users--; used.users == 0 && used.retired {
		go func() { _ = used.Close() }() // it waits for QUIT to be answered
	}
}

// retire closes the current connections when nobody uses them any more.
func (c *channel) retire() {
	if c.current == nil {
		return
	}
	c.current.retired = true
	if c.current.users == 0 {
		old := c.current
		go func() { _ = old.Close() }()
	}
	c.current = nil
}

// close closes the connections. Nobody uses them any more, or nobody waits for them.
func (c *channel) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil {
		_ = c.current.Close()
		c.current = nil
	}
}

// report learns from a batch: a channel that gave no answer about any message is in trouble. One that takes messages and
// falls silent is, too: each of them becomes ambiguous, and going on at full speed would make everybody's so.
func (c *channel) report(ctx context.Context, results []deliver.Result, err error) {
	switch {
	case slices.ContainsFunc(results, answered):
		c.circuit.succeeded()
		c.learn(ctx, "", "")
	case err != nil:
		c.circuit.failed()
		c.learn(ctx, err.Error(), causeOf(err))
	default:
		c.circuit.untold()
	}
}

// answered tells whether what became of a message is known.
func answered(r deliver.Result) bool {
	return r.Outcome != deliver.Untouched && r.Outcome != deliver.Unknown
}

// causeOf tells one trouble from another: the texts of the same one may differ, by the port that a connection had.
func causeOf(err error) string {
	var t *deliver.Trouble
	if errors.As(err, &t) {
		return fmt.Sprintf("%s %s %d", t.Server, t.Stage, t.Code)
	}
	return err.Error()
}

func (c *channel) learn(ctx context.Context, words, cause string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fresh = true
	if c.heard && c.cause == cause {
		return
	}
	log := logr.FromContextOrDiscard(ctx).WithValues("channel", c.name)
	trouble := 0.0
	switch {
	case words != "":
		log.Info("the channel is in trouble", "trouble", words)
		trouble = 1
	case c.words != "":
		log.Info("the channel works again")
	}
	c.tenant.o.Metrics.ChannelTrouble.WithLabelValues(c.tenant.id, c.name).Set(trouble)
	c.heard, c.words, c.cause = true, words, cause
}

// announce writes what was learnt into the channel's row, where the operator finds it: at once when it is news, and now
// and then while it stays the same, so that what a worker that is gone wrote does not stand for ever.
func (c *channel) announce(ctx context.Context) error {
	now := c.tenant.o.Now()
	c.mu.Lock()
	words := c.words
	due := c.heard && (c.toldAt.IsZero() || words != c.told || (c.fresh && now.Sub(c.toldAt) > announceAgain))
	c.mu.Unlock()
	if !due {
		return nil
	}
	if err := c.tenant.db.SetChannelTrouble(ctx, c.name, words); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told, c.toldAt, c.fresh = words, now, false
	return nil
}
