package render

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// one compiles a content of one language.
func one(t *testing.T, c Content) *Template {
	t.Helper()
	c.Locale = "en"
	if c.Subject == "" {
		c.Subject = "s"
	}
	template, err := Compile("en", []Content{c})
	if err != nil {
		t.Fatalf("compile %+v: %v", c, err)
	}
	return template
}

var vars = Vars{
	"contact": map[string]any{
		"first_name": "Añá <b>", "n": 3, "plan": "club", "tags": []string{"road", "gravel"}, "value": 1234567.5,
		"born": "1990-02-03", "seen": time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC), "none": nil, "empty": "", "big": int64(7),
		"two": "a\nb", "url": "https://x.example/?a=1&b=2",
	},
	"items":        []any{map[string]any{"name": "Bike", "price": 10}, map[string]any{"name": "Helm", "price": 5}},
	UnsubscribeURL: "https://velo.example/u/abc",
}

func TestText(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, source, want string
	}{
		"variable":         {"as it is", "Hi {{ contact.first_name }}!", "Hi Añá <b>!"},
		"brackets":         {"another way to write a path", `{{ contact["first_name"] }}`, "Añá <b>"},
		"undefined":        {"renders empty", "[{{ nobody.knows.this }}{{ contact.none }}{{ contact.missing | upcase }}]", "[]"},
		"default":          {"for what is empty or missing", `{{ contact.empty | default: "friend" }} {{ contact.no | default: "x" }}`, "friend x"},
		"numbers":          {"no exponent, no trailing zero", "{{ contact.value }} {{ contact.n | plus: 1 }} {{ 7 | divided_by: 2 }}", "1234567.5 4 3"},
		"if":               {"else of an if", `{% if contact.plan == "pro" %}P{% elsif contact.n > 2 %}C{% else %}F{% endif %}`, "C"},
		"unless":           {"the opposite", `{% unless contact.plan == "pro" %}no{% else %}pro{% endunless %}`, "no"},
		"int64":            {"compares with literals", `{% if contact.big >= 7 %}yes{% endif %}`, "yes"},
		"case":             {"values and else", `{% case contact.plan %}{% when "pro" %}P{% when "free", "club" %}C{% else %}?{% endcase %}`, "C"},
		"for":              {"items and forloop", `{% for i in items %}{{ forloop.index }}{{ i.name }}{% unless forloop.last %}, {% endunless %}{% endfor %}`, "1Bike, 2Helm"},
		"for else":         {"nothing to go over", `{% for i in nothing %}x{% else %}none{% endfor %}`, "none"},
		"for limits":       {"offset, then limit, then reversed", `{% for i in (1..9) reversed limit: 3 offset: 2 %}{{ i }}{% endfor %}`, "765"},
		"break":            {"ends the inner loop", `{% for i in (1..3) %}{% for j in (1..3) %}{% if j == 2 %}{% break %}{% endif %}{{ i }}{{ j }} {% endfor %}{% endfor %}`, "11 21 31 "},
		"continue":         {"skips a turn", `{% for i in (1..3) %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}`, "13"},
		"cycle":            {"goes round", `{% for i in (1..3) %}{% cycle "a", "b" %}{% endfor %}`, "aba"},
		"assign":           {"sets a variable", `{% assign total = contact.n | times: 2 %}{{ total }}`, "6"},
		"capture":          {"keeps what is within", `{% capture x %}<{{ contact.n }}>{% endcapture %}{{ x }}{{ x | size }}`, "<3>3"},
		"loop variable":    {"does not outlive the loop", `{% assign i = "x" %}{% for i in (1..2) %}{% endfor %}{{ i }}`, "x"},
		"comment and raw":  {"hidden and literal", `a{% comment %}{{ bad | nonsense }}{% endcomment %}{% raw %}{{ x }}{% endraw %}b`, "a{{ x }}b"},
		"whitespace":       {"controlled by hyphens", "a \n {%- if true -%} \n b \n {%- endif %} c", "ab c"},
		"dates":            {"of texts and of times", `{{ contact.born | date: "%d.%m.%Y" }} {{ contact.seen | date: "%H:%M" }}{{ contact.none | date: "%Y" }}`, "03.02.1990 09:00"},
		"lists":            {"joined, or one after the other", `{{ contact.tags | join: "+" }} {{ contact.tags }} {{ contact.tags.first }} {{ contact.tags.size }}`, "road+gravel roadgravel road 2"},
		"maps":             {"a contact as a whole shows nothing", `[{{ contact }}]`, "[]"},
		"map filter":       {"takes a field of each", `{{ items | map: "name" | join: " " }}`, "Bike Helm"},
		"truncate":         {"in characters", `{{ "añañaña" | truncate: 5 }} {{ "one two three" | truncatewords: 2 }}`, "añ... one two..."},
		"capitalize":       {"in characters", `{{ "élan" | capitalize }} {{ "" | capitalize }}`, "Élan "},
		"slice and split":  {"in characters", `{{ "añb" | slice: 1, 2 }} {{ "a-b-c" | split: "-" | last }}`, "ñb c"},
		"replace":          {"all or the first", `{{ "aXbX" | replace: "X", "-" }} {{ "aXbX" | replace_first: "X", "-" }}`, "a-b- a-bX"},
		"url_encode":       {"for query strings", `{{ "a b&c" | url_encode }}`, "a+b%26c"},
		"uniq":             {"first ones stay", `{{ "a b a" | split: " " | uniq | join }}`, "a b"},
		"plain escape":     {"in a text nothing is escaped, also when asked", `{{ contact.first_name | escape }}`, "Añá <b>"},
		"contains":         {"in lists and texts", `{% if contact.tags contains "road" and contact.plan contains "lu" %}y{% endif %}`, "y"},
		"hostile controls": {"taken out of data", `{{ hostile }}`, "ab\ufffdc"},
		"strip_html":       {"makes text", `{{ "<p>a &amp; b</p>" | strip_html }}`, "a & b"},
	} {
		t.Run(name, func(t *testing.T) {
			v := Vars{"hostile": "a\x00\x1b\u202eb\xffc"}
			for k, value := range vars {
				v[k] = value
			}
			r, err := one(t, Content{Text: tc.source}).Render("en", v)
			if err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, r.Text); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestHTML(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, source, want string
	}{
		"escaped":       {"by default", `<p title="{{ q }}">{{ contact.first_name }}</p>`, `<p title="&#34;&#39;&gt;">Añá &lt;b&gt;</p>`},
		"once":          {"escape does not escape twice", `{{ contact.first_name | escape }}`, `Añá &lt;b&gt;`},
		"escape_once":   {"leaves entities", `{{ "a &amp; <" | escape_once }}`, `a &amp; &lt;`},
		"after escape":  {"what is made of escaped text is escaped", `{{ contact.first_name | escape | append: "!" }}`, `Añá &amp;lt;b&amp;gt;!`},
		"raw":           {"the author opts out", `{{ "<i>" | raw }}`, `<i>`},
		"raw is last":   {"a filter after raw is escaped again", `{{ "<i>" | raw | upcase }}`, `&lt;I&gt;`},
		"newline_to_br": {"escapes, then breaks", `{{ lines | newline_to_br }}`, "a&lt;<br>\nb"},
		"captured":      {"values were escaped when captured", `{% capture x %}<i>{{ contact.first_name }}</i>{% endcapture %}{{ x }}`, `<i>Añá &lt;b&gt;</i>`},
		"lists":         {"each element", `{{ evil }}`, `&lt;a&gt;&lt;b&gt;`},
		"address":       {"an address in an attribute", `<a href="{{ contact.url }}">`, `<a href="https://x.example/?a=1&amp;b=2">`},
	} {
		t.Run(name, func(t *testing.T) {
			v := Vars{"q": `"'>`, "evil": []any{"<a>", "<b>"}, "lines": "a<\nb", "contact": vars["contact"]}
			r, err := one(t, Content{HTML: tc.source}).Render("en", v)
			if err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			if diff := cmp.Diff(tc.want, r.HTML); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestSubject(t *testing.T) {
	template := one(t, Content{Subject: "Hi {{ name }}", Text: "x"})
	for name, tc := range map[string]struct{ value, want string }{
		"plain":              {"Ana", "Hi Ana"},
		"no escaping":        {"A & B", "Hi A & B"},
		"header injection":   {"x\r\nBcc: all@example.com", "Hi x Bcc: all@example.com"},
		"other line breaks":  {"a\u2028b\u0085c\vd", "Hi a bcd"},
		"direction override": {"a\u202eb", "Hi ab"},
		"endless":            {strings.Repeat("ñ", 1000), "Hi " + strings.Repeat("ñ", maxSubject-4) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := template.Render("en", Vars{"name": tc.value})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, r.Subject); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestLocale(t *testing.T) {
	template, err := Compile("en", []Content{
		{Locale: "en", Subject: "en", Text: "x"}, {Locale: "es", Subject: "es", Text: "x"}, {Locale: "es-MX", Subject: "mx", Text: "x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for locale, want := range map[string]string{
		"es-MX": "mx", "es_mx": "mx", "es-MX-x": "mx", "es-AR": "es", "ES": "es", "en-GB": "en", "fr": "en", "": "en",
	} {
		if r, err := template.Render(locale, nil); err != nil || r.Subject != want {
			t.Errorf("%q: %q %v, want %q", locale, r.Subject, err, want)
		}
	}
}

// TestBroken: every mistake is told with its place, several of one part at once.
func TestBroken(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		html   string
		want   []string
	}{
		"several": {
			reason: "one round trip mends them all",
			html:   "<p>\n  {{ contact.first_name | upcas }}\n  {% iff x %}\n{{ a b }}\n",
			want: []string{
				`en html, line 2, column 27: there is no filter "upcas": did you mean "upcase"?`,
				`en html, line 3, column 3: there is no tag "iff": did you mean "if"?`,
				`en html, line 4, column 4: "a b" cannot be read as an expression`,
			},
		},
		"columns count characters": {"not bytes", "ñañ {{ a | nope }}", []string{`en html, line 1, column 12: there is no filter "nope"`}},
		"not closed": {
			"at the place where it was opened", "a\n{% if x %}\n{% for i in y %}{% endfor %}",
			[]string{`en html, line 2, column 1: {% if %} is not closed: write {% endif %} where it ends`},
		},
		"crossed": {
			"the inner one is to blame", "{% if x %}{% for i in y %}{% endif %}{{ b | zz }}",
			[]string{
				`en html, line 1, column 11: {% for %} is not closed before {% endif %}`,
				`en html, line 1, column 45: there is no filter "zz"`,
			},
		},
		"closes nothing": {"a stray end", "{% endif %}", []string{`en html, line 1, column 1: {% endif %} closes nothing: no {% if %} is open`}},
		"stray else":     {"outside", "{% else %}", []string{`en html, line 1, column 1: {% else %} belongs to no block here`}},
		"else twice":     {"of one if", "{% if a %}{% else %}{% else %}{% endif %}", []string{`en html, line 1, column 21: {% else %} does not belong here`}},
		"open braces": {
			"the scanner takes them for text", "x {{ contact.first_name }\nb",
			[]string{`en html, line 1, column 3: "{{" begins a variable that no "}}" on the same line closes; where braces are meant, write them within {% raw %} … {% endraw %}`},
		},
		"open tag":     {"likewise", "x {% if\n", []string{`en html, line 1, column 3: "{%" begins a tag that no "%}" closes, or that has no name`}},
		"open comment": {"it would swallow the rest", "a {% comment %} b", []string{`en html, line 1, column 3: this block is not closed: write {% endcomment %} where it ends`}},
		"empty if":     {"nothing to test", "{% if %}x{% endif %}", []string{`en html, line 1, column 1: "" cannot be read as an expression`}},
		"include":      {"reads files in the library", `{% include "/etc/passwd" %}`, []string{`en html, line 1, column 1: there is no tag "include"`}},
		"statement":    {"the library's parser would take it for one", "{{ %assign x = 1 }}", []string{`en html, line 1, column 4: "%assign x = 1" cannot be read as an expression`}},
		"huge number":  {"the library's parser panics", "{{ 99999999999999999999 }}", []string{`en html, line 1, column 4: "99999999999999999999" cannot be read as an expression`}},
		"endless loop": {"refused before anything runs", "{% for i in (1..1000000000) %}x{% endfor %}", []string{`en html, line 1, column 15: this loop goes round 1000000000 times; at most 20000 are allowed`}},
		"range as value": {
			"a filter would make a list of it", "{% assign r = (1..1000000000) %}{{ (1..9) | join }}{% for i in (1..9) | reverse %}{% endfor %}",
			[]string{
				"en html, line 1, column 17: a range such as (1..5) stands in {% for … in (1..5) %} only",
				"en html, line 1, column 38: a range such as (1..5) stands in {% for … in (1..5) %} only",
				"en html, line 1, column 66: a range takes no filters: use reversed, limit and offset",
			},
		},
		"clock": {"messages are the same at every try", `{{ "now" | date: "%Y" }}`, []string{`en html, line 1, column 4: a template does not know the time: write the date itself`}},
		"jump":  {"outside of a loop", `{% break %}`, []string{`en html, line 1, column 1: {% break %} stands in no {% for %}`}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Compile("en", []Content{{Locale: "en", Subject: "s", HTML: tc.html}})
			var errs Errors
			if !errors.As(err, &errs) {
				t.Fatalf("%s: got %v", tc.reason, err)
			}
			var got []string
			for _, e := range errs {
				got = append(got, e.Error())
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

func TestBrokenContents(t *testing.T) {
	_, err := Compile("fr", []Content{
		{Locale: "en", Subject: "{{ a | x }}", Text: "{% if %}"}, {Locale: "EN", Subject: "s", Text: "t"}, {Locale: "es", Subject: "s"},
	})
	want := `en subject, line 1, column 8: there is no filter "x"; en text, line 1, column 1: "" cannot be read as an expression; ` +
		`en text, line 1, column 1: {% if %} is not closed: write {% endif %} where it ends; EN: this locale has two contents: keep one; ` +
		`es html: there is neither HTML nor text; fr: the default locale has no content: add it or change the default`
	if err == nil {
		t.Fatal("compiled")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var first *Error
	if !errors.As(err, &first) || first.Part != PartSubject || first.Column != 8 {
		t.Errorf("errors.As gives %+v", first)
	}
}

// TestBounds: what a template must not do it is stopped from doing, quickly and with its place.
func TestBounds(t *testing.T) {
	double := `{% assign x = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" %}{% for i in (1..30) %}{% assign x = x | append: x %}{% endfor %}{{ x }}`
	for name, tc := range map[string]struct {
		reason, source, want string
	}{
		"loop over data":  {"a range whose end is data", `{% for i in (1..n) %}{% endfor %}`, "takes more than 20000 steps"},
		"nested loops":    {"each harmless alone", `{% for i in (1..5000) %}{% for j in (1..5000) %}x{% endfor %}{% endfor %}`, "takes more than 20000 steps"},
		"output":          {"a long text many times", `{% for i in (1..9000) %}` + strings.Repeat("x", 1000) + `{% endfor %}`, "the result is longer than"},
		"doubling":        {"2 to the 30th", double, `line 1, column 88: filter "append": the result is longer than 65536 bytes`},
		"replace":         {"every letter by a long text", `{% assign x = long | replace: "a", long %}`, `filter "replace": the result is longer`},
		"split":           {"a list of all letters", `{{ long | split: "" }}`, `filter "split": the result has more than 1000 elements`},
		"capture":         {"a long text in a variable", `{% capture x %}` + strings.Repeat("x", maxString+1) + `{% endcapture %}`, "a variable may hold"},
		"date width":      {"as many digits as asked", `{{ "2027-03-21" | date: "%999999999d" }}`, `filter "date": the format is too long`},
		"date of a text":  {"the error does not repeat the value", `{{ long | date: "%Y" }}`, `filter "date": the value is no date`},
		"number of text":  {"nor here", `{{ "secret" | plus: 1 }}`, "a value is of the wrong type here"},
		"range of a text": {"nor here", `{% for i in (1..long) %}{% endfor %}`, "a value is of the wrong type here"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := one(t, Content{Text: tc.source}).Render("en", Vars{"n": 1_000_000_000, "long": strings.Repeat("a", 60_000)})
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(e.Error(), tc.want) {
				t.Fatalf("%s: got %v, want %q", tc.reason, err, tc.want)
			}
			if len(e.Error()) > 300 || strings.Contains(e.Error(), "secret") {
				t.Errorf("%s: the error tells data: %v", tc.reason, e)
			}
		})
	}
}

func TestVariables(t *testing.T) {
	template := one(t, Content{
		Subject: `{{ contact.fist_name }}`,
		HTML: `{% assign mine = tenant.name %}{{ mine }}{% for t in contact.tags reversed limit: max %}{{ t.x }}{{ forloop.index }}{% endfor %}
			{{ contact["plan"] | default: other.thing, 1 }} {{ unsubscribe_url }} {% case a %}{% when b, "c" %}{% endcase %} {{ 'quoted.name' }} {{ contact.tags[0] }}`,
	})
	want := []string{"a", "b", "contact.fist_name", "contact.plan", "contact.tags", "max", "other.thing", "tenant.name", "unsubscribe_url"}
	if diff := cmp.Diff(want, template.Variables()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	err := template.Unknown([]string{"contact.first_name", "contact.plan", "contact.tags", "tenant.name", "unsubscribe_url", "max", "b"})
	wantErr := `en subject, line 1, column 4: unknown variable "contact.fist_name": did you mean "contact.first_name"?; ` +
		`en html, line 2, column 34: unknown variable "other.thing"; en html, line 2, column 82: unknown variable "a": did you mean "b"?`
	if err == nil {
		t.Fatal("everything is known")
	}
	if diff := cmp.Diff(wantErr, err.Error()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := template.Unknown(want); err != nil {
		t.Errorf("all known: %v", err)
	}
}

func TestWithoutUnsubscribe(t *testing.T) {
	template, err := Compile("en", []Content{
		{Locale: "en", Subject: "s", HTML: "<a href='{{ unsubscribe_url }}'>x</a>"},
		{Locale: "es", Subject: "{{ unsubscribe_url }}", HTML: "x"},
		{Locale: "de", Subject: "s", Text: "{{ unsubscribe_url }}"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"es"}, template.WithoutUnsubscribe()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
