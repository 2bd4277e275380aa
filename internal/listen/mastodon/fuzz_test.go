package mastodon

import (
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

var fuzzed = time.Date(2026, 11, 2, 9, 30, 0, 0, time.UTC)

func FuzzStatus(f *testing.F) {
	f.Add([]byte(`{"id":"115","created_at":"2026-11-02T09:30:00.123Z","visibility":"public","content":"<p>Hola <a href=\"https://velo.example\">x</a></p>","account":` + ana + `}`))
	f.Add([]byte(`{"id":"1","content":"","reblog":{"id":"2","reblog":{"id":"3"}},"quote":{"state":"accepted","quoted_status":{"id":"4"}},"poll":{"options":[{"title":"a"}]}}`))
	f.Add([]byte(`{"id":"1","content":"<p class=\"quote-inline\"><p></p><a href=\"javascript:x\" class=\"mention","edited_at":"2026"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, refused := parseStatus(raw)
		if refused != "" {
			return
		}
		p := s.post("social.example")
		if wrong := listen.Normalize(&p, fuzzed); wrong == "" && (!utf8.ValidString(p.Text) || len(p.Text) > listen.MaxText || len(p.ID) > maxNativeID) {
			t.Errorf("%q: %q", p.ID, p.Text)
		}
	})
}

func FuzzEvent(f *testing.F) {
	f.Add([]byte(`{"stream":["hashtag","velo"],"event":"update","payload":"{\"id\":\"1\",\"content\":\"x\"}"}`))
	f.Add([]byte(`{"event":"notification","payload":"{\"type\":\"mention\",\"status\":{\"id\":\"1\"}}"}`))
	f.Add([]byte(`{"event":"delete","payload":"1"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, ok := parseEvent(raw)
		if ok && e.status == nil && e.deleted == "" && e.refused == "" && !e.failure {
			t.Error("it is of interest, and says nothing")
		}
	})
}

func FuzzPage(f *testing.F) {
	f.Add([]byte(`[{"id":"2"},{"id":"1"},{"id":3},7,null]`), `<https://social.example/?min_id=9>; rel="prev"`)
	f.Fuzz(func(t *testing.T, raw []byte, header string) {
		items, err := parsePage(raw)
		for i := range items {
			if err != nil || i > 0 && compareIDs(items[i-1].id, items[i].id) > 0 {
				t.Fatal("a page is not in order")
			}
		}
		if id := parseOnward([]string{header}); len(id) > maxNativeID {
			t.Errorf("%d bytes", len(id))
		}
		_ = parseReset(header, fuzzed)
	})
}

func FuzzContent(f *testing.F) {
	f.Add(`<p>Hola <a href="https://velo.example" class="x mention">@<span>velo</span></a><br>ya &amp; <span class="invisible">no</span></p>`)
	f.Add(`<p class="quote-inline">RE: <p></p></p>x<a href=`)
	f.Fuzz(func(t *testing.T, markup string) {
		if _, links := readContent(markup); len(links) > listen.MaxMembers {
			t.Errorf("%d links", len(links))
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add([]byte(`{"timelines":{"tag:velo":{"read":"115480000000000000","at":""}},"recent":[["1",""]],"floor":"1"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		tag := timeline{key: "tag:velo"}
		at, _ := readCursor(raw, []timeline{tag})
		at.start(tag)
		at.isNew("2", "x", "1/2/3")
		at.forget("1")
		if next, err := at.encode(); err != nil || !json.Valid(next) {
			t.Error(err)
		}
	})
}
