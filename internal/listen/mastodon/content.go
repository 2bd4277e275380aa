package mastodon

import (
	"strings"

	"golang.org/x/net/html"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// maxContent is how many bytes of a post's HTML are read.
const maxContent = 1 << 20

// readContent reads a post's HTML. Addresses are whole in the text: servers hide their ends from sight only. Links are those that
// the author set: mentions and hashtags are links too, and are told elsewhere.
func readContent(markup string) (text string, links []string) {
	markup = markup[:min(len(markup), maxContent)]
	if !strings.Contains(markup, "<") {
		text, _ = listen.PlainText(markup)
		return text, nil
	}
	var kept strings.Builder
	tokens := html.NewTokenizer(strings.NewReader(markup))
	tokens.SetMaxBuf(maxContent)
	hidden := skip{}
	for tokens.Next() != html.ErrorToken {
		raw := string(tokens.Raw()) // before Token, which changes it in place
		token := tokens.Token()
		if hidden.passes(token) {
			continue
		}
		kept.WriteString(raw)
		if token.Type == html.StartTagToken && token.Data == "a" && len(links) < listen.MaxMembers {
			if href := authored(token); href != "" {
				links = append(links, href)
			}
		}
	}
	text, _ = listen.PlainText(kept.String())
	return text, links
}

// authored is where a link leads that is neither a mention nor a hashtag; "" otherwise.
func authored(token html.Token) string {
	var href string
	for _, a := range token.Attr {
		switch a.Key {
		case "href":
			href = a.Val
		case "class":
			if has(a.Val, "mention") || has(a.Val, "hashtag") {
				return ""
			}
		case "rel":
			if has(a.Val, "tag") {
				return ""
			}
		}
	}
	return href
}

func has(words, word string) bool {
	for w := range strings.FieldsSeq(words) {
		if w == word {
			return true
		}
	}
	return false
}

// skip leaves out an element that repeats for old programs what the API tells otherwise: the address of the quoted post.
type skip struct {
	element string
	depth   int
}

// passes tells whether a token is left out.
func (s *skip) passes(token html.Token) bool {
	switch {
	case s.element == "":
		if token.Type != html.StartTagToken {
			return false
		}
		for _, a := range token.Attr {
			if a.Key == "class" && has(a.Val, "quote-inline") {
				s.element, s.depth = token.Data, 1
				return true
			}
		}
		return false
	case token.Type == html.StartTagToken && token.Data == s.element:
		s.depth++
	case token.Type == html.EndTagToken && token.Data == s.element:
		if s.depth--; s.depth == 0 {
			s.element = ""
		}
	}
	return true
}
