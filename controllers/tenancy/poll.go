package tenancy

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// pollTimeout bounds one look at one database, so that one that does not answer holds up nobody else's.
const pollTimeout = 5 * time.Second

// NeedLeaderElection makes the registry run where the controllers run.
func (*Registry) NeedLeaderElection() bool { return true }

// Start takes from every open database, again and again, what workers have changed, and wakes the objects whose status
// shows it. When a database goes away or comes back, it wakes the CRMTenant. It returns when ctx ends.
func (r *Registry) Start(ctx context.Context) error {
	tick := time.NewTicker(r.interval)
	defer tick.Stop()
	var polls sync.WaitGroup
	defer r.closeAll()
	defer polls.Wait()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, namespace := range r.due() {
			polls.Go(func() { r.poll(ctx, namespace) })
		}
	}
}

// due lists the namespaces with an open database that no poll is looking at, and marks them as looked at.
func (r *Registry) due() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var namespaces []string
	for namespace, e := range r.entries {
		if e.tenant.DB != nil && e.tenant.ID != "" && !e.polling {
			e.polling = true
			namespaces = append(namespaces, namespace)
		}
	}
	return namespaces
}

func (r *Registry) poll(ctx context.Context, namespace string) {
	e, ok := r.lookup(namespace)
	if !ok {
		return
	}
	limited, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	changes, err := e.tenant.DB.TakeStatusChanges(limited)
	away := err != nil && ctx.Err() == nil
	if r.polled(namespace, e.tenant.DB, away) {
		if away {
			// Once, when it goes away; the CRMTenant's status and its retries tell the rest.
			ctrl.LoggerFrom(ctx).Error(store.Brief(err), "A tenant's database does not answer", "namespace", namespace)
		}
		r.Wake("CRMTenant", namespace, v1alpha1.TenantName)
	}
	if permitted, err := e.tenant.DB.SendPermitted(limited); err == nil && r.fenced(namespace, e.tenant.DB, permitted) {
		// The server has failed over, or somebody has restored a backup.
		r.Wake("CRMTenant", namespace, v1alpha1.TenantName)
	}
	r.compareClocks(limited, namespace, e.tenant)
	r.wakeChanged(ctx, namespace, changes)
}

// manyChanges is from how many on a database's word about what has changed is compared with the objects that there are: it is
// a tenant's own, may name what it likes, and all tenants share the queues.
const manyChanges = 100

// wakeChanged wakes the objects whose status shows what has changed.
func (r *Registry) wakeChanged(ctx context.Context, namespace string, changes []store.StatusChange) {
	if len(changes) <= manyChanges {
		for _, change := range changes {
			r.Wake(change.Kind, namespace, change.Name)
		}
		return
	}
	changed := make(map[store.StatusChange]bool, len(changes))
	for _, change := range changes {
		changed[change] = true
	}
	for kind, l := range r.listening() {
		requests := []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: namespace, Name: v1alpha1.TenantName}}}
		if l.all != nil {
			requests = l.all(ctx, namespace)
		}
		for _, request := range requests {
			if changed[store.StatusChange{Kind: kind, Name: request.Name}] {
				l.queue.Add(request)
			}
		}
	}
}

// polled notes how a poll ended and tells whether the database went away or came back.
func (r *Registry) polled(namespace string, db *store.DB, away bool) (news bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[namespace]
	if !ok {
		return false
	}
	e.polling = false
	if e.tenant.DB != db {
		return false // another database was opened meanwhile
	}
	news = e.away != away
	e.away = away
	return news
}

// fenced notes whether a database may be sent from and tells whether that has changed.
func (r *Registry) fenced(namespace string, db *store.DB, permitted bool) (news bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[namespace]
	if !ok || e.tenant.DB != db {
		return false
	}
	news = e.permitted != permitted
	e.permitted = permitted
	return news
}

func (r *Registry) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for namespace, e := range r.entries {
		if e.tenant.DB != nil {
			e.tenant.DB.Close()
		}
		delete(r.entries, namespace)
	}
}
