package work

import (
	"context"
	"errors"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Worker works for the tenants whose directories it finds.
type Worker struct {
	o     Options
	ready atomic.Bool
}

// New checks the options and makes a worker.
func New(o Options) (*Worker, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Worker{o: o}, nil
}

// Ready tells whether the worker has looked for its tenants.
func (w *Worker) Ready() bool { return w.ready.Load() }

// Run works until ctx ends, then finishes what it has begun: no new intents are committed, hand-overs are completed,
// their outcomes are written and leases are given back, within Options.Grace.
func (w *Worker) Run(ctx context.Context) error {
	log := logr.FromContextOrDiscard(ctx)
	log.Info("worker starts", "worker", w.o.ID)
	running := map[string]*running{}
	ticker := time.NewTicker(w.o.TenantPoll)
	defer ticker.Stop()
	for ctx.Err() == nil {
		w.reconcile(ctx, running)
		w.ready.Store(true)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	for _, r := range running {
		<-r.done
	}
	log.Info("worker has stopped", "worker", w.o.ID)
	return nil
}

// running is a tenant that is worked for.
type running struct {
	credentials credentials.Tenant
	tenant      *tenant
	stop        context.CancelFunc
	stopped     bool // on purpose
	done        chan struct{}
}

// reconcile starts what is new, ends what is gone, and tells the rest about changed credentials. A tenant whose
// database is another now is ended, and started anew when it has ended.
func (w *Worker) reconcile(ctx context.Context, current map[string]*running) {
	log := logr.FromContextOrDiscard(ctx)
	wanted, err := w.wanted(log, current)
	if err != nil {
		log.Error(err, "cannot list the tenants; those that run go on")
		return
	}
	for dir, r := range current {
		c, ok := wanted[dir]
		select {
		case <-r.done:
			// What waiting cannot mend is tried again when the directory says something else.
			if r.stopped || !ok || c.Digest != r.credentials.Digest {
				delete(current, dir)
			}
			continue
		default:
		}
		switch {
		case !ok || c.ID != r.credentials.ID || c.DatabaseURL != r.credentials.DatabaseURL:
			r.stopped = true
			r.stop()
		case c.Digest != r.credentials.Digest:
			r.credentials = c
			r.tenant.setSecrets(c.Channels)
		}
	}
	for dir, c := range wanted {
		if current[dir] == nil {
			current[dir] = w.start(ctx, c)
		}
	}
}

// wanted reads the tenant directories. One that is not complete yet is left for the next time; a tenant that runs and whose
// directory is there and cannot be read goes on with what it has.
func (w *Worker) wanted(log logr.Logger, current map[string]*running) (map[string]credentials.Tenant, error) {
	dirs := append([]string(nil), w.o.TenantDirs...)
	if w.o.TenantsDir != "" {
		found, err := credentials.List(w.o.TenantsDir)
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, found...)
	}
	wanted := map[string]credentials.Tenant{}
	for _, dir := range dirs {
		c, err := credentials.Read(dir)
		switch r := current[dir]; {
		case err == nil:
			wanted[dir] = c
		case errors.Is(err, credentials.ErrIncomplete):
		default:
			log.Error(err, "cannot read a tenant directory")
			if r != nil && !errors.Is(err, fs.ErrNotExist) {
				wanted[dir] = r.credentials
			}
		}
	}
	return wanted, nil
}

func (w *Worker) start(ctx context.Context, c credentials.Tenant) *running {
	log := logr.FromContextOrDiscard(ctx).WithValues("tenant", c.ID)
	ctx, stop := context.WithCancel(logr.NewContext(ctx, log))
	r := &running{credentials: c, tenant: newTenant(w.o, c), stop: stop, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer stop()
		if err := r.tenant.run(ctx); err != nil {
			log.Error(store.Brief(err), "cannot work for the tenant")
		}
	}()
	return r
}
