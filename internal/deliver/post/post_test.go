package post

import (
	"bytes"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEntities(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                 nil,
		"nada":                             nil,
		"https://a.example/x.":             {"0 https://a.example/x"},
		"(https://a.example/x_(y)), y más": {"0 https://a.example/x_(y)"},
		"«https://a.example/»":             {"0 https://a.example/"},
		"https:// http://?":                nil,
		"xhttps://a.example":               nil,
		"https://a.example/#bici @ana":     {"0 https://a.example/#bici", "2 ana"},
		"#bici #2026 #a1 #ñandú_x a#b":     {"1 bici", "1 a1", "1 ñandú_x"},
		"#" + strings.Repeat("a", 65):      nil,
		"@ana @ana@social.example. @a.b.c": {"2 ana", "2 ana@social.example", "2 a.b.c"},
		"ana@social.example":               nil,
		"@@ana @":                          nil,
	} {
		var got []string
		for _, e := range Entities(text) {
			got = append(got, string(rune('0'+int(e.Kind)))+" "+e.Value)
			if !strings.HasSuffix(text[e.Start:e.End], e.Value) {
				t.Errorf("%q: %q lies at %q", text, e.Value, text[e.Start:e.End])
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func FuzzEntities(f *testing.F) {
	for _, seed := range []string{"https://a.example/(x). #bici @ana@b.example", "@\xff#", "((((https://a)", "🇪🇸#é@a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		last := 0
		for _, e := range Entities(text) {
			if e.Start < last || e.End <= e.Start || e.End > len(text) || e.Value == "" {
				t.Fatalf("%q: %+v", text, e)
			}
			last = e.End
		}
	})
}

func TestNarrower(t *testing.T) {
	for _, tc := range []struct{ a, b, want Visibility }{
		{"", "", Public}, {Public, "", Public}, {"", Unlisted, Unlisted}, {Direct, Unlisted, Direct}, {Followers, Direct, Direct}, {Unlisted, Public, Unlisted},
	} {
		if got := Narrower(tc.a, tc.b); got != tc.want {
			t.Errorf("of %q and %q it is %q", tc.a, tc.b, got)
		}
	}
}

func TestInspect(t *testing.T) {
	picture := image.NewGray(image.Rect(0, 0, 7, 5))
	var p, j, g bytes.Buffer
	if err := png.Encode(&p, picture); err != nil {
		t.Fatal(err)
	}
	if err := jpeg.Encode(&j, picture, nil); err != nil {
		t.Fatal(err)
	}
	if err := gif.Encode(&g, picture, nil); err != nil {
		t.Fatal(err)
	}
	// The headers of WebP by its three forms, of 7 × 5.
	extended := "RIFF\x16\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x04\x00\x00"
	lossy := "RIFF\x16\x00\x00\x00WEBPVP8 \x0a\x00\x00\x00\x00\x00\x00\x9d\x01\x2a\x07\x00\x05\x00"
	lossless := "RIFF\x16\x00\x00\x00WEBPVP8L\x0a\x00\x00\x00\x2f\x06\x00\x01\x00\x00\x00\x00\x00\x00"
	for name, tc := range map[string]struct {
		data string
		want Picture
		ok   bool
	}{
		"PNG":           {p.String(), Picture{"image/png", 7, 5}, true},
		"JPEG":          {j.String(), Picture{"image/jpeg", 7, 5}, true},
		"GIF":           {g.String(), Picture{"image/gif", 7, 5}, true},
		"WebP extended": {extended, Picture{"image/webp", 7, 5}, true},
		"WebP lossy":    {lossy, Picture{"image/webp", 7, 5}, true},
		"WebP lossless": {lossless, Picture{"image/webp", 7, 5}, true},
		"nothing":       {"", Picture{}, false},
		"SVG":           {"<svg xmlns='http://www.w3.org/2000/svg'/>", Picture{}, false},
		"a short PNG":   {p.String()[:16], Picture{}, false},
		"PDF":           {"%PDF-1.7", Picture{}, false},
	} {
		got, ok := Inspect([]byte(tc.data))
		if ok != tc.ok || ok && got != tc.want {
			t.Errorf("%s: %+v %v", name, got, ok)
		}
	}
}
