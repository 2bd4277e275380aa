package listen

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Bounds of what a batch has beside posts.
const (
	maxGaps     = 64
	maxReasons  = 32 // of refusals that are told apart
	maxReason   = 200
	otherReason = "for one of many other reasons"
	badDeletion = "a deletion has no usable id"
)

// Tidy makes what a batch has beside posts safe to store: deletions that name something, gaps that have an end and are no longer ahead
// than clocks are, and reasons of refusals that are few and short. The error is a *Trouble, where a batch cannot be stored at all.
func (b *Batch) Tidy(now time.Time) error {
	switch {
	case b.Network == "" && len(b.Posts)+len(b.Deleted) > 0, len(b.Network) > MaxID, !plain(b.Network):
		return Troublef(Malformed, "The source brings posts without saying of which network they are.")
	case len(b.Next) > MaxCursor:
		return Troublef(Malformed, "How far the source has been read cannot be remembered: that takes more than %d bytes.", MaxCursor)
	case b.Next != nil && !json.Valid(b.Next):
		return Troublef(Malformed, "How far the source has been read cannot be remembered: it is no JSON.")
	}
	refused := b.Rejected
	b.Rejected = nil
	for _, reason := range slices.Sorted(maps.Keys(refused)) {
		b.Refuse(reason, refused[reason])
	}
	b.Deleted = slices.DeleteFunc(slices.Clone(b.Deleted), func(d Deletion) bool {
		bad := d.PostID == "" && d.AuthorID == "" || reference(d.PostID) != d.PostID || reference(d.AuthorID) != d.AuthorID
		if bad {
			b.Refuse(badDeletion, 1)
		}
		return bad
	})
	b.tidyGaps(now)
	return nil
}

// tidyGaps sees to it that each has an end that can be, and no beginning behind it.
func (b *Batch) tidyGaps(now time.Time) {
	b.Gaps = slices.Clone(b.Gaps[:min(len(b.Gaps), maxGaps)])
	for i := range b.Gaps {
		g := &b.Gaps[i]
		g.Reason = line(g.Reason, maxReason)
		if g.To.Before(earliest) || g.To.After(now.Add(Skew)) {
			g.To = now
		}
		if g.From.Before(earliest) || g.From.After(g.To) {
			g.From = time.Time{}
		}
	}
}

// Refuse counts posts that cannot be kept, for a reason that repeats nothing of them.
func (b *Batch) Refuse(reason string, n int) {
	if n <= 0 {
		return
	}
	if b.Rejected == nil {
		b.Rejected = map[string]int{}
	}
	reason = line(reason, maxReason)
	if _, known := b.Rejected[reason]; !known && len(b.Rejected) >= maxReasons {
		reason = otherReason
	}
	b.Rejected[reason] += n
}
