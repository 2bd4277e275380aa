package match

import (
	"slices"
	"sync"
	"unicode/utf8"
)

// Post is what is read of a post: its text, and what the network tells apart from it.
type Post struct {
	Text     string
	Tags     []string // hashtags besides those in the text
	Mentions []string // accounts that are mentioned, by their whole names
	Links    []string // what it links to
	Author   []string // the author's names: the handle, and the network's identifier
}

// Field is a part of a post.
type Field uint8

// The parts of a post in which terms are found.
const (
	InText Field = iota
	InTags
	InMentions
	InLinks
	InAuthor
)

func (f Field) String() string {
	return [...]string{"text", "tags", "mentions", "links", "author"}[f]
}

// Match is a topic that a post is about, and why.
type Match struct {
	Topic int // its index in what was compiled
	Name  string
	Hits  []Hit // by list, term and place
}

// Hit is a place where a term was found.
type Hit struct {
	List int // ListAny or ListWith
	Term int // its index there
	// Field and Item say where: Start and End are offsets in bytes into the text, or into that tag, mention, link or name.
	Field      Field
	Item       int
	Start, End int
}

// Term is the term of a hit of a topic.
func (m *Matcher) Term(topic int, h Hit) Term { return m.topics[topic].terms[h.List][h.Term] }

// Len is how many topics there are.
func (m *Matcher) Len() int { return len(m.topics) }

// run is what reading one post needs. It is used again, so that a post about nothing costs no memory.
type run struct {
	reader  reader
	machine automaton
	topics  []bool // of which something of Any was found
	claims  []claim
	shown   []claim // of one term
	near    []claim // of one term, in the order of the text
	hidden  []span
	hits    []Hit
}

// pool keeps runs that are idle.
type pool struct{ runs sync.Pool }

func (p *pool) fill(m *Matcher) {
	p.runs.New = func() any {
		r := &run{topics: make([]bool, len(m.topics))}
		r.machine.matcher = m
		r.reader.automate = &r.machine
		return r
	}
}

// gap is by how many positions parts of a post lie apart, so that nothing in one is near to what is in another.
const gap = 1 << 20

// Match appends the topics that a post is about to found. It allocates nothing when there are none.
func (m *Matcher) Match(post *Post, found []Match) []Match {
	r := m.idle.runs.Get().(*run)
	r.read(post)
	if r.machine.trigger {
		found = r.judge(found)
	}
	r.reader.text = "" // the post need not outlive this
	m.idle.runs.Put(r)
	return found
}

func (r *run) read(post *Post) {
	a := &r.machine
	a.threads, a.found, a.trigger = a.threads[:0], a.found[:0], false
	a.place, a.item, r.reader.at = InText, 0, 0
	r.reader.read(clipText(post.Text))
	at := r.items(InTags, post.Tags, 0)
	at = r.items(InMentions, post.Mentions, at)
	at = r.items(InLinks, post.Links, at)
	r.items(InAuthor, post.Author, at)
}

// items reads a list that the network tells apart from the text. It returns the position of the last one.
func (r *run) items(place Field, list []string, at int32) int32 {
	for i, item := range list[:min(len(list), MaxItems)] {
		at += gap
		r.machine.place, r.machine.item, r.reader.at, r.reader.apart = place, int32(i), at, true
		item = clipText(item)
		switch place {
		case InTags:
			r.reader.tagged(item)
		case InMentions:
			r.reader.named(prefixAccount, item)
		case InLinks:
			r.reader.linked(item)
		case InAuthor:
			r.reader.named(prefixAuthor, item)
		}
	}
	return at
}

// clipText keeps what is read of a text, cut between characters.
func clipText(text string) string {
	if len(text) <= MaxText {
		return text
	}
	end := MaxText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// claim is an occurrence as a term's own.
type claim struct {
	owner
	found int32
}

// judge tells which topics the post is about, from all that was found in it.
func (r *run) judge(matches []Match) []Match {
	a := &r.machine
	for i := range a.found {
		for _, o := range a.matcher.atoms[a.found[i].atom].owners {
			if o.list == ListAny {
				r.topics[o.topic] = true
			}
		}
	}
	r.claims = r.claims[:0]
	for i := range a.found {
		for _, o := range a.matcher.atoms[a.found[i].atom].owners {
			if r.topics[o.topic] {
				r.claims = append(r.claims, claim{owner: o, found: int32(i)})
			}
		}
	}
	slices.SortFunc(r.claims, r.compare)
	r.claims = slices.CompactFunc(r.claims, r.same)
	for from := 0; from < len(r.claims); {
		topic := r.claims[from].topic
		to := from
		for to < len(r.claims) && r.claims[to].topic == topic {
			to++
		}
		r.topics[topic] = false
		if r.topic(topic, r.claims[from:to]) {
			matches = append(matches, Match{Topic: int(topic), Name: a.matcher.topics[topic].name, Hits: slices.Clone(r.hits)})
		}
		from = to
	}
	return matches
}
