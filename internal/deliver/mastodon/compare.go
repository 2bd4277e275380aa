package mastodon

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/net/html"
	"golang.org/x/text/unicode/norm"

	"github.com/tertulia-crm/tertulia/internal/deliver/post"
)

// likeness is how much a post is like a part.
type likeness int

const (
	other likeness = iota
	similar
	same
)

// compare compares a post, of which this is the text, with a part of an intent. Who it answers is what tells most: the same words
// go to many people. Of a post that was answered and is gone servers do not say that it was.
func compare(c *status, n int, i *post.Intent, posted []post.Reference, text string) likeness {
	part, answers := &i.Post.Parts[n], ""
	switch {
	case n > 0:
		answers = posted[n-1].ID
	case i.Post.ReplyTo != nil:
		answers = i.Post.ReplyTo.ID
	}
	if c.InReplyTo != answers && (c.InReplyTo != "" || answers == "") {
		return other
	}
	equal := reduce(text) == reduce(part.Text)
	switch {
	case c.InReplyTo != answers && equal:
		return similar
	case c.InReplyTo != answers:
		return other
	case equal && c.Spoiler == i.Post.Warning && sameAlts(c.Media, part.Images):
		return same
	case equal, alike(text, part.Text), c.EditedAt != "" && answers != "":
		return similar
	}
	return other
}

func sameAlts(media []attachment, images []post.Image) bool {
	return slices.EqualFunc(media, images, func(m attachment, i post.Image) bool {
		return strings.TrimSpace(m.Description) == strings.TrimSpace(i.Alt)
	})
}

// reduce leaves of a text what servers do not change: no names at the beginning, no domains of names, no blanks.
func reduce(text string) string {
	text = norm.NFC.String(text)
	var out strings.Builder
	last, leading := 0, true
	for _, e := range post.Entities(text) {
		between := text[last:e.Start]
		leading = leading && strings.TrimSpace(between) == "" && e.Kind == post.Name
		out.WriteString(between)
		if e.Kind == post.Name {
			name, _, _ := strings.Cut(e.Value, "@")
			if !leading {
				out.WriteString("@" + name)
			}
		} else {
			out.WriteString(text[e.Start:e.End])
		}
		last = e.End
	}
	out.WriteString(text[last:])
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.In(r, unicode.Cf) {
			return -1
		}
		return r
	}, out.String())
}

// alike tells whether two texts have most of their words in common.
func alike(a, b string) bool {
	one, two := words(a), words(b)
	if len(one) == 0 || len(two) == 0 {
		return len(one) == len(two)
	}
	common := 0
	for w := range one {
		if two[w] {
			common++
		}
	}
	return 10*common >= 6*max(len(one), len(two))
}

func words(text string) map[string]bool {
	found := map[string]bool{}
	for _, w := range strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) }) {
		found[w] = true
	}
	return found
}

// maxContent is how many bytes of a post's HTML are read.
const maxContent = 1 << 20

// plain is the text of a post's HTML, with blanks where lines and paragraphs end.
func plain(markup string) string {
	var out strings.Builder
	tokens := html.NewTokenizer(strings.NewReader(markup[:min(len(markup), maxContent)]))
	for {
		switch tokens.Next() {
		case html.ErrorToken:
			return out.String()
		case html.TextToken:
			out.WriteString(string(tokens.Text()))
		case html.StartTagToken, html.EndTagToken, html.SelfClosingTagToken:
			if name, _ := tokens.TagName(); string(name) == "br" || string(name) == "p" {
				out.WriteByte('\n')
			}
		}
	}
}
