package store

import (
	"regexp"
	"slices"
	"strings"
)

// summarize names a statement for a span: what it does to which relations, as "update ledger, insert send_tally" or
// "select send". It keeps verbs and the names of relations and nothing else, so that a literal, if ever there is one, is not
// repeated.
func summarize(sql string) string {
	words := statementWords(sql)
	const most = 4
	switch done := written(words); {
	case len(words) == 0:
		return "empty"
	case len(done) > most:
		return strings.Join(done[:most], ", ") + ", …"
	case len(done) > 0:
		return strings.Join(done, ", ")
	}
	if read := firstRead(words); read != "" && (words[0] == "select" || words[0] == "with") {
		return "select " + read
	}
	if isRelation(words[0]) {
		return words[0]
	}
	return "other"
}

// written lists what a statement writes, each once: a verb and a relation.
func written(words []string) []string {
	var done []string
	for i, w := range words {
		relation := ""
		switch {
		case w == "insert" && next(words, i) == "into", w == "delete" && next(words, i) == "from":
			relation = next(words, i+1)
		case w == "update" && !slices.Contains([]string{"for", "key", "do"}, previous(words, i)):
			relation = next(words, i)
		}
		if what := w + " " + relation; isRelation(relation) && !slices.Contains(done, what) {
			done = append(done, what)
		}
	}
	return done
}

// firstRead is the first relation that a statement reads; "" where it reads none.
func firstRead(words []string) string {
	for i, w := range words {
		if w == "from" && isRelation(next(words, i)) {
			return next(words, i)
		}
	}
	return ""
}

func next(words []string, i int) string {
	if i+1 < len(words) {
		return words[i+1]
	}
	return ""
}

func previous(words []string, i int) string {
	if i > 0 {
		return words[i-1]
	}
	return ""
}

// isRelation tells whether a word can be a keyword of SQL or the name of one of our relations, which need no quotes.
func isRelation(word string) bool {
	return word != "" && strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789_") == "" && (word[0] < '0' || word[0] > '9')
}

// token is a literal, a quoted name, a comment, a word, or punctuation that tells a name from a call or an argument.
var token = regexp.MustCompile(`'[^']*(?:'|$)|"[^"]*(?:"|$)|--[^\n]*|[A-Za-z0-9_]+|[($]`)

// statementWords splits a statement into words. Literals and quoted names become a word that is no name; comments are left
// out.
func statementWords(sql string) []string {
	var words []string
	for _, t := range token.FindAllString(sql, -1) {
		switch {
		case strings.HasPrefix(t, "--"):
		case t[0] == '\'' || t[0] == '"':
			words = append(words, t[:1])
		default:
			words = append(words, strings.ToLower(t))
		}
	}
	return words
}
