package compose

import (
	"fmt"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver/bluesky"
	"github.com/tertulia-crm/tertulia/internal/deliver/mastodon"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/publication"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// notNever stands for the moment of an intent that is only checked.
var notNever = time.Unix(0, 0)

// FlawError is what keeps something from being published, in words for its author.
type FlawError string

// Error implements error.
func (e FlawError) Error() string { return string(e) }

// Posts makes the posts of a publication of a template, one for each of its locales. The error is a FlawError where an author has to mend
// something.
func Posts(plan *publication.Plan, t store.Template, displayName string) ([]publication.Post, error) {
	compiled, err := Template(t)
	if err != nil {
		return nil, err
	}
	for _, name := range compiled.TextVariables() {
		if name == "contact" || strings.HasPrefix(name, "contact.") || name == render.UnsubscribeURL || name == render.ConfirmURL {
			return nil, FlawError(fmt.Sprintf("template %q reads %s, and a post is written to nobody in particular: remove it from the text", t.Name, name))
		}
	}
	vars := render.Vars{"tenant": map[string]any{"display_name": displayName}}
	var posts []publication.Post
	for _, locale := range plan.LocalesOr(t.DefaultLocale) {
		text, ok, err := compiled.Text(locale, vars)
		if !ok && err == nil {
			return nil, FlawError(fmt.Sprintf("template %q has no content in locale %s: add it, or remove the locale from spec.publication.locales",
				t.Name, locale))
		}
		if err != nil {
			return nil, FlawError(fmt.Sprintf("template %q: %s", t.Name, err))
		}
		parts, err := plan.Parts(locale, text)
		if err != nil {
			return nil, FlawError(fmt.Sprintf("template %q: %s", t.Name, err))
		}
		posts = append(posts, publication.Post{Locale: locale, Parts: parts})
	}
	return posts, nil
}

// CheckPosts tells which post a channel's network does not take, with the numbers, and nil where it takes all. images are the bytes of the
// pictures, by their digests.
func CheckPosts(channelType string, takes post.Takes, plan *publication.Plan, posts []publication.Post, images map[string][]byte) error {
	limits, ok := limitsOf(channelType, takes)
	if !ok {
		return FlawError(fmt.Sprintf("a channel of type %s publishes nothing: name one of type Mastodon or Bluesky in spec.channelRef", channelType))
	}
	if channelType == store.BlueskyType && plan.Visibility != "" && plan.Visibility != string(post.Public) {
		return FlawError("Bluesky has public posts only: remove spec.publication.visibility")
	}
	for _, p := range posts {
		ready, texts := readyPost(plan, p, images)
		flaw := post.Flaw(&post.Intent{ID: "checked", At: notNever, Post: ready})
		if flaw == "" {
			flaw = limits.Check(&ready, texts)
		}
		if flaw != "" {
			return FlawError(fmt.Sprintf("the post in locale %s cannot be published on %s: %s", p.Locale, channelType, flaw))
		}
	}
	return nil
}

// AnswerFlaw tells why a channel's network does not take a text that answers somebody, whose handle it is, and "" where it takes it. Networks where an
// answer has no bounds take all.
func AnswerFlaw(channelType string, takes post.Takes, handle, text string) string {
	limits, ok := limitsOf(channelType, takes)
	if !ok {
		return ""
	}
	if channelType == store.MastodonType {
		text = mastodon.Address(text, []post.Mention{{Handle: handle}})
	}
	return limits.Check(&post.Post{Parts: []post.Part{{Text: text}}}, []string{text})
}

// limitsOf are the limits of a channel's network; false where nothing is posted by a channel of the type.
func limitsOf(channelType string, takes post.Takes) (post.Limits, bool) {
	switch channelType {
	case store.MastodonType:
		return mastodon.Limits(takes), true
	case store.BlueskyType:
		return bluesky.Limits(), true
	}
	return post.Limits{}, false
}

// readyPost is a post with the bytes of its images, and the texts of its parts.
func readyPost(plan *publication.Plan, p publication.Post, images map[string][]byte) (post.Post, []string) {
	ready := post.Post{Language: p.Locale, Visibility: post.Visibility(plan.Visibility)}
	texts := make([]string, len(p.Parts))
	for n, part := range p.Parts {
		texts[n] = part.Text
		ready.Parts = append(ready.Parts, post.Part{Text: part.Text})
		for _, i := range part.Images {
			ready.Parts[n].Images = append(ready.Parts[n].Images, post.Image{Data: images[i.Digest], Alt: i.Alt})
		}
	}
	return ready, texts
}
