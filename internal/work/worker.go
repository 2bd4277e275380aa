package work

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Worker works for the tenants whose directories it finds.
type Worker struct {
	o       Options
	began   time.Time
	watch   *health.Watch
	tenants *health.Tenants
	told    map[string]bool // directories whose trouble was logged
}

// New checks the options and makes a worker.
func New(o Options) (*Worker, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Worker{
		o: o, began: time.Now(), watch: &health.Watch{Slack: o.Slack}, tenants: health.NewTenants(o.TenantDirs), told: map[string]bool{},
	}, nil
}

// Live names the loops that are stuck. A loop that waits for a database, a relay or an end of a pause is not.
func (w *Worker) Live() error { return w.watch.Live() }

// Ready tells what keeps the worker from its work: a database that does not answer, belongs to somebody else or is not
// migrated yet, credentials that have not come, or that it has been told to stop.
func (w *Worker) Ready() error { return w.tenants.Ready() }

// MetricsTokens are the SHA-256 in hex of the tokens that tenants want of who scrapes.
func (w *Worker) MetricsTokens() ([]string, error) { return w.tenants.MetricsTokens() }

// Run works until ctx ends, then finishes what it has begun: no new intents are committed, hand-overs are completed,
// their outcomes are written and leases are given back, within Options.Grace.
func (w *Worker) Run(ctx context.Context) error {
	log := logr.FromContextOrDiscard(ctx).WithValues("worker", w.o.ID)
	ctx = logr.NewContext(ctx, log)
	log.Info("worker starts")
	running := map[string]*running{}
	ticker := time.NewTicker(w.o.TenantPoll)
	defer ticker.Stop()
	// Before anything else ends: who balances load, or rolls a Deployment, learns at once that this one leaves.
	defer context.AfterFunc(ctx, w.tenants.Stop)()
	loop := w.watch.Begin("", "tenant directories", directoryTimeout)
	for ctx.Err() == nil {
		loop.Beat(directoryTimeout)
		w.reconcile(ctx, running)
		loop.Beat(w.o.TenantPoll)
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
	loop.End()
	for _, r := range running {
		<-r.done
	}
	log.Info("worker has stopped")
	return nil
}

// directoryTimeout is how long reading the tenants' directories may take before the worker counts as stuck.
const directoryTimeout = time.Minute

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
			if !ok {
				w.tenants.Gone(dir)
			}
			continue
		default:
		}
		if !ok || !r.change(log, c) {
			r.stopped = true
			r.stop()
		}
	}
	for dir, c := range wanted {
		w.tenants.Found(dir, c.MetricsTokenSHA256)
		if current[dir] == nil {
			current[dir] = w.start(ctx, dir, c)
		}
	}
}

// change takes over what a tenant's directory says now. It is false where that is another tenant or another database.
func (r *running) change(log logr.Logger, c credentials.Tenant) bool {
	before := r.credentials
	switch {
	case c.Digest == before.Digest:
		return true
	case c.ID != before.ID || c.DatabaseURL != before.DatabaseURL && !store.SameDatabase(c.DatabaseURL, before.DatabaseURL):
		return false
	}
	r.credentials = c
	if err := r.tenant.setSecrets(c); err != nil {
		log.Error(err, "cannot use the new credentials, and goes on with those before", "tenant", c.ID)
	}
	return true
}

// wanted reads the tenant directories. One that is not complete yet is left for the next time; a tenant that runs and whose
// directory is there and cannot be read goes on with what it has. So does one whose directory was named by itself and is
// gone or empty: who took its credentials away did not say that its work ends.
func (w *Worker) wanted(log logr.Logger, current map[string]*running) (map[string]credentials.Tenant, error) {
	found, err := w.list()
	w.tenants.Looked(err)
	if w.once(w.o.TenantsDir, err != nil) {
		log.Error(err, "cannot find the tenants; those that run go on, and it looks again")
	}
	if err != nil && len(w.o.TenantDirs) == 0 {
		return nil, err
	}
	wanted := map[string]credentials.Tenant{}
	for _, dir := range append(found, w.o.TenantDirs...) {
		c, err := credentials.Read(dir)
		named := slices.Contains(w.o.TenantDirs, dir)
		absent := errors.Is(err, credentials.ErrIncomplete) || errors.Is(err, fs.ErrNotExist)
		switch r := current[dir]; {
		case err == nil:
			wanted[dir] = c
		case r != nil && (named || !absent):
			wanted[dir] = r.credentials
		}
		switch tell := w.once(dir, err != nil && (named || !absent)); {
		case tell && absent:
			log.Info("the tenant directory has not arrived, or is not complete: waits for it", "directory", dir)
		case tell:
			log.Error(err, "cannot read a tenant directory")
		}
	}
	return wanted, nil
}

// list lists the directories of tenants that may come and go.
func (w *Worker) list() ([]string, error) {
	if w.o.TenantsDir == "" {
		return nil, nil
	}
	if _, err := os.Stat(w.o.TenantsDir); err != nil {
		return nil, fmt.Errorf("look for tenants: %w", err)
	}
	return credentials.List(w.o.TenantsDir)
}

// once tells whether a directory is in trouble that it was not in the last time.
func (w *Worker) once(dir string, trouble bool) bool {
	told := w.told[dir]
	if trouble {
		w.told[dir] = true
	} else {
		delete(w.told, dir)
	}
	return trouble && !told
}

func (w *Worker) start(ctx context.Context, dir string, c credentials.Tenant) *running {
	log := logr.FromContextOrDiscard(ctx).WithValues("tenant", c.ID)
	ctx, stop := context.WithCancel(logr.NewContext(ctx, log))
	r := &running{credentials: c, tenant: newTenant(w, dir, c), stop: stop, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer stop()
		if err := r.tenant.run(ctx); err != nil {
			log.Error(store.Brief(err), "cannot work for the tenant")
			w.tenants.Set(dir, fmt.Errorf("tenant %q: %w", c.ID, store.Brief(err)))
		}
	}()
	return r
}
