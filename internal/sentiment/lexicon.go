package sentiment

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// words are the lists that people review: words/README.md tells how entries are written.
//
//go:embed words/*.txt
var words embed.FS

// A role is what an entry does to a verdict.
type role uint8

// The roles, by the section of the file in which an entry stands.
const (
	rolePolar     role = iota // speaks well or badly
	roleNegator               // turns what follows
	roleAmplifier             // makes what is near stronger, or weaker when its value is below 1
	roleSwear                 // a curse; beside a polar word it makes that stronger
	roleWorking               // what a thing or a service should do: it speaks badly only where it is negated
	roleEnjoy                 // speaks well, and ironically where something bad is enjoyed
	roleMocking               // a sign that makes fun of what was said
	roleRemedy                // speaks well, and takes the sting out of what it mends: "they solved my problem"
	roleCourtesy              // thanks and greetings, which speak well unless the post asks or complains
	roleFiller                // speaks well, but not where it only opens a clause, as "bueno" does
	roleContrast              // what follows weighs more than what stood before
	roleConcede               // what follows weighs less
	roleIrony                 // the post means the opposite
	roleVoid                  // says nothing, and keeps its words from saying something
)

// A section is how the entries of one role are written.
type section struct {
	role      role
	low, high float64 // the range of values; both 0 where entries have none
}

// strongest is the largest value of an entry.
const strongest = 4

var sections = map[string]section{
	"polar":     {role: rolePolar, low: -strongest, high: strongest},
	"negate":    {role: roleNegator},
	"amplify":   {role: roleAmplifier, low: 0.2, high: 2},
	"swear":     {role: roleSwear, low: -strongest, high: 0},
	"working":   {role: roleWorking, low: -strongest, high: 0},
	"enjoy":     {role: roleEnjoy, low: 0, high: strongest},
	"filler":    {role: roleFiller, low: 0, high: strongest},
	"remedy":    {role: roleRemedy, low: 0, high: strongest},
	"courtesy":  {role: roleCourtesy, low: 0, high: strongest},
	"mocking":   {role: roleMocking, low: -strongest, high: 0},
	"contrast":  {role: roleContrast},
	"concede":   {role: roleConcede},
	"irony":     {role: roleIrony},
	"void":      {role: roleVoid},
	"emoji":     {role: rolePolar, low: -strongest, high: strongest},
	"emoticons": {role: rolePolar, low: -strongest, high: strongest},
}

// An entry is what one line of a file means.
type entry struct {
	role  role
	value float64
}

// stem is an entry for all forms of a word.
type stem struct {
	class class // nil: any ending
	entry *entry
}

// phrases are the entries of several words, by their first, as a tree.
type phrases struct {
	next  map[string]*phrases
	entry *entry
}

// vocabulary is one file, made for looking words up.
type vocabulary struct {
	language  string
	exact     map[string]*entry
	stems     map[string][]stem
	shortest  int // of the stems, in bytes
	longest   int
	phrases   phrases
	maxPhrase int // how many words the longest has
}

// line is one entry of a file, as it is written.
type line struct {
	number  int
	section string
	pattern string
	value   string
}

// readLines takes a file apart: sections in brackets, entries as a pattern and a value, comments behind "#" and a space.
func readLines(name string) ([]line, error) {
	text, err := words.ReadFile("words/" + name)
	if err != nil {
		return nil, fmt.Errorf("read the words: %w", err)
	}
	var lines []line
	current := ""
	for i, raw := range strings.Split(string(text), "\n") {
		if raw == "#" || strings.HasPrefix(raw, "# ") {
			continue
		}
		if at := strings.Index(raw, " # "); at >= 0 {
			raw = raw[:at]
		}
		fields := strings.Fields(raw)
		switch {
		case len(fields) == 0:
		case len(fields) == 1 && strings.HasPrefix(fields[0], "[") && strings.HasSuffix(fields[0], "]") && len(fields[0]) > 2:
			current = strings.Trim(fields[0], "[]")
		case len(fields) > 2:
			return nil, fmt.Errorf("%s:%d: an entry is a pattern and a value; join the words of a phrase by _", name, i+1)
		default:
			l := line{number: i + 1, section: current, pattern: fields[0]}
			if len(fields) == 2 {
				l.value = fields[1]
			}
			lines = append(lines, l)
		}
	}
	return lines, nil
}

// entryOf reads a line's role and value.
func entryOf(name string, l line) (*entry, error) {
	s, known := sections[l.section]
	if !known {
		return nil, fmt.Errorf("%s:%d: there is no section [%s]", name, l.number, l.section)
	}
	if s.low == s.high {
		if l.value != "" {
			return nil, fmt.Errorf("%s:%d: entries of [%s] have no value", name, l.number, l.section)
		}
		return &entry{role: s.role}, nil
	}
	value, err := strconv.ParseFloat(l.value, 64)
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %q needs a value from %g to %g", name, l.number, l.pattern, s.low, s.high)
	}
	if !(value >= s.low && value <= s.high) {
		return nil, fmt.Errorf("%s:%d: the value of %q lies outside of %g to %g", name, l.number, l.pattern, s.low, s.high)
	}
	return &entry{role: s.role, value: value}, nil
}

// loadVocabulary makes a language's file ready.
func loadVocabulary(language string, classes map[string]class) (*vocabulary, error) {
	name := language + ".txt"
	lines, err := readLines(name)
	if err != nil {
		return nil, err
	}
	v := &vocabulary{language: language, exact: map[string]*entry{}, stems: map[string][]stem{}, shortest: maxWord}
	for _, l := range lines {
		e, err := entryOf(name, l)
		if err != nil {
			return nil, err
		}
		if err := v.add(l.pattern, e, classes); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, l.number, err)
		}
	}
	return v, nil
}

// add files a pattern: a word, a stem with a class or with any ending, or a phrase.
func (v *vocabulary) add(pattern string, e *entry, classes map[string]class) error {
	if fold(pattern) != pattern {
		return fmt.Errorf("%q is not written as words are compared, which is %q", pattern, fold(pattern))
	}
	if strings.Contains(pattern, "_") {
		return v.addPhrase(strings.Split(pattern, "_"), e)
	}
	if root, open := strings.CutSuffix(pattern, "*"); open {
		return v.addStem(root, stem{entry: e})
	}
	root, ending, inflected := strings.Cut(pattern, "-")
	if !inflected {
		if v.exact[pattern] != nil {
			return fmt.Errorf("%q stands here twice", pattern)
		}
		v.exact[pattern] = e
		return nil
	}
	c, known := classes[ending]
	if !known {
		return fmt.Errorf("%q: there is no class -%s", pattern, ending)
	}
	return v.addStem(root, stem{class: c, entry: e})
}

func (v *vocabulary) addStem(root string, s stem) error {
	if utf8.RuneCountInString(root) < 2 {
		return fmt.Errorf("the stem %q is too short", root)
	}
	v.stems[root] = append(v.stems[root], s)
	v.shortest, v.longest = min(v.shortest, len(root)), max(v.longest, len(root))
	return nil
}

// addPhrase files a phrase, of which each word may have alternatives between slashes.
func (v *vocabulary) addPhrase(parts []string, e *entry) error {
	nodes := []*phrases{&v.phrases}
	for _, part := range parts {
		var next []*phrases
		for _, word := range strings.Split(part, "/") {
			if word == "" {
				return fmt.Errorf("a phrase has an empty word")
			}
			for _, n := range nodes {
				if n.next == nil {
					n.next = map[string]*phrases{}
				}
				if n.next[word] == nil {
					n.next[word] = &phrases{}
				}
				next = append(next, n.next[word])
			}
		}
		nodes = next
	}
	for _, n := range nodes {
		if n.entry != nil {
			return fmt.Errorf("the phrase %q stands here twice", strings.Join(parts, " "))
		}
		n.entry = e
	}
	v.maxPhrase = max(v.maxPhrase, len(parts))
	return nil
}

// find looks a folded word up: the word itself, else the longest stem whose class has its ending. It returns nil for most.
func (v *vocabulary) find(word string) *entry {
	if e := v.exact[word]; e != nil {
		return e
	}
	for cut := min(len(word), v.longest); cut >= v.shortest; cut-- {
		for _, s := range v.stems[word[:cut]] {
			if s.class == nil || s.class[word[cut:]] {
				return s.entry
			}
		}
	}
	return nil
}

// findStretched looks up a word that somebody drew out, with long runs of a letter cut to one and then to two.
func (v *vocabulary) findStretched(word string) (e *entry, as string) {
	for _, most := range []int{1, 2} {
		as = squeeze(word, most)
		if e = v.find(as); e != nil {
			return e, as
		}
	}
	return nil, word
}

// squeeze shortens runs of three and more of one letter; "rr" and "ll" are spelling.
func squeeze(word string, most int) string {
	letters := []rune(word)
	var out strings.Builder
	for i := 0; i < len(letters); {
		end := i + 1
		for end < len(letters) && letters[end] == letters[i] {
			end++
		}
		keep := end - i
		if keep >= 3 {
			keep = most
		}
		for range keep {
			out.WriteRune(letters[i])
		}
		i = end
	}
	return out.String()
}
