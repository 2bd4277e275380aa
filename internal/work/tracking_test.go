package work_test

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// decoded undoes the encoding of a message's parts far enough to read their addresses.
func decoded(data []byte) string {
	return strings.ReplaceAll(strings.ReplaceAll(string(data), "=\r\n", ""), "=3D", "=")
}

func TestTrackedLinks(t *testing.T) {
	h := newHouse(t, 3)
	h.exec(`update template set digest = 'links', content = jsonb_build_array(jsonb_build_object('locale', 'es', 'subject', 'Hola', 'html',
		'<p><a href="https://velo.example/a">A</a> <a href="https://velo.example/b?n={{ contact.first_name | url_encode }}">B</a> <a href="{{ unsubscribe_url }}">C</a></p>', 'text', ''))`)
	h.exec("insert into consent (contact_id, purpose, granted, source) select contact_id, 'tracking', false, 'test' from identifier_link join identifier i on i.id = identifier_id where i.value = 'c2@people.example'")
	send := h.campaign(func(c *store.SendConfig) { c.Tracking = store.Tracking{Opens: true, Clicks: true} })
	h.worker(h.options())
	h.becomes("Completed planned 3 sent 3 failed 0 ambiguous 0 pending 0")

	ctx := context.Background()
	key, err := h.db.LinkKey(ctx)
	if err != nil {
		t.Fatal(err)
	}
	links := map[int64]store.Link{}
	stored, err := h.db.SendLinks(ctx, send)
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range stored {
		links[link.ID] = link
	}
	tracked := regexp.MustCompile(`https://crm\.velo\.example/[co]/([A-Za-z0-9_-]+)`)
	for _, m := range h.relay.Messages() {
		text := decoded(m.Data)
		tokens := tracked.FindAllStringSubmatch(text, -1)
		if m.To == "c2@people.example" {
			if len(tokens) > 0 || !strings.Contains(text, `href="https://velo.example/a"`) {
				t.Errorf("who refused it is tracked:\n%s", text)
			}
			continue
		}
		if len(tokens) != 6 { // two links in the text, two in HTML, the pixel, and the link that nobody sees
			t.Errorf("%d addresses are tracked:\n%s", len(tokens), text)
		}
		for _, token := range tokens {
			track, err := render.ParseTrack(key, token[1])
			if err != nil || track.Send != send {
				t.Errorf("%s: %+v, %v", token[0], track, err)
				continue
			}
			if track.Link == 0 {
				continue
			}
			link, found := links[track.Link]
			switch {
			case !found:
				t.Errorf("%+v leads nowhere", track)
			case track.Target == "" && link.URL != "https://velo.example/a",
				track.Target != "" && (!strings.HasPrefix(track.Target, "https://velo.example/b?n=Ana+") || !strings.Contains(link.URL, "{{ contact.first_name")):
				t.Errorf("%+v leads to %+v", track, link)
			}
		}
	}
}
