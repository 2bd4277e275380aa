package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// What strangers wrote is shown so that it stays text: no escape sequence of theirs reaches a terminal, nothing of theirs moves to
// another line or turns the direction of what follows, and marks are not piled up.

const (
	// maxShown is how many bytes of a text are looked at.
	maxShown = 16 << 10
	// maxMarks is how many marks a letter may carry. Languages have no more than three.
	maxMarks = 3
	joiner   = '\u200D' // of emoji that are one
)

// plainLine makes a stranger's text one line that only shows. With cells it is cut to so many of them.
func plainLine(text string, cells int) string {
	if len(text) > maxShown {
		text = text[:maxShown]
	}
	var line strings.Builder
	marks, space := 0, true // spaces at the beginning are left out, as all but one elsewhere
	for _, r := range strings.ToValidUTF8(text, string(utf8.RuneError)) {
		switch {
		case unicode.IsSpace(r), unicode.In(r, unicode.Zl, unicode.Zp):
			if !space {
				line.WriteByte(' ')
			}
			marks, space = 0, true
			continue
		case unicode.In(r, unicode.Mn, unicode.Me, unicode.Mc):
			if marks++; marks > maxMarks || space {
				continue
			}
		case r == joiner:
			if space {
				continue
			}
		case unicode.In(r, unicode.C): // control, format, private use
			continue
		default:
			marks, space = 0, false
		}
		line.WriteRune(r)
	}
	plain := strings.TrimRight(line.String(), " "+string(joiner))
	if cells <= 0 {
		return plain
	}
	return cutCells(plain, cells)
}

// cutCells cuts a line to as many cells of a terminal, with a sign that it was cut.
func cutCells(line string, cells int) string {
	if uniseg.StringWidth(line) <= cells {
		return line
	}
	var kept strings.Builder
	room := cells - 1
	for rest, state := line, -1; rest != ""; {
		var cluster string
		var width int
		cluster, rest, width, state = uniseg.FirstGraphemeClusterInString(rest, state)
		if width > room {
			break
		}
		kept.WriteString(cluster)
		room -= width
	}
	return strings.TrimRight(kept.String(), " ") + "…"
}

// padCells fills a line up to as many cells.
func padCells(line string, cells int) string {
	return line + strings.Repeat(" ", max(0, cells-uniseg.StringWidth(line)))
}

// printStrangers writes JSON in which what a terminal could obey is escaped. It is the same JSON.
func printStrangers(out io.Writer, v any) error {
	var encoded bytes.Buffer
	encoder := json.NewEncoder(&encoded)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return err
	}
	var safe strings.Builder
	for _, r := range encoded.String() {
		if r == '\n' || r > 0xFFFF || unicode.IsPrint(r) || r == joiner {
			safe.WriteRune(r)
		} else {
			fmt.Fprintf(&safe, `\u%04x`, r)
		}
	}
	_, err := io.WriteString(out, safe.String())
	return err
}

// screen is where something is shown.
type screen struct {
	width  int // in cells; 0 where it is no terminal
	colour bool
}

// screenOf looks what an output is, as lookOf does.
func screenOf(out io.Writer) screen {
	look, _ := lookOf(out)
	return screen{width: look.Width, colour: look.Colour}
}

// paint colours words of ours.
func (s screen) paint(colour, words string) string {
	if !s.colour || colour == "" {
		return words
	}
	return "\x1b[" + colour + "m" + words + "\x1b[0m"
}

// moodColour is how a label is coloured.
func moodColour(label string) string {
	switch label {
	case "negative":
		return "31"
	case "positive":
		return "32"
	}
	return "2"
}
