package listen_test

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

func TestPlainText(t *testing.T) {
	for name, tc := range map[string]struct {
		markup, text string
		links        []string
	}{
		"text":                     {"Velo rolls\n\n  well", "Velo rolls\n\n  well", nil},
		"text with entities":       {"Tom &amp; Ana\n&lt;3 &#128690;", "Tom & Ana\n<3 🚲", nil},
		"what looks like tags":     {"1 < 2 <3 and <", "1 < 2 <3 and <", nil},
		"paragraphs":               {"<p>One</p><p>Two<br>lines</p>", "One\n\nTwo\nlines", nil},
		"a heading":                {"<h1>Title</h1>Text", "Title\nText", nil},
		"a list":                   {"<ul><li>a</li><li>b</li></ul>c", "a\nb\n\nc", nil},
		"divisions":                {"<div>a</div><div>b<div>c</div></div>", "a\nb\nc", nil},
		"a table":                  {"<table><tr><td>a</td><td>b</td></tr><tr><th>c</th></tr></table>", "a b\nc", nil},
		"line ends of the source":  {"<p>One\nline\r\nof  words</p>", "One line of words", nil},
		"line ends that count":     {"<pre>One\n  two</pre><p>three\nfour</p>", "One\ntwo\n\nthree four", nil},
		"links":                    {`<a href="https://a.example/?a=1&amp;b=2">a</a> <a>b</a> <A HREF='/c'>c</A>`, "a b c", []string{"https://a.example/?a=1&b=2", "/c"}},
		"a script":                 {"a<script>if (a < b) alert('</p>')</script>b", "ab", nil},
		"a script closed at once":  {"a<script/>alert(1)</script>b", "ab", nil},
		"a style":                  {"<style>p { color: red }</style><p>a", "a", nil},
		"a script in a drawing":    {"a<svg><script>alert(1)</script><svg></svg><text>x</text></svg>b", "ab", nil},
		"a drawing closed at once": {"a<svg/>b", "ab", nil},
		"what is not rendered":     {"a<noembed><script>alert(1)</script></noembed><noframes><b>x</b></noframes><template><a href='/x'>x</a></template>b", "ab", nil},
		"hidden":                   {`a<div hidden>x<div>y</div>z</div>b <span hidden="">c</span>d<img hidden>e`, "ab de", nil},
		"a comment":                {"a<!-- <b>x</b> -->b", "ab", nil},
		"an emoji":                 {`Velo <img class="wp-smiley emoji" alt="🚲" src="x"> <img alt="a cat">`, "Velo 🚲", nil},
		"not closed":               {"<p>a<b>b<i", "ab", nil},
		"twice escaped":            {"&lt;script&gt;<b>x</b>", "<script>x", nil},
		"nothing":                  {"", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			text, links := listen.PlainText(tc.markup)
			if text != tc.text || !slices.Equal(links, tc.links) {
				t.Errorf("got %q %q, want %q %q", text, links, tc.text, tc.links)
			}
		})
	}
}

// TestPlainTextInBounds: what is built to be slow is not.
func TestPlainTextInBounds(t *testing.T) {
	for name, markup := range map[string]string{
		"open elements":  strings.Repeat("<div>", 1<<20),
		"closed ones":    strings.Repeat("</div>", 1<<20),
		"one tag":        "<" + strings.Repeat("a", 4<<20),
		"attributes":     "<a " + strings.Repeat("a=b ", 1<<20),
		"links":          strings.Repeat("<a href=x>", 1<<19),
		"entities":       "<p>" + strings.Repeat("&amp;", 1<<20),
		"half a rune":    strings.Repeat("a", 1<<20-1) + "ñ",
		"line ends":      "<p>" + strings.Repeat("\n<br>", 1<<19),
		"nothing but <":  strings.Repeat("<", 4<<20),
		"open drawings":  strings.Repeat("<svg>", 1<<20),
		"hidden parts":   strings.Repeat("<p hidden>", 1<<20),
		"open comments":  strings.Repeat("<!--", 1<<20),
		"character data": strings.Repeat("<![CDATA[", 1<<20),
	} {
		began := time.Now()
		text, links := listen.PlainText(markup)
		if took := time.Since(began); took > time.Minute {
			t.Errorf("%s: it took %s", name, took)
		}
		if len(text) > 2<<20 || len(links) > listen.MaxMembers || !utf8.ValidString(text) {
			t.Errorf("%s: %d bytes, %d links", name, len(text), len(links))
		}
	}
}

func FuzzPlainText(f *testing.F) {
	for _, markup := range []string{
		"<p>One<br>two</p>", "<script>x</script>", `<a href="&#x6a;avascript:x">`, "<svg><p hidden>", "&amp;lt;", "<pre>\n</pre>", "\xff<p>\xfe", "<plaintext><p>",
	} {
		f.Add(markup)
	}
	f.Fuzz(func(t *testing.T, markup string) {
		text, links := listen.PlainText(markup)
		if len(links) > listen.MaxMembers || len(text) > 4*len(markup)+64 {
			t.Errorf("%d bytes became %d, with %d links", len(markup), len(text), len(links))
		}
		if again, _ := listen.PlainText(markup); again != text {
			t.Errorf("%q becomes %q, and %q", markup, text, again)
		}
	})
}
