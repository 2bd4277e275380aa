package mailbox

import (
	"regexp"
	"strings"
)

var (
	// divider stands before the mail that is answered, as Outlook and those after it write it.
	divider = regexp.MustCompile(`(?i)^[-_ ]{2,}(original message|mensaje original|mensagem original|message d'origine|` +
		`ursprüngliche nachricht|messaggio originale)[-_ ]{2,}$`)
	// sender and others begin the header of a mail that is quoted as text.
	sender = regexp.MustCompile(`(?i)^\*?(from|de|von|da)\s?:\*?\s`)
	others = regexp.MustCompile(`(?i)^\*?(sent|date|to|cc|subject|enviado( el)?|fecha|para|asunto|gesendet|datum|an|betreff|` +
		`envoyé|objet|à|inviato|oggetto|a)\s?:\*?\s`)
	// attribution says who wrote what is quoted: On Monday Ana wrote:
	attribution = regexp.MustCompile(`(?i)(wrote|escribió|escreveu|schrieb|a écrit|ha scritto)(\s.{0,80})?:$`)
	// opening is how it begins, which may be some lines before.
	opening = regexp.MustCompile(`(?i)^(on|el|em|am|le|il|op)\s`)
)

const (
	maxAttribution = 3 // lines
	maxBlank       = 3 // lines between it and what is quoted
	maxHeads       = 100
	maxQuotes      = 100 // before which it is looked for
)

// ownWords leaves out of a text the signature and, of an answer, what it quotes. Where nothing would be left it stays as it is.
func ownWords(text string, reply bool) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	kept := make([]string, 0, len(lines))
	heads, quoted := 0, quotes{}
	for i, line := range lines {
		trimmed := strings.TrimSpace(line)
		if line == "-- " || trimmed == "--" || reply && divider.MatchString(trimmed) {
			break
		}
		if reply && heads < maxHeads && sender.MatchString(trimmed+" ") {
			if heads++; isQuotedHead(lines[i:]) {
				break
			}
		}
		if reply && strings.HasPrefix(trimmed, ">") {
			kept = quoted.begin(kept)
			continue
		}
		quoted.within = false
		kept = append(kept, line)
	}
	if reply {
		kept = withoutAttribution(kept)
	}
	if own := strings.TrimSpace(strings.Join(kept, "\n")); own != "" {
		return own
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// quotes are those of a text that is read line by line.
type quotes struct {
	found  int
	within bool // the last line was one of a quote
}

// begin drops what announces a quote, where one begins: it is looked for once for each, and not for ever.
func (q *quotes) begin(before []string) []string {
	if !q.within && q.found < maxQuotes {
		before = withoutAttribution(before)
		q.found++
	}
	q.within = true
	return before
}

// isQuotedHead tells whether these lines are the header of a mail, as text.
func isQuotedHead(lines []string) bool {
	found := 0
	for _, line := range lines[1:min(len(lines), 7)] {
		if others.MatchString(strings.TrimSpace(line) + " ") {
			found++
		}
	}
	return found >= 2
}

// withoutAttribution drops the line that says whom the lines after it quote, where they end so.
func withoutAttribution(lines []string) []string {
	end := len(lines)
	for end > 0 && len(lines)-end < maxBlank && strings.TrimSpace(lines[end-1]) == "" {
		end--
	}
	if end == 0 || !strings.HasSuffix(strings.TrimSpace(lines[end-1]), ":") {
		return lines
	}
	joined, cut := "", end
	for n := 1; n <= maxAttribution && n <= end; n++ {
		line := strings.TrimSpace(lines[end-n])
		if line == "" || len(line) > 200 {
			break
		}
		joined = strings.TrimSpace(line + " " + joined)
		if !attribution.MatchString(joined) || !strings.ContainsAny(joined, "@0123456789") {
			continue
		}
		if opening.MatchString(joined) {
			return lines[:end-n]
		}
		if cut == end {
			cut = end - n
		}
	}
	if cut == end {
		return lines
	}
	return lines[:cut]
}
