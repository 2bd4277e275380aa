package render

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHTMLToText(t *testing.T) {
	for name, tc := range map[string]struct{ reason, html, want string }{
		"paragraphs":    {"with attributes, as mail has them", `<p style="a">one</p><p class="b">two</p>`, "one\n\ntwo"},
		"blanks":        {"run together", "a\n   b<br>c", "a b\nc"},
		"table":         {"rows are lines", `<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>d`, "a b\nc\n\nd"},
		"list":          {"with hyphens", `x<ul><li>one</li><li>two</li></ul>y`, "x\n\n- one\n- two\n\ny"},
		"links":         {"words and address", `see <a href="https://a.example/?x=1&amp;y=2">here</a>.`, "see here <https://a.example/?x=1&y=2>."},
		"link as words": {"once is enough", `<a href="https://a.example">https://a.example</a> <a href="mailto:a@b.c">a@b.c</a> <a href="#top">up</a>`, "https://a.example a@b.c up"},
		"image link":    {"without a description the address is all", `<a href="https://a.example"><img src="x.png"></a>`, "<https://a.example>"},
		"image":         {"its description", `<img src="x.png" alt="A bike">`, "A bike"},
		"script link":   {"no address", `<a href="javascript:alert(1)">x</a>`, "x"},
		"head":          {"not shown", `<html><head><title>T</title><style>p{}</style></head><body>x<script>y</script></body></html>`, "x"},
		"hidden":        {"preview text is not repeated", `<div style="Display: none"><div>no</div>no</div>yes`, "yes"},
		"comments":      {"also conditional ones", `a<!--[if mso]><p>b</p><![endif]-->c`, "ac"},
		"entities":      {"decoded", `&lt;b&gt; &eacute;&nbsp;&#8364;`, "<b> é\u00a0€"},
		"broken":        {"as far as it goes", `<p>a<b>b</p></i><td>c <a href=`, "ab\n\nc"},
		"empty":         {"", ``, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, HTMLToText(tc.html)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// TestDerived: the text made from HTML, both where it is made of the template and where it is made of each message.
func TestDerived(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, html, want string
		once               bool // made of the template
	}{
		"variables": {"data is not HTML", `<p>Hi {{ name }}</p>`, "Hi <b>Ana</b> & co", true},
		"loop":      {"no empty lines between turns", `<ul>{% for i in list %}<li>{{ i }}</li>{% endfor %}</ul><p>end</p>`, "- a\n- b\n\nend", true},
		"branches":  {"those not taken leave nothing", `<p>a</p>{% if no %}<p>b</p>{% endif %}{% if no %}<p>c</p>{% else %}<p>d</p>{% endif %}`, "a\n\nd", true},
		"links":     {"a variable as address", `<a href="{{ unsubscribe_url }}">bye</a>`, "bye <https://x.example/?a=1&b=2>", true},
		"condition in an address": {
			"stays in it", `<a href="{% if no %}https://a{% else %}https://b{% endif %}">x</a>`, "x <https://b>", true,
		},
		"raw":     {"HTML in data, on the author's word", `{{ name | raw }}`, "Ana & co", true},
		"breaks":  {"newline_to_br", `<p>{{ lines | newline_to_br }}</p>`, "a\nb", true},
		"escape":  {"means nothing in a text", `{{ name | escape }}`, "<b>Ana</b> & co", true},
		"capture": {"keeps breaks", `{% capture x %}<p>a</p><p>b</p>{% endcapture %}{{ x }}`, "a\n\nb", true},
		"condition among attributes": {
			"cannot be decided once", `<a {% if no %}href="https://a"{% else %}href="https://b"{% endif %}>x</a>`, "x <https://b>", false,
		},
		"assignment in a comment": {"would be lost", `<!-- {% assign x = "y" %} -->{{ x }}`, "y", false},
		"raw block":               {"would be taken for Liquid", `{% raw %}{{ name }}{% endraw %}`, "{{ name }}", false},
		"braces as entities":      {"likewise", `&#123;&#123; name }} {{ name }}`, "{{ name }} <b>Ana</b> & co", false},
	} {
		t.Run(name, func(t *testing.T) {
			template := one(t, Content{HTML: tc.html})
			if once := template.contents["en"].text != nil; once != tc.once {
				t.Errorf("%s: made of the template: %t, want %t", tc.reason, once, tc.once)
			}
			r, err := template.Render("en", Vars{
				"name": "<b>Ana</b> & co", "list": []string{"a", "b"}, "lines": "a\nb", UnsubscribeURL: "https://x.example/?a=1&b=2",
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, r.Text); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		`{{ contact.first_name | default: "x" }}`, `{% for i in (1..3) reversed %}{{ i }}{% endfor %}`, `{% if a %}b{% elsif c %}d{% else %}e{% endif %}`,
		`{%- raw -%}{{ x }}{% endraw %}`, `{% case a %}{% when 1, 2 %}{% endcase %}`, `{{ a[1]["b"] | slice: -3, 900 | truncate: -1 }}`,
		`{% capture x %}{% cycle "a", "b" %}{% endcapture %}{{ x | raw }}`, "{{ -1 }}", "{% assign = %}", "{{ a | date: '%9Q' }}", `{{ "x" | truncate: "y" }}`,
		"<a href='{{ a }}'>{% if b %}", "{{ '|' | x: (1..2) }}", "{{ a contains b or a == b }}", `{{ list | sort: "x" | uniq | join: list }}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		template, err := Compile("en", []Content{{Locale: "en", Subject: source, HTML: source}})
		if err != nil {
			for _, e := range err.(Errors) { //nolint:errorlint // Compile says that it is of this type
				if e.Part != "" && (e.Line < 0 || e.Line > 1+strings.Count(source, "\n")) {
					t.Errorf("%q: position %d:%d", source, e.Line, e.Column)
				}
			}
			return
		}
		_ = template.Variables()
		r, err := template.Render("en", Vars{
			"a": "x<y", "b": 3, "c": nil, "list": []any{"q", 1, nil, map[string]any{"x": 1}}, "contact": map[string]any{"first_name": "Ana"},
		})
		if err == nil && (len(r.HTML) > MaxOutput || strings.ContainsAny(r.Subject, "\r\n")) {
			t.Errorf("%q: subject %q, %d bytes", source, r.Subject, len(r.HTML))
		}
	})
}

func BenchmarkRender(b *testing.B) {
	html := strings.Repeat("<p style=\"margin:0\">Some words that are the same for everybody, ñandú.</p>\n", 100) +
		`<h1>{{ contact.first_name }} {{ contact.last_name | default: "x" }}</h1>{% for i in items %}<a href="{{ i.url }}">{{ i.name }}</a>{% endfor %}` +
		`{% if contact.plan == "club" %}Club{% endif %}<a href="{{ unsubscribe_url }}">x</a>`
	template, err := Compile("en", []Content{{Locale: "en", Subject: "Hi {{ contact.first_name }}", HTML: html}})
	if err != nil {
		b.Fatal(err)
	}
	item := map[string]any{"url": "https://velo.example/p/1", "name": "Bike"}
	v := Vars{
		"contact": map[string]any{"first_name": "Ana", "last_name": "Ruiz", "plan": "club"}, "items": []any{item, item, item},
		UnsubscribeURL: "https://velo.example/u/abc",
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := template.Render("en", v); err != nil {
			b.Fatal(err)
		}
	}
}
