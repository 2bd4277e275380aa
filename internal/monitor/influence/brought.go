package influence

import "time"

// BroughtWithin is how soon after talking with somebody a first word about the topic counts as theirs.
const BroughtWithin = 72 * time.Hour

// Talk is that two people talked with each other, in whatever direction.
type Talk struct {
	A, B int64
	At   time.Time
}

// Brought counts, of each author, how many people wrote about the topic for the first time after talking with them, within BroughtWithin,
// and after they had themselves. first is when each author first wrote about it. Somebody who talked with several of them was brought by each.
func Brought(talks []Talk, first map[int64]time.Time) map[int64]int {
	type pair struct{ by, who int64 }
	counted := map[pair]bool{}
	brought := map[int64]int{}
	count := func(by, who int64, at time.Time) {
		before, wrote := first[by]
		began, wroteToo := first[who]
		if !wrote || !wroteToo || by == who || counted[pair{by, who}] {
			return
		}
		if before.After(at) || at.After(began) || began.Sub(at) > BroughtWithin || !before.Before(began) {
			return
		}
		counted[pair{by, who}] = true
		brought[by]++
	}
	for _, t := range talks {
		count(t.A, t.B, t.At)
		count(t.B, t.A, t.At)
	}
	return brought
}
