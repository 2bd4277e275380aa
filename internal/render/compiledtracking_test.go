package render

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var (
	trackedURL = regexp.MustCompile(`https://crm\.velo\.example/c/([A-Za-z0-9_-]+)`)
	pixel      = regexp.MustCompile(`<img src="https://crm\.velo\.example/o/[^>]*>`)
	honeypot   = regexp.MustCompile(`<a href="https://crm\.velo\.example/c/[^"]*" style="display:none" aria-hidden="true" tabindex="-1"></a>`)
)

// withoutTracking puts the addresses back where tokens stand.
func withoutTracking(t *rapid.T, s string, links []string) string {
	s = honeypot.ReplaceAllString(pixel.ReplaceAllString(s, ""), "")
	return trackedURL.ReplaceAllStringFunc(s, func(address string) string {
		track, err := ParseTrack(linkKey, trackedURL.FindStringSubmatch(address)[1])
		if err != nil || track.Send != 7 || track.Seq != 12 || track.Kind != TrackClick {
			t.Fatalf("%s: %+v, %v", address, track, err)
		}
		if track.Target != "" {
			return track.Target
		}
		return links[track.Link-1]
	})
}

// normal makes addresses alike that are escaped or have blanks around them, and boundaries.
func normal(s string) string {
	return boundaries.ReplaceAllString(strings.Join(strings.Fields(strings.ReplaceAll(s, "&amp;", "&")), ""), "")
}

func TestTracking(t *testing.T) {
	const p = "https://crm.velo.example"
	for name, tc := range map[string]struct {
		reason     string
		html, text string
		want       string // {URL} stands for a tracked link of that address, {URL → target} for one with its target
	}{
		"a link":             {"of an anchor", `<a href="https://velo.example/a">x</a>`, "", `<a href="{https://velo.example/a}">x</a>`},
		"escaped":            {"an attribute's entities are the browser's", `<A title=q HREF='https://velo.example/?a=1&amp;b=2'>`, "", `<A title=q HREF='{https://velo.example/?a=1&b=2}'>`},
		"without quotes":     {"as HTML allows", `<a href=https://velo.example/a>x</a>`, "", `<a href={https://velo.example/a}>x</a>`},
		"blanks":             {"around an address mean nothing", `<a href=" https://velo.example/a ">`, "", `<a href="{https://velo.example/a}">`},
		"no anchor":          {"only what people click", `<img src="https://velo.example/a"><link href="https://velo.example/b">`, "", `<img src="https://velo.example/a"><link href="https://velo.example/b">`},
		"no address":         {"nothing to count", `<a href="#top"><a href="mailto:a@velo.example"><a href="tel:+34"><a href="/a"><a href="">`, "", `<a href="#top"><a href="mailto:a@velo.example"><a href="tel:+34"><a href="/a"><a href="">`},
		"unsubscribing":      {"never", `<a href="{{ unsubscribe_url }}">x</a>{% assign u = unsubscribe_url %}<a href="{{ u }}">`, "", `<a href="` + p + `/u/TOKEN">x</a><a href="` + p + `/u/TOKEN">`},
		"our own pages":      {"likewise", `<a href="https://crm.velo.example/p/x"><a href="https://crm.velo.example/p/{{ contact.points }}">`, "", `<a href="` + p + `/p/x"><a href="` + p + `/p/7">`},
		"a person's value":   {"travels within the token", `<a href="https://velo.example/?n={{ contact.first_name | url_encode }}&amp;x=1">`, "", `<a href="{https://velo.example/?n={{ contact.first_name | url_encode }}&x=1 → https://velo.example/?n=A%C3%B1%C3%A1+%3Cb%3E&x=1}">`},
		"a person's host":    {"nobody but the author says where a signed link leads", `<a href="{{ contact.plan }}"><a href="https://{{ contact.plan }}/"><a href="https://velo.example{{ contact.plan }}/">`, "", `<a href="club"><a href="https://club/"><a href="https://velo.exampleclub/">`},
		"a condition in it":  {"is a value too", `<a href="https://velo.example/{% if contact.plan == "club" %}c{% endif %}">`, "", `<a href="{https://velo.example/{%…%} → https://velo.example/c}">`},
		"a bad value":        {"no address any more", `<a href="https://velo.example/{{ contact.first_name }}">`, "", `<a href="https://velo.example/Añá &lt;b&gt;">`},
		"in branches":        {"each one", `{% if contact.points %}<a href="https://velo.example/1">{% else %}<a href="https://velo.example/2">{% endif %}`, "", `<a href="{https://velo.example/1}">`},
		"in a loop":          {"the same link", `{% for t in contact.tags %}<a href="https://velo.example/{{ t }}"><a href="https://velo.example/all">{% endfor %}`, "", `<a href="{https://velo.example/{{ t }} → https://velo.example/road}"><a href="{https://velo.example/all}"><a href="{https://velo.example/{{ t }} → https://velo.example/gravel}"><a href="{https://velo.example/all}">`},
		"attribute per turn": {"a tag with a condition in it", `<a{% if contact.points %} class="x"{% endif %} href="https://velo.example/a">`, "", `<a class="x" href="{https://velo.example/a}">`},
		"half a tag":         {"a quote that a branch closes", `<a href="https://velo.example/{% if contact.points %}a">{% else %}b">{% endif %}<a href="https://velo.example/c">`, "", `<a href="https://velo.example/a"><a href="{https://velo.example/c}">`},
		"captured":           {"and written where it is used", `{% capture b %}<a href="https://velo.example/a">{% endcapture %}{{ b }}{{ b }}`, "", `<a href="{https://velo.example/a}"><a href="{https://velo.example/a}">`},
		"comment and script": {"are no links", `<!-- <a href="https://velo.example/a"> --><script>"<a href='https://velo.example/b'>"</script><a href="https://velo.example/c">`, "", `<!-- <a href="https://velo.example/a"> --><script>"<a href='https://velo.example/b'>"</script><a href="{https://velo.example/c}">`},
		"text":               {"without the sentence's punctuation", "", "See https://velo.example/a, (https://velo.example/b) and <http://velo.example/c_(d)>.", "See {https://velo.example/a}, ({https://velo.example/b}) and <{http://velo.example/c_(d)}>."},
		"text with values":   {"to the end of the address", "", "https://velo.example/?p={{ contact.points }}&x={{ contact.plan }}. Bye https://velo.example/{{ contact.plan }}", "{https://velo.example/?p={{ contact.points }}&x={{ contact.plan }}. → https://velo.example/?p=7&x=club}. Bye {https://velo.example/{{ contact.plan }} → https://velo.example/club}"},
		"text in a branch":   {"what follows may belong to it", "", "{% if contact.points %}https://velo.example/a{% endif %}/b {% if contact.points %}https://velo.example/c{% endif %} d", "https://velo.example/a/b {https://velo.example/c} d"},
		"text and a branch":  {"which may go on with it", "", "https://velo.example/{% if contact.points %}a b{% endif %}", "{https://velo.example/{%…%} → https://velo.example/a} b"},
		"text, the tenant's": {"are not tracked", "", "{{ unsubscribe_url }} https://crm.velo.example/p/1", p + "/u/TOKEN " + p + "/p/1"},
		"text of a person":   {"is none of the author's", "", "{{ contact.evil }} xhttps://velo.example/a", "https://evil.example/a xhttps://velo.example/a"},
		"a very long one":    {"stays as it is", `<a href="https://velo.example/` + strings.Repeat("x", MaxTarget) + `">`, "", `<a href="https://velo.example/` + strings.Repeat("x", MaxTarget) + `">`},
	} {
		t.Run(name, func(t *testing.T) {
			o, r := outside(), ana()
			r.Values[6] = "https://evil.example/a"
			o.Clicks = true
			template := one(t, Content{HTML: tc.html, Text: tc.text})
			message, links := written(t, template, o, r)
			_, parts := parsed(t, message)
			got := htmlOf(parts)
			if tc.html == "" {
				got = parts["text/plain"]
			}
			got = honeypot.ReplaceAllString(strings.TrimSuffix(got, "\r\n"), "")
			if diff := cmp.Diff(tc.want, legible(t, got, links)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
			r.Untracked = true
			message, _ = written(t, template, o, r)
			want, err := composed(template, o, r)
			if err != nil {
				t.Fatal(err)
			}
			if diff := equivalent(want, message); diff != "" {
				t.Errorf("who is not tracked gets the plain addresses (-want +got):\n%s", diff)
			}
		})
	}
}

// htmlOf is the HTML of a message, with or without a text beside it.
func htmlOf(parts map[string]string) string {
	return parts["text/html"] + parts["text/html; charset=utf-8"]
}

// legible writes tracked addresses as {address} or {pattern → target}.
func legible(t *testing.T, s string, links []string) string {
	t.Helper()
	s = trackedURL.ReplaceAllStringFunc(s, func(address string) string {
		track, err := ParseTrack(linkKey, trackedURL.FindStringSubmatch(address)[1])
		if err != nil {
			t.Fatal(err)
		}
		if track.Target != "" {
			return "{" + links[track.Link-1] + " → " + track.Target + "}"
		}
		return "{" + links[track.Link-1] + "}"
	})
	return regexp.MustCompile(`/u/[A-Za-z0-9_-]+`).ReplaceAllString(s, "/u/TOKEN")
}

func TestBeacon(t *testing.T) {
	for name, tc := range map[string]struct {
		reason        string
		html          string
		opens, clicks bool
		want          string
	}{
		"both":            {"before the body's end", "<html><body>x</BODY></html>", true, true, "<html><body>xPH</BODY></html>"},
		"opens":           {"a pixel alone", "x</body>", true, false, "xP</body>"},
		"clicks":          {"a link that no person sees", "x</body>", false, true, "xH</body>"},
		"neither":         {"nothing of ours", "x</body>", false, false, "x</body>"},
		"no end":          {"at the end", "x", true, true, "xPH"},
		"end in a branch": {"at the end: a branch may not be taken", "x{% if contact.points %}</body>{% endif %}", true, false, "x</body>P"},
	} {
		t.Run(name, func(t *testing.T) {
			o := outside()
			o.Opens, o.Clicks = tc.opens, tc.clicks
			message, _ := written(t, one(t, Content{HTML: tc.html}), o, ana())
			_, parts := parsed(t, message)
			got := strings.TrimSuffix(htmlOf(parts), "\r\n")
			if text := parts["text/plain; charset=utf-8"]; strings.Contains(text, "http") {
				t.Errorf("the text part shows a beacon: %q", text)
			}
			for _, token := range regexp.MustCompile(`/o/([A-Za-z0-9_-]+)\.gif`).FindAllStringSubmatch(got, -1) {
				if track, err := ParseTrack(linkKey, token[1]); err != nil || track != (Track{Kind: TrackOpen, Send: 7, Seq: 12}) {
					t.Errorf("pixel: %+v, %v", track, err)
				}
			}
			for _, token := range trackedURL.FindAllStringSubmatch(got, -1) {
				if track, err := ParseTrack(linkKey, token[1]); err != nil || track != (Track{Kind: TrackClick, Send: 7, Seq: 12}) {
					t.Errorf("link that nobody sees: %+v, %v", track, err)
				}
			}
			got = honeypot.ReplaceAllString(pixel.ReplaceAllString(got, "P"), "H")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestLinksWithoutNumber: a link that could not be stored leads where the author said.
func TestLinksWithoutNumber(t *testing.T) {
	o := outside()
	o.Clicks = true
	ms, err := one(t, Content{Text: "https://velo.example/a https://velo.example/{{ contact.points }}"}).CompileMessages(o)
	if err != nil {
		t.Fatal(err)
	}
	message, err := ms.For("en").Append(nil, ana())
	if err != nil {
		t.Fatal(err)
	}
	if _, parts := parsed(t, message); parts["text/plain"] != "https://velo.example/a https://velo.example/7\r\n" {
		t.Errorf("got %q", parts["text/plain"])
	}
}
