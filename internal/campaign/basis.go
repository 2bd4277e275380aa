package campaign

import (
	"maps"
	"time"
)

// Basis is what additions to a rolling audience are judged by: the definitions of its segments, and since when those who enter
// count.
type Basis struct {
	// Digests are those of the definitions, by segment.
	Digests map[string]string `json:"digests"`
	// Since is the moment after which somebody must have entered; nil where everybody counts who is in the audience and not in
	// the ledger, because no definition has changed since the freeze.
	Since *time.Time `json:"since,omitempty"`
}

// Rebase is the basis to go on with when the segments have these definitions, and whether it is another. Who enters because a
// definition changed is not written to, unless the campaign says so: then the new definition counts as if it had always been
// there.
func (b Basis) Rebase(digests map[string]string, adds bool, now time.Time) (Basis, bool) {
	if maps.Equal(b.Digests, digests) {
		return b, false
	}
	next := Basis{Digests: digests, Since: b.Since}
	if !adds {
		next.Since = &now
	}
	return next, true
}
