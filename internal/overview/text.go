package overview

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// What terminals understand (ECMA-48, 8.3.117).
const (
	bold   = "\x1b[1m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

func (s *screen) paint(colour, text string) string {
	if !s.look.Colour {
		return text
	}
	return colour + text + plain
}

// printable takes from a text what a terminal would obey. Messages repeat what people write in manifests.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, text)
}

func columns(text string) int { return utf8.RuneCountInString(text) }

// cut shortens a line that does not fit.
func cut(text string, width int) string {
	if columns(text) <= width {
		return text
	}
	runes := []rune(text)
	return string(runes[:max(0, width-1)]) + "…"
}

// wrapped writes a text of several lines, each indented, with a lead before the first.
func (s *screen) wrapped(indent int, lead, text string) {
	margin := strings.Repeat(" ", indent)
	width := s.look.Width - indent - columns(lead)
	for i, line := range wrap(text, width) {
		if i > 0 {
			lead = strings.Repeat(" ", columns(lead))
		}
		s.line("%s%s%s", margin, lead, line)
	}
}

// wrap breaks a text between words. A word that is longer than a line, such as a URL, stays whole.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case columns(line)+1+columns(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// bar shows a share from 0 to 1.
func bar(share float64, width int) string {
	full := min(width, max(0, int(share*float64(width))))
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", width-full) + "]"
}

// thousands is a number with separators.
func thousands(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func rate(perSecond float64) string {
	if perSecond < 10 {
		return fmt.Sprintf("%.1f", perSecond)
	}
	return thousands(int64(perSecond))
}

// brief is a duration in its two largest units.
func brief(d time.Duration) string {
	days, hours, minutes, seconds := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%d d %d h", days, hours)
	case hours > 0:
		return fmt.Sprintf("%d h %d min", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%d min %d s", minutes, seconds)
	}
	return fmt.Sprintf("%d s", seconds)
}
