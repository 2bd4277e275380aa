package campaign

import "time"

const (
	// DeferralLimit is how long after the freeze a message that the receiver defers is still tried, where the send has no end.
	DeferralLimit = 72 * time.Hour
	// minAttempts is how often a message is tried before it is given up, however late: a send that was paused for
	// days after its freeze would otherwise fail at the first 4xx, which is often mere greylisting.
	minAttempts = 3
	// DormancyLimit is how long a deleted campaign waits to be adopted before its pending recipients are skipped.
	DormancyLimit = 30 * 24 * time.Hour
)

// Backoff says how long to wait between attempts: First, doubled each time, at most Max, of which up to a fifth is taken
// off so that what failed together does not come back together.
type Backoff struct {
	First time.Duration
	Max   time.Duration
}

// The back-offs in use.
var (
	// DeferralBackoff is for a message that a receiver deferred: greylisting wants some minutes, a full mailbox hours.
	DeferralBackoff = Backoff{First: time.Minute, Max: time.Hour}
	// ChannelBackoff is for a channel that takes nothing.
	ChannelBackoff = Backoff{First: time.Second, Max: time.Minute}
)

// Delay is how long to wait after the given number of failed attempts (1 after the first). The same seed gives the same
// delay.
func (b Backoff) Delay(attempts int, seed uint64) time.Duration {
	delay := b.First
	for i := 1; i < attempts && delay < b.Max; i++ {
		delay *= 2
	}
	delay = min(delay, b.Max)
	// Five thousandths of the unit are enough to spread, and keep the arithmetic in integers.
	const steps = 1000
	return delay - delay/5*time.Duration(mix(seed+uint64(attempts))%steps)/steps //nolint:gosec // both are small and positive
}

// mix is the finaliser of splitmix64 (Steele, Lea, Flood 2014): neighbouring seeds give unrelated numbers.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb
	return x ^ (x >> 31)
}

// RetryDeferred decides what becomes of a message that was deferred at its nth attempt: it is tried again after the
// delay, or given up because that would be after the send's patience has ended.
func RetryDeferred(b Backoff, patientUntil, now time.Time, attempts int, seed uint64) (delay time.Duration, again bool) {
	delay = b.Delay(attempts, seed)
	if attempts >= minAttempts && now.Add(delay).After(patientUntil) {
		return 0, false
	}
	return delay, true
}
