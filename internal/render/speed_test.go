package render

import (
	"fmt"
	"strings"
	"testing"
)

// typical is a mail of 9 KB with ten links, five fields, a loop and a condition, in HTML and text.
func typical() Content {
	var page, plain strings.Builder
	page.WriteString(`<!doctype html><html lang="en"><head><title>Spring</title><style>body{font-family:sans-serif;margin:0}</style></head><body>
<h1 style="color: #0a5">Hello {{ contact.first_name }} {{ contact.last_name }}</h1>
<p>You ride in {{ contact.city }} and have {{ contact.points }} points; your plan renews on {{ contact.renews }}.</p>
{% if contact.plan == "pro" %}<p>As a member you get the first day of our sale for yourself.</p>{% else %}<p>With the pro plan it would be yours.</p>{% endif %}
<ul>{% for tag in contact.tags %}<li>New for {{ tag }} riders</li>{% endfor %}</ul>
`)
	plain.WriteString("Hello {{ contact.first_name }} {{ contact.last_name }}\n\nYou ride in {{ contact.city }} and have {{ contact.points }} points.\n\n")
	for i := range 10 {
		fmt.Fprintf(&page, `<h2 style="margin: 24px 0 8px; font-size: 20px">Story %d</h2><p style="line-height: 1.5; color: #333">%s <a href="https://shop.velo.example/stories/%d?utm_source=mail&amp;utm_campaign=spring" style="color: #0a5">Read on</a></p>
`, i, strings.Repeat("Warm days, dry roads and long evenings: time to ride. ", 9), i)
		fmt.Fprintf(&plain, "Story %d: https://shop.velo.example/stories/%d?utm_source=mail&utm_campaign=spring\n\n", i, i)
	}
	page.WriteString(`<p style="font-size: 12px">You get this mail because you subscribed. <a href="{{ unsubscribe_url }}">Unsubscribe</a></p></body></html>`)
	plain.WriteString("Unsubscribe: {{ unsubscribe_url }}\n")
	return Content{Locale: "en", Subject: "{{ contact.first_name }}, spring is here", HTML: page.String(), Text: plain.String()}
}

func typicalMessage(tb testing.TB) (*Message, Recipient) {
	tb.Helper()
	template, err := Compile("en", []Content{typical()})
	if err != nil {
		tb.Fatal(err)
	}
	o := outside()
	o.Fields = []string{"first_name", "last_name", "city", "points", "plan", "renews"}
	o.Opens, o.Clicks = true, true
	ms, err := template.CompileMessages(o)
	if err != nil {
		tb.Fatal(err)
	}
	numbered(ms)
	r := ana()
	r.Values = []any{"Ana", "Ruiz", "Girona", int64(1280), "pro", "2027-06-01"}
	r.Locale = "en"
	return ms.For("en"), r
}

// TestMessageAllocates: writing a message costs its buffer and the address for unsubscribing, and nothing else.
func TestMessageAllocates(t *testing.T) {
	m, r := typicalMessage(t)
	if _, err := m.Append(nil, r); err != nil {
		t.Fatal(err)
	}
	got := testing.AllocsPerRun(200, func() {
		if _, err := m.Append(make([]byte, 0, m.Size()+256), r); err != nil {
			t.Fatal(err)
		}
	})
	if got > 2 {
		t.Errorf("%.1f allocations for a message; 2 are enough", got)
	}
}

// BenchmarkMessage measures writing a typical message, beside copying as many bytes.
func BenchmarkMessage(b *testing.B) {
	m, r := typicalMessage(b)
	message, err := m.Append(nil, r)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(message)))
		for b.Loop() {
			if _, err := m.Append(make([]byte, 0, m.Size()+256), r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("copy", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(message)))
		for b.Loop() {
			_ = append(make([]byte, 0, len(message)+256), message...)
		}
	})
	b.Run("render and compose", func(b *testing.B) {
		template, err := Compile("en", []Content{typical()})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		o := outside()
		o.Fields = []string{"first_name", "last_name", "city", "points", "plan", "renews"}
		for b.Loop() {
			if _, err := composed(template, o, r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
