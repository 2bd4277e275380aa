package sentiment

import "math"

// The numbers of the rules. They were chosen by hand and looked at on labelled posts; the words' values are in the files.
const (
	negationReach   = 5    // how many words behind a negation the first polar word may stand
	amplifierReach  = 3    // how many words apart an amplifier and its word may stand
	negatedGood     = -0.7 // "not good" is nearly as bad as "bad"
	negatedBad      = -0.4 // "not bad" is far from good
	negatedBadMost  = 0.45 // and the worst, negated, is no praise at all
	beforeContrast  = 0.5  // what stands before "but"
	behindContrast  = 1.25 // and what stands behind
	conceded        = 0.5  // what stands behind "although"
	capitals        = 1.25 // GOOD
	stretched       = 1.2  // goooood
	courteous       = 0.15 // thanks in a post that asks or complains
	exclaimed       = 0.1  // for each exclamation mark, up to three
	asked           = 0.6  // what is asked is not yet said
	mocked          = -0.8 // praise with a mocking sign, in a scare quote, or before bad news
	loneNegation    = -0.5 // a negation that negates no polar word: things that are not as they should be
	loneExclamation = 0.3  // a post without polar words that exclaims
	curseAsEmphasis = 1.4  // "fucking great"
	strongestEffect = 2.5  // no word counts more often than so, however much stands around it
)

// An item is a word, a phrase or a sign that a list knows, and what the rules made of it.
type item struct {
	entry       *entry
	first, last int // tokens
	weight      float64
	because     []string
	used        bool // a negation or an amplifier that has found its word
	denies      bool // a phrase that begins with a negation, which its value has in it
}

// A weighing is a text while it is judged.
type weighing struct {
	text   scanned
	items  []item
	ironic bool
}

// weigh finds what a vocabulary knows, and applies the rules in their order: each sees what those before have done.
func weigh(text scanned, v *vocabulary) weighing {
	w := weighing{text: text}
	w.find(v)
	w.base()
	w.curse()
	for i := range w.items {
		if w.polar(i) {
			w.amplify(i)
			w.negate(i)
			w.emphasise(i)
		}
	}
	w.remedy()
	w.working()
	w.courtesy()
	w.lean()
	w.oppose()
	w.ask()
	w.irony()
	w.repeat()
	return w
}

// heard is how much a vocabulary found in the text.
func (w *weighing) heard() float64 {
	sum := 0.0
	for i := range w.items {
		sum += math.Abs(w.items[i].weight)
	}
	return sum
}

// find collects the items of a text. A phrase goes before the words in it.
func (w *weighing) find(v *vocabulary) {
	tokens := w.text.tokens
	for i := 0; i < len(tokens); i++ {
		t := &tokens[i]
		if t.sign != nil {
			w.items = append(w.items, item{entry: t.sign, first: i, last: i})
			continue
		}
		if last, e := v.phrase(tokens, i); e != nil {
			w.items = append(w.items, item{entry: e, first: i, last: last, denies: v.negates(t.text)})
			i = last
			continue
		}
		e := v.find(t.text)
		if e == nil && t.stretched {
			e, t.text = v.findStretched(t.text)
		}
		if e == nil && t.censored {
			e = censoredCurse
		}
		if e != nil {
			w.items = append(w.items, item{entry: e, first: i, last: i})
		}
	}
}

// censoredCurse is what letters replaced by asterisks hide.
var censoredCurse = &entry{role: roleSwear, value: -1.5}

// negates tells whether a word is a negation.
func (v *vocabulary) negates(word string) bool {
	e := v.find(word)
	return e != nil && e.role == roleNegator
}

// phrase finds the longest phrase that begins at a token. It does not cross the end of a sentence.
func (v *vocabulary) phrase(tokens []token, at int) (last int, e *entry) {
	node := &v.phrases
	for i := at; i < len(tokens) && i < at+v.maxPhrase; i++ {
		if tokens[i].sign != nil || tokens[i].sentence != tokens[at].sentence {
			break
		}
		if node = node.next[tokens[i].text]; node == nil {
			break
		}
		if node.entry != nil {
			last, e = i, node.entry
		}
	}
	return last, e
}

// base gives items the values of their entries.
func (w *weighing) base() {
	for i := range w.items {
		it := &w.items[i]
		switch it.entry.role {
		case rolePolar, roleSwear, roleEnjoy, roleMocking, roleRemedy, roleCourtesy:
			it.weight = it.entry.value
		case roleFiller:
			if !w.opensClause(it) {
				it.weight = it.entry.value
			}
		}
	}
}

// opensClause tells whether an item is the first of its clause, where "bueno" and "well" only begin to speak.
func (w *weighing) opensClause(it *item) bool {
	return it.first == 0 || w.text.tokens[it.first-1].clause != w.text.tokens[it.first].clause
}

// polar tells whether an item speaks well or badly now.
func (w *weighing) polar(i int) bool {
	return w.items[i].weight != 0
}

func (w *weighing) isSign(i int) bool { return w.text.tokens[w.items[i].first].sign != nil }

func (w *weighing) clause(i int) int   { return w.text.tokens[w.items[i].first].clause }
func (w *weighing) sentence(i int) int { return w.text.tokens[w.items[i].first].sentence }

// between is how many words lie between two items, of which the first comes first.
func (w *weighing) between(i, j int) int { return w.items[j].first - w.items[i].last - 1 }

// scale multiplies a weight and notes why.
func (it *item) scale(factor float64, why string) {
	if it.weight == 0 {
		return
	}
	it.weight *= factor
	it.because = append(it.because, why)
}

// curse makes curses into emphasis where a polar word is near in their clause: "fucking great" is praise.
func (w *weighing) curse() {
	for i := range w.items {
		if w.items[i].entry.role != roleSwear || math.Abs(w.items[i].entry.value) > 2 {
			continue
		}
		if i+1 < len(w.items) && w.clause(i) == w.clause(i+1) && w.between(i, i+1) <= 1 && w.items[i+1].entry.role != roleSwear &&
			w.polar(i+1) && !w.isSign(i+1) {
			w.items[i+1].scale(curseAsEmphasis, "cursed: "+w.textOf(&w.items[i]))
			w.items[i].weight, w.items[i].used = 0, true
		}
	}
}
