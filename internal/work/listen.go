package work

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/judge"
	"github.com/tertulia-crm/tertulia/internal/listen/networks"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// mostSources is how many sources of a tenant a worker listens to at a time.
	mostSources = 64
	// leasedAtOnce is how many it begins with in a step, so that workers that start together share them.
	leasedAtOnce = 8
	// storedAtOnce is how many batches of a tenant a worker stores at a time: the tenant's connections are for sending, too.
	storedAtOnce = 2
	// sweptAtOnce is how many mentions are forgotten in a step when their time is over.
	sweptAtOnce = 500
	// topicsEvery is how often it is asked whether the topics are others.
	topicsEvery = 3 * time.Second
)

// listenLoop listens to the sources that are due, each in a goroutine of its own, for as long as it holds the source's lease.
type listenLoop struct {
	*tenant
	judge   *judge.Judge
	outside networks.Outside
	stores  chan struct{} // one for each batch that is being stored
	active  atomic.Int32  // sources that are listened to
	ended   chan struct{} // one is listened to no more
	over    sync.WaitGroup

	asked time.Time                     // when it was last asked which topics there are
	seen  map[string]credentials.Source // the credentials that the sources had at the last round

	mu   sync.Mutex
	told map[string]string // by source: the trouble that the log knows of
}

func newListenLoop(t *tenant) (*listenLoop, error) {
	j, err := judge.New(judge.Options{})
	if err != nil {
		return nil, err
	}
	return &listenLoop{
		tenant: t, judge: j, outside: networks.NewOutside(t.o.ListenNetworks, t.o.Version), stores: make(chan struct{}, storedAtOnce),
		ended: make(chan struct{}, 1), seen: t.sourceCredentials(), told: map[string]string{},
	}, nil
}

// run listens until ctx ends, and until what is in hand is stored.
func (l *listenLoop) run(ctx context.Context) {
	l.repeat(ctx, "listen", l.o.ListenPoll, l.ended, l.round)
	l.over.Wait()
	l.outside.Client.CloseIdleConnections()
}

// round begins to listen to the sources that are due and that nobody listens to.
func (l *listenLoop) round(ctx context.Context) error {
	if err := l.learn(ctx); err != nil {
		return err
	}
	if err := l.wake(ctx); err != nil {
		return err
	}
	for {
		room := min(mostSources-int(l.active.Load()), leasedAtOnce)
		if room <= 0 || ctx.Err() != nil {
			return nil
		}
		leases, err := l.lease(ctx, room)
		for _, lease := range leases {
			l.begin(ctx, lease)
		}
		if err != nil || len(leases) < room {
			return err
		}
	}
}

// lease takes sources. Who is told to stop meanwhile gets them all the same, and gives them back.
func (l *listenLoop) lease(ctx context.Context, limit int) ([]store.SourceLease, error) {
	step, cancel := health.Step(context.WithoutCancel(ctx), l.o.StatementLimit)
	defer cancel()
	return l.db.LeaseSources(step, l.o.ID, l.o.Lease, limit)
}

func (l *listenLoop) begin(ctx context.Context, lease store.SourceLease) {
	l.active.Add(1)
	l.over.Go(func() {
		defer func() {
			l.active.Add(-1)
			signal(l.ended)
		}()
		s := &session{listenLoop: l, lease: lease, cursor: lease.Cursor, credentials: l.sourceCredentials()[lease.Name]}
		s.run(logr.NewContext(ctx, logr.FromContextOrDiscard(ctx).WithValues("source", lease.Name)))
	})
}

// learn takes over the topics when they are others. Without any there is nothing to be found; without an answer nothing is read, so that
// no post is compared with none.
func (l *listenLoop) learn(ctx context.Context) error {
	if time.Since(l.asked) < topicsEvery {
		return nil
	}
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	if err := l.equip(ctx); err != nil {
		return err
	}
	if err := l.follow(ctx); err != nil {
		return err
	}
	l.asked = time.Now()
	return nil
}

// follow takes over the topics that are in force now.
func (l *listenLoop) follow(ctx context.Context) error {
	return l.judge.Follow(ctx, l.db, func(err error) {
		logr.FromContextOrDiscard(ctx).Info("some topics cannot be looked for", "error", err.Error())
	})
}

// wake has sources read at once whose credentials are others than they were: nobody waits for the end of a rest after having mended them.
func (l *listenLoop) wake(ctx context.Context) error {
	now := l.sourceCredentials()
	var changed []string
	for name, c := range now {
		if !maps.Equal(c, l.seen[name]) {
			changed = append(changed, name)
		}
	}
	if len(changed) > 0 {
		slices.Sort(changed)
		step, cancel := health.Step(ctx, l.o.StatementLimit)
		defer cancel()
		if err := l.db.WakeSources(step, changed); err != nil {
			return err
		}
	}
	l.seen = now
	return nil
}

// sourceCredentials are the credentials of all sources as they are now.
func (t *tenant) sourceCredentials() map[string]credentials.Source {
	t.secretsMu.Lock()
	defer t.secretsMu.Unlock()
	return t.secrets.Sources // it is replaced, and never changed
}

// callback is the public address of a source.
func (t *tenant) callback(source string) string {
	t.secretsMu.Lock()
	defer t.secretsMu.Unlock()
	return networks.Callback(t.secrets.PublicURL, source)
}

// options are what a source's connector is made with.
func (l *listenLoop) options(ctx context.Context, s *session) (listen.Options, error) {
	key, err := l.db.LinkKey(ctx)
	if err != nil {
		return listen.Options{}, err
	}
	o := l.outside.Options()
	o.Source, o.Settings, o.Languages = s.lease.Name, s.lease.Settings, s.lease.Languages
	o.Credentials, o.Callback, o.Key = s.credentials, l.callback(s.lease.Name), networks.Key(key, s.lease.Name)
	o.Now, o.Hooked = l.o.Now, func() time.Time { return s.lease.HookedAt }
	return o, nil
}

// sweepMentions forgets what is older than its source keeps it, in bounded steps.
func (t *tenant) sweepMentions(ctx context.Context) error {
	for {
		step, cancel := health.Step(ctx, t.o.StatementLimit)
		swept, err := t.db.SweepMentions(step, sweptAtOnce)
		cancel()
		if err != nil || !swept.More || ctx.Err() != nil {
			return err
		}
	}
}
