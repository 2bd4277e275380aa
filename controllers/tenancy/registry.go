// Package tenancy knows which database belongs to which namespace. The controller of CRMTenant opens and closes the
// databases here; the others take them from here and are woken when that changes, or when workers have changed what a
// status shows.
package tenancy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/tracing"
)

// Tenant is a namespace's tenant with its open database, as its owner.
type Tenant struct {
	ID       string
	TimeZone string // IANA
	// PublicURL is where the tenant's server is reached.
	PublicURL string
	// Suspended tells whether the CRMTenant is: what that stops shows in the status of others. The database has it too.
	Suspended bool
	DB        *store.DB
}

// How many connections to a tenant's database the operator holds. A cluster with a hundred tenants admits a few hundred
// connections, and most of them are for workers and servers: at rest there is one, over which the poll looks. Others are
// there while passes need them, such as one that builds an index or waits for a lock, and end right after.
const (
	tenantConnections = 4
	spareIdle         = time.Second
)

// MaxAnswer bounds what a tenant's database may answer to one question of the operator's, which keeps numbers and names of
// objects there: the database may be the tenant's own, and its answers would fill the memory in which all tenants' objects are.
const MaxAnswer = 32 << 20

// Place says where a tenant's database is, for the operator.
type Place struct {
	URL  string
	Role string // taken after connecting; "" is the login's own
}

// Registry holds the open databases. It is a manager.Runnable: while it runs, it takes from every database what workers
// have changed.
type Registry struct {
	reader    client.Reader // cached
	namespace client.Reader // live: asked for a namespace when an object of it is deleted
	interval  time.Duration

	measured Measured

	mu        sync.Mutex
	entries   map[string]*entry // by namespace
	listeners map[string]listener
}

// entry is what is known of a namespace.
type entry struct {
	tenant Tenant
	place  Place
	// trouble is why the tenant cannot be used, for the authors of its other objects; nil when it can.
	trouble *reconciling.Interrupted
	// away is true since a poll could not reach the database; polling is true while one runs.
	away, polling bool
	// permitted is whether the database's ledger could be sent from when it was last looked at.
	permitted bool
	// observer is told how each round trip to the database ended.
	observer *observer
	// clockAt is when the database's clock was last compared with ours.
	clockAt time.Time
}

// listener is the queue of a kind's controller.
type listener struct {
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	all   func(ctx context.Context, namespace string) []reconcile.Request
}

// Options are what a Registry needs.
type Options struct {
	Reader       client.Reader // cached
	LiveReader   client.Reader
	PollInterval time.Duration // 0 means a second
	Measured     Measured
}

// New makes a registry that knows no tenant.
func New(o Options) *Registry {
	if o.PollInterval == 0 {
		o.PollInterval = time.Second
	}
	return &Registry{
		reader: o.Reader, namespace: o.LiveReader, interval: o.PollInterval, measured: o.Measured,
		entries: map[string]*entry{}, listeners: map[string]listener{},
	}
}

// Source feeds a controller with the objects of its kind that wait for their tenant, and with those whose status workers
// have changed. all lists the objects of a namespace; it is nil for CRMTenant, which waits for no tenant.
func (r *Registry) Source(kind string, all func(ctx context.Context, namespace string) []reconcile.Request) source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.listeners[kind] = listener{queue, all}
		return nil
	})
}

// Tenant returns the open tenant of a namespace. The error is of the kinds of package reconciling; whoever gets one is
// woken when the answer changes.
func (r *Registry) Tenant(ctx context.Context, namespace string) (Tenant, error) {
	if e, ok := r.lookup(namespace); ok {
		if e.trouble != nil {
			return Tenant{}, e.trouble
		}
		trace.SpanFromContext(ctx).SetAttributes(tracing.Tenant(e.tenant.ID))
		return e.tenant, nil
	}
	tenant := &v1alpha1.CRMTenant{}
	err := r.reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: v1alpha1.TenantName}, tenant)
	if apierrors.IsNotFound(err) || err == nil && !tenant.DeletionTimestamp.IsZero() {
		return Tenant{}, errNoTenant
	}
	if err != nil {
		return Tenant{}, fmt.Errorf("read the namespace's CRMTenant: %w", err)
	}
	return Tenant{}, errOpening
}

var (
	errNoTenant = &reconciling.Waiting{
		Reason:  v1alpha1.NotFoundReason("CRMTenant"),
		Message: `The namespace has no CRMTenant: add one named "default".`,
	}
	errOpening = &reconciling.Interrupted{Reason: v1alpha1.TenantNotReadyReason, Message: "The CRMTenant is being opened.", Silent: true}
)

func (r *Registry) lookup(namespace string) (entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[namespace]
	if !ok {
		return entry{}, false
	}
	return *e, true
}

// Connect returns the database of a namespace, open at this place. It reuses what is open already, and the tenant's
// other objects do not get it before Open says so.
func (r *Registry) Connect(ctx context.Context, namespace string, place Place) (*store.DB, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.entries[namespace]; ok && e.place == place && e.tenant.DB != nil {
		return e.tenant.DB, nil
	}
	watch := &observer{}
	db, err := store.Open(ctx, place.URL, store.Options{
		Observe: watch.observe, Role: place.Role, ApplicationName: "tertulia-operator", MaxConns: tenantConnections, MaxIdle: spareIdle,
		MaxAnswer: MaxAnswer,
	})
	if err != nil {
		return nil, err
	}
	if old, ok := r.entries[namespace]; ok && old.tenant.DB != nil {
		go old.tenant.DB.Close() // waits for statements that are under way
	}
	r.entries[namespace] = &entry{tenant: Tenant{DB: db}, place: place, trouble: errOpening, observer: watch}
	return db, nil
}

// Open lets the namespace's objects use the database that Connect returned, as this tenant's, and wakes them if they could
// not before or if something that they depend on differs.
func (r *Registry) Open(ctx context.Context, namespace string, tenant Tenant) {
	r.mu.Lock()
	e, ok := r.entries[namespace]
	if !ok {
		r.mu.Unlock()
		return
	}
	tenant.DB = e.tenant.DB
	news := e.trouble != nil || e.tenant != tenant
	before := e.tenant.ID
	e.tenant, e.trouble = tenant, nil
	r.mu.Unlock()
	if before != tenant.ID {
		r.gone(before)
		r.opened(e.observer, tenant.ID)
	}
	if news {
		r.WakeAll(ctx, namespace)
	}
}

// Trouble tells the namespace's objects why their tenant cannot be used at the moment. What is in force stays so.
func (r *Registry) Trouble(ctx context.Context, namespace, reason, message string) {
	trouble := &reconciling.Interrupted{Reason: reason, Message: message}
	r.mu.Lock()
	e, ok := r.entries[namespace]
	if !ok {
		e = &entry{}
		r.entries[namespace] = e
	}
	news := e.trouble == nil || *e.trouble != *trouble
	e.trouble = trouble
	r.mu.Unlock()
	if news {
		r.WakeAll(ctx, namespace)
	}
}

// Refuse tells the namespace's objects that the database is not theirs. Nothing of theirs is in it.
func (r *Registry) Refuse(ctx context.Context, namespace, message string) {
	if e, ok := r.lookup(namespace); ok && e.tenant.DB != nil {
		r.Close(ctx, namespace)
	}
	r.Trouble(ctx, namespace, v1alpha1.ForeignDatabaseReason, message)
}

// Close forgets a namespace, closes its database and tells its objects. When it returns, no statement runs and none will
// on that database. It returns where the database was, and false if none was open.
func (r *Registry) Close(ctx context.Context, namespace string) (Place, bool) {
	r.mu.Lock()
	e, ok := r.entries[namespace]
	delete(r.entries, namespace)
	r.mu.Unlock()
	if !ok {
		return Place{}, false
	}
	if e.tenant.DB != nil {
		e.tenant.DB.Close()
	}
	r.gone(e.tenant.ID)
	r.WakeAll(ctx, namespace)
	return e.place, e.tenant.DB != nil
}

// WakeAll puts all objects of a namespace, but for its CRMTenant, into the queues of their controllers.
func (r *Registry) WakeAll(ctx context.Context, namespace string) {
	for _, l := range r.listening() {
		if l.all == nil {
			continue
		}
		for _, request := range l.all(ctx, namespace) {
			l.queue.Add(request)
		}
	}
}

func (r *Registry) listening() map[string]listener {
	r.mu.Lock()
	defer r.mu.Unlock()
	copied := make(map[string]listener, len(r.listeners))
	for kind, l := range r.listeners {
		copied[kind] = l
	}
	return copied
}

// Wake puts one object into its controller's queue.
func (r *Registry) Wake(kind, namespace, name string) {
	if l, ok := r.listening()[kind]; ok {
		l.queue.Add(ctrl.Request{NamespacedName: types.NamespacedName{Namespace: namespace, Name: name}})
	}
}

// WakeTenants puts every CRMTenant that was looked at into its controller's queue.
func (r *Registry) WakeTenants() {
	r.mu.Lock()
	namespaces := slices.Collect(maps.Keys(r.entries))
	r.mu.Unlock()
	for _, namespace := range namespaces {
		r.Wake("CRMTenant", namespace, v1alpha1.TenantName)
	}
}
