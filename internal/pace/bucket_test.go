package pace_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/pace"
)

var start = time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)

// rate draws a rate of any size that a channel or a receiver may have.
func rate(t *rapid.T) pace.Rate {
	return pace.Rate(rapid.Float64Range(0.1, 10000).Draw(t, "rate"))
}

// grant is what somebody took.
type grant struct {
	at    time.Time
	n     int64
	class pace.Class
}

// take lets somebody take at most want.
func take(b pace.Bucket, r pace.Rate, now time.Time, want int64, c pace.Class) (pace.Bucket, int64) {
	b = b.Fill(r, now)
	n := min(want, b.Available(r, c))
	return b.Take(n, c), n
}

// Whoever takes how much and when, over no interval does more leave than the rate, the burst and the overdraft allow, and
// without transactional messages no more than rate and burst.
func TestABucketGrantsNoMoreThanItsRate(t *testing.T) {
	for name, classes := range map[string][]pace.Class{
		"Bulk": {pace.Bulk}, "Both": {pace.Bulk, pace.Transactional}, "Transactional": {pace.Transactional},
	} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				r := rate(t)
				b, now := pace.Full(r, start), start
				var grants []grant
				for range rapid.IntRange(1, 60).Draw(t, "takes") {
					// Clocks of several takers may go back a little.
					now = now.Add(time.Duration(rapid.Int64Range(-50_000, 2_000_000).Draw(t, "pause")) * time.Microsecond)
					c := rapid.SampledFrom(classes).Draw(t, "class")
					var n int64
					if b, n = take(b, r, now, rapid.Int64Range(1, 3*int64(r.Burst())).Draw(t, "want"), c); n < 0 {
						t.Fatalf("granted %d", n)
					}
					grants = append(grants, grant{b.FilledAt, n, c})
				}
				checkIntervals(t, r, grants, len(classes) == 1 && classes[0] == pace.Bulk)
			})
		})
	}
}

func checkIntervals(t *rapid.T, r pace.Rate, grants []grant, bulkOnly bool) {
	const rounding = 1e-3
	for i := range grants {
		var sum, bulk int64
		for _, g := range grants[i:] {
			sum += g.n
			if g.class == pace.Bulk {
				bulk += g.n
			}
			income := float64(r) * g.at.Sub(grants[i].at).Seconds()
			if float64(bulk) > income+r.Burst()+rounding {
				t.Fatalf("%d bulk messages left in %s at %v a second", bulk, g.at.Sub(grants[i].at), r)
			}
			most := income + r.Burst() + r.Overdraft()
			if bulkOnly {
				most = income + r.Burst()
			}
			if float64(sum) > most+rounding {
				t.Fatalf("%d messages left in %s at %v a second, %v at most may", sum, g.at.Sub(grants[i].at), r, most)
			}
		}
	}
}

// Tokens that come back unused may be given to others, and never make a bucket hold more than it does.
func TestABucketDoesNotOverflow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rate(t)
		b := pace.Bucket{
			Tokens: rapid.Float64Range(0, 3*r.Burst()).Draw(t, "tokens"), Debt: rapid.Float64Range(0, 2*r.Overdraft()).Draw(t, "debt"), FilledAt: start,
		}
		got := b.Fill(r, start.Add(time.Duration(rapid.Int64Range(-1e9, 1e12).Draw(t, "later"))))
		if got.Tokens > r.Burst() || got.Debt > r.Overdraft() || got.Tokens < 0 || got.Debt < 0 {
			t.Fatalf("%+v became %+v at %v a second", b, got, r)
		}
	})
}

// Who is told to wait and comes back then is given a portion, or all of what he wanted; and not much earlier.
func TestWaitIsAsLongAsItTakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rate(t)
		b := pace.Bucket{
			Tokens: rapid.Float64Range(0, r.Burst()).Draw(t, "tokens"), Debt: rapid.Float64Range(0, r.Overdraft()).Draw(t, "debt"), FilledAt: start,
		}
		want := rapid.Int64Range(1, 1000).Draw(t, "want")
		c := rapid.SampledFrom([]pace.Class{pace.Bulk, pace.Transactional}).Draw(t, "class")
		wait := b.Wait(r, want, c)
		portion := int64(min(float64(want), r.Portion()))
		if got := b.Fill(r, start.Add(wait+time.Microsecond)).Available(r, c); got < portion {
			t.Fatalf("%d may leave after %s, %d were promised: %+v", got, wait, portion, b)
		}
		if early := wait * 9 / 10; wait > time.Millisecond && c == pace.Bulk {
			if got := b.Fill(r, start.Add(early)).Available(r, c); float64(got) >= min(float64(want), r.Portion()) {
				t.Fatalf("%d may leave after %s already, %s was said: %+v", got, early, wait, b)
			}
		}
	})
}

// However they interleave, everybody who asks again when he was told gets what he wanted, by when the rate allows it; and
// transactional messages without end leave bulk its quarter.
func TestNobodyStarves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := pace.Rate(rapid.Float64Range(0.5, 500).Draw(t, "rate"))
		type taker struct {
			want int64
			at   time.Time
		}
		var takers []taker
		total := int64(0)
		for range rapid.IntRange(1, 8).Draw(t, "takers") {
			want := rapid.Int64Range(1, 200).Draw(t, "want")
			total += want
			takers = append(takers, taker{want, start})
		}
		flood := rapid.Bool().Draw(t, "flood")
		b := pace.Bucket{FilledAt: start}
		income := float64(r)
		if flood {
			income /= 4
		}
		limit := start.Add(time.Duration((float64(total)/income + 8/income + 8) * float64(time.Second)))
		for now, left := start, total; left > 0; {
			if now.After(limit) {
				t.Fatalf("%d of %d are not served after %s at %v a second", left, total, now.Sub(start), r)
			}
			if flood { // the transactional one always comes first
				b, _ = take(b, r, now, 1<<40, pace.Transactional)
			}
			// Those who are due come in any order.
			for _, i := range rapid.Permutation(indexes(len(takers))).Draw(t, "order") {
				k := &takers[i]
				if k.want == 0 || k.at.After(now) {
					continue
				}
				var n int64
				b, n = take(b, r, now, k.want, pace.Bulk)
				k.want -= n
				left -= n
				k.at = now.Add(max(b.Wait(r, k.want, pace.Bulk), time.Microsecond))
			}
			next := limit.Add(time.Second)
			for _, k := range takers {
				if k.want > 0 && k.at.Before(next) {
					next = k.at
				}
			}
			now = next
		}
	})
}

func indexes(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

func TestShare(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		offers := rapid.SliceOfN(rapid.Int64Range(0, 50), 0, 10).Draw(t, "offers")
		room := rapid.Int64Range(0, 300).Draw(t, "room")
		var offered, given int64
		for i, n := range pace.Share(offers, room) {
			if n < 0 || n > offers[i] {
				t.Fatalf("%d of %d", n, offers[i])
			}
			given += n
			offered += offers[i]
		}
		if given != min(offered, room) {
			t.Fatalf("%d given of a room of %d, %d were wanted", given, room, offered)
		}
	})
}
