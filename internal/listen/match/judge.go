package match

import (
	"cmp"
	"slices"
)

// compare orders claims by topic, list, term, member and place; of those at one place the longest in bytes comes first.
func (r *run) compare(a, b claim) int {
	x, y := &r.machine.found[a.found], &r.machine.found[b.found]
	return cmp.Or(
		cmp.Compare(a.topic, b.topic), cmp.Compare(a.list, b.list), cmp.Compare(a.term, b.term), cmp.Compare(a.member, b.member),
		cmp.Compare(x.at, y.at), cmp.Compare(x.to, y.to), cmp.Compare(x.start, y.start), cmp.Compare(y.end, x.end),
	)
}

// same tells claims of one term on the same words, which were read in two ways.
func (r *run) same(a, b claim) bool {
	x, y := &r.machine.found[a.found], &r.machine.found[b.found]
	return a.owner == b.owner && x.at == y.at && x.to == y.to
}

// topic tells from its claims whether a post is about a topic. Its hits are in r.hits then.
func (r *run) topic(topic int32, claims []claim) bool {
	lists := [4][]claim{}
	for list, rest := 0, claims; list < len(lists); list++ {
		n := 0
		for n < len(rest) && int(rest[n].list) == list {
			n++
		}
		lists[list], rest = rest[:n], rest[n:]
	}
	r.hide(lists[ListExcept])
	r.hits = r.hits[:0]
	if r.list(topic, lists[ListAny]); len(r.hits) == 0 {
		return false
	}
	any := len(r.hits)
	if len(r.machine.matcher.topics[topic].terms[ListWith]) > 0 {
		if r.list(topic, lists[ListWith]); len(r.hits) == any {
			return false
		}
	}
	wanted := len(r.hits)
	r.hidden = r.hidden[:0] // what excludes a post does so wherever it stands
	r.list(topic, lists[ListNone])
	return len(r.hits) == wanted
}

// span is positions of words, the last one excluded.
type span struct{ at, to int32 }

// hide joins the places of exceptions, in order, into r.hidden.
func (r *run) hide(claims []claim) {
	r.hidden = r.hidden[:0]
	for _, c := range claims {
		o := &r.machine.found[c.found]
		r.hidden = append(r.hidden, span{o.at, o.to})
	}
	if len(r.hidden) == 0 {
		return
	}
	slices.SortFunc(r.hidden, func(a, b span) int { return cmp.Compare(a.at, b.at) })
	joined := r.hidden[:1]
	for _, s := range r.hidden[1:] {
		if last := &joined[len(joined)-1]; s.at < last.to {
			last.to = max(last.to, s.to)
			continue
		}
		joined = append(joined, s)
	}
	r.hidden = joined
}

// isHidden tells whether a place touches an exception.
func isHidden(hidden []span, o *occurrence) bool {
	i, _ := slices.BinarySearchFunc(hidden, o.at, func(s span, at int32) int {
		if s.to <= at {
			return -1
		}
		return 1
	})
	return i < len(hidden) && hidden[i].at < o.to
}

// list appends the hits of one list of terms to r.hits.
func (r *run) list(topic int32, claims []claim) {
	for from := 0; from < len(claims); {
		c := claims[from]
		r.shown = r.shown[:0]
		for ; from < len(claims) && claims[from].term == c.term; from++ {
			if !isHidden(r.hidden, &r.machine.found[claims[from].found]) {
				r.shown = append(r.shown, claims[from])
			}
		}
		if near := r.machine.matcher.topics[topic].terms[c.list][c.term].Near; near != nil {
			r.together(near)
		}
		for _, c := range r.shown[:min(len(r.shown), MaxHits)] {
			o := &r.machine.found[c.found]
			r.hits = append(r.hits, Hit{List: int(c.list), Term: int(c.term), Field: o.place, Item: int(o.item), Start: o.start, End: o.end})
		}
	}
}

// together finds the first place where all members of a Near stand together, and leaves only their claims there in r.shown.
func (r *run) together(n *Near) {
	r.near = append(r.near[:0], r.shown...)
	r.shown = r.shown[:0]
	at := func(c claim) int32 { return r.machine.found[c.found].at }
	// Of members at the same word, later ones come first, so that a member never follows itself at one position.
	slices.SortStableFunc(r.near, func(a, b claim) int { return cmp.Or(cmp.Compare(at(a), at(b)), cmp.Compare(b.member, a.member)) })
	members := len(n.Words)
	// chains[k] holds the claims of the members 0 to k of the chain that begins last, or, in any order, the last of each.
	var chains [MaxNear][MaxNear]claim
	var known [MaxNear]bool
	for _, c := range r.near {
		k := int(c.member)
		switch {
		case !n.Ordered:
			chains[0][k], known[k] = c, true
		case k == 0:
			chains[0][0], known[0] = c, true
		case known[k-1] && at(chains[k-1][k-1]) < at(c):
			chains[k] = chains[k-1]
			chains[k][k], known[k] = c, true
		default:
			continue
		}
		chain := &chains[0]
		if n.Ordered {
			if k != members-1 {
				continue
			}
			chain = &chains[k]
		} else if slices.Contains(known[:members], false) {
			continue
		}
		first := at(chain[0])
		for _, other := range chain[1:members] {
			first = min(first, at(other))
		}
		if at(c)-first <= int32(n.Within) {
			r.shown = append(r.shown, chain[:members]...)
			return
		}
	}
}
