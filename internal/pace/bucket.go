// Package pace decides how fast messages may leave: buckets of tokens for a channel and for each receiver, bounds for the
// day that grow while a sender is new, and patience with a receiver that defers what it is offered. It holds no clock and no
// state of its own: what it decides on stands in PostgreSQL, where all workers share it.
package pace

import (
	"math"
	"time"
)

// Class says how urgent messages are.
type Class int

// The classes.
const (
	// Bulk waits until there are tokens.
	Bulk Class = iota
	// Transactional takes tokens on credit, up to a bound, and pays them back out of what comes in later.
	Transactional
)

// Rate is a number of messages a second.
type Rate float64

// Burst is how many messages may leave at once after a time of rest: what a second brings, and at least one.
func (r Rate) Burst() float64 { return max(1, float64(r)) }

// Overdraft is how many messages of the class Transactional may leave beyond that.
func (r Rate) Overdraft() float64 { return r.Burst() }

// Portion is how many messages are worth waiting for: what a quarter of a second brings, and at least one.
func (r Rate) Portion() float64 { return max(1, float64(r)/4) }

// repayment is the share of a rate that pays a debt back. The rest is for bulk, so that however many transactional messages
// there are, bulk never stops.
const repayment = 0.75

// Bucket is a bucket of tokens; one token lets one message leave. Transactional messages run up a debt instead, which the
// income pays back. Over any time t no more than Burst + Overdraft + rate·t messages leave, and of bulk Burst + rate·t.
type Bucket struct {
	Tokens, Debt float64
	FilledAt     time.Time
}

// Full is a bucket that has not been used for long.
func Full(r Rate, now time.Time) Bucket { return Bucket{Tokens: r.Burst(), FilledAt: now} }

// Fill is the bucket at a later time. A clock that goes back brings nothing and takes nothing.
func (b Bucket) Fill(r Rate, now time.Time) Bucket {
	if now.After(b.FilledAt) {
		// Whole microseconds, as PostgreSQL counts them.
		income := float64(r) * (float64(now.Sub(b.FilledAt).Microseconds()) / 1e6)
		paid := min(b.Debt, income*repayment)
		b.Debt -= paid
		b.Tokens += income - paid
		b.FilledAt = now
	}
	// What the bucket cannot hold pays the debt back, too.
	over := max(0, b.Tokens-r.Burst())
	b.Tokens = min(b.Tokens, r.Burst())
	b.Debt = min(max(0, b.Debt-over), r.Overdraft())
	return b
}

// Available is how many messages of a class may leave now. Transactional ones leave on credit alone: what is in the bucket was
// saved for bulk, and however many they are, they do not take it away.
func (b Bucket) Available(r Rate, c Class) int64 {
	if c == Transactional {
		return int64(math.Floor(r.Overdraft() - b.Debt))
	}
	return int64(math.Floor(b.Tokens))
}

// Take is the bucket after n messages of a class, of those that are Available.
func (b Bucket) Take(n int64, c Class) Bucket {
	if c == Transactional {
		b.Debt += float64(n)
	} else {
		b.Tokens -= float64(n)
	}
	return b
}

// Wait is how long it takes until want messages of a class may leave, or a Portion of them, where nobody else takes any.
func (b Bucket) Wait(r Rate, want int64, c Class) time.Duration {
	if r <= 0 {
		return 0
	}
	target := min(float64(want), r.Portion())
	var seconds float64
	switch missing := target - b.Tokens; {
	case c == Transactional:
		seconds = max(0, target-(r.Overdraft()-b.Debt)) / (float64(r) * repayment)
	case missing > 0:
		// While the debt lasts a quarter of the income arrives here; afterwards all of it.
		seconds = min(missing/(1-repayment), missing+b.Debt) / float64(r)
	}
	return time.Duration(math.Ceil(seconds*1e6)) * time.Microsecond
}

// Share gives each want, in their order, what it offers to take, until the room of the channel as a whole is used up.
func Share(offers []int64, room int64) []int64 {
	shares := make([]int64, len(offers))
	for i, n := range offers {
		shares[i] = max(0, min(n, room))
		room -= shares[i]
	}
	return shares
}
