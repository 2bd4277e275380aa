package publication_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/publication"
)

func TestTextsAreCutIntoThreads(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string
	}{
		"one post":           {"Hola\n\nmundo\n", []string{"Hola\n\nmundo"}},
		"a thread":           {"one\n---\ntwo\n  ---  \nthree", []string{"one", "two", "three"}},
		"other line ends":    {"one\r\n---\r\ntwo\r\nlines", []string{"one", "two\nlines"}},
		"dashes in the text": {"a --- b\n----\n-- -", []string{"a --- b\n----\n-- -"}},
		"an empty part":      {"one\n---\n\n---\nthree", []string{"one", "", "three"}},
		"nothing":            {" \n", []string{""}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, publication.Split(tc.text)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestImagesBelongToPartsAndSpeak(t *testing.T) {
	image := func(part int, alt map[string]string) publication.Image {
		return publication.Image{Digest: "d", Part: part, Alt: alt}
	}
	spanish := map[string]string{"es": "Una bici"}
	tests := map[string]struct {
		images []publication.Image
		locale string
		text   string
		want   []publication.Part
		flaw   string
	}{
		"the second part shows it": {
			[]publication.Image{image(2, spanish)},
			"es", "one\n---\ntwo",
			[]publication.Part{{Text: "one"}, {Text: "two", Images: []publication.Described{{Digest: "d", Alt: "Una bici"}}}},
			"",
		},
		"a country has its language's words": {
			[]publication.Image{image(1, spanish)},
			"es-MX", "one",
			[]publication.Part{{Text: "one", Images: []publication.Described{{Digest: "d", Alt: "Una bici"}}}},
			"",
		},
		"an image needs no text":    {[]publication.Image{image(1, spanish)}, "es", "", []publication.Part{{Images: []publication.Described{{Digest: "d", Alt: "Una bici"}}}}, ""},
		"nobody says what it shows": {[]publication.Image{image(1, spanish)}, "en", "one", nil, "image 1 has no alt in locale en"},
		"no such part":              {[]publication.Image{image(3, spanish)}, "es", "one\n---\ntwo", nil, "part 3, and in locale es the thread has 2"},
		"an empty part":             {nil, "es", "one\n---\n", nil, "part 2 of 2 in locale es has neither text nor image"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := (&publication.Plan{Images: tc.images}).Parts(tc.locale, tc.text)
			if tc.flaw != "" {
				if err == nil || !strings.Contains(err.Error(), tc.flaw) {
					t.Fatalf("got %v, want %q", err, tc.flaw)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestVariantsTakeTurns(t *testing.T) {
	var got []int
	for begun := range 5 {
		got = append(got, publication.Turn(begun, 2))
	}
	if diff := cmp.Diff([]int{0, 1, 0, 1, 0}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPlansAreCompared(t *testing.T) {
	plan := func(change func(*publication.Plan)) *publication.Plan {
		p := &publication.Plan{Locales: []string{"es"}, Images: []publication.Image{{Digest: "d", Part: 1, Alt: map[string]string{"es": "a"}}}}
		change(p)
		return p
	}
	same := plan(func(*publication.Plan) {})
	tests := map[string]struct {
		other *publication.Plan
		want  bool
	}{
		"itself":          {plan(func(*publication.Plan) {}), true},
		"other words":     {plan(func(p *publication.Plan) { p.Images[0].Alt["es"] = "b" }), false},
		"another image":   {plan(func(p *publication.Plan) { p.Images[0].Digest = "e" }), false},
		"another part":    {plan(func(p *publication.Plan) { p.Images[0].Part = 2 }), false},
		"another locale":  {plan(func(p *publication.Plan) { p.Locales = []string{"en"} }), false},
		"who sees it":     {plan(func(p *publication.Plan) { p.Visibility = "Unlisted" }), false},
		"no publication":  {nil, false},
		"fewer languages": {plan(func(p *publication.Plan) { p.Images[0].Alt = nil }), false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := same.Equal(tc.other); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}
