package listen_test

import (
	"math"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestNormalizeRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		id      string
		refused bool
	}{
		"none":              {"", true},
		"one":               {"at://did:plc:a/app.bsky.feed.post/1", false},
		"a long one":        {strings.Repeat("x", listen.MaxID), false},
		"too long":          {strings.Repeat("x", listen.MaxID+1), true},
		"no UTF-8":          {"a\xff", true},
		"with a null":       {"a\x00b", true},
		"with a line end":   {"a\nb", true},
		"in another script": {"ñandú-🚲", false},
	} {
		p := listen.Post{ID: tc.id}
		if got := listen.Normalize(&p, noon); (got != "") != tc.refused || tc.id != "" && strings.Contains(got, tc.id) {
			t.Errorf("%s: %q", name, got)
		}
		if p.ID != tc.id {
			t.Errorf("%s: the id became %q", name, p.ID)
		}
	}
}

func TestNormalizeText(t *testing.T) {
	for name, tc := range map[string]struct{ in, text, title string }{
		"plain":               {"Velo rolls.", "Velo rolls.", "Velo rolls."},
		"line ends":           {"a\r\nb\rc\nd", "a\nb\nc\nd", "a b c d"},
		"other line ends":     {"a\vb\fc\u0085d\u2028e\u2029f", "a\nb\nc\nd\ne\nf", "a b c d e f"},
		"spaces around":       {" \n a\tb \n", "a\tb", "a b"},
		"control characters":  {"a\x00\x1b[31mb\x7f\u009bc", "a[31mbc", "a[31mbc"},
		"marks of direction":  {"a\u202Eb\u2066c\u2069", "abc", "abc"},
		"no UTF-8":            {"a\xffb\xc3", "a\uFFFDb\uFFFD", "a\uFFFDb\uFFFD"},
		"emoji and accents":   {"👩‍👩‍👧 e\u0301 ñ", "👩‍👩‍👧 e\u0301 ñ", "👩‍👩‍👧 e\u0301 ñ"},
		"nothing but control": {"\x00\x01", "", ""},
	} {
		p := listen.Post{ID: "1", Text: tc.in, Title: tc.in}
		listen.Normalize(&p, noon)
		if p.Text != tc.text || p.Title != tc.title {
			t.Errorf("%s: %q and %q, want %q and %q", name, p.Text, p.Title, tc.text, tc.title)
		}
	}
}

// TestNormalizeCuts: what is too long is cut between characters, and nothing is made of the half that was cut.
func TestNormalizeCuts(t *testing.T) {
	for _, s := range []string{"a", "ñ", "語", "🚲", "\x00ñ", "\x00\x00🚲"} {
		for shift := range 4 {
			p := listen.Post{ID: "1", Text: strings.Repeat("x", shift) + strings.Repeat(s, listen.MaxText)}
			listen.Normalize(&p, noon)
			if len(p.Text) > listen.MaxText || len(p.Text) < listen.MaxText/4 || strings.Contains(p.Text, "\uFFFD") || !utf8.ValidString(p.Text) {
				t.Errorf("%q, shifted by %d: %d bytes, at the end %q", s, shift, len(p.Text), p.Text[max(0, len(p.Text)-8):])
			}
		}
	}
}

func TestNormalizeDates(t *testing.T) {
	for name, tc := range map[string]struct{ created, edited, wantCreated, wantEdited time.Time }{
		"as they are":        {noon.Add(-time.Hour), noon.Add(-time.Minute), noon.Add(-time.Hour), noon.Add(-time.Minute)},
		"none":               {time.Time{}, time.Time{}, noon, time.Time{}},
		"1970":               {time.Unix(0, 0), time.Time{}, noon, time.Time{}},
		"2100":               {time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC), noon, time.Time{}},
		"the year 300 000":   {time.Unix(1<<43, 0), time.Time{}, noon, time.Time{}},
		"a clock ahead":      {noon.Add(listen.Skew), noon.Add(listen.Skew), noon.Add(listen.Skew), noon.Add(listen.Skew)},
		"a clock far ahead":  {noon.Add(listen.Skew + 1), time.Time{}, noon, time.Time{}},
		"edited before made": {noon.Add(-time.Hour), noon.Add(-2 * time.Hour), noon.Add(-time.Hour), time.Time{}},
	} {
		p := listen.Post{ID: "1", CreatedAt: tc.created, EditedAt: tc.edited, Author: listen.Account{CreatedAt: tc.created}}
		listen.Normalize(&p, noon)
		if !p.CreatedAt.Equal(tc.wantCreated) || !p.EditedAt.Equal(tc.wantEdited) {
			t.Errorf("%s: written %s, edited %s", name, p.CreatedAt, p.EditedAt)
		}
		if a := p.Author.CreatedAt; !a.IsZero() && (a.Year() < 1990 || a.After(noon.Add(listen.Skew))) {
			t.Errorf("%s: the author is of %s", name, a)
		}
	}
}

// TestNormalizeMembers: addresses that are none of the web, tags, accounts, media, stars and counts.
func TestNormalizeMembers(t *testing.T) {
	below, long := int64(-1), "https://velo.example/"+strings.Repeat("x", listen.MaxURL)
	p := listen.Post{
		ID: "1", Kind: "Something", Visibility: "Anybody", URL: " https://velo.example/1 ", Language: " es-419\n", Revision: "a\nb",
		Thread: "a\x00", Parent: strings.Repeat("x", 600), Subject: "s",
		Tags: []string{"#velo", "velo", "", "# # a b ", "#\x00"},
		Links: []string{
			"javascript:alert(1)", "https://velo.example/", "https://velo.example/", "//velo.example/", "http://ana:secret@velo.example/", "ftp://velo.example/",
			"https://", "https://:80/", long, "https://velo.example/\u202Egpj.exe", "data:text/html,x", "HTTP://velo.example/", "https://velo.example/a\nb",
		},
		Mentions: []listen.Account{{ID: "a\x00", Handle: " @@ana@velo.example", Name: "A\nna", URL: "javascript:x", Followers: &below}},
		Media: []listen.Media{
			{Type: listen.Image, URL: "https://velo.example/1.png", Description: "a\x00b"},
			{Type: "Hologram", URL: "https://velo.example/2"},
			{Type: listen.Video, URL: "file:///etc/passwd"},
		},
		Engagement: &listen.Engagement{Likes: -1, Views: 7}, Rating: &listen.Rating{Value: 6, Best: 5},
		Author: listen.Account{Identifier: listen.Identifier{Type: "email", Value: "a\x00@example.com"}},
	}
	want := listen.Post{
		ID: "1", Kind: listen.Original, Visibility: listen.Private, URL: "https://velo.example/1", Language: "es-419", Revision: "a b", Subject: "s",
		CreatedAt: noon, Tags: []string{"velo", "a b"}, Links: []string{"https://velo.example/", "HTTP://velo.example/"},
		Mentions:   []listen.Account{{Handle: "ana@velo.example", Name: "A na"}},
		Media:      []listen.Media{{Type: listen.Image, URL: "https://velo.example/1.png", Description: "ab"}, {Type: listen.Other, URL: "https://velo.example/2"}},
		Engagement: &listen.Engagement{Views: 7},
	}
	if refused := listen.Normalize(&p, noon); refused != "" {
		t.Fatal(refused)
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNormalizeRatings(t *testing.T) {
	for name, tc := range map[string]struct {
		rating listen.Rating
		kept   bool
	}{
		"of five": {listen.Rating{Value: 4.5, Best: 5}, true}, "none of five": {listen.Rating{Best: 5}, true}, "of a thousand": {listen.Rating{Value: 1, Best: 1000}, true},
		"of more": {listen.Rating{Value: 1, Best: 1001}, false}, "of none": {listen.Rating{}, false}, "below zero": {listen.Rating{Value: -1, Best: 5}, false},
		"no number": {listen.Rating{Value: math.NaN(), Best: 5}, false}, "of no number": {listen.Rating{Value: 1, Best: math.NaN()}, false},
		"of infinity": {listen.Rating{Value: 1, Best: math.Inf(1)}, false},
	} {
		p := listen.Post{ID: "1", Rating: &tc.rating}
		listen.Normalize(&p, noon)
		if (p.Rating != nil) != tc.kept {
			t.Errorf("%s: %v", name, p.Rating)
		}
	}
}

func TestNormalizeBounds(t *testing.T) {
	p := listen.Post{ID: "1"}
	for i := range 200 {
		name := strings.Repeat("x", i+1)
		p.Tags, p.Links = append(p.Tags, name), append(p.Links, "https://velo.example/"+name)
		p.Mentions, p.Media = append(p.Mentions, listen.Account{ID: name}), append(p.Media, listen.Media{URL: "https://velo.example/" + name})
	}
	listen.Normalize(&p, noon)
	for name, n := range map[string]int{"tags": len(p.Tags), "links": len(p.Links), "accounts": len(p.Mentions), "media": len(p.Media)} {
		if n != listen.MaxMembers {
			t.Errorf("there are %d %s", n, name)
		}
	}
}

// FuzzNormalize: whatever comes in is safe, in bounds, and the same when it comes again.
func FuzzNormalize(f *testing.F) {
	f.Add("1", "Velo", "#velo", "https://velo.example/", "@ana", int64(0), int64(1))
	f.Add("a\x00", "\xff\u202E\r\n", "# #", " http://[::1]:x/", "a\xc3", int64(1<<40), int64(-1<<40))
	f.Fuzz(func(t *testing.T, id, text, tag, address, handle string, created, edited int64) {
		make := func() listen.Post {
			return listen.Post{
				ID: id, Text: text, Title: text, URL: address, Language: tag, Thread: id + tag, Revision: text, Kind: listen.Kind(tag),
				Tags: []string{tag, text}, Links: []string{address, text}, Media: []listen.Media{{URL: address, Description: text}},
				Author:   listen.Account{ID: handle, Handle: handle, Name: text, Identifier: listen.Identifier{Type: tag, Value: text}},
				Mentions: []listen.Account{{Handle: text, URL: address}}, CreatedAt: time.Unix(created, 0), EditedAt: time.Unix(edited, 0),
			}
		}
		p := make()
		if listen.Normalize(&p, noon) != "" {
			return
		}
		once := p
		if listen.Normalize(&p, noon) != "" {
			t.Error("what was kept is refused")
		}
		if diff := cmp.Diff(once, p); diff != "" {
			t.Errorf("what is normal changes (-once +twice):\n%s", diff)
		}
		lines := append([]string{p.Title, p.Language, p.Revision, p.URL, p.Thread, p.Author.ID, p.Author.Handle, p.Author.Name, p.Author.Identifier.Value},
			append(p.Tags, p.Links...)...)
		for _, s := range lines {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || len(s) > listen.MaxURL {
				t.Errorf("%q", s)
			}
		}
		if !utf8.ValidString(p.Text) || len(p.Text) > listen.MaxText || strings.ContainsAny(p.Text, "\x00\r\u202E") {
			t.Errorf("the text is %q", p.Text)
		}
		if p.CreatedAt.Year() < 1990 || p.CreatedAt.After(noon.Add(listen.Skew)) {
			t.Errorf("it is of %s", p.CreatedAt)
		}
	})
}
