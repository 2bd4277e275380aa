package sentiment

import "strconv"

// Rules about a post as a whole: what one part of it does to another.

// remedy lets the trouble that was mended weigh nothing. What was not mended has its weight still.
func (w *weighing) remedy() {
	for i := range w.items {
		if w.items[i].entry.role != roleRemedy || w.items[i].weight <= 0 {
			continue
		}
		for j := i + 1; j < len(w.items) && w.clause(j) == w.clause(i) && w.between(i, j) < negationReach; j++ {
			if w.items[j].weight < 0 && !w.isSign(j) {
				w.items[j].scale(0, "mended")
				break
			}
		}
	}
}

// working lets what a thing should do speak badly where it is negated.
func (w *weighing) working() {
	for i := range w.items {
		if w.items[i].entry.role != roleWorking {
			continue
		}
		for j := i - 1; j >= 0 && w.clause(j) == w.clause(i) && w.between(j, i) < negationReach-1; j-- {
			if w.items[j].entry.role == roleNegator && !w.items[j].used {
				w.items[i].weight = w.items[i].entry.value
				w.items[i].because = append(w.items[i].because, "negated by "+w.textOf(&w.items[j]))
				w.items[j].used = true
				break
			}
		}
	}
}

// courtesy lets thanks and greetings weigh little in a post that asks or complains: they are manners there.
func (w *weighing) courtesy() {
	manners := false
	for _, s := range w.text.sentences {
		manners = manners || s.questions > 0
	}
	for i := range w.items {
		manners = manners || w.items[i].weight <= -1
	}
	for i := range w.items {
		if manners && w.items[i].entry.role == roleCourtesy {
			w.items[i].scale(courteous, "courtesy")
		}
	}
}

// lean gives a little weight to what speaks softly: a negation of nothing that a list knows, and a cry.
func (w *weighing) lean() {
	any := false
	for i := range w.items {
		it := &w.items[i]
		any = any || it.weight != 0
		if it.entry.role == roleNegator && !it.used && w.text.sentences[w.sentence(i)].questions == 0 {
			it.weight, it.because = loneNegation, []string{"denies something"}
		}
	}
	if any || len(w.text.tokens) == 0 {
		return
	}
	for s := range w.text.sentences {
		if w.text.sentences[s].exclamations > 0 && w.text.sentences[s].questions == 0 {
			last := len(w.text.tokens) - 1
			w.items = append(w.items, item{entry: exclamation, first: last, last: last, weight: loneExclamation, because: []string{"exclaimed"}})
			return
		}
	}
}

// exclamation stands for a cry.
var exclamation = &entry{role: rolePolar}

// oppose weighs what stands before and behind words such as "but" and "although". Each such word reaches to the next of its
// kind, so that the time this takes grows with the text and not with its square.
func (w *weighing) oppose() {
	for i := range w.items {
		switch w.items[i].entry.role {
		case roleContrast:
			w.contrast(i)
		case roleConcede:
			for j := i + 1; j < len(w.items) && w.clause(j) == w.clause(i) && w.items[j].entry.role != roleConcede; j++ {
				w.items[j].scale(conceded, "behind "+w.textOf(&w.items[i]))
			}
		}
	}
}

func (w *weighing) contrast(i int) {
	why := w.textOf(&w.items[i])
	behind := false
	for j := i + 1; j < len(w.items) && w.sentence(j) == w.sentence(i) && w.items[j].entry.role != roleContrast; j++ {
		behind = behind || w.items[j].weight != 0
		if !w.isSign(j) {
			w.items[j].scale(behindContrast, "behind "+why)
		}
	}
	if !behind {
		return
	}
	for j := i - 1; j >= 0 && w.sentence(i)-w.sentence(j) <= 1 && w.items[j].entry.role != roleContrast; j-- {
		if !w.isSign(j) {
			w.items[j].scale(beforeContrast, "before "+why)
		}
	}
}

// ask weakens what is asked.
func (w *weighing) ask() {
	for i := range w.items {
		if w.text.sentences[w.sentence(i)].questions > 0 && !w.isSign(i) {
			w.items[i].scale(asked, "asked")
		}
	}
}

// repeat lets what is said again count for less each time.
func (w *weighing) repeat() {
	if len(w.items) < 2 {
		return
	}
	times := make(map[*entry]int, len(w.items))
	for i := range w.items {
		it := &w.items[i]
		if it.weight == 0 || it.entry == exclamation {
			continue
		}
		times[it.entry]++
		if n := times[it.entry]; n > 1 {
			it.scale(1/float64(n), "said "+strconv.Itoa(n)+" times")
		}
	}
}
