package work

import (
	"context"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/pace"
)

// keepView reads the pace of the channel anew where what is known is old.
func (p *pacer) keepView(ctx context.Context) error {
	if p.tenant.o.Now().UnixNano()-p.viewed.Load() < int64(viewAge) {
		return nil
	}
	return p.look(ctx)
}

// look reads the pace of the channel. Limits that changed end what was waited for.
func (p *pacer) look(ctx context.Context) error {
	ctx, cancel := health.Step(ctx, p.tenant.o.StatementLimit)
	defer cancel()
	view, err := p.tenant.db.LoadPace(ctx, p.channel)
	if err != nil {
		return err
	}
	if view.Limits.Check() != nil {
		view.Limits = pace.Limits{} // of a later version: it was never accepted by ours
	}
	now := p.tenant.o.Now()
	if !equalLimits(view.Limits, p.view.Limits) {
		for i := range p.classes {
			p.classes[i].closed, p.classes[i].waits = time.Time{}, nil
		}
	}
	p.view, p.zone, p.ahead = view, crm.ZoneOrUTC(view.TimeZone), view.Now.Sub(now)
	p.settleView(now)
	if p.names == nil {
		return p.nameReceivers(ctx)
	}
	return nil
}

// settleView draws the conclusions from a view.
func (p *pacer) settleView(now time.Time) {
	paused := 0
	for _, r := range p.view.HeldBack {
		if r.Until.After(now.Add(p.ahead)) {
			paused++
		}
	}
	p.tenant.o.Metrics.pace.paused.WithLabelValues(p.tenant.id, p.channel).Set(float64(paused))
	p.viewed.Store(now.UnixNano())
	p.free.Store(!p.view.Limits.Limited() && len(p.view.HeldBack) == 0)
}

func equalLimits(a, b pace.Limits) bool {
	warmA, warmB := a.WarmUp, b.WarmUp
	a.WarmUp, b.WarmUp = nil, nil
	if a != b || (warmA == nil) != (warmB == nil) {
		return false
	}
	return warmA == nil || (warmA.StartsOn == warmB.StartsOn && slices.Equal(warmA.Steps, warmB.Steps))
}

// bucketOf is the key of the bucket that a receiver's mail is paid from: its own, or 0.
func (p *pacer) bucketOf(receiver int32) int32 {
	if receiver != 0 && p.view.Limits.PerDomainPerSecond > 0 {
		return receiver
	}
	if _, ok := p.view.HeldBack[receiver]; ok {
		return receiver
	}
	return 0
}

// whole tells whether the channel as a whole has a bucket.
func (p *pacer) whole() bool { return p.view.Limits.PerSecond > 0 || p.view.Limits.Daily() }

// rateOf is the rate at which a bucket is filled.
func (p *pacer) rateOf(key int32) pace.Rate {
	if key == 0 {
		return pace.Rate(p.view.Limits.PerSecond)
	}
	return p.view.HeldBack[key].Effective(pace.Rate(p.view.Limits.PerDomainPerSecond))
}

// readyAt is when a bucket is worth asking, by our clock.
func (p *pacer) readyAt(c pace.Class, key int32) time.Time {
	ready := p.classes[c].waits[key]
	if key != 0 {
		if until := p.view.HeldBack[key].Until; !until.IsZero() && until.Add(-p.ahead).After(ready) {
			ready = until.Add(-p.ahead)
		}
	}
	return ready
}
