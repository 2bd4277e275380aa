package tenancy

import (
	"context"
	"sync/atomic"
	"time"
)

// Measured is told how tenants' databases fare. A nil member is told nothing.
type Measured struct {
	// RoundTrip returns what is told how each round trip to a tenant's database ended.
	RoundTrip func(tenant string) func(trouble string)
	// ClockOffset is told how many seconds the operator's clock is ahead of a tenant's database's.
	ClockOffset func(tenant string, seconds float64)
	// Gone is told that a tenant is not the operator's any more.
	Gone func(tenant string)
}

// clockEvery is how often the clock of a database is compared with our own.
const clockEvery = time.Minute

// observer tells the round trips to a database as soon as it is known whose it is.
type observer struct {
	tell atomic.Pointer[func(trouble string)]
}

func (o *observer) observe(trouble string) {
	if tell := o.tell.Load(); tell != nil {
		(*tell)(trouble)
	}
}

// opened says whose database the observer's is.
func (r *Registry) opened(o *observer, tenant string) {
	if r.measured.RoundTrip != nil && o != nil {
		tell := r.measured.RoundTrip(tenant)
		o.tell.Store(&tell)
	}
}

// gone forgets what was measured of a tenant.
func (r *Registry) gone(tenant string) {
	if r.measured.Gone != nil && tenant != "" {
		r.measured.Gone(tenant)
	}
}

// compareClocks asks the database for its time, now and then. Nothing depends on the answer.
func (r *Registry) compareClocks(ctx context.Context, namespace string, tenant Tenant) {
	if r.measured.ClockOffset == nil || !r.clockDue(namespace) {
		return
	}
	before := time.Now()
	at, err := tenant.DB.Clock(ctx)
	if err != nil {
		return // the poll tells of a database that does not answer
	}
	took := time.Since(before)
	r.mu.Lock()
	defer r.mu.Unlock()
	// Of a tenant that went meanwhile nothing is told any more: nobody would forget it again.
	if e, ok := r.entries[namespace]; ok && e.tenant.DB == tenant.DB && e.tenant.ID == tenant.ID {
		r.measured.ClockOffset(tenant.ID, before.Add(took/2).Sub(at).Seconds())
	}
}

func (r *Registry) clockDue(namespace string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[namespace]
	if !ok || time.Since(e.clockAt) < clockEvery {
		return false
	}
	e.clockAt = time.Now()
	return true
}
