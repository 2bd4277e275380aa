package cli

import (
	"strconv"
	"strings"
	"unicode"

	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// scalarWalk walks over a YAML scalar as it is written, next to its value: folding, indentation and escapes change spaces, line breaks
// and backslashes, and the order of all other characters is the same.
type scalarWalk struct {
	lines        []string
	style        yaml.Style
	line, column int // of the character that comes next, from 1
}

func newScalarWalk(lines []string, node *yaml.Node) *scalarWalk {
	w := &scalarWalk{lines: lines, style: node.Style, line: node.Line, column: node.Column}
	if node.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		w.line, w.column = node.Line+1, 1
		return w
	}
	// An anchor and a tag stand before the scalar.
	for text := []rune(lines[w.line-1]); w.column <= len(text) && strings.ContainsRune("&!", text[w.column-1]); {
		rest := string(text[w.column-1:])
		_, behind, _ := strings.Cut(rest, " ")
		w.column += len([]rune(rest)) - len([]rune(strings.TrimLeft(behind, " ")))
	}
	if node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
		w.column++
	}
	return w
}

// find goes on to where a character of the value stands, and stays there. Of white space it is where it would be.
func (w *scalarWalk) find(r rune) bool {
	if unicode.IsSpace(r) {
		return w.line <= len(w.lines)
	}
	for w.line <= len(w.lines) {
		text := []rune(w.lines[w.line-1])
		if w.column > len(text) {
			w.line, w.column = w.line+1, 1
			continue
		}
		at := text[w.column-1]
		if at == '\\' && w.style&yaml.DoubleQuotedStyle != 0 {
			meant, length := escaped(text[w.column-1:])
			if meant == r {
				w.column += length - 1
				return true
			}
			if meant != 0 && !unicode.IsSpace(meant) {
				return false
			}
			w.column += length
			continue
		}
		if at == '\'' && w.style&yaml.SingleQuotedStyle != 0 && w.column < len(text) && text[w.column] == '\'' {
			w.column++ // two stand for one
		}
		switch {
		case at == r:
			return true
		case !unicode.IsSpace(at):
			return false
		}
		w.column++
	}
	return false
}

// pass goes behind a character that was found. White space may be a line break, an indentation or an escape: whatever it is, the next
// character is looked for behind it.
func (w *scalarWalk) pass(r rune) {
	if text := []rune(w.lines[w.line-1]); !unicode.IsSpace(r) || w.column <= len(text) && unicode.IsSpace(text[w.column-1]) {
		w.column++
	}
}

// escaped reads an escape of a double-quoted scalar: what it means, and how many characters it has. 0 is what is no character.
func escaped(text []rune) (meant rune, length int) {
	if len(text) < 2 {
		return 0, 1 // the line break behind it
	}
	digits := map[rune]int{'x': 2, 'u': 4, 'U': 8}[text[1]]
	if digits > 0 && len(text) >= 2+digits {
		code, err := strconv.ParseInt(string(text[2:2+digits]), 16, 32)
		if err != nil {
			return 0, 2
		}
		return rune(code), 2 + digits
	}
	if strings.ContainsRune(`"\/`, text[1]) {
		return text[1], 2
	}
	return ' ', 2
}
