package mailbox

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/emersion/go-message"
	"golang.org/x/net/html"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// Bounds of what a mail is made of.
const (
	maxDepth    = 8
	maxParts    = 64
	maxPlain    = 2 * listen.MaxText
	maxMarkup   = 512 << 10
	maxAttached = 6 // types of attachments that are told
)

// body reads what a mail says.
type body struct {
	reply    bool
	parts    int
	attached map[string]int
}

// read is the text of a mail, with what is attached named by its types.
func (b *body) read(entity *message.Entity) string {
	b.attached = map[string]int{}
	text := b.text(entity, 0)
	if len(b.attached) == 0 {
		return text
	}
	var told []string
	for _, name := range slices.Sorted(maps.Keys(b.attached)) {
		told = append(told, fmt.Sprintf("%d × %s", b.attached[name], name))
	}
	if len(told) > maxAttached {
		told = append(told[:maxAttached], "…")
	}
	// In front of what is cut where it is too long.
	text = strings.ToValidUTF8(text[:min(len(text), listen.MaxText-1<<10)], "")
	return strings.TrimSpace(text + "\n\n[" + strings.Join(told, ", ") + "]")
}

// text is what a part says: the plain one of alternatives, all of a mixture. Attachments are counted.
func (b *body) text(e *message.Entity, depth int) string {
	mediaType, params, err := e.Header.ContentType()
	if err != nil && !e.Header.Has("Content-Type") || mediaType == "" {
		mediaType = "text/plain"
	}
	mediaType = strings.ToLower(mediaType)
	if strings.HasPrefix(mediaType, "multipart/") {
		return b.several(e, mediaType == "multipart/alternative", depth)
	}
	if disposition, _, _ := e.Header.ContentDisposition(); strings.EqualFold(disposition, "attachment") {
		b.attach(mediaType)
		return ""
	}
	switch mediaType {
	case "text/plain":
		plain := readAll(e.Body, maxPlain)
		if strings.EqualFold(params["format"], "flowed") {
			plain = unflow(plain, strings.EqualFold(params["delsp"], "yes"))
		}
		return ownWords(plain, b.reply)
	case "text/html":
		markup := readAll(e.Body, maxMarkup)
		text, _ := listen.PlainText(withoutQuotes(markup))
		if text == "" {
			text, _ = listen.PlainText(markup)
		}
		return ownWords(text, b.reply)
	}
	b.attach(mediaType)
	return ""
}

// several reads the parts of a whole.
func (b *body) several(e *message.Entity, alternative bool, depth int) string {
	parts := e.MultipartReader()
	if parts == nil || depth >= maxDepth {
		return ""
	}
	var all []string
	var plain string
	for b.parts < maxParts {
		b.parts++
		part, err := parts.NextPart()
		if part == nil || err != nil && !isOfPart(err) {
			break
		}
		text := b.text(part, depth+1)
		if mediaType, _, _ := part.Header.ContentType(); alternative && plain == "" && mediaType == "text/plain" {
			plain = text
		}
		if text != "" {
			all = append(all, text)
		}
	}
	switch {
	case len(all) == 0:
		return ""
	case alternative && plain != "":
		return plain
	case alternative:
		return all[0]
	}
	return strings.Join(all, "\n\n")
}

var mediaName = regexp.MustCompile(`^[a-z0-9][a-z0-9!#$&^_.+-]{0,40}/[a-z0-9][a-z0-9!#$&^_.+-]{0,80}$`)

func (b *body) attach(mediaType string) {
	if !mediaName.MatchString(mediaType) {
		mediaType = "application/octet-stream"
	}
	b.attached[mediaType]++
}

// unflow joins the lines that a program broke (RFC 3676). joined says that the space at their ends is its own, too.
func unflow(text string, joined bool) string {
	var out strings.Builder
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		switch {
		case line == "-- " || !strings.HasSuffix(line, " ") || strings.HasPrefix(line, ">"):
			out.WriteString(line + "\n")
		case joined:
			out.WriteString(strings.TrimSuffix(line, " "))
		default:
			out.WriteString(line)
		}
	}
	return out.String()
}

// withoutQuotes leaves out of HTML what programs quote: the mail that is answered, and signatures.
func withoutQuotes(markup string) string {
	var kept strings.Builder
	tokens := html.NewTokenizer(strings.NewReader(markup))
	tokens.SetMaxBuf(maxMarkup)
	element, depth := "", 0
	for tokens.Next() != html.ErrorToken {
		raw := string(tokens.Raw()) // before Token, which changes it in place
		token := tokens.Token()
		switch {
		case element == "" && token.Type == html.StartTagToken && isRest(token):
			return kept.String()
		case element == "" && token.Type == html.StartTagToken && isQuote(token):
			element, depth = token.Data, 1
		case element == "":
			kept.WriteString(raw)
		case token.Type == html.StartTagToken && token.Data == element:
			depth++
		case token.Type == html.EndTagToken && token.Data == element:
			if depth--; depth == 0 {
				element = ""
			}
		}
	}
	return kept.String()
}

var quoting = map[string]bool{
	"gmail_quote": true, "gmail_attr": true, "gmail_signature": true, "gmail_signature_prefix": true,
	"moz-cite-prefix": true, "moz-signature": true, "protonmail_quote": true, "yahoo_quoted": true,
}

// isQuote knows the elements in which mail programs put what is not new.
func isQuote(t html.Token) bool {
	for _, a := range t.Attr {
		switch {
		case a.Key == "type" && t.Data == "blockquote" && a.Val == "cite":
			return true
		case a.Key == "class":
			for class := range strings.FieldsSeq(a.Val) {
				if quoting[class] {
					return true
				}
			}
		}
	}
	return false
}

// isRest knows the marks behind which a mail program puts the mail that is answered, without an element around it.
func isRest(t html.Token) bool {
	for _, a := range t.Attr {
		if a.Key == "id" && (a.Val == "appendonsend" || a.Val == "divRplyFwdMsg" || a.Val == "mail-editor-reference-message-container") {
			return true
		}
	}
	return false
}
