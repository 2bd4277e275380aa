package render

// target is what a rendering writes to: plain bytes, or a part of a message as it goes out.
type target struct {
	out  []byte
	size int // bytes written so far, before they are encoded: what is bounded

	encoded bool // in quoted-printable
	quoter  quoter

	// Of a text that was made from HTML: runs of blanks and breaks become one, written before the next word.
	settled bool
	gap     int  // what separates the next word: 0 nothing, 1 a blank, 2 a line feed, 3 an empty line
	begun   bool // a word was written
}

// separators are what a gap is written as.
var separators = [...]string{"", " ", "\n", "\n\n"}

// add writes text.
func (t *target) add(text string) {
	t.size += len(text)
	switch {
	case t.settled:
		t.settle(text)
	case t.encoded:
		t.out = t.quoter.append(t.out, text)
	default:
		t.out = append(t.out, text...)
	}
}

// literal writes bytes that mean themselves in every encoding and hold no blanks.
func (t *target) literal(b []byte) {
	t.size += len(b)
	if t.settled {
		t.separate()
	}
	if t.encoded {
		t.out = t.quoter.literal(t.out, b)
	} else {
		t.out = append(t.out, b...)
	}
}

// settle writes words and keeps what is between them.
func (t *target) settle(text string) {
	for i := 0; i < len(text); {
		for ; i < len(text) && breaking[text[i]] > 0; i++ {
			t.gap = max(t.gap, breaking[text[i]])
		}
		word := i
		for i < len(text) && breaking[text[i]] == 0 {
			i++
		}
		if word < i {
			t.separate()
			t.emit(text[word:i])
		}
	}
}

// separate writes what stands before a word.
func (t *target) separate() {
	if t.begun {
		t.emit(separators[t.gap])
	}
	t.gap, t.begun = 0, true
}

// emit writes text that is settled.
func (t *target) emit(text string) {
	if t.encoded {
		t.out = t.quoter.append(t.out, text)
	} else {
		t.out = append(t.out, text...)
	}
}

// finish ends an encoded part.
func (t *target) finish() []byte {
	if t.encoded {
		t.out = t.quoter.end(t.out)
	}
	return t.out
}

// breaking ranks what separates words: blanks, lines, paragraphs.
var breaking = [256]int{' ': 1, '\t': 1, '\n': 1, '\r': 1, '\v': 2, '\f': 3}

// settle makes of every run of blanks and breaks one blank, line feed or empty line.
func settle(s string) string {
	t := target{settled: true, out: make([]byte, 0, len(s))}
	t.add(s)
	return string(t.out)
}

// fixed is text of the template, encoded once for all recipients.
type fixed struct {
	source  string // as the template has it
	text    string // settled, where the part is
	encoded []byte // of text, as it stands at the beginning of a line
	end     quoter // how that ends
	breaks  bool   // text begins with a line end
	// Of a text that is settled: what it begins and ends with.
	lead, trail int
}

// shortText is how long a piece of text may be for being encoded anew where it stands within a line. A longer one begins a
// line of its own by a soft break, so that what was encoded once can be copied.
const shortText = 24

func newFixed(source string, settled bool) *fixed {
	f := &fixed{source: source, text: source}
	if settled {
		f.text = settle(source)
		core := 0
		for core < len(source) && breaking[source[core]] > 0 {
			f.lead = max(f.lead, breaking[source[core]])
			core++
		}
		for end := len(source); end > core && breaking[source[end-1]] > 0; end-- {
			f.trail = max(f.trail, breaking[source[end-1]])
		}
	}
	f.encoded = f.end.append(nil, f.text)
	f.breaks = f.text != "" && (f.text[0] == '\n' || f.text[0] == '\r')
	return f
}

func (f *fixed) render(s *state) error {
	if s.size+len(f.source) > MaxOutput {
		return s.tooLong(0)
	}
	if !s.encoded {
		s.add(f.source)
		return nil
	}
	s.size += len(f.source)
	if s.settled {
		s.gap = max(s.gap, f.lead)
		if f.text == "" {
			return nil
		}
		s.separate()
		s.place(f)
		s.gap = f.trail
		return nil
	}
	s.place(f)
	return nil
}

// place copies what was encoded once to where the line may be.
func (t *target) place(f *fixed) {
	switch {
	case f.text == "":
		return
	case t.quoter.cr && f.text[0] == '\n', t.quoter.column > 0 && !f.breaks && len(f.text) <= shortText:
		t.emit(f.text)
		return
	case t.quoter.column > 0 && f.breaks:
		t.out = endLine(t.out, t.quoter.column)
	case t.quoter.column > 0:
		t.out = append(t.out, "=\r\n"...)
	}
	t.out = append(t.out, f.encoded...)
	t.quoter = f.end
}
