package render

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// pieces are what templates of the property test are made of: all that is hard about lines, blanks, dots and characters at
// the seams between what was encoded once and what is encoded for each recipient.
var pieces = []string{
	"Hola", " ", "  ", "\t", "\n", "\r", "\r\n", ".", "\n.\n", "=", "=20", "é", "ñandú", "😀", strings.Repeat("x", 75), strings.Repeat("largo ", 30),
	strings.Repeat("é", 40), strings.Repeat("y", 24), strings.Repeat("z", 25) + " ", "\n\n", " \n", "<p>", "</p>", "<br>", "<b>", "</b>", "<li>",
	"{{ contact.first_name }}", "{{ contact.evil }}", `{{ contact.evil | default: "tú" }}`, "{{ contact.points }}", "{{ contact.value }}", "{{ contact.seen }}",
	`{{ contact.first_name | upcase }}`, `{{ contact.born | date: "%d.%m.%Y" }}`, "{{ contact.tags }}", "{{ tenant.display_name }}", "{{ contact.locale }}",
	"{{ t }}", "{{ forloop.index }}", "{{ c }}", "{% assign a = contact.evil %}", "{{ a }}",
	"{{ contact.first_name | raw }}", "{{ unsubscribe_url }}", `<a href="https://velo.example/a">`, "</a>", `<a class='x' href='https://velo.example/b?x=1&amp;y=2' >`,
	`<a href="https://velo.example/p?c={{ contact.points }}&amp;n={{ contact.first_name | url_encode }}">`, `<a href="{{ unsubscribe_url }}">`,
	"https://velo.example/text", "https://velo.example/t?p={{ contact.points }}", "(https://velo.example/q).", "</body>",
}

// blocks surround what is drawn for their middle.
var blocks = [][2]string{
	{`{% if contact.plan == "club" %}`, "{% endif %}"},
	{`{% if contact.evil %}`, "{% else %}no{% endif %}"},
	{`{% unless contact.points > 9 %}`, "{% endunless %}"},
	{"{% for t in contact.tags %}", "{% endfor %}"},
	{"{% for t in contact.tags reversed limit: 2 %}", "{% else %}none{% endfor %}"},
	{"{% capture c %}", "{% endcapture %}"},
	{"{% case contact.plan %}{% when 'pro', 'club' %}", "{% else %}x{% endcase %}"},
	{`<a href="https://velo.example/c?`, `">`},
	{"https://velo.example/", ""},
}

func drawSource(t *rapid.T, name string, depth int) string {
	var b strings.Builder
	for range rapid.IntRange(0, 8).Draw(t, name) {
		if depth > 0 && rapid.IntRange(0, 3).Draw(t, "block") == 0 {
			around := rapid.SampledFrom(blocks).Draw(t, "around")
			b.WriteString(around[0] + drawSource(t, name, depth-1) + around[1])
			continue
		}
		b.WriteString(rapid.SampledFrom(pieces).Draw(t, "piece"))
	}
	return b.String()
}

func drawRecipient(t *rapid.T) Recipient {
	r := ana()
	r.Values[6] = rapid.SampledFrom([]any{
		nil, "", " ", "\n", "\r", "\n.", ".", "=", "x ", " x", "é", "a\nb", "\u202eab\x00", strings.Repeat("w", 74), strings.Repeat("w ", 40), "https://evil.example/", int64(-3), 2.5, false,
	}).Draw(t, "evil")
	r.Tags = rapid.SliceOfN(rapid.SampledFrom([]string{"road", "ñ", " ", "<", ""}), 0, 3).Draw(t, "tags")
	return r
}

// TestMessageIsWhatRenderGives: whatever the template and the values, and wherever in a line they meet.
func TestMessageIsWhatRenderGives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := Content{Locale: "en", Subject: drawSource(t, "subject", 2), HTML: drawSource(t, "html", 2), Text: drawSource(t, "text", 2)}
		template, err := Compile("en", []Content{c})
		if err != nil {
			return // neither HTML nor text
		}
		o, r := outside(), drawRecipient(t)
		o.Clicks, o.Opens = rapid.Bool().Draw(t, "clicks"), rapid.Bool().Draw(t, "opens")
		r.Untracked = rapid.Bool().Draw(t, "untracked")
		want, wantErr := composed(template, o, r)
		ms, err := template.CompileMessages(o)
		if err != nil {
			t.Fatal(err)
		}
		numbered(ms)
		got, err := ms.For("es").Append(nil, r)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("got %v, want %v", err, wantErr)
		}
		if err != nil {
			if diff := cmp.Diff(wantErr.Error(), err.Error()); diff != "" {
				t.Fatalf("error (-want +got):\n%s", diff)
			}
			return
		}
		if err := checkQuoted(got); err != nil {
			t.Fatal(err)
		}
		if r.Untracked {
			if diff := equivalent(want, got); diff != "" {
				t.Fatalf("-want +got:\n%s", diff)
			}
			return
		}
		if diff := cmp.Diff(normal(decoded(want)), normal(withoutTracking(t, decoded(got), ms.Links()))); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	})
}

func TestMessageRefuses(t *testing.T) {
	template := one(t, Content{Text: `{{ contact.first_name | plus: 1 }}`})
	ms, err := template.CompileMessages(outside())
	if err != nil {
		t.Fatal(err)
	}
	message, err := ms.For("en").Append([]byte("before"), ana())
	var wrong *Error
	if !errors.As(err, &wrong) || string(message) != "before" {
		t.Errorf("got %q, %v", message, err)
	}
	for _, address := range []string{"", "nobody", "a@b\r\nBcc: x@y.z", "a b@example.com", "a@b>, <c@example.com", "@example.com", "a@"} {
		ms, err := one(t, Content{Text: "x"}).CompileMessages(outside())
		if err != nil {
			t.Fatal(err)
		}
		r := ana()
		r.Address = address
		if message, err := ms.For("en").Append(nil, r); err == nil || len(message) > 0 {
			t.Errorf("%q: %v\n%s", address, err, message)
		}
	}
	for name, change := range map[string]func(*Outside){
		"sender":          func(o *Outside) { o.From = "x@y.z\r\nBcc: all@example.com" },
		"reply address":   func(o *Outside) { o.ReplyTo = "nobody" },
		"no public URL":   func(o *Outside) { o.PublicURL = "" },
		"a query in it":   func(o *Outside) { o.PublicURL = "https://crm.velo.example/?x" },
		"one-click, bare": func(o *Outside) { o.PublicURL = "http://crm.velo.example" },
		"no domain":       func(o *Outside) { o.Domain = "velo example" },
	} {
		o := outside()
		change(&o)
		if _, err := template.CompileMessages(o); err == nil {
			t.Errorf("%s: compiled", name)
		}
	}
}

// TestSimpleExpressions: the forms that need no evaluator mean what the library says they mean.
func TestSimpleExpressions(t *testing.T) {
	literals := []string{`"club"`, `'7'`, `""`, "7", "7.5", "0", "true", "false"}
	forms := []string{"{{ contact.evil }}", "{% if contact.evil %}y{% else %}n{% endif %}", `{{ contact.evil | default: "d" }}`, `{% if contact.tags contains "road" %}y{% endif %}`}
	for _, l := range literals {
		for _, op := range []string{"==", "!=", "<", "<=", ">", ">=", " contains "} {
			forms = append(forms, "{% if contact.evil"+op+l+" %}y{% else %}n{% endif %}")
		}
	}
	values := []any{nil, "", "club", "7", "true", int64(7), int64(0), int64(1) << 60, 7.5, 7.0, true, false, morning, []string{"club"}}
	for _, form := range forms {
		template := one(t, Content{Text: form})
		library := one(t, Content{Text: form})
		forget(library.contents["en"].text.nodes)
		for _, v := range values {
			r := ana()
			r.Values[6] = v
			got, gotErr := template.Render("en", varsOf(outside(), r))
			want, wantErr := library.Render("en", varsOf(outside(), r))
			if got != want || (gotErr == nil) != (wantErr == nil) {
				t.Errorf("%s with %T %v: %q %v, want %q %v", form, v, v, got.Text, gotErr, want.Text, wantErr)
			}
			message, err := func() ([]byte, error) {
				ms, err := template.CompileMessages(outside())
				if err != nil {
					t.Fatal(err)
				}
				return ms.For("en").Append(nil, r)
			}()
			if err != nil {
				t.Errorf("%s with %v: %v", form, v, err)
				continue
			}
			if _, parts := parsed(t, message); parts["text/plain"] != want.Text+"\r\n" {
				t.Errorf("%s with %T %v: message says %q, want %q", form, v, v, parts["text/plain"], want.Text)
			}
		}
	}
}

// forget leaves all expressions to the library.
func forget(nodes []node) {
	for _, n := range nodes {
		switch n := n.(type) {
		case *output:
			n.path = nil
		case *conditional:
			for _, b := range n.branches {
				if b.test != nil {
					b.test.path = nil
				}
			}
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(`<p>{{ contact.first_name }}</p>{% for t in contact.tags %}<a href="https://velo.example/{{ t }}">{{ t }}</a>{% endfor %}`, "Ana\n.", "x")
	f.Add("a\r{{ contact.evil }}\nb {{ contact.evil }} ", "\n", " ")
	f.Add(`<a href="https://velo.example/{% if contact.evil %}"{% endif %}>x`, `"`, "https://a.example/")
	f.Fuzz(func(t *testing.T, source, evil, tag string) {
		template, err := Compile("en", []Content{{Locale: "en", Subject: source, HTML: source}})
		if err != nil {
			return
		}
		o, r := outside(), ana()
		r.Values[6], r.Tags = evil, []string{tag, "b"}
		r.Untracked = true
		want, wantErr := composed(template, o, r)
		o.Clicks, o.Opens = true, true
		ms, err := template.CompileMessages(o)
		if err != nil {
			t.Fatal(err)
		}
		numbered(ms)
		got, err := ms.For("en").Append(nil, r)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%q: got %v, want %v", source, err, wantErr)
		}
		if err != nil {
			return
		}
		if diff := equivalent(want, got); diff != "" {
			t.Fatalf("%q: -want +got:\n%s", source, diff)
		}
		r.Untracked = false
		if got, err = ms.For("en").Append(nil, r); err != nil {
			return // a token is longer than its address: the bound may be passed
		}
		if err := checkQuoted(got); err != nil {
			t.Fatalf("%q: %v", source, err)
		}
		for _, token := range trackedURL.FindAllStringSubmatch(decoded(got), -1) {
			track, err := ParseTrack(linkKey, token[1])
			if err == nil && track.Target != "" && !strings.HasPrefix(track.Target, "https://") && !strings.HasPrefix(track.Target, "http://") {
				t.Errorf("%q: signed %q", source, track.Target)
			}
		}
	})
}
