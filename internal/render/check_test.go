package render

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// findings are what is found, a line each.
func findings(t *testing.T, template *Template, locales []string) []string {
	t.Helper()
	attributes := []crm.Attribute{{Name: "first_name", Type: crm.String}, {Name: "born", Type: crm.Date}}
	sample := VarsOf(SampleRecipient(attributes), []string{"first_name", "born"}, map[string]any{"display_name": "Velo"}, "https://crm.velo.example/u/x")
	var out []string
	for _, f := range template.Check(locales, sample) {
		message, _, _ := strings.Cut(f.Message, ": ")
		out = append(out, fmt.Sprintf("%s %s %s %d:%d %s", f.Reason, f.Locale, f.Part, f.Line, f.Column, message))
	}
	return out
}

func TestCheck(t *testing.T) {
	const bye = `<a href="{{ unsubscribe_url }}">bye</a>`
	for name, tc := range map[string]struct {
		reason     string
		html, text string
		want       []string
	}{
		"sound":      {"nothing to say", `<a href="https://velo.example/">x</a><a href="mailto:a@velo.example"><a href="#top"><img src="https://a.example/x" alt="">` + bye, "{{ unsubscribe_url }}", nil},
		"made":       {"the text is made of the HTML", bye, "", []string{"TextFromHTML en text 0:0 the text for readers without HTML is made from the HTML"}},
		"no leaving": {"readers find no link", "x", "y", []string{"UnsubscribeMissing en  0:0 readers find no link for unsubscribing"}},
		"links": {
			"each with its place", "<p>ñ {{ contact.first_name }}\n <a class=x\nhref=\"www.velo.example\">x</a> <a href=\"\">\n<a href='http://velo.example/'><a href='javascript:x()'><a href=\"https://\"><a href=\"https://velo .example\"><a href=mailto:><a href='#'>" + bye, "t",
			[]string{
				`LinkMalformed en html 2:2 the link's address "www.velo.example" is not whole`, "LinkMalformed en html 3:31 the link leads nowhere",
				"LinkInsecure en html 4:1 the link leads over http, which readers warn of", `LinkMalformed en html 4:32 readers follow no link of the kind "javascript"`,
				`LinkMalformed en html 4:57 the link's address "https://" cannot be read`, `LinkMalformed en html 4:76 the link's address "https://velo .example" cannot be read`,
				"LinkMalformed en html 4:108 the link leads nowhere", "LinkMalformed en html 4:124 the link leads nowhere",
			},
		},
		"values in links": {
			"what is not known is not judged", `{% if contact.born %}<a href="{{ contact.first_name }}"><a href="https://{{ contact.first_name }}/"><a {% if contact.born %}class="x"{% endif %} href="http://velo.example/{{ contact.born }}"><a href="/{{ contact.born }}">{% endif %}` + bye, "t",
			[]string{"LinkInsecure en html 1:101 the link leads over http, which readers warn of", `LinkMalformed en html 1:192 the link's address "/" is not whole`},
		},
		"images": {
			"with words, and not in the clear", `<img src="http://a.example/x" alt="x"><img src="https://a.example/x"><img{% if contact.born %} alt="x"{% endif %}>` + bye, "t",
			[]string{"LinkInsecure en html 1:1 the image is fetched in the clear, which many readers refuse", "ImageWithoutText en html 1:39 the image has no alt"},
		},
		"comments": {"are not read", `{% comment %}<a href="">{% endcomment %}<!-- <img> --><script>"<img>"</script>` + bye, "t", nil},
		"text":     {"has links too", bye, "a\n see http://velo.example/ and https://velo.example/", []string{"LinkInsecure en text 2:6 the link leads over http, which readers warn of"}},
		"size":     {"cut off by Gmail", bye + strings.Repeat("{{ contact.first_name }} ", 11_000), "t", []string{"TooLarge en html 0:0 with typical values it has 107 kB; Gmail cuts off what is beyond 102 kB, the link for unsubscribing included"}},
		"sample":   {"a filter that takes no such value", bye + "{{ contact.first_name | plus: 1 }}", "t", []string{"SampleFails en html 1:43 a value is of the wrong type here"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, findings(t, one(t, Content{HTML: tc.html, Text: tc.text}), nil)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestCheckLocales(t *testing.T) {
	template, err := Compile("es", []Content{{Locale: "es", Subject: "s", Text: "{{ unsubscribe_url }}"}, {Locale: "pt-BR", Subject: "s", Text: "{{ unsubscribe_url }}"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"LocaleMissing en  0:0 there is no content in this locale of the tenant", "LocaleMissing pt  0:0 there is no content in this locale of the tenant",
	}
	if diff := cmp.Diff(want, findings(t, template, []string{"es-MX", "en", "es", "pt", "PT_br"})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(`<a href="https://velo.example/{{ x }}"><img {% if a %}alt=x{% endif %}>`)
	f.Add("{%- comment -%} <a href=''> {%- endcomment -%} <a href=http:>")
	f.Fuzz(func(t *testing.T, source string) {
		template, err := Compile("en", []Content{{Locale: "en", Subject: "s", HTML: source, Text: source}})
		if err != nil {
			return
		}
		for _, finding := range template.Check([]string{"es"}, Vars{}) {
			if finding.Line > 1+strings.Count(source, "\n") {
				t.Errorf("%q: line %d", source, finding.Line)
			}
		}
	})
}
