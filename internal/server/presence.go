package server

import (
	"context"
	"fmt"
	"time"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// How often a tenant's database is asked whether it can be used, and how long it may take to say so.
const (
	checkEvery   = 5 * time.Second
	checkTimeout = 5 * time.Second
)

// check asks in the background whether a tenant's database can be used, and makes the server ready or not.
func (ts *tenants) check(t *tenant, now time.Time) {
	if now.Sub(t.checked) < checkEvery || !t.checking.CompareAndSwap(false, true) {
		return
	}
	t.checked = now
	digest := t.credentials.Digest
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
			ts.sayProcess(ctx, t, digest)
		}
	})
}

// sayProcess says in a tenant's database that this process is there and which credentials it uses: when they have changed,
// and now and then.
func (ts *tenants) sayProcess(ctx context.Context, t *tenant, digest string) {
	if digest == t.saidDigest && time.Since(t.said) < store.ProcessInterval {
		return
	}
	p := ts.process
	p.Digest, p.Uptime = digest, time.Since(ts.began)
	if err := t.db.SaveProcess(ctx, p); err != nil {
		ts.log.V(1).Info("Cannot say that the process is there", "tenant", t.id, "error", store.Brief(err).Error())
		return
	}
	t.said, t.saidDigest = time.Now(), digest
}

// sayGoodbye says that this process has ended, where it said that it was there.
func (ts *tenants) sayGoodbye(ctx context.Context, t *tenant) {
	if err := t.db.DeleteProcess(ctx, ts.process.ID); err != nil {
		ts.log.V(1).Info("Cannot say that the process has ended", "tenant", t.id, "error", store.Brief(err).Error())
	}
}
