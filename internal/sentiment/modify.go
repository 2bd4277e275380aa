package sentiment

import "math"

// Rules about one word and what stands near it.

// amplify lets the nearest words of degree change an item: before it, else behind it ("gusta mucho").
func (w *weighing) amplify(i int) {
	if w.isSign(i) {
		return
	}
	found := false
	for j := i - 1; j >= 0 && w.clause(j) == w.clause(i) && w.between(j, i) < amplifierReach; j-- {
		if w.items[j].entry.role == roleAmplifier {
			w.applyDegree(i, j)
			found = true
		} else if w.polar(j) {
			break
		}
	}
	if found {
		return
	}
	for j := i + 1; j < len(w.items) && w.clause(j) == w.clause(i) && w.between(i, j) < amplifierReach-1; j++ {
		if w.polar(j) {
			return
		}
		if w.items[j].entry.role == roleAmplifier && !w.serves(j) {
			w.applyDegree(i, j)
			return
		}
	}
}

// serves tells whether a word of degree belongs to what follows it.
func (w *weighing) serves(j int) bool {
	return j+1 < len(w.items) && w.polar(j+1) && !w.isSign(j+1) && w.clause(j) == w.clause(j+1) && w.between(j, j+1) < amplifierReach-1
}

func (w *weighing) applyDegree(i, j int) {
	it, factor := &w.items[i], w.items[j].entry.value
	if math.Abs(it.weight*factor) > strongestEffect*math.Abs(it.entry.value) || w.items[j].used {
		return
	}
	w.items[j].used = true
	word := "amplified by "
	if factor < 1 {
		word = "weakened by "
	}
	it.scale(factor, word+w.textOf(&w.items[j]))
}

// negate turns an item that stands in the scope of a negation: in the same clause, at most negationReach words behind it,
// with no polar word between that is not joined to it.
func (w *weighing) negate(i int) {
	if w.isSign(i) || w.items[i].entry.role == roleSwear || w.items[i].denies {
		return
	}
	for j := i - 1; j >= 0 && w.clause(j) == w.clause(i) && w.between(j, i) < negationReach; j-- {
		switch {
		case w.items[j].entry.role == roleNegator:
			w.turn(i, j)
			return
		case w.items[j].entry.role == roleContrast || w.polar(j) && w.between(j, i) > 1:
			return
		}
	}
	if w.deniedBehind(i) {
		w.turn(i, i+1)
	}
}

// deniedBehind tells whether what denies a word stands behind it: "me gusta nada".
func (w *weighing) deniedBehind(i int) bool {
	j := i + 1
	return j < len(w.items) && w.clause(j) == w.clause(i) && w.between(i, j) == 0 && w.textOf(&w.items[j]) == "nada"
}

func (w *weighing) turn(i, j int) {
	factor := negatedGood
	if w.items[i].weight < 0 {
		factor = negatedBad
	}
	w.items[j].used = true
	w.items[i].scale(factor, "negated by "+w.textOf(&w.items[j]))
	if factor == negatedBad {
		w.items[i].weight = min(w.items[i].weight, negatedBadMost)
	}
}

// emphasise looks at how a word is written.
func (w *weighing) emphasise(i int) {
	it, t := &w.items[i], &w.text.tokens[w.items[i].first]
	if t.sign != nil {
		return
	}
	if t.caps && w.text.caps*2 < len(w.text.tokens) {
		it.scale(capitals, "in capitals")
	}
	if t.stretched {
		it.scale(stretched, "drawn out")
	}
	if n := w.text.sentences[t.sentence].exclamations; n > 0 {
		it.scale(1+exclaimed*float64(min(n, 3)), "exclaimed")
	}
}
