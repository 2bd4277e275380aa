package work

import "github.com/tertulia-crm/tertulia/internal/store"

// turns has sends take turns, whatever their sizes: an urgent one goes first, and else the one whose last turn was longest ago.
type turns struct {
	count int
	last  map[int64]int // by send, which of all turns it had last
}

// next is the send whose turn it is among those that may have one; false where none may.
func (t *turns) next(sends []store.SendableSend, may func(store.SendableSend) bool) (store.SendableSend, bool) {
	var chosen store.SendableSend
	found := false
	for _, s := range sends {
		if may(s) && (!found || t.before(s, chosen)) {
			chosen, found = s, true
		}
	}
	return chosen, found
}

func (t *turns) before(a, b store.SendableSend) bool {
	if a.Urgent != b.Urgent {
		return a.Urgent
	}
	if t.last[a.ID] != t.last[b.ID] {
		return t.last[a.ID] < t.last[b.ID]
	}
	return a.ID < b.ID
}

// took notes that a send had its turn.
func (t *turns) took(send int64) {
	if t.last == nil {
		t.last = map[int64]int{}
	}
	t.count++
	t.last[send] = t.count
}

// forget drops what is known of sends that are not among these.
func (t *turns) forget(sends []store.SendableSend) {
	there := map[int64]bool{}
	for _, s := range sends {
		there[s.ID] = true
	}
	for id := range t.last {
		if !there[id] {
			delete(t.last, id)
		}
	}
}
