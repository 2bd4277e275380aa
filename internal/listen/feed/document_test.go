package feed

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

var (
	here = &url.URL{Scheme: "https", Host: "velo.example", Path: "/feed"}
	noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

func mustRead(t testing.TB, body string) *document {
	t.Helper()
	d, err := readDocument([]byte(body), "", here)
	if err != nil {
		t.Fatalf("%v: %v", err, errors.Unwrap(err))
	}
	return d
}

// TestFormats: each says the same in its own way.
func TestFormats(t *testing.T) {
	const id = "https://velo.example/1"
	for name, body := range map[string]string{
		"RSS 0.91": `<?xml version="1.0"?><rss version="0.91"><channel><title>Velo</title><link>https://velo.example/</link><language>es</language>
			<item><title>Hola &amp; adiós</title><link>https://velo.example/1</link><description>&lt;p&gt;It rolls.&lt;/p&gt;</description></item></channel></rss>`,
		"RSS 1.0": `<?xml version="1.0"?><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
			xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="https://velo.example/"><title>Velo</title><link>https://velo.example/</link>
			<dc:language>es</dc:language></channel><item rdf:about="https://velo.example/1"><title>Hola &amp; adiós</title><link>https://velo.example/1</link>
			<description>It rolls.</description><dc:date>2026-11-22T12:00:00Z</dc:date><dc:creator>Ana</dc:creator></item></rdf:RDF>`,
		"RSS 2.0": `<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/"><channel>
			<title>Velo</title><link>https://velo.example/</link><language>es</language><item><guid>https://velo.example/1</guid><title>Hola &amp; adiós</title>
			<link>https://velo.example/1</link><description>short</description><content:encoded><![CDATA[<p>It rolls.</p><script>alert(1)</script>]]></content:encoded>
			<pubDate>Sun, 22 Nov 2026 12:00:00 GMT</pubDate><dc:creator>Ana</dc:creator></item></channel></rss>`,
		"Atom": `<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="es"><title>Velo</title><id>x</id><link href="https://velo.example/"/><entry>
			<id>https://velo.example/1</id><title type="html">Hola &amp;amp; adiós</title><link href="/1"/><published>2026-11-22T12:00:00Z</published>
			<updated>2026-11-22T12:00:00Z</updated><author><name>Ana</name></author>
			<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>It rolls.</p></div></content></entry></feed>`,
		"JSON Feed": `{"version":"https://jsonfeed.org/version/1","title":"Velo","language":"es","home_page_url":"https://velo.example/","items":[{"id":
			"https://velo.example/1","url":"https://velo.example/1","title":"Hola & adiós","content_html":"<p>It rolls.</p>","date_published":"2026-11-22T13:00:00+01:00",
			"author":{"name":"Ana"}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			d := mustRead(t, body)
			if len(d.entries) != 1 {
				t.Fatalf("there are %d entries", len(d.entries))
			}
			got := d.entries[0].post
			want := listen.Post{
				ID: id, Kind: listen.Article, URL: id, Title: "Hola & adiós", Text: "It rolls.", Language: "es", Visibility: listen.Public,
				CreatedAt: noon, Author: listen.Account{ID: "name:ana", Name: "Ana"}, Revision: got.Revision,
			}
			if name == "RSS 0.91" { // which has neither dates nor authors
				want.CreatedAt = time.Time{}
				want.Author = listen.Account{ID: here.String(), Name: "Velo", URL: "https://velo.example/"}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestEntries(t *testing.T) {
	atom := func(entry string) string {
		return `<feed xmlns="http://www.w3.org/2005/Atom" xmlns:thr="http://purl.org/syndication/thread/1.0">` +
			`<title>Velo</title><entry><id>tag:velo.example,2026:1</id>` + entry + `</entry></feed>`
	}
	rss := func(item string) string {
		return `<rss version="2.0"><channel><title>Velo</title><link>https://velo.example</link><item>` + item + `</item></channel></rss>`
	}
	for name, tc := range map[string]struct {
		body string
		got  func(*entry) any
		want any
	}{
		"text is no HTML": {
			atom(`<content>a &lt;b&gt; c</content>`), func(e *entry) any { return e.post.Text }, "a <b> c",
		},
		"a summary": {atom(`<summary type="html">&lt;b&gt;so&lt;/b&gt;</summary>`), func(e *entry) any { return e.post.Text }, "so"},
		"links in it": {
			rss(`<guid>x</guid><description>&lt;a href="/2"&gt;two&lt;/a&gt; &lt;a href="javascript:x"&gt;</description>`),
			func(e *entry) any { return e.post.Links },
			[]string{"https://velo.example/2", ""},
		},
		"a reply": {
			atom(`<thr:in-reply-to ref="tag:velo.example,2026:0"/>`),
			func(e *entry) any { return []string{string(e.post.Kind), e.post.Parent} },
			[]string{"Reply", "tag:velo.example,2026:0"},
		},
		"an author's page": {
			atom(`<author><name>Ana</name><uri>https://ana.example/</uri></author>`), func(e *entry) any { return e.post.Author },
			listen.Account{ID: "https://ana.example/", Name: "Ana", URL: "https://ana.example/"},
		},
		"an author's mail": {
			rss(`<guid>x</guid><author>Ana@example.com (Ana)</author>`), func(e *entry) any { return e.post.Author },
			listen.Account{ID: "mailto:ana@example.com", Name: "Ana", Identifier: listen.Identifier{Type: "email", Value: "ana@example.com"}},
		},
		"a mail that is nobody's": {
			rss(`<guid>x</guid><author>noreply@blogger.example (Ana)</author>`), func(e *entry) any { return e.post.Author },
			listen.Account{ID: "name:ana", Name: "Ana"},
		},
		"a sound": {
			rss(`<guid>x</guid><enclosure url="https://velo.example/1.mp3" type="audio/mpeg" length="1"/>`), func(e *entry) any { return e.post.Media },
			[]listen.Media{{Type: listen.Audio, URL: "https://velo.example/1.mp3"}},
		},
		"a long link": {
			rss(`<guid>x</guid><enclosure url="https://velo.example/?` + strings.Repeat("s", 1500) + `" type="image/png"/>`),
			func(e *entry) any { return len(e.post.Media[0].URL) }, len("https://velo.example/?") + 1500,
		},
		"an edit": {
			atom(`<published>2026-11-22T12:00:00Z</published><updated>2026-11-22T13:00:00Z</updated>`),
			func(e *entry) any { return []time.Time{e.post.CreatedAt, e.updated, e.post.EditedAt} },
			[]time.Time{noon, noon.Add(time.Hour), {}},
		},
		"an id of this feed alone": {rss(`<guid>17</guid>`), func(e *entry) any { return e.post.ID }, "/feed 17"},
		"an id with a colon":       {rss(`<guid>Velo: 17</guid>`), func(e *entry) any { return e.post.ID }, "/feed Velo: 17"},
		"no id, an address":        {rss(`<link>https://velo.example/1</link>`), func(e *entry) any { return e.post.ID }, "https://velo.example/1"},
		"a very long id": {
			rss(`<guid>https://velo.example/` + strings.Repeat("x", 600) + `</guid>`), func(e *entry) any { return len(e.post.ID) }, len("derived:") + 32,
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := mustRead(t, tc.body)
			if len(d.entries) != 1 {
				t.Fatalf("there are %d entries", len(d.entries))
			}
			if diff := cmp.Diff(tc.want, tc.got(&d.entries[0])); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestPlaces: feeds that differ in their query alone are different ones, and a key in it goes nowhere.
func TestPlaces(t *testing.T) {
	seen := map[string]bool{}
	for _, address := range []string{"https://velo.example/feed", "https://velo.example/feed?f=1&key=s3cret", "https://velo.example/feed?f=2&key=s3cret"} {
		at, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		d, err := readDocument([]byte(`<rss version="2.0"><channel><title>Velo</title><item><guid>17</guid><title>a</title></item></channel></rss>`), "", at)
		if err != nil || len(d.entries) != 1 {
			t.Fatalf("%+v, %v", d, err)
		}
		p := d.entries[0].post
		if seen[p.ID] || seen[p.Author.ID] || strings.Contains(p.ID+p.Author.ID, "s3cret") || !strings.HasPrefix(p.Author.ID, "https://velo.example/feed") {
			t.Errorf("%s: the id is %q, the author %q", address, p.ID, p.Author.ID)
		}
		seen[p.ID], seen[p.Author.ID] = true, true
	}
}

// TestDerivedIDs: entries without an id of their own keep the one that they get, and each has another.
func TestDerivedIDs(t *testing.T) {
	ids := func(items ...string) []string {
		d := mustRead(t, `<rss version="2.0"><channel><title>Velo</title><link>https://velo.example/</link>`+strings.Join(items, "")+`</channel></rss>`)
		var list []string
		for _, e := range d.entries {
			list = append(list, e.post.ID)
		}
		return list
	}
	const (
		one      = `<item><title>One</title><link>https://velo.example</link><description>a</description></item>` // the home page tells nothing apart
		edited   = `<item><title>One</title><link>https://velo.example</link><description>b</description></item>`
		two      = `<item><title>Two</title><link>https://velo.example</link></item>`
		nameless = `<item><description>Three</description></item>`
		empty    = `<item></item>`
	)
	got := ids(one, two, nameless, empty)
	if len(got) != 3 || got[0] == got[1] || got[1] == got[2] {
		t.Errorf("the ids are %q", got)
	}
	if again := ids(two, edited); len(again) != 2 || again[1] != got[0] || again[0] != got[1] {
		t.Errorf("the ids are %q, and were %q", again, got)
	}
	if alone := ids(one); len(alone) != 1 || alone[0] != got[0] {
		t.Errorf("alone it has the id %q, and had %q", alone, got[0])
	}
	shared := ids(`<item><title>A</title><link>https://velo.example/all</link></item>`, `<item><title>B</title><link>https://velo.example/all</link></item>`)
	if len(shared) != 2 || shared[0] == shared[1] {
		t.Errorf("two entries with one address have the ids %q", shared)
	}
}

// TestAnIDTwice: the newer counts, and it is reported.
func TestAnIDTwice(t *testing.T) {
	entry := func(hour int, text string) string {
		return fmt.Sprintf(`<entry><id>tag:a,2026:1</id><updated>2026-11-22T%02d:00:00Z</updated><content>%s</content></entry>`, hour, text)
	}
	for _, body := range []string{entry(1, "old") + entry(2, "new"), entry(2, "new") + entry(1, "old")} {
		d := mustRead(t, `<feed xmlns="http://www.w3.org/2005/Atom">`+body+`</feed>`)
		if len(d.entries) != 1 || d.entries[0].post.Text != "new" || len(d.refused) != 1 {
			t.Errorf("%+v", d)
		}
	}
}

func TestCharacterSets(t *testing.T) {
	const text = "El pingüino Wenceslao, ¿cuántos años?"
	feed := func(declaration string) string {
		return declaration + `<rss version="2.0"><channel><item><guid>x</guid><title>` + text + `</title></item></channel></rss>`
	}
	latin, _ := charmap.Windows1252.NewEncoder().String(feed(`<?xml version="1.0" encoding="windows-1252"?>`))
	bare, _ := charmap.Windows1252.NewEncoder().String(feed(""))
	lying, _ := charmap.Windows1252.NewEncoder().String(feed(`<?xml version="1.0" encoding="utf-8"?>`))
	wide, _ := unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder().String(feed(`<?xml version="1.0" encoding="utf-16"?>`))
	for name, tc := range map[string]struct{ body, contentType string }{
		"UTF-8":                        {feed(`<?xml version="1.0" encoding="UTF-8"?>`), ""},
		"without a word":               {feed(""), ""},
		"with a mark":                  {"\uFEFF" + feed(`<?xml version="1.0"?>`), "text/xml; charset=iso-8859-1"},
		"as the document says":         {latin, "application/rss+xml"},
		"as HTTP says":                 {lying, "text/xml; charset=windows-1252"},
		"HTTP and the document differ": {feed(`<?xml version="1.0" encoding="iso-8859-1"?>`), "text/xml; charset=utf-8"},
		"by a guess":                   {bare, ""},
		"UTF-16":                       {wide, "text/xml"},
		"with what XML has not":        {feed("\x00\x08<?xml version='1.0'?>"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := readDocument([]byte(tc.body), tc.contentType, here)
			if err != nil {
				t.Fatalf("%v: %v", err, errors.Unwrap(err))
			}
			if len(d.entries) != 1 || d.entries[0].post.Title != text {
				t.Errorf("got %+v", d.entries)
			}
		})
	}
}

// TestWhatIsNotUTF8 is replaced, and the rest is read.
func TestWhatIsNotUTF8(t *testing.T) {
	d := mustRead(t, "<?xml version='1.0' encoding='utf-8'?><rss version='2.0'><channel><item><guid>x</guid><title>Ve\xfflo</title></item></channel></rss>")
	if len(d.entries) != 1 || d.entries[0].post.Title != "Ve\uFFFDlo" {
		t.Errorf("got %+v", d.entries)
	}
}

// TestBombs: what is built to keep readers busy is refused in no time, or read in little.
func TestBombs(t *testing.T) {
	fill := func(n int, s func(i int) string) string {
		var b strings.Builder
		for i := 0; b.Len() < n; i++ {
			b.WriteString(s(i))
		}
		return b.String()
	}
	for name, tc := range map[string]struct {
		body    string
		refused bool
	}{
		"a billion laughs": {`<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "ha">` + fill(1<<10, func(i int) string {
			return fmt.Sprintf(`<!ENTITY a%d "%s">`, i, strings.Repeat(fmt.Sprintf("&a%d;", i-1), 10))
		}) + `]><rss version="2.0"><channel><item><title>&a9;</title></item></channel></rss>`, false},
		"a file": {`<!DOCTYPE rss [<!ENTITY f SYSTEM "file:///etc/passwd">]><rss version="2.0"><channel><item><title>&f;</title></item></channel></rss>`, false},
		"depth":  {`<rss version="2.0"><channel>` + strings.Repeat("<a>", 1<<20), true},
		"depth in an extension": {`<rss version="2.0" xmlns:x="y"><channel>` + strings.Repeat("<x:a>", 90_000) + strings.Repeat("</x:a>", 90_000) +
			`</channel></rss>`, true},
		"depth in an entry": {`<rss version="2.0"><channel><item><title>` + strings.Repeat("<a>", 90_000) + strings.Repeat("</a>", 90_000) +
			`</title></item></channel></rss>`, true},
		"name spaces": {`<rss version="2.0"><channel` + fill(1<<20, func(i int) string { return fmt.Sprintf(` xmlns:a%d="b"`, i) }) + `>` +
			strings.Repeat("<a/>", 50_000) + `</channel></rss>`, true},
		"nested name spaces": {`<rss version="2.0">` + fill(1<<20, func(i int) string { return fmt.Sprintf(`<x xmlns:a%d="b">`, i) }), true},
		"pieces of text": {`<rss version="2.0" xmlns:x="y"><channel><x:a>` + strings.Repeat(strings.Repeat("text", 10)+"<b/>", 100_000) +
			`</x:a></channel></rss>`, true},
		"elements":       {`<rss version="2.0"><channel>` + strings.Repeat("<item/>", 1<<20) + `</channel></rss>`, true},
		"attributes":     {`<rss version="2.0"><channel ` + fill(4<<20, func(i int) string { return fmt.Sprintf(`a%d="" `, i) }) + `/></rss>`, false},
		"JSON's depth":   {`{"version":"https://jsonfeed.org/version/1","items":[{"id":` + strings.Repeat("[", 1<<20), true},
		"JSON's objects": {`{"version":"https://jsonfeed.org/version/1","items":[{}` + strings.Repeat(",{}", 2<<20) + `]}`, true},
		"JSON's text":    {`{"version":"https://jsonfeed.org/version/1","items":[{"id":"1","content_text":"` + strings.Repeat(`{\\\"[`, 1<<20) + `"}]}`, false},
		"no end":         {`<rss version="2.0"><channel><title>` + strings.Repeat("velo ", 1<<20), true},
		"entities":       {`<rss version="2.0"><channel><title>` + strings.Repeat("&amp", 1<<20) + `</title></channel></rss>`, false},
	} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			d, err := readDocument([]byte(tc.body), "", here)
			if took := time.Since(began); took > time.Minute { // of a machine that does much else, under the race detector
				t.Errorf("it took %s", took)
			}
			var trouble *listen.Trouble
			if (err != nil) != tc.refused || err != nil && (!errors.As(err, &trouble) || trouble.Reason != listen.Malformed) {
				t.Errorf("got %v", err)
			}
			if err != nil {
				return
			}
			for _, e := range d.entries {
				if len(e.post.Title) > 1<<10 || strings.Contains(e.post.Title, "root:") {
					t.Errorf("the title has %d bytes: %.100q", len(e.post.Title), e.post.Title)
				}
			}
		})
	}
}

func TestPace(t *testing.T) {
	rss := func(head string) string {
		return `<rss version="2.0" xmlns:sy="http://purl.org/rss/1.0/modules/syndication/"><channel><title>Velo</title>` + head + `</channel></rss>`
	}
	for name, tc := range map[string]struct {
		body string
		want time.Duration
	}{
		"not stated":       {rss(""), 0},
		"ttl":              {rss("<ttl>90</ttl>"), 90 * time.Minute},
		"a ttl of years":   {rss("<ttl>99999999</ttl>"), 24 * time.Hour},
		"a ttl below zero": {rss("<ttl>-5</ttl>"), 0},
		"no ttl":           {rss("<ttl>soon</ttl>"), 0},
		"a period":         {rss("<sy:updatePeriod> hourly </sy:updatePeriod>"), time.Hour},
		"a frequency":      {rss("<sy:updatePeriod>daily</sy:updatePeriod><sy:updateFrequency>4</sy:updateFrequency>"), 6 * time.Hour},
		"of zero":          {rss("<sy:updatePeriod>hourly</sy:updatePeriod><sy:updateFrequency>0</sy:updateFrequency>"), time.Hour},
		"years":            {rss("<sy:updatePeriod>yearly</sy:updatePeriod>"), 24 * time.Hour},
		"both":             {rss("<ttl>30</ttl><sy:updatePeriod>hourly</sy:updatePeriod>"), time.Hour},
	} {
		if got := mustRead(t, tc.body).pace; got != tc.want {
			t.Errorf("%s: %s, want %s", name, got, tc.want)
		}
	}
}

func TestMarks(t *testing.T) {
	for name, tc := range map[string]struct{ body, hub, self string }{
		"Atom": {
			`<feed xmlns="http://www.w3.org/2005/Atom"><title>x</title><link rel="hub" href="https://hub.example/"/><link rel="self" href="https://velo.example/feed"/></feed>`,
			"https://hub.example/", "https://velo.example/feed",
		},
		"RSS": {
			`<rss version="2.0" xmlns:a="http://www.w3.org/2005/Atom"><channel><title>x</title><link>https://velo.example/</link>` +
				`<a:link rel="hub" href="https://hub.example/"/><a:link rel="self" href="https://velo.example/feed"/></channel></rss>`,
			"https://hub.example/", "https://velo.example/feed",
		},
		"JSON": {
			`{"version":"https://jsonfeed.org/version/1","title":"x","feed_url":"https://velo.example/feed","items":[],` +
				`"hubs":[{"type":"rssCloud","url":"https://other.example/"},{"type":"WebSub","url":"https://hub.example/"}]}`,
			"https://hub.example/", "https://velo.example/feed",
		},
		"hubs that are none": {
			`<feed xmlns="http://www.w3.org/2005/Atom"><title>x</title><link rel="hub" href="file:///etc/passwd"/><link rel="hub" href="//"/></feed>`, "", "",
		},
	} {
		d := mustRead(t, tc.body)
		if d.hub != tc.hub || d.self != tc.self {
			t.Errorf("%s: the hub is %q, the feed %q", name, d.hub, d.self)
		}
	}
}

func TestLinkHeaders(t *testing.T) {
	for header, want := range map[string][]string{
		`<https://hub.example/>; rel="hub"`:                                     {"hub https://hub.example/"},
		`<https://hub.example/>; rel=hub, </feed>; rel="self"`:                  {"hub https://hub.example/", "self https://velo.example/feed"},
		`<https://a.example/?a=1,2;3>; title="x;y"; rel="next hub"; type="a/b"`: {"next https://a.example/?a=1,2;3", "hub https://a.example/?a=1,2;3"},
		`<>; rel=hub`: {"hub "}, "<": nil, "": nil, "rel=hub": nil, `<a`: nil, `<a>`: nil,
	} {
		var got []string
		readLinks(header, here, func(rel, href string) { got = append(got, rel+" "+href) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", header, diff)
		}
	}
}

func FuzzLinkHeader(f *testing.F) {
	f.Add(`<https://hub.example/>; rel="hub", </feed>; rel="self"`)
	f.Add(`<<>;rel=;=;`)
	f.Fuzz(func(t *testing.T, header string) {
		readLinks(header, here, func(_, href string) {
			if href != "" && !isWeb(href, listen.MaxURL) {
				t.Errorf("it links to %q", href)
			}
		})
	})
}

// FuzzDocument: whatever is said to be a feed is refused, or gives entries that can be kept, the same each time.
func FuzzDocument(f *testing.F) {
	for _, body := range []string{
		`<rss version="2.0"><channel><title>Velo</title><item><guid>1</guid><title>a</title><pubDate>Sun, 22 Nov 2026 12:00:00 GMT</pubDate>` +
			`<description>&lt;p&gt;x</description><enclosure url="/1.mp3"/></item></channel></rss>`,
		`<feed xmlns="http://www.w3.org/2005/Atom" xmlns:at="http://purl.org/atompub/tombstones/1.0"><at:deleted-entry ref="a" when="2026-11-22T12:00:00Z"/>` +
			`<entry><id>a</id><updated>2026-11-22T12:00:00Z</updated><content type="xhtml"><div>x</div></content><author><uri>/a</uri></author></entry></feed>`,
		`{"version":"https://jsonfeed.org/version/1.1","items":[{"id":1,"content_text":"x","authors":[null],"attachments":[{}],"tags":["a"]}]}`,
		`<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"><channel/><item><link>http://a/</link></item></rdf:RDF>`,
		"\xff\xfe<\x00r\x00s\x00s\x00/\x00>\x00", `<?xml version="1.0" encoding="shift_jis"?><rss/>`, `{"items":null}`, "<!DOCTYPE html>",
	} {
		f.Add([]byte(body), "text/xml; charset=utf-8")
		f.Add([]byte(body), "")
	}
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		d, err := readDocument(body, contentType, here)
		if err != nil {
			var trouble *listen.Trouble
			if !errors.As(err, &trouble) || trouble.Reason != listen.Malformed {
				t.Errorf("the error is %v", err)
			}
			return
		}
		seen := map[string]bool{}
		for i := range d.entries {
			p := d.entries[i].post
			if seen[p.ID] {
				t.Errorf("the id %q comes twice", p.ID)
			}
			seen[p.ID] = true
			if refused := listen.Normalize(&p, noon); refused != "" {
				t.Errorf("an entry cannot be kept: %s", refused)
			}
			if !utf8.ValidString(p.Revision) || p.Revision == "" {
				t.Errorf("the revision is %q", p.Revision)
			}
		}
		plan := planPoll(state{}, state{}, d, time.Time{}, noon)
		cursor, err := plan.next.cursor()
		if err != nil || len(cursor) > listen.MaxCursor || !json.Valid(cursor) {
			t.Errorf("the cursor %.100s: %v", cursor, err)
		}
		if again := planPoll(readState(cursor, ""), plan.next, d, time.Time{}, noon); len(again.posts) > 0 {
			t.Errorf("what was seen comes again: %+v", again.posts)
		}
	})
}

// FuzzState: whatever stands in a cursor, reading goes on.
func FuzzState(f *testing.F) {
	f.Add([]byte(`{"url":"https://velo.example/feed","seen":"AAAAAAAAAAAAAAAAAAA=","hub":{"url":"x"},"read":"2026-11-22T12:00:00Z"}`), "https://velo.example/feed")
	f.Add([]byte(`{"seen":17}`), "")
	f.Add([]byte(`null`), "")
	f.Fuzz(func(t *testing.T, cursor []byte, address string) {
		s := readState(cursor, address)
		if s.URL != address {
			t.Errorf("the state is of %q", s.URL)
		}
		if len(address) > maxURL || len(cursor) > listen.MaxCursor {
			return
		}
		if written, err := s.cursor(); err == nil && !json.Valid(written) {
			t.Errorf("the cursor is %q", written)
		}
	})
}
