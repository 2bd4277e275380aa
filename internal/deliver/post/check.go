package post

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The most that any network takes; what has more is a mistake.
const (
	maxParts    = 50
	maxText     = 64 << 10
	maxMentions = 20
)

// Flaw tells why an intent is none that could be published anywhere, and "" where it may be one.
func Flaw(i *Intent) string {
	p := &i.Post
	switch {
	case i.ID == "" || i.At.IsZero():
		return "the intent has no id or no time"
	case len(p.Parts) == 0 || len(p.Parts) > maxParts:
		return fmt.Sprintf("the post has %d parts: it may have 1 to %d", len(p.Parts), maxParts)
	case len(i.Posted) > len(p.Parts):
		return "more parts are there than the post has"
	case len(p.Mentions) > maxMentions:
		return fmt.Sprintf("the post mentions %d people: it may mention %d", len(p.Mentions), maxMentions)
	case p.ReplyTo != nil && p.ReplyTo.ID == "":
		return "the post answers one without an id"
	}
	for n, part := range p.Parts {
		if why := partFlaw(&part); why != "" {
			return inPart(p, n, why)
		}
	}
	return ""
}

func partFlaw(part *Part) string {
	switch {
	case strings.TrimSpace(part.Text) == "" && len(part.Images) == 0:
		return "there is neither text nor image"
	case len(part.Text) > maxText:
		return fmt.Sprintf("the text has %d bytes: it may have %d", len(part.Text), maxText)
	case !utf8.ValidString(part.Text) || strings.ContainsRune(part.Text, 0):
		return "the text is not UTF-8"
	}
	for n, image := range part.Images {
		if _, ok := Inspect(image.Data); !ok {
			return fmt.Sprintf("image %d is no PNG, JPEG, GIF or WebP", n+1)
		}
		if !utf8.ValidString(image.Alt) {
			return fmt.Sprintf("the description of image %d is not UTF-8", n+1)
		}
	}
	return ""
}

// inPart says in which part of a thread something is wrong.
func inPart(p *Post, n int, why string) string {
	if len(p.Parts) == 1 {
		return why
	}
	return fmt.Sprintf("part %d of %d: %s", n+1, len(p.Parts), why)
}

// Limits are what a network takes of one part.
type Limits struct {
	Graphemes  int // as Count counts
	Bytes      int // of the text; 0: no bound
	Images     int
	ImageBytes int
	Pixels     int // of an image; 0: no bound
	Alt        int // graphemes of an image's description
	MIME       []string
	// Count counts what a part's text has against Graphemes. Nil: its graphemes.
	Count func(text string) int
}

// Takes are the limits as they can be told. perURL is what an address counts as; 0: its own characters.
func (l *Limits) Takes(perURL int) Takes {
	return Takes{Characters: l.Graphemes, PerURL: perURL, Images: l.Images, ImageBytes: l.ImageBytes, Pixels: l.Pixels, Alt: l.Alt, MIME: l.MIME}
}

// Check tells which part of a post a network does not take, with the numbers, and "" where it takes all. texts are the parts' texts as they
// would be sent.
func (l *Limits) Check(p *Post, texts []string) string {
	for n, part := range p.Parts {
		if why := l.check(&part, texts[n]); why != "" {
			return inPart(p, n, why)
		}
	}
	return ""
}

func (l *Limits) check(part *Part, text string) string {
	count := Graphemes
	if l.Count != nil {
		count = l.Count
	}
	switch got := count(text); {
	case got > l.Graphemes:
		return fmt.Sprintf("the text has %d characters, and the network takes %d: shorten it", got, l.Graphemes)
	case l.Bytes > 0 && len(text) > l.Bytes:
		return fmt.Sprintf("the text has %d bytes, and the network takes %d: shorten it", len(text), l.Bytes)
	case len(part.Images) > l.Images:
		return fmt.Sprintf("there are %d images, and the network takes %d", len(part.Images), l.Images)
	}
	for n, image := range part.Images {
		if why := l.checkImage(&image); why != "" {
			return fmt.Sprintf("image %d %s", n+1, why)
		}
	}
	return ""
}

func (l *Limits) checkImage(i *Image) string {
	picture, _ := Inspect(i.Data)
	switch {
	case len(i.Data) > l.ImageBytes:
		return fmt.Sprintf("has %d bytes, and the network takes %d: make it smaller", len(i.Data), l.ImageBytes)
	case l.Pixels > 0 && picture.Width*picture.Height > l.Pixels:
		return fmt.Sprintf("has %d pixels, and the network takes %d: make it smaller", picture.Width*picture.Height, l.Pixels)
	case l.Alt > 0 && Graphemes(i.Alt) > l.Alt:
		return fmt.Sprintf("has a description of %d characters, and the network takes %d", Graphemes(i.Alt), l.Alt)
	case len(l.MIME) > 0 && !contains(l.MIME, picture.MIME):
		return "is of type " + picture.MIME + ", which the network does not take"
	}
	return ""
}

func contains(all []string, one string) bool {
	for _, other := range all {
		if strings.EqualFold(other, one) {
			return true
		}
	}
	return false
}
