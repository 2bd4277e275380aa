package work

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/pace"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// viewAge is how old what is known of a channel's pace may get.
	viewAge = 2 * time.Second
	// walletAge is how long tokens that were taken are kept for use: over a time t a worker hands over at most what the
	// buckets grant in t and this.
	walletAge = time.Second
	// classes is how many classes of messages there are.
	classes = 2
)

// pacer keeps the pace of one channel: no message is handed over without a token where the channel or a receiver has a
// bucket. Tokens are taken for some messages at a time. Without limits and while no receiver is held back it does nothing.
type pacer struct {
	tenant  *tenant
	channel string
	wake    func() // there may be work again

	free   atomic.Bool  // nothing to keep
	viewed atomic.Int64 // when that was last known, in Unix nanoseconds; 0 for never
	used   atomic.Bool  // since the last tend

	mu      sync.Mutex
	view    store.ChannelPace
	zone    *time.Location
	ahead   time.Duration // the database's clock, of ours
	names   map[int32]string
	namedAt time.Time
	grown   map[int32]time.Time // when success was last reported
	classes [classes]purse
}

// purse is what a pacer holds for a class of messages.
type purse struct {
	tokens map[int32]tokens    // by receiver; 0: of those without a bucket of their own
	waits  map[int32]time.Time // receivers whose bucket is empty, until when
	closed time.Time           // the channel as a whole grants nothing before
}

// tokens were taken from one bucket and are not used yet.
type tokens struct {
	n       int64
	takenAt time.Time
	day     time.Time // that was charged for them
}

// pause is what a chunk waits for.
type pause struct {
	until time.Time // zero: for nothing
	whole bool      // the whole channel waits
}

func newPacer(t *tenant, channel string) *pacer {
	t.o.Metrics.pace.begin(t.id, channel)
	return &pacer{tenant: t, channel: channel, wake: func() {}, grown: map[int32]time.Time{}}
}

// open tells whether the channel as a whole may have tokens for a class. It costs no round trip.
func (p *pacer) open(c pace.Class) bool {
	if p.free.Load() {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.tenant.o.Now().Before(p.classes[c].closed) {
		return true
	}
	p.used.Store(true) // limits that are raised meanwhile are noticed
	return false
}

// admit chooses at most so many of a chunk's rows that may be handed over now, moves them to the front, and tells what the
// others wait for where there are too few. Whoever is admitted and then not handed over is given back by unused.
func (p *pacer) admit(ctx context.Context, c pace.Class, rows []store.PendingRow, most int) (admitted []store.PendingRow, wait pause, err error) {
	p.used.Store(true)
	most = min(most, len(rows))
	if p.free.Load() && p.tenant.o.Now().UnixNano()-p.viewed.Load() < int64(viewAge) {
		return rows[:most], pause{}, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.keepView(ctx); err != nil {
		return nil, pause{}, err
	}
	if p.free.Load() {
		return rows[:most], pause{}, nil
	}
	now := p.tenant.o.Now()
	n := p.pick(c, rows, 0, most)
	if n < most {
		if wants := p.wants(c, rows[n:], most, now); len(wants) > 0 {
			if err := p.take(ctx, c, wants); err != nil && n == 0 {
				return nil, pause{}, err
			}
			n = p.pick(c, rows, n, most)
			slices.SortFunc(rows[:n], func(a, b store.PendingRow) int { return cmp.Compare(a.Seq, b.Seq) })
		}
	}
	if n == 0 {
		wait = p.pauseOf(c, rows)
	}
	return rows[:n], wait, nil
}

// pauseOf tells what rows wait for of which none may be handed over, and sees to it that somebody looks when that is over.
func (p *pacer) pauseOf(c pace.Class, rows []store.PendingRow) pause {
	now := p.tenant.o.Now()
	wait := pause{until: p.classes[c].closed, whole: true}
	if !p.whole() || !wait.until.After(now) {
		wait = pause{until: p.soonest(c, rows)}
	}
	if least := now.Add(leastPause); wait.until.Before(least) {
		wait.until = least // others have had what was promised
	}
	if d := wait.until.Sub(now); d < p.tenant.o.SendPoll {
		time.AfterFunc(d, p.wake)
	}
	return wait
}

// leastPause keeps a chunk from being tried at once again.
const leastPause = 5 * time.Millisecond

// soonest is when the first of these rows may be handed over.
func (p *pacer) soonest(c pace.Class, rows []store.PendingRow) time.Time {
	var soonest time.Time
	for i, row := range rows {
		if ready := p.readyAt(c, p.bucketOf(row.Receiver)); i == 0 || ready.Before(soonest) {
			soonest = ready
		}
	}
	return soonest
}

// tend keeps what is known of the channel fresh while it is used, and gives tokens back that nobody used.
func (p *pacer) tend(ctx context.Context) error {
	used := p.used.Swap(false)
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.giveBack(ctx, p.tenant.o.Now().Add(-walletAge))
	if used {
		err = errors.Join(err, p.look(ctx), p.nameReceivers(ctx))
	}
	return err
}

// close gives all tokens back.
func (p *pacer) close(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.giveBack(ctx, p.tenant.o.Now()); err != nil {
		logr.FromContextOrDiscard(ctx).V(1).Info("cannot give tokens back", "channel", p.channel, "error", store.Brief(err).Error())
	}
}
