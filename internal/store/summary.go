package store

import (
	"slices"
	"strings"
)

// summarize names a statement for a span: what it does to which relations, as "update ledger, insert send_tally" or
// "select send". It keeps verbs and the names of relations and nothing else, so that a literal, if ever there is one, is not
// repeated.
func summarize(sql string) string {
	words := statementWords(sql)
	if len(words) == 0 {
		return "empty"
	}
	var done []string
	note := func(verb string, at int) {
		if at < len(words) && isRelation(words[at]) {
			if s := verb + " " + words[at]; !slices.Contains(done, s) {
				done = append(done, s)
			}
		}
	}
	read := ""
	for i, w := range words {
		switch {
		case w == "insert" && next(words, i) == "into":
			note("insert", i+2)
		case w == "delete" && next(words, i) == "from":
			note("delete", i+2)
		case w == "update" && !slices.Contains([]string{"for", "key", "do"}, previous(words, i)):
			note("update", i+1)
		case read == "" && w == "from" && isRelation(next(words, i)):
			read = next(words, i)
		}
	}
	const most = 4
	switch {
	case len(done) > most:
		return strings.Join(done[:most], ", ") + ", …"
	case len(done) > 0:
		return strings.Join(done, ", ")
	case (words[0] == "select" || words[0] == "with") && read != "":
		return "select " + read
	case isRelation(words[0]):
		return words[0]
	}
	return "other"
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

// statementWords splits a statement at blanks and punctuation. Literals and quoted names become a word that is no name;
// comments are left out.
func statementWords(sql string) []string {
	var words []string
	begin := -1
	flush := func(end int) {
		if begin >= 0 {
			words = append(words, strings.ToLower(sql[begin:end]))
			begin = -1
		}
	}
	for i := 0; i < len(sql); i++ {
		switch c := sql[i]; {
		case c == '\'' || c == '"':
			flush(i)
			end := strings.IndexByte(sql[i+1:], c)
			if end < 0 {
				return words
			}
			words = append(words, string(c))
			i += end + 1
		case strings.HasPrefix(sql[i:], "--"):
			flush(i)
			end := strings.IndexByte(sql[i:], '\n')
			if end < 0 {
				return words
			}
			i += end
		case c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			if begin < 0 {
				begin = i
			}
		case c == '(' || c == '$':
			flush(i)
			words = append(words, string(c))
		default:
			flush(i)
		}
	}
	flush(len(sql))
	return words
}
