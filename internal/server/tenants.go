package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/listen/networks"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/server/sns"
	"github.com/tertulia-crm/tertulia/internal/server/tracking"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	scanEvery    = time.Second
	rereadEvery  = 30 * time.Second // a change that the directory's time does not show
	queryTimeout = 5 * time.Second
	// maxImports is how many imports of a tenant run or wait at a time; each holds a connection.
	maxImports = 3
	// maxLooks is how many questions about segments that cost much are answered at a time for a tenant.
	maxLooks = 2
)

// tenant is one that is being served.
type tenant struct {
	id, dir  string
	db       *store.DB
	ctx      context.Context // ends when the tenant is closed
	cancel   context.CancelFunc
	imports  chan struct{} // one for each import that runs
	tests    *rate.Limiter // of the messages that authors try
	looks    chan struct{} // one for each costly question about segments
	watch    *mentionWatch // of what comes in, for streams
	requests sync.WaitGroup

	hooks    *hooks
	sources  *sources
	recorder *tracking.Recorder
	links    *tracking.Links
	visitors *tracking.Visitors
	meters   *trackMeters
	// endTracking stores what is left, when the last request is done.
	endTracking func(within time.Duration)

	host string                        // of the public URL, where it has no path; guarded by tenants.mu
	key  atomic.Pointer[[]byte]        // of links
	sign atomic.Pointer[render.Signer] // by that key

	credentials credentials.Tenant // in use; of the scanning goroutine
	checked     time.Time          // when the database was last asked whether it can be used; of the scanning goroutine
	checking    atomic.Bool        // it is being asked
	said        time.Time          // when this process last said there that it uses these credentials; of who asks
	saidDigest  string
}

// tenants are those of the directories.
type tenants struct {
	roots, dirs []string
	log         logr.Logger
	process     store.Process // this one, as it is told in each database
	began       time.Time
	metrics     *Metrics
	sns         sns.Options
	outside     networks.Outside // of sources that are written to
	watch       health.Watch
	health      *health.Tenants
	mu          sync.RWMutex
	byID        map[string]*tenant
	byHost      map[string]*tenant    // in lower case
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

func newTenants(o Options, metrics *Metrics) *tenants {
	host, err := os.Hostname()
	if err != nil {
		host = "server"
	}
	return &tenants{
		roots: o.Roots, dirs: o.Dirs, log: o.Log, metrics: metrics, sns: o.SNS,
		outside: networks.NewOutside(o.ListenNetworks, o.Version), health: health.NewTenants(o.Dirs), began: time.Now(),
		process: store.Process{ID: health.ProcessID(host), Kind: store.ServerProcess, Version: o.Version},
		byID:    map[string]*tenant{}, byHost: map[string]*tenant{}, byDir: map[string]*directory{}, absent: map[string]bool{},
	}
}

func (ts *tenants) get(id string) *tenant {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return ts.byID[id]
}

// take finds a tenant by its id, for a request, which must tell when it is done.
func (ts *tenants) take(id string) *tenant {
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	return taken(ts.byID[id])
}

// takeHost finds a tenant by the host of its public URL, with a port or without.
func (ts *tenants) takeHost(host string) *tenant {
	host = strings.ToLower(host)
	ts.mu.RLock()
	defer ts.mu.RUnlock()
	if t := ts.byHost[host]; t != nil {
		return taken(t)
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		return taken(ts.byHost[name])
	}
	return nil
}

func taken(t *tenant) *tenant {
	if t != nil {
		t.requests.Add(1)
	}
	return t
}

// index finds tenants by their hosts. It is called with the lock held, after a change.
func (ts *tenants) index() {
	clear(ts.byHost)
	for _, t := range ts.byID {
		if t.host != "" {
			ts.byHost[strings.ToLower(t.host)] = t
		}
	}
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
		w, ok := wanted[t.id]
		switch {
		case !ok:
			ts.log.Info("Closing tenant", "tenant", t.id)
			ts.remove(t, lastFlush)
			ts.health.Gone(t.dir)
		case w.Digest != t.credentials.Digest && !ts.change(t, w):
			ts.log.Info("Opening the tenant anew", "tenant", t.id)
			ts.remove(t, lastFlush)
		}
	}
	for id, w := range wanted {
		if ts.get(id) == nil {
			ts.open(ctx, w)
		}
	}
	for _, t := range ts.all() {
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

// idleInTransaction ends a transaction that a server has left alone for so long, because it was stopped: sources, streams and sweeps wait for
// its locks.
const idleInTransaction = 30 * time.Second

func (ts *tenants) open(ctx context.Context, c found) {
	db, err := store.Open(ctx, c.DatabaseURL, store.Options{
		ApplicationName: "tertulia-server", Observe: ts.metrics.database.Observer(c.ID), IdleInTransaction: idleInTransaction,
	})
	if err != nil {
		ts.log.Error(err, "Cannot open tenant", "tenant", c.ID)
		return
	}
	t := &tenant{
		id: c.ID, dir: c.dir, host: credentials.HostOf(c.PublicURL), db: db, credentials: c.Tenant, imports: make(chan struct{}, maxImports),
		tests: newTestLimit(), looks: make(chan struct{}, maxLooks), hooks: newHooks(ts.sns),
		sources: newSources(ts.outside, sentimentWatch(ts.metrics.sentiment, c.ID)),
	}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.watch = &mentionWatch{db: db}
	ts.track(t)
	ts.mu.Lock()
	ts.byID[c.ID] = t
	ts.index()
	ts.mu.Unlock()
	ts.log.Info("Serving tenant", "tenant", c.ID)
}

// change takes over what a tenant's directory says now, without any request noticing. It cannot where the database or
// the directory is another one.
func (ts *tenants) change(t *tenant, w found) bool {
	if w.dir != t.dir {
		return false
	}
	if w.DatabaseURL != t.credentials.DatabaseURL {
		if !store.SameDatabase(w.DatabaseURL, t.credentials.DatabaseURL) || t.db.ChangeLogin(w.DatabaseURL) != nil {
			return false
		}
	}
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t.host, t.credentials, t.checked = credentials.HostOf(w.PublicURL), w.Tenant, time.Time{}
	ts.index()
	return true
}

// remove stops serving a tenant. Requests that use its database finish first.
func (ts *tenants) remove(t *tenant, flush time.Duration) {
	ts.mu.Lock()
	delete(ts.byID, t.id)
	ts.index()
	ts.mu.Unlock()
	t.cancel()
	ts.metrics.Forget(t.id)
	ts.work.Go(func() {
		t.requests.Wait()
		t.endTracking(flush)
		t.db.Close()
	})
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

// close ends all tenants, of which each may take so long to store what is left.
func (ts *tenants) close(flush time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), queryTimeout)
	defer cancel()
	for _, t := range ts.all() {
		ts.sayGoodbye(ctx, t)
		ts.remove(t, flush)
	}
	ts.work.Wait()
}
