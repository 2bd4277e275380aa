package match

import "bytes"

// A vocabulary tells which of the terms' words a folded word may be. It is never changed once it is made.
type vocabulary struct {
	filter  []uint64 // a bit for each hash: most words end here
	slots   []slot   // open addressing, at most a quarter full
	entries []entry
}

type slot struct {
	hash  uint64
	entry int32 // one more than its index; 0 is free
}

type entry struct {
	key        []byte
	candidates []candidate
}

// candidate is a word of terms that the key may be, when the text compares to form by folding. Keys of accounts, authors and
// links have nothing left to compare: their form is empty.
type candidate struct {
	symbol int32
	form   []byte
	folding
}

// filterBits is how many bits the filter has for each entry, at least.
const filterBits = 16

// hashOf is FNV-1a with its bits spread. Whom it collides with are terms, which no stranger writes.
func hashOf(key []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, c := range key {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h ^ h>>29
}

func newVocabulary(words map[string][]candidate) *vocabulary {
	size := 64
	for size < 4*len(words) {
		size *= 2
	}
	v := &vocabulary{filter: make([]uint64, size*filterBits/4/64), slots: make([]slot, size), entries: make([]entry, 0, len(words))}
	for key, candidates := range words {
		v.entries = append(v.entries, entry{key: []byte(key), candidates: candidates})
		h := hashOf([]byte(key))
		bit := h >> 32 & uint64(64*len(v.filter)-1)
		v.filter[bit/64] |= 1 << (bit % 64)
		i := h & uint64(size-1)
		for v.slots[i].entry != 0 {
			i = (i + 1) & uint64(size-1)
		}
		v.slots[i] = slot{hash: h, entry: int32(len(v.entries))}
	}
	return v
}

func (v *vocabulary) lookup(key []byte) []candidate {
	h := hashOf(key)
	bit := h >> 32 & uint64(64*len(v.filter)-1)
	if v.filter[bit/64]>>(bit%64)&1 == 0 {
		return nil
	}
	mask := uint64(len(v.slots) - 1)
	for i := h & mask; v.slots[i].entry != 0; i = (i + 1) & mask {
		if v.slots[i].hash == h {
			if e := &v.entries[v.slots[i].entry-1]; bytes.Equal(e.key, key) {
				return e.candidates
			}
		}
	}
	return nil
}

// node is a place in the trie of phrases: what has been read of some of them.
type node struct {
	children bool
	atoms    []int32 // that end here
}

// trie holds the words in a row of all terms. Node 0 is where nothing has been read.
type trie struct {
	nodes []node
	next  map[uint64]int32 // by node and symbol; few words get here
	first []int32          // the same of node 0, by symbol; 0 for none
}

func newTrie() *trie { return &trie{nodes: make([]node, 1), next: map[uint64]int32{}} }

func (t *trie) child(n, symbol int32) int32 {
	if n == 0 {
		return t.first[symbol]
	}
	return t.next[uint64(n)<<32|uint64(symbol)]
}

// add writes a path of symbols into the trie.
func (t *trie) add(symbols []int32, atom int32) {
	n := int32(0)
	for _, symbol := range symbols {
		for len(t.first) <= int(symbol) {
			t.first = append(t.first, 0)
		}
		child := t.child(n, symbol)
		if child == 0 {
			child = int32(len(t.nodes))
			t.nodes = append(t.nodes, node{})
			t.nodes[n].children = true
			if n == 0 {
				t.first[symbol] = child
			} else {
				t.next[uint64(n)<<32|uint64(symbol)] = child
			}
		}
		n = child
	}
	t.nodes[n].atoms = append(t.nodes[n].atoms, atom)
}

// thread is a phrase of which a part was read: it goes on with a word at position next.
type thread struct {
	node, next int32
	at         int32 // the position of its first word
	start      int   // in bytes
}

// occurrence is a place where an atom, the words of a term, was found.
type occurrence struct {
	atom       int32
	at, to     int32 // positions
	start, end int   // bytes
	place      Field
	item       int32
}

// automaton walks the trie over the words of one post.
type automaton struct {
	matcher *Matcher
	threads []thread
	found   []occurrence
	folded  []byte
	trigger bool // something of an Any was found
	place   Field
	item    int32
}

// forget ends all phrases: so does the end of a sentence.
func (a *automaton) forget() { a.threads = a.threads[:0] }

// advance drops the phrases that would have gone on before a position.
func (a *automaton) advance(at int32) {
	kept := a.threads[:0]
	for _, t := range a.threads {
		if t.next >= at {
			kept = append(kept, t)
		}
	}
	a.threads = kept
}

// step reads an edge: it begins phrases and continues those that wait at its position.
func (a *automaton) step(key []byte, e edge, text string) {
	candidates := a.matcher.words.lookup(key)
	for i := range candidates {
		c := &candidates[i]
		if len(c.form) > 0 && c.letters != Loose || c.keepCase {
			if a.folded = appendFolded(a.folded[:0], text[e.start:e.end], c.folding); !bytes.Equal(a.folded, c.form) {
				continue
			}
		}
		a.take(c.symbol, e)
	}
}

func (a *automaton) take(symbol int32, e edge) {
	waiting := len(a.threads)
	if child := a.matcher.trie.first[symbol]; child != 0 {
		a.arrive(child, thread{at: e.at, start: e.start}, e)
	}
	for i := range waiting {
		if t := a.threads[i]; t.next == e.at {
			if child := a.matcher.trie.next[uint64(t.node)<<32|uint64(symbol)]; child != 0 {
				a.arrive(child, t, e)
			}
		}
	}
}

// arrive notes what ends at a node, and waits for what goes on from it.
func (a *automaton) arrive(n int32, t thread, e edge) {
	to := e.at + e.width
	at := &a.matcher.trie.nodes[n]
	for _, atom := range at.atoms {
		a.found = append(a.found, occurrence{atom: atom, at: t.at, to: to, start: t.start, end: e.end, place: a.place, item: a.item})
		a.trigger = a.trigger || a.matcher.atoms[atom].trigger
	}
	if !at.children {
		return
	}
	for _, other := range a.threads {
		if other.node == n && other.next == to && other.at == t.at {
			return
		}
	}
	a.threads = append(a.threads, thread{node: n, next: to, at: t.at, start: t.start})
}
