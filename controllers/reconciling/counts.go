package reconciling

import (
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// Counts say which part of a status are numbers that move, and how often a status is written for their sake alone.
type Counts struct {
	// Every is the least time between two such writes.
	Every time.Duration
	// Settle is how long numbers must stand still to be written before Every is over: what moves in steps is shown when
	// it has come to rest. 0 waits for nothing.
	Settle time.Duration
	// Strip removes the numbers from an object, and leaves what is written at once.
	Strip func(v1alpha1.Object)
}

// Count bounds how often the status is written for the sake of numbers alone.
func (p *Pass) Count(c Counts) { p.counts = &c }

// pace is what is remembered of an object's numbers between passes.
type pace struct {
	seen    any       // the status as it was last to be written
	first   time.Time // when it first differed from what is written; zero when it does not
	changed time.Time // when it last changed
	written time.Time
}

// countsWait is how long a status that differs in numbers alone has to wait until it may be written; 0 or less is now.
func (p *Pass) countsWait() time.Duration {
	if p.counts == nil || !p.differsInCounts() {
		return 0
	}
	kept, _ := p.recorder.counted.LoadOrStore(p.object.GetUID(), &pace{})
	// The queue gives an object to one pass at a time.
	known, now := kept.(*pace), p.recorder.Clock()
	wait := known.next(*p.counts, statusOf(p.object), now)
	if wait <= 0 {
		known.written, known.first = now, time.Time{}
	}
	return wait
}

// next notes the numbers that are to be written and tells how long they have to wait.
func (k *pace) next(c Counts, status any, now time.Time) time.Duration {
	if k.first.IsZero() {
		k.first = now
	}
	if !equality.Semantic.DeepEqual(k.seen, status) {
		k.seen, k.changed = status, now
	}
	due := k.changed.Add(c.Settle)
	if late := k.first.Add(c.Every); late.Before(due) {
		due = late
	}
	if soonest := k.written.Add(c.Every); soonest.After(due) {
		due = soonest
	}
	return due.Sub(now)
}

// differsInCounts tells whether the status differs from that before in nothing but numbers.
func (p *Pass) differsInCounts() bool {
	before, after := p.before.DeepCopyObject().(v1alpha1.Object), p.object.DeepCopyObject().(v1alpha1.Object)
	p.counts.Strip(before)
	p.counts.Strip(after)
	return equality.Semantic.DeepEqual(statusOf(before), statusOf(after))
}
