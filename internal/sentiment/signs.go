package sentiment

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// signs are the emoji and the emoticons, which all languages share.
type signs struct {
	emoji  map[rune]*entry
	faces  map[byte][]face // by the first byte, the longest first
	begins [128]bool       // with which bytes a face begins
}

type face struct {
	text  string
	entry *entry
}

// loadSigns reads the file of signs.
func loadSigns() (*signs, error) {
	const name = "signs.txt"
	lines, err := readLines(name)
	if err != nil {
		return nil, err
	}
	s := &signs{emoji: map[rune]*entry{}, faces: map[byte][]face{}}
	for _, l := range lines {
		e, err := entryOf(name, l)
		if err != nil {
			return nil, err
		}
		if l.section == "emoticons" {
			first := l.pattern[0]
			if first >= 0x80 {
				return nil, fmt.Errorf("%s:%d: an emoticon begins with an ASCII character", name, l.number)
			}
			s.begins[first] = true
			s.faces[first] = append(s.faces[first], face{text: l.pattern, entry: e})
			continue
		}
		r, size := utf8.DecodeRuneInString(l.pattern)
		if rest := strings.TrimLeft(l.pattern[size:], "\ufe0f"); rest != "" || r < 0x80 {
			return nil, fmt.Errorf("%s:%d: %q is not one emoji without joiners and tones", name, l.number, l.pattern)
		}
		if s.emoji[r] != nil {
			return nil, fmt.Errorf("%s:%d: %q stands here twice", name, l.number, l.pattern)
		}
		s.emoji[r] = e
	}
	for _, faces := range s.faces {
		slices.SortFunc(faces, func(a, b face) int { return cmp.Or(cmp.Compare(len(b.text), len(a.text)), cmp.Compare(a.text, b.text)) })
	}
	return s, nil
}

// emoticon finds the longest face with which a text begins. One that ends with a letter or a digit must not go on as a word.
func (s *signs) emoticon(text string) (string, *entry) {
	for _, f := range s.faces[text[0]] {
		if !strings.HasPrefix(text, f.text) {
			continue
		}
		last, _ := utf8.DecodeLastRuneInString(f.text)
		next, _ := utf8.DecodeRuneInString(text[len(f.text):])
		if isWordRune(last) && len(text) > len(f.text) && isWordRune(next) {
			continue
		}
		return f.text, f.entry
	}
	return "", nil
}
