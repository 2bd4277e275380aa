package match

import (
	"regexp"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// A matcher as plain as can be, to compare with: it reads a text by regular expressions, keeps everything, and tries every
// term at every word. It knows the characters of the property's texts only, and shares nothing with the matcher but the
// lists of forms.

const (
	letters  = `[\p{Latin}\p{Nd}\p{Mn}𝐀-𝟿]`
	nameByte = `[A-Za-z0-9_.\-]`
)

var (
	wordExpr        = regexp.MustCompile(`^` + letters + `(?:` + letters + `|\x{AD}|['’]` + letters + `)*`)
	addressExpr     = regexp.MustCompile(`^` + letters + `(?:` + letters + `|\x{AD}|['’]` + letters + `)*(?:[._%+\-][A-Za-z0-9_.\-+%]*)?@(` + nameByte + `+)`)
	linkExpr        = regexp.MustCompile(`^(?i:https://|http://|www\.)([^\s/?#:<>"]+)[^\s<>"]*`)
	tagExpr         = regexp.MustCompile(`^#_*((?:` + letters + `|\p{Han}|\x{AD}|_)+)`)
	mentionExpr     = regexp.MustCompile(`^@(` + nameByte + `+)(?:@(` + nameByte + `+))?`)
	emojiExpr       = regexp.MustCompile(`^[👍🚲](?:[🏻-🏿]|\x{FE0F})*`)
	apostropheExpr  = regexp.MustCompile(`['’]`)
	runExpr         = regexp.MustCompile(`\p{Han}|[\p{Nd}\x{AD}\p{Mn}]*\p{Nd}[\p{Nd}\x{AD}\p{Mn}]*|[^\p{Han}\p{Nd}]+`)
	capitalExpr     = regexp.MustCompile(`([^\p{Lu}\p{Mn}\x{AD}][\p{Mn}\x{AD}]*)(\p{Lu})`)
	lastCapitalExpr = regexp.MustCompile(`(\p{Lu}[\p{Mn}\x{AD}]*)(\p{Lu}[\p{Mn}\x{AD}]*[^\p{Lu}\p{Mn}\x{AD} ])`)
	unseenExpr      = regexp.MustCompile(`['’_\x{AD}\x{FE0F}🏻-🏿]`)
	markExpr        = regexp.MustCompile(`\p{Mn}`)
	enyeExpr        = regexp.MustCompile(`([nN])\p{Mn}*?\x{303}`)
	endExpr         = regexp.MustCompile(`^[.!?;:](?:\s|$)`)
)

// said is one reading of words of a text.
type said struct {
	at, width  int
	start, end int
	mark       string // "" for a word, else what it is: #, @, /
	text       string
}

type plainText struct {
	said  []said
	ends  map[int]bool // positions before which a sentence ended
	words []string     // of a term
	glued []bool
}

func readPlainly(text string) plainText {
	p := plainText{ends: map[int]bool{}}
	at, wordEnd, lines := 0, -1, 0
	apart := false
	put := func(width, start, end int, readings ...said) {
		p.ends[at] = apart
		if start > 0 && wordEnd >= 0 {
			p.glued = append(p.glued, !strings.ContainsAny(text[wordEnd:start], " \n"))
		} else {
			p.glued = append(p.glued, false)
		}
		p.words = append(p.words, text[start:end])
		p.said = append(p.said, readings...)
		at += width
		wordEnd, lines, apart = end, 0, false
	}
	for i := 0; i < len(text); {
		rest := text[i:]
		if m := linkExpr.FindStringSubmatch(rest); m != nil {
			whole := strings.TrimRight(m[0], ".,;:!?)]'*_~")
			host := strings.TrimRight(m[1], ".,;:!?)]'*_~")
			scheme := len(m[0]) - len(strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(m[0], "www."), "http://"), "https://"))
			if k := strings.LastIndex(host, "@"); k >= 0 {
				host = host[k+1:]
			}
			if len(whole) > scheme && host != "" {
				put(1, i, i+len(whole), said{at, 1, i, i + len(whole), "/", host})
				i += len(whole)
				continue
			}
		}
		if m := addressExpr.FindStringSubmatch(rest); m != nil {
			if host := strings.TrimRight(m[1], ".-"); strings.Contains(host, ".") {
				end := i + len(m[0]) - len(m[1]) + len(host)
				put(1, i, end)
				i = end
				continue
			}
		}
		if m := wordExpr.FindString(rest); m != "" {
			end := i + len(m)
			readings := []said{{at, 1, i, end, "", m}}
			if parts := apostropheExpr.Split(m, -1); len(parts) == 2 {
				if foldPlainly(parts[1], loosest) == "s" {
					readings = append(readings, said{at, 1, i, i + len(parts[0]), "", parts[0]})
				}
				if slices.Contains(strings.Fields("l d n m s t c j qu"), foldPlainly(parts[0], loosest)) {
					readings = append(readings, said{at, 1, end - len(parts[1]), end, "", parts[1]})
				}
			}
			put(1, i, end, readings...)
			i = end
			continue
		}
		if m := tagExpr.FindStringSubmatch(rest); m != nil && wordEnd != i && foldPlainly(m[1], loosest) != "" {
			readings := []said{}
			end := i + len(m[0])
			parts := partsPlainly(m[1])
			width := max(len(parts), 1)
			readings = append(readings, said{at, width, i, end, "#", m[1]}, said{at, width, i, end, "", m[1]})
			if len(parts) > 1 {
				from := end - len(m[1])
				for k, part := range parts {
					from += strings.Index(text[from:], part)
					readings = append(readings, said{at + k, 1, from, from + len(part), "", part})
					from += len(part)
				}
			}
			put(width, i, end, readings...)
			i = end
			continue
		}
		if m := mentionExpr.FindStringSubmatch(rest); m != nil && wordEnd != i {
			name, host := strings.TrimRight(m[1], ".-"), strings.TrimRight(m[2], ".-")
			if name != m[1] {
				host = ""
			}
			if name != "" {
				full := name
				readings := []said{}
				if host != "" {
					full += "@" + host
					readings = append(readings, said{at, 1, i, i + 1 + len(full), "@", name})
				}
				end := i + 1 + len(full)
				put(1, i, end, append(readings, said{at, 1, i, end, "@", full})...)
				i = end
				continue
			}
		}
		c := []rune(rest)[0]
		size := len(string(c))
		switch {
		case emojiExpr.MatchString(rest):
			size = len(emojiExpr.FindString(rest))
			put(1, i, i+size, said{at, 1, i, i + size, "", rest[:size]})
		case unicode.Is(unicode.Han, c), c == '&', c == '+' && wordEnd == i, c == '#' && wordEnd == i && !tagExpr.MatchString(rest+"") && !strings.HasPrefix(rest, "#_") && !strings.HasPrefix(rest, "#\u00AD"):
			put(1, i, i+size, said{at, 1, i, i + size, "", rest[:size]})
		case c == '#' && wordEnd != i && strings.HasPrefix(rest, "#_"): // nothing but underscores
			size += len(rest[1:]) - len(strings.TrimLeft(rest[1:], "_\u00AD"))
		case endExpr.MatchString(rest), strings.ContainsRune("…¿¡", c):
			apart = true
		case c == '\n':
			if lines++; lines > 1 {
				apart = true
			}
		}
		i += size
	}
	return p
}

// partsPlainly takes a hashtag's name apart at underscores, digits and capitals.
func partsPlainly(name string) []string {
	var parts []string
	for _, piece := range strings.Split(name, "_") {
		runs := runExpr.FindAllString(piece, -1)
		for _, run := range runs {
			// A capital begins a part after a small letter, and before one.
			run = capitalExpr.ReplaceAllString(run, "$1 $2")
			for {
				next := lastCapitalExpr.ReplaceAllString(run, "$1 $2")
				if next == run {
					break
				}
				run = next
			}
			parts = append(parts, strings.Fields(run)...)
		}
	}
	return parts
}

func foldPlainly(s string, f folding) string {
	if s != "#" {
		s = strings.ReplaceAll(s, "#", "")
	}
	s = unseenExpr.ReplaceAllString(s, "")
	s = norm.NFKD.String(s)
	if !f.keepCase {
		s = strings.ToLower(s)
	}
	switch f.letters {
	case Loose:
		s = markExpr.ReplaceAllString(s, "")
	case Folded:
		s = enyeExpr.ReplaceAllString(s, "$1~")
		s = markExpr.ReplaceAllString(s, "")
	}
	return s
}

// spot is where something was found: positions and bytes.
type spot struct{ at, to, start, end int }

// spotsOf finds words in a row, each of which is one of some forms.
func (p *plainText) spotsOf(path [][]string, mark string, f folding) []spot {
	var spots []spot
	var walk func(k, at int, s spot)
	walk = func(k, at int, s spot) {
		if k == len(path) {
			s.to = at
			spots = append(spots, s)
			return
		}
		if k > 0 && p.ends[at] {
			return
		}
		for _, w := range p.said {
			if w.at != at || w.mark != mark {
				continue
			}
			text := foldPlainly(w.text, f)
			if !slices.ContainsFunc(path[k], func(form string) bool { return foldPlainly(form, f) == text }) {
				continue
			}
			next := s
			if k == 0 {
				next.at, next.start = at, w.start
			}
			next.end = w.end
			walk(k+1, at+w.width, next)
		}
	}
	for at := range 1 + len(p.said) {
		walk(0, at, spot{})
	}
	return spots
}

// termSpots finds a word or a phrase.
func (p *plainText) termSpots(t Term, text string) []spot {
	f := folding{letters: t.Letters, keepCase: t.Case}
	kinds := t.Forms
	if len(kinds) == 0 {
		kinds = []Form{Plural}
	}
	withForms := func(words []string) (path [][]string) {
		for _, w := range words {
			forms := []string{w}
			if kinds[0] != Exact {
				forms = appendForms(forms, w, kinds, t.Language)
			}
			path = append(path, forms)
		}
		return path
	}
	own := readPlainly(text)
	spots := p.spotsOf(withForms(own.words), "", f)
	var joined []string
	for i, w := range own.words {
		if i > 0 && own.glued[i] && wordExpr.MatchString(w) && wordExpr.FindString(own.words[i-1]) == own.words[i-1] {
			joined[len(joined)-1] += w
			continue
		}
		joined = append(joined, w)
	}
	if len(joined) < len(own.words) {
		spots = append(spots, p.spotsOf(withForms(joined), "", f)...)
	}
	if len(own.words) > 1 {
		spots = append(spots, p.spotsOf([][]string{{strings.Join(own.words, "")}}, "#", f)...)
	}
	return tidy(spots)
}

// tidy keeps one spot for each place, the longest.
func tidy(spots []spot) []spot {
	slices.SortFunc(spots, func(a, b spot) int {
		return slices.Compare([]int{a.at, a.to, a.start, -a.end}, []int{b.at, b.to, b.start, -b.end})
	})
	return slices.CompactFunc(spots, func(a, b spot) bool { return a.at == b.at && a.to == b.to })
}

// find is where a term is found; of a Near, every combination of its members, one after the other.
func (p *plainText) find(t Term, hidden []spot) (spots []spot, combinations [][]spot) {
	seen := func(all []spot) []spot {
		return slices.DeleteFunc(all, func(s spot) bool {
			return slices.ContainsFunc(hidden, func(h spot) bool { return s.at < h.to && h.at < s.to })
		})
	}
	switch {
	case t.Word != "":
		return seen(p.termSpots(t, t.Word)), nil
	case t.Phrase != "":
		return seen(p.termSpots(t, t.Phrase)), nil
	case t.Hashtag != "":
		name := strings.TrimPrefix(t.Hashtag, "#")
		return seen(tidy(p.spotsOf([][]string{{name}}, "#", folding{letters: t.Letters, keepCase: t.Case}))), nil
	case t.Account != "":
		for _, w := range p.said {
			if w.mark == "@" && strings.EqualFold(w.text, t.Account) {
				spots = append(spots, spot{w.at, w.at + 1, w.start, w.end})
			}
		}
		return seen(spots), nil
	case t.Link != "":
		for _, w := range p.said {
			if host := strings.ToLower(w.text); w.mark == "/" && (host == t.Link || strings.HasSuffix(host, "."+t.Link)) {
				spots = append(spots, spot{w.at, w.at + 1, w.start, w.end})
			}
		}
		return seen(spots), nil
	}
	combinations = [][]spot{nil}
	for _, member := range t.Near.Words {
		var longer [][]spot
		for _, c := range combinations {
			for _, s := range seen(p.termSpots(t, member)) {
				longer = append(longer, append(slices.Clone(c), s))
			}
		}
		combinations = longer
	}
	combinations = slices.DeleteFunc(combinations, func(c []spot) bool {
		first, last := c[0].at, c[0].at
		for i, s := range c {
			if i > 0 && t.Near.Ordered && s.at <= c[i-1].at {
				return true
			}
			first, last = min(first, s.at), max(last, s.at)
		}
		return last-first > t.Near.Within
	})
	return nil, combinations
}
