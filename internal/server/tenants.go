package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	scanEvery    = time.Second
	rereadEvery  = 30 * time.Second // a change that the directory's time does not show
	queryTimeout = 5 * time.Second
	// maxImports is how many imports of a tenant run or wait at a time; each holds a connection.
	maxImports = 3
)

// How often a tenant's database is asked whether it can be used, and how long it may take to say so.
const (
	checkEvery   = 5 * time.Second
	checkTimeout = 5 * time.Second
)

// tenant is one that is being served.
type tenant struct {
	id, dir string
	db      *store.DB
	digest  string
	ctx     context.Context // ends when the tenant is closed
	cancel  context.CancelFunc
	imports chan struct{} // one for each import that runs

	host  string                 // of the public URL, where it has no path
	key   atomic.Pointer[[]byte] // of links
	stale atomic.Bool            // people or events changed since the segments were last asked for
	busy  atomic.Bool            // a background query runs

	checked  time.Time   // when the database was last asked whether it can be used; of the scanning goroutine
	checking atomic.Bool // it is being asked
}

// tenants are those of the directories.
type tenants struct {
	roots, dirs []string
	log         logr.Logger
	metrics     *Metrics
	watch       health.Watch
	health      *health.Tenants
	mu          sync.RWMutex
	byID        map[string]*tenant
	byDir       map[string]*directory // of the scanning goroutine
	absent      map[string]bool       // roots that are not there; of the scanning goroutine
	work        sync.WaitGroup
}

// directory is what is remembered of a tenant directory.
type directory struct {
	modified time.Time
	read     time.Time
	tenant   credentials.Tenant
	problem  string // the last that was logged
}

func newTenants(roots, dirs []string, log logr.Logger, metrics *Metrics) *tenants {
	return &tenants{
		roots: roots, dirs: dirs, log: log, metrics: metrics, health: health.NewTenants(dirs),
		byID: map[string]*tenant{}, byDir: map[string]*directory{}, absent: map[string]bool{},
	}
}

func (ts *tenants) get(id string) *tenant {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return ts.byID[id]
}

func (ts *tenants) byHost(host string) *tenant {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	for _, t := range ts.byID {
		if t.host != "" && strings.EqualFold(t.host, host) {
			return t
		}
	}
	return nil
}

func (ts *tenants) all() []*tenant {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	list := make([]*tenant, 0, len(ts.byID))
	for _, t := range ts.byID {
		list = append(list, t)
	}
	return list
}

// scanTimeout is how long a scan may take before the server counts as stuck.
const scanTimeout = time.Minute

// run scans until the context ends.
func (ts *tenants) run(ctx context.Context) {
	loop := ts.watch.Begin("", "tenant directories", scanTimeout)
	defer loop.End()
	ticker := time.NewTicker(scanEvery)
	defer ticker.Stop()
	for {
		loop.Beat(scanEvery)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			loop.Beat(scanTimeout)
			ts.scan(ctx)
		}
	}
}

// found is a tenant with the directory that declares it.
type found struct {
	credentials.Tenant
	dir string
}

// scan opens tenants that came, closes those that went and opens those anew whose credentials changed.
func (ts *tenants) scan(ctx context.Context) {
	now := time.Now()
	wanted := map[string]found{}
	dirs, trouble := ts.list()
	for _, dir := range dirs {
		t, ok := ts.read(dir, now)
		if !ok {
			ts.health.Gone(dir)
			continue
		}
		if _, twice := wanted[t.ID]; !twice {
			wanted[t.ID] = found{t, dir}
			ts.health.Found(dir, t.MetricsTokenSHA256)
		}
	}
	for _, t := range ts.all() {
		if w, ok := wanted[t.id]; !ok || w.Digest != t.digest {
			ts.log.Info("Closing tenant", "tenant", t.id, "gone", !ok)
			ts.remove(t)
			if !ok {
				ts.health.Gone(t.dir)
			}
		}
	}
	for id, w := range wanted {
		if ts.get(id) == nil {
			ts.open(ctx, w)
		}
	}
	for _, t := range ts.all() {
		ts.attend(t)
		ts.check(t, now)
	}
	ts.health.Looked(trouble)
}

// list lists the tenants' directories, and tells what is in the way of that.
func (ts *tenants) list() (dirs []string, trouble error) {
	dirs = append(dirs, ts.dirs...)
	for _, root := range ts.roots {
		listed, err := listRoot(root)
		if err != nil {
			trouble = errors.Join(trouble, err)
			// What is served goes on: a directory that cannot be read says nothing about its tenants.
			for dir := range ts.byDir {
				if filepath.Dir(dir) == filepath.Clean(root) {
					listed = append(listed, dir)
				}
			}
		}
		if err != nil && !ts.absent[root] {
			ts.log.Error(err, "Cannot find the tenants; looks again", "root", root)
		}
		ts.absent[root] = err != nil
		dirs = append(dirs, listed...)
	}
	for dir := range ts.byDir {
		if !slices.Contains(dirs, dir) {
			delete(ts.byDir, dir)
		}
	}
	return dirs, trouble
}

func listRoot(root string) ([]string, error) {
	if _, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("look for tenants: %w", err)
	}
	return credentials.List(root)
}

// read reads a tenant directory, unless nothing changed in it. One that cannot be read keeps what it last held; so does
// one that was named by itself and is gone: who took its credentials away did not say that nobody is to be served. Any
// other that is gone, or incomplete from the beginning, holds no tenant.
func (ts *tenants) read(dir string, now time.Time) (credentials.Tenant, bool) {
	known := ts.byDir[dir]
	info, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) && !slices.Contains(ts.dirs, dir) {
		delete(ts.byDir, dir)
		return credentials.Tenant{}, false
	}
	if known != nil && err == nil && info.ModTime().Equal(known.modified) && now.Sub(known.read) < rereadEvery && known.problem == "" {
		return known.tenant, known.tenant.ID != ""
	}
	if known == nil {
		known = &directory{}
		ts.byDir[dir] = known
	}
	var t credentials.Tenant
	if err == nil {
		t, err = credentials.Read(dir)
	}
	if err != nil {
		if known.problem != err.Error() {
			ts.log.Info("Cannot read tenant directory", "directory", dir, "error", err.Error())
			known.problem = err.Error()
		}
		return known.tenant, known.tenant.ID != ""
	}
	known.modified, known.read, known.tenant, known.problem = info.ModTime(), now, t, ""
	return t, true
}

func (ts *tenants) open(ctx context.Context, c found) {
	db, err := store.Open(ctx, c.DatabaseURL, store.Options{
		ApplicationName: "tertulia-server", Observe: ts.metrics.database.Observer(c.ID),
	})
	if err != nil {
		ts.log.Error(err, "Cannot open tenant", "tenant", c.ID)
		return
	}
	t := &tenant{id: c.ID, dir: c.dir, host: credentials.HostOf(c.PublicURL), db: db, digest: c.Digest, imports: make(chan struct{}, maxImports)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	ts.mu.Lock()
	ts.byID[c.ID] = t
	ts.mu.Unlock()
	ts.log.Info("Serving tenant", "tenant", c.ID)
}

// remove stops serving a tenant. Requests that use its database finish first.
func (ts *tenants) remove(t *tenant) {
	ts.mu.Lock()
	delete(ts.byID, t.id)
	ts.mu.Unlock()
	t.cancel()
	ts.metrics.Forget(t.id)
	ts.work.Go(t.db.Close)
}

// attend asks for the evaluation of a tenant's segments after changes, at most once a second however many requests made
// them.
func (ts *tenants) attend(t *tenant) {
	if !t.stale.Load() || !t.busy.CompareAndSwap(false, true) {
		return
	}
	ts.work.Go(func() {
		defer t.busy.Store(false)
		ctx, cancel := context.WithTimeout(t.ctx, queryTimeout)
		defer cancel()
		t.askRefresh(ctx)
	})
}

func (t *tenant) askRefresh(ctx context.Context) {
	if t.stale.Swap(false) && t.db.AskSegmentRefresh(ctx) != nil {
		t.stale.Store(true) // asked again with the next scan
	}
}

// linkKey returns the key of links; it never changes, so that it is read once.
func (t *tenant) linkKey(ctx context.Context) ([]byte, error) {
	if key := t.key.Load(); key != nil {
		return *key, nil
	}
	key, err := t.db.LinkKey(ctx)
	if err != nil {
		return nil, err
	}
	t.key.Store(&key)
	return key, nil
}

// close ends all tenants.
func (ts *tenants) close() {
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	for _, t := range ts.all() {
		t.askRefresh(ctx)
		ts.remove(t)
	}
	ts.work.Wait()
}

// check asks in the background whether a tenant's database can be used, and makes the server ready or not.
func (ts *tenants) check(t *tenant, now time.Time) {
	if now.Sub(t.checked) < checkEvery || !t.checking.CompareAndSwap(false, true) {
		return
	}
	t.checked = now
	ts.work.Go(func() {
		defer t.checking.Store(false)
		loop := ts.watch.Begin(t.id, "database", checkTimeout)
		defer loop.End()
		ctx, cancel := context.WithTimeout(t.ctx, checkTimeout)
		defer cancel()
		err := t.db.CheckUsable(ctx, t.id)
		switch {
		case t.ctx.Err() != nil:
		case err != nil:
			ts.health.Set(t.dir, fmt.Errorf("tenant %q: the database cannot be used: %w", t.id, store.Brief(err)))
		default:
			ts.health.Set(t.dir, nil)
		}
	})
}
