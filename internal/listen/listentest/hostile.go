package listentest

import (
	"strings"
	"time"
	"unicode"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// publishHostile publishes what strangers may write.
func (b *bench) publishHostile() []string {
	b.t.Helper()
	items := []Item{
		{Text: "Velo " + strings.Repeat("y más ", 1<<20/7)},
		{Text: "Velo\u202e oleV\u2066\u0007"},
		{Text: "Velo \U0001F6B2 e\u0301 \uFFFD"},
		{Text: "Velo of the year dot", At: time.Unix(0, 0).UTC()},
		{Text: "Velo of the year 2100", At: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)},
		{Text: `{"$ne": null}'; drop table mention; --`},
	}
	if !b.n.Plain {
		items = append(items,
			Item{Markup: true, Text: `<p>Velo<script>alert(1)</script><style>p{color:red}</style><img src=x onerror="alert(2)"></p>`},
			Item{Markup: true, Text: `<p>Velo <a href="javascript:alert(3)">aquí</a> <a href="https://velo.example/">y allí</a>` +
				strings.Repeat("<div>", 50_000)},
		)
	}
	ids := make([]string, len(items))
	for i, item := range items {
		ids[i] = b.publishItem(item)
	}
	return ids
}

// expectHarmless finds what could do harm where it is shown or stored.
func (b *bench) expectHarmless(ids []string) {
	b.t.Helper()
	for i, id := range ids {
		p, ok := b.store.get(id)
		if !ok {
			b.t.Errorf("item %d, %q, did not come", i, id)
			continue
		}
		if len(p.Text) > listen.MaxText || strings.ContainsFunc(p.Text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\t' }) {
			b.t.Errorf("item %d has %d bytes of text, or control characters", i, len(p.Text))
		}
		if i >= 6 && strings.ContainsAny(p.Text, "<>") || strings.Contains(p.Text, "alert(") {
			b.t.Errorf("item %d says %.200q", i, p.Text)
		}
		if p.CreatedAt.Year() < 1990 || p.CreatedAt.After(b.clock.Now().Add(listen.Skew)) {
			b.t.Errorf("item %d was written at %s", i, p.CreatedAt)
		}
		for _, link := range p.Links {
			if !strings.HasPrefix(link, "http") {
				b.t.Errorf("item %d links to %q", i, link)
			}
		}
	}
}

// garbage are bodies that no network means.
func (b *bench) garbage() [][]byte {
	return append([][]byte{
		[]byte("\x00\xff\xfe\x01 no text at all"),
		[]byte(`{"id":"1","content":`),
		[]byte("<!doctype html><html><head><title>We'll be back</title></head><body><h1>Sorry</h1></body></html>"),
		[]byte(strings.Repeat("[", 200_000)),
		[]byte(strings.Repeat(`{"a":`, 100_000)),
		[]byte(`[{"id":{"x":[1,2,3]},"content":17,"created_at":false,"account":"nobody"}]`),
	}, b.n.Garbage...)
}
