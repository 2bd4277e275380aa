// Package publication says what a campaign publishes on a social network, and cuts a template's text into the posts of a thread. It is pure:
// it knows neither networks nor people.
package publication

import (
	"fmt"
	"slices"
	"strings"
)

// Plan is what a campaign declares of its publication. It is stored with the send.
type Plan struct {
	// Locales are published one after the other, each as a post or thread of its own. None: the default locale of the template.
	Locales    []string `json:"locales,omitempty"`
	Images     []Image  `json:"images,omitempty"`
	Visibility string   `json:"visibility,omitempty"` // Public, Unlisted or Followers; "": Public
}

// Image is a picture of a post.
type Image struct {
	Digest string            `json:"digest"` // SHA-256 of its bytes, in hexadecimal
	Part   int               `json:"part"`   // of the thread, from 1
	Alt    map[string]string `json:"alt"`    // what it shows in words, by locale
}

// Equal tells whether two plans publish the same. A missing plan is a campaign that writes to people.
func (p *Plan) Equal(other *Plan) bool {
	if p == nil || other == nil {
		return p == other
	}
	return p.Visibility == other.Visibility && slices.Equal(p.Locales, other.Locales) && slices.EqualFunc(p.Images, other.Images, func(a, b Image) bool {
		same := a.Digest == b.Digest && a.Part == b.Part && len(a.Alt) == len(b.Alt)
		for locale, words := range a.Alt {
			same = same && b.Alt[locale] == words
		}
		return same
	})
}

// LocalesOr are the locales that are published: those of the plan, else the default one of a template.
func (p *Plan) LocalesOr(standard string) []string {
	if len(p.Locales) == 0 {
		return []string{standard}
	}
	return p.Locales
}

// Posts is how many posts or threads are published at a time.
func (p *Plan) Posts() int { return max(len(p.Locales), 1) }

// Digests are those of the images, each once.
func (p *Plan) Digests() []string {
	var all []string
	for _, i := range p.Images {
		if !slices.Contains(all, i.Digest) {
			all = append(all, i.Digest)
		}
	}
	return all
}

// Post is a post, or a thread, in one language.
type Post struct {
	Locale string
	Parts  []Part
}

// Part is a post of a thread.
type Part struct {
	Text   string
	Images []Described
}

// Described is a picture with what it shows in words.
type Described struct {
	Digest, Alt string
}

// Parts makes the posts of a thread of a text: a line that holds --- and nothing else begins the next one.
func (p *Plan) Parts(locale, text string) ([]Part, error) {
	texts := Split(text)
	parts := make([]Part, len(texts))
	for n, t := range texts {
		parts[n].Text = t
	}
	for n, image := range p.Images {
		if image.Part > len(parts) {
			return nil, fmt.Errorf("image %d is to be shown by part %d, and in locale %s the thread has %d: change part, or write the text of that part",
				n+1, image.Part, locale, len(parts))
		}
		alt, ok := inLocale(image.Alt, locale)
		if !ok {
			return nil, fmt.Errorf("image %d has no alt in locale %s: say in words what it shows", n+1, locale)
		}
		part := &parts[image.Part-1]
		part.Images = append(part.Images, Described{Digest: image.Digest, Alt: alt})
	}
	for n, part := range parts {
		if part.Text == "" && len(part.Images) == 0 {
			return nil, fmt.Errorf("part %d of %d in locale %s has neither text nor image: write it, or remove the line --- before it", n+1, len(parts), locale)
		}
	}
	return parts, nil
}

// Split cuts a text into the parts of a thread.
func Split(text string) []string {
	var parts []string
	var lines []string
	end := func() {
		parts = append(parts, strings.TrimSpace(strings.Join(lines, "\n")))
		lines = nil
	}
	for _, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		if strings.TrimSpace(line) == "---" {
			end()
			continue
		}
		lines = append(lines, line)
	}
	end()
	return parts
}

// inLocale finds the words of a locale, else those of its language: of es-MX, else of es.
func inLocale(words map[string]string, locale string) (string, bool) {
	for l := locale; l != ""; {
		if w, ok := words[l]; ok {
			return w, true
		}
		cut := strings.LastIndexByte(l, '-')
		if cut < 0 {
			break
		}
		l = l[:cut]
	}
	return "", false
}

// Turn is the place of the variant that an occurrence publishes: the variants take turns, and begun is how many occurrences began before it.
func Turn(begun, variants int) int {
	if variants == 0 {
		return 0
	}
	return begun % variants
}
