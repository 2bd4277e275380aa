package compose_test

import (
	"bytes"
	"errors"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/compose"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/publication"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func template(texts map[string]string) store.Template {
	t := store.Template{Name: "tour", DefaultLocale: "es"}
	for _, locale := range []string{"es", "en"} {
		if text, ok := texts[locale]; ok {
			t.Content = append(t.Content, store.TemplateContent{Locale: locale, Text: text})
		}
	}
	return t
}

// TestAnAnswerThatDoesNotFit: the name of who is answered counts without its domain, and once.
func TestAnAnswerThatDoesNotFit(t *testing.T) {
	tests := map[string]struct {
		network, handle, text, want string
	}{
		"Mail":     {store.EmailType, "", strings.Repeat("a", 5000), ""},
		"Bluesky":  {store.BlueskyType, "ana.example", strings.Repeat("a", 300), ""},
		"LongSky":  {store.BlueskyType, "ana.example", strings.Repeat("a", 301), "the text has 301 characters, and the network takes 300: shorten it"},
		"Mastodon": {store.MastodonType, "ana@social.example", strings.Repeat("a", 495), ""},
		"LongName": {store.MastodonType, "ana@social.example", strings.Repeat("a", 496), "the text has 501 characters, and the network takes 500: shorten it"},
		"Named":    {store.MastodonType, "ana@social.example", "@ana@social.example " + strings.Repeat("a", 495), ""},
		"Nobody":   {store.MastodonType, "", strings.Repeat("a", 500), ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := compose.AnswerFlaw(tc.network, post.Takes{}, tc.handle, tc.text); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestWhatDoesNotFitIsToldInNumbers: each with the words by which its author mends it.
func TestWhatDoesNotFitIsToldInNumbers(t *testing.T) {
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 4, 4))); err != nil {
		t.Fatal(err)
	}
	images := map[string][]byte{"png": picture.Bytes(), "text": []byte("no image")}
	shows := func(digest string) *publication.Plan {
		return &publication.Plan{Images: []publication.Image{{Digest: digest, Part: 1, Alt: map[string]string{"es": "Una bici"}}}}
	}
	one := &publication.Plan{}
	tests := map[string]struct {
		network string
		takes   post.Takes
		plan    *publication.Plan
		texts   map[string]string
		want    string
	}{
		"it fits":                         {store.BlueskyType, post.Takes{}, shows("png"), map[string]string{"es": strings.Repeat("a", 300)}, ""},
		"the second part is too long":     {store.BlueskyType, post.Takes{}, one, map[string]string{"es": "a\n---\n" + strings.Repeat("a", 301)}, "part 2 of 2: the text has 301 characters, and the network takes 300"},
		"characters are what people see":  {store.BlueskyType, post.Takes{}, one, map[string]string{"es": strings.Repeat("👩‍👩‍👧", 100)}, ""},
		"an instance that takes more":     {store.MastodonType, post.Takes{Characters: 1000}, one, map[string]string{"es": strings.Repeat("a", 900)}, ""},
		"one that does not":               {store.MastodonType, post.Takes{}, one, map[string]string{"es": strings.Repeat("a", 900)}, "900 characters, and the network takes 500"},
		"an address counts as 23":         {store.MastodonType, post.Takes{}, one, map[string]string{"es": "https://velo.example/" + strings.Repeat("a", 600)}, ""},
		"no image":                        {store.MastodonType, post.Takes{}, shows("text"), map[string]string{"es": "a"}, "image 1 is no PNG, JPEG, GIF or WebP"},
		"an image that is too large":      {store.MastodonType, post.Takes{ImageBytes: 10}, shows("png"), map[string]string{"es": "a"}, "and the network takes 10: make it smaller"},
		"who sees it":                     {store.BlueskyType, post.Takes{}, &publication.Plan{Visibility: "Unlisted"}, map[string]string{"es": "a"}, "Bluesky has public posts only"},
		"no network":                      {store.EmailType, post.Takes{}, one, map[string]string{"es": "a"}, "of type Email publishes nothing"},
		"a language that nobody wrote":    {store.MastodonType, post.Takes{}, &publication.Plan{Locales: []string{"es", "fr"}}, map[string]string{"es": "a"}, "no content in locale fr"},
		"a country has its language's":    {store.MastodonType, post.Takes{}, &publication.Plan{Locales: []string{"es-MX"}}, map[string]string{"es": "a"}, ""},
		"a contact":                       {store.MastodonType, post.Takes{}, one, map[string]string{"es": "Hola, {{ contact.first_name }}"}, "reads contact.first_name"},
		"a link that is somebody's":       {store.MastodonType, post.Takes{}, one, map[string]string{"es": "{{ unsubscribe_url }}"}, "reads unsubscribe_url"},
		"nothing is left of the template": {store.MastodonType, post.Takes{}, one, map[string]string{"es": "{% if tenant.display_name == 'x' %}a{% endif %}"}, "has neither text nor image"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			posts, err := compose.Posts(tc.plan, template(tc.texts), "Velo")
			if err == nil {
				err = compose.CheckPosts(tc.network, tc.takes, tc.plan, posts, images)
			}
			var flaw compose.FlawError
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && (!errors.As(err, &flaw) || !strings.Contains(string(flaw), tc.want)):
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
