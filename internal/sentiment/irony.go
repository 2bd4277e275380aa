package sentiment

// irony turns praise that something marks as meant otherwise. It sees only what is marked: most irony is not.
func (w *weighing) irony() {
	w.marked()
	w.scareQuotes()
	w.mocking()
	w.enjoying()
	w.opening()
}

// mock turns one word of praise.
func (w *weighing) mock(i int, why string) {
	if w.items[i].weight > 0 {
		w.items[i].scale(mocked, why)
		w.ironic = true
	}
}

// marked looks for words that say it: "#sarcasmo", "yeah right", "/s" at the end.
func (w *weighing) marked() {
	why := ""
	if w.text.sarcasm {
		why = "ironic: /s"
	}
	for i := range w.items {
		if w.items[i].entry.role == roleIrony {
			why = "ironic: " + w.textOf(&w.items[i])
			w.items[i].weight = ironyItself
		}
	}
	if why == "" {
		return
	}
	w.ironic = true
	for i := range w.items {
		w.mock(i, why)
	}
}

// ironyItself is the weight of a mark of irony: who is ironic is rarely content.
const ironyItself = -1

// scareQuotes looks for praise alone in quotation marks.
func (w *weighing) scareQuotes() {
	for i := range w.items {
		if w.text.tokens[w.items[i].first].quoted && w.text.tokens[w.items[i].last].quoted && !w.isSign(i) && w.items[i].entry.role == rolePolar {
			w.mock(i, "in quotation marks")
		}
	}
}

// mocking looks for signs that make fun of the words around them: those of their sentence and of the one before.
func (w *weighing) mocking() {
	for i := range w.items {
		if w.items[i].entry.role != roleMocking {
			continue
		}
		why := "mocked by " + w.textOf(&w.items[i])
		for j := i - 1; j >= 0 && w.sentence(i)-w.sentence(j) <= 1 && w.items[j].entry.role != roleMocking; j-- {
			w.mockWord(j, why)
		}
		for j := i + 1; j < len(w.items) && w.sentence(j) == w.sentence(i) && w.items[j].entry.role != roleMocking; j++ {
			w.mockWord(j, why)
		}
	}
}

// mockWord turns praise in words: a laughing face beside a mocking one laughs at the same thing.
func (w *weighing) mockWord(j int, why string) {
	if !w.isSign(j) {
		w.mock(j, why)
	}
}

// enjoying looks for delight in something bad: "I love waiting for hours", "me encanta que nunca contesten".
func (w *weighing) enjoying() {
	for i := range w.items {
		if w.items[i].entry.role != roleEnjoy || w.items[i].weight <= 0 || !w.situation(w.items[i].last+1) {
			continue
		}
		for j := i + 1; j < len(w.items) && w.sentence(j) == w.sentence(i); j++ {
			if r := w.items[j].entry.role; r == roleContrast || r == roleEnjoy {
				break
			}
			if w.items[j].weight <= -1 && !w.isSign(j) {
				w.mock(i, "enjoys "+w.textOf(&w.items[j]))
				break
			}
		}
	}
}

// situations are the words that begin what happens to somebody, rather than what they like.
var situations = map[string]bool{
	"when": true, "how": true, "that": true, "waiting": true, "being": true, "having": true, "getting": true, "paying": true, "it": true, "to": true,
	"cuando": true, "que": true, "como": true, "esperar": true, "pagar": true, "llevar": true, "estar": true, "tener": true, "perder": true,
}

// situation tells whether one of them is the next token or the one behind it.
func (w *weighing) situation(at int) bool {
	for i := at; i < min(at+2, len(w.text.tokens)); i++ {
		if situations[w.text.tokens[i].text] {
			return true
		}
	}
	return false
}

// opening looks for a cry of praise before bad news: "Great, another delay", "Genial, otra vez sin luz".
func (w *weighing) opening() {
	if len(w.items) < 2 || w.items[0].weight <= 0 || w.isSign(0) || w.items[0].first > 0 {
		return
	}
	first := &w.items[0]
	if next := first.last + 1; next >= len(w.text.tokens) || w.text.tokens[next].clause == w.text.tokens[first.last].clause {
		return
	}
	rest := 0.0
	for i := 1; i < len(w.items); i++ {
		if w.sentence(i)-w.sentence(0) > 1 {
			break
		}
		if w.items[i].weight > 0 || w.items[i].entry.role == roleContrast {
			return
		}
		rest += w.items[i].weight
	}
	if rest <= -1 && !gratitude[w.text.tokens[0].text] {
		w.mock(0, "before bad news")
	}
}

// gratitude opens a post politely, whatever follows.
var gratitude = map[string]bool{"gracias": true, "thanks": true, "thank": true, "hola": true, "buenas": true, "buenos": true, "please": true, "perdon": true}
