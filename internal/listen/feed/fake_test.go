package feed

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/listentest"
)

const (
	username = "ana"
	password = "s3cret-of-ana"
	callback = "https://crm.velo.example/sources/velo-blog"
)

var sourceKey = []byte("a key of this source, and of no other")

// fakeFeed is a blog with a feed of one of the formats.
type fakeFeed struct {
	format string // atom, rss or json
	clock  *listentest.Clock
	self   string // what it says is its address

	mu      sync.Mutex
	items   []fakeItem // the newest last
	stones  []string
	changes []fakeItem
	revoked bool
	headers http.Header
	asked   int
	partial int // answers with 304
}

type fakeItem struct {
	id, text        string
	markup, deleted bool
	at, edited      time.Time
}

func (f *fakeFeed) publish(i listentest.Item) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	item := fakeItem{id: "tag:velo.example,2026:" + i.Key, text: i.Text, markup: i.Markup, at: i.At}
	f.items, f.changes = append(f.items, item), append(f.changes, item)
	return item.id
}

func (f *fakeFeed) edit(id, text string, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.items {
		if f.items[i].id == id {
			f.items[i].text, f.items[i].edited = text, at
			f.changes = append(f.changes, f.items[i])
		}
	}
}

func (f *fakeFeed) remove(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items = slices.DeleteFunc(f.items, func(i fakeItem) bool { return i.id == id })
	f.stones = append(f.stones, id)
	f.changes = append(f.changes, fakeItem{id: id, deleted: true})
}

// forget makes everything scroll out.
func (f *fakeFeed) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items = nil
}

func (f *fakeFeed) revoke(is bool) func() {
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.revoked = is
	}
}

func (f *fakeFeed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if user, given, ok := r.BasicAuth(); f.revoked || !ok || user != username || given != password {
		http.Error(w, "no "+password, http.StatusUnauthorized)
		return
	}
	body, contentType := f.write(f.items, f.stones)
	sum := sha256.Sum256([]byte(body))
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	for name, values := range f.headers {
		w.Header()[name] = values
	}
	w.Header().Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		f.partial++
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = fmt.Fprint(w, body)
}

func (f *fakeFeed) write(items []fakeItem, stones []string) (body, contentType string) {
	switch f.format {
	case "rss":
		return f.rss(items), "application/rss+xml; charset=utf-8"
	case "json":
		return f.json(items), "application/feed+json"
	}
	return f.atom(items, stones), "application/atom+xml"
}

func (f *fakeFeed) atom(items []fakeItem, stones []string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom" ` +
		`xmlns:at="http://purl.org/atompub/tombstones/1.0" xml:lang="es"><title>Velo</title><id>tag:velo.example,2026:feed</id>`)
	fmt.Fprintf(&b, `<link rel="self" href="%s"/>`, f.self)
	for _, id := range stones {
		fmt.Fprintf(&b, `<at:deleted-entry ref="%s" when="%s"/>`, id, f.clock.Now().Format(time.RFC3339))
	}
	for _, i := range slices.Backward(items) {
		kind, updated := "text", i.at
		if i.markup {
			kind = "html"
		}
		if !i.edited.IsZero() {
			updated = i.edited
		}
		fmt.Fprintf(&b, `<entry><id>%s</id><title>Velo</title><link href="https://velo.example/%s"/><author><name>Ana</name></author><published>%s</published>`+
			`<updated>%s</updated><content type="%s">%s</content></entry>`,
			i.id, url.PathEscape(i.id), i.at.Format(time.RFC3339), updated.Format(time.RFC3339), kind, escape(i.text))
	}
	b.WriteString(`</feed>`)
	return b.String()
}

func (f *fakeFeed) rss(items []fakeItem) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0"?><rss version="2.0"><channel><title>Velo</title><link>https://velo.example/</link>`)
	for _, i := range slices.Backward(items) {
		text := i.text
		if !i.markup {
			text = escape(text) // RSS carries HTML
		}
		fmt.Fprintf(&b, `<item><guid isPermaLink="false">%s</guid><pubDate>%s</pubDate><description>%s</description></item>`,
			i.id, i.at.Format(time.RFC1123Z), escape(text))
	}
	b.WriteString(`</channel></rss>`)
	return b.String()
}

func (f *fakeFeed) json(items []fakeItem) string {
	list := []map[string]any{}
	for _, i := range slices.Backward(items) {
		item := map[string]any{"id": i.id, "date_published": i.at.Format(time.RFC3339), "authors": []any{map[string]string{"name": "Ana", "url": "https://ana.example/"}}}
		if i.markup {
			item["content_html"] = i.text
		} else {
			item["content_text"] = i.text
		}
		if !i.edited.IsZero() {
			item["date_modified"] = i.edited.Format(time.RFC3339)
		}
		list = append(list, item)
	}
	body, _ := json.Marshal(map[string]any{"version": "https://jsonfeed.org/version/1.1", "title": "Velo", "items": list})
	return string(body)
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

// hooks are what the feed's hub posts of each change.
func (f *fakeFeed) hooks(c *Connector) func() []listen.Request {
	return func() []listen.Request {
		f.mu.Lock()
		defer f.mu.Unlock()
		var requests []listen.Request
		for _, change := range f.changes {
			var body string
			if change.deleted {
				body, _ = f.write(nil, []string{change.id})
			} else {
				body, _ = f.write([]fakeItem{change}, nil)
			}
			requests = append(requests, signAs(c, []byte(body)))
		}
		f.changes = nil
		return requests
	}
}

// signAs makes a request of the hub that a connector's poll has subscribed at.
func signAs(c *Connector, body []byte) listen.Request {
	token := c.token("https://velo.example/feed")
	mac := hmac.New(sha256.New, []byte(c.secret(token)))
	mac.Write(body)
	return listen.Request{
		Method: http.MethodPost, Query: url.Values{tokenParameter: {token}}, Body: body,
		Header: http.Header{"Content-Type": {"application/octet-stream"}, "X-Hub-Signature": {"sha256=" + hex.EncodeToString(mac.Sum(nil))}},
	}
}
