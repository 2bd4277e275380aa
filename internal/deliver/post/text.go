package post

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// EntityKind is what a part of a text is.
type EntityKind int

// The kinds.
const (
	Link EntityKind = iota
	Tag
	Name
)

// Entity is a part of a text that networks make a link of.
type Entity struct {
	Kind       EntityKind
	Start, End int    // bytes of the text in UTF-8
	Value      string // the address, the tag without #, the name without @
}

// maxTag is how many graphemes a tag has at most (app.bsky.richtext.facet).
const maxTag = 64

var (
	linkPattern = regexp.MustCompile(`https?://[^\s<>"]+`)
	tagPattern  = regexp.MustCompile(`#[\p{L}\p{M}\p{N}_]+`)
	namePattern = regexp.MustCompile(`@[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?(?:@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)?`)
)

// Entities finds addresses, #tags and @names in a text, in order. None lies in another.
func Entities(text string) []Entity {
	var found []Entity
	free := func(start, end int) bool {
		return !slices.ContainsFunc(found, func(e Entity) bool { return start < e.End && e.Start < end })
	}
	for _, at := range linkPattern.FindAllStringIndex(text, -1) {
		end := trimLink(text, at[0], at[1])
		if beginsWord(text, at[0]) && strings.Contains(text[at[0]:end], "://") && !strings.HasSuffix(text[at[0]:end], "://") {
			found = append(found, Entity{Link, at[0], end, text[at[0]:end]})
		}
	}
	for kind, pattern := range map[EntityKind]*regexp.Regexp{Tag: tagPattern, Name: namePattern} {
		for _, at := range pattern.FindAllStringIndex(text, -1) {
			value := text[at[0]+1 : at[1]]
			if !beginsWord(text, at[0]) || !free(at[0], at[1]) || kind == Tag && !isTag(value) {
				continue
			}
			found = append(found, Entity{kind, at[0], at[1], value})
		}
	}
	slices.SortFunc(found, func(a, b Entity) int { return a.Start - b.Start })
	return found
}

// beginsWord tells whether what stands before leaves a link, a tag or a name to begin here.
func beginsWord(text string, at int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:at])
	return at == 0 || !unicode.IsLetter(before) && !unicode.IsNumber(before) && !strings.ContainsRune("_/@#&", before)
}

// trimLink leaves out punctuation behind an address, and a bracket that was opened before it.
func trimLink(text string, start, end int) int {
	for end > start {
		last, size := utf8.DecodeLastRuneInString(text[start:end])
		opening, isClosing := map[rune]string{')': "(", ']': "[", '}': "{"}[last]
		switch {
		case strings.ContainsRune(".,;:!?'…»”’*", last):
		case isClosing && strings.Count(text[start:end], opening) < strings.Count(text[start:end], string(last)):
		default:
			return end
		}
		end -= size
	}
	return end
}

func isTag(value string) bool {
	return strings.ContainsFunc(value, func(r rune) bool { return unicode.IsLetter(r) }) && Graphemes(value) <= maxTag
}

// Graphemes counts what a reader takes for characters.
func Graphemes(text string) int { return uniseg.GraphemeClusterCount(text) }
