package feed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/mmcdole/gofeed"
	"github.com/mmcdole/gofeed/atom"
	ext "github.com/mmcdole/gofeed/extensions"
	jsonfeed "github.com/mmcdole/gofeed/json"
	"github.com/mmcdole/gofeed/rss"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// document is a feed that was read.
type document struct {
	entries []entry // as it has them, most often the newest first
	stones  []tombstone
	hub     string
	self    string
	pace    time.Duration // that it wants to be asked in; zero where it does not say
	refused map[string]int
}

// readDocument reads a feed of any kind. An error is a *listen.Trouble.
func readDocument(body []byte, contentType string, at *url.URL) (*document, error) {
	body, err := decode(body, contentType)
	if err != nil {
		return nil, malformed(err)
	}
	var m marks
	if start := bytes.TrimLeft(body, " \t\r\n"); len(start) > 0 && start[0] == '<' {
		if m, err = scan(body); err != nil {
			return nil, malformed(err)
		}
	} else {
		if m, err = scanJSON(body); err != nil {
			return nil, malformed(err)
		}
	}
	parsed, err := parse(body)
	if err != nil {
		return nil, malformed(err)
	}
	if original, ok := parsed.OriginalFeed().(*jsonfeed.Feed); ok && !strings.Contains(original.Version, "jsonfeed.org") {
		return nil, malformed(fmt.Errorf("JSON of version %q", original.Version))
	}
	d := &document{stones: m.stones, hub: m.hub, self: m.self, pace: statedPace(parsed), refused: map[string]int{}}
	for i := range d.stones {
		if ref := d.stones[i].ref; ref != "" {
			d.stones[i].ref = nativeID(ref, at)
		}
	}
	d.readEntries(parsed, at)
	return d, nil
}

// malformed says that what came is no feed. What the parser says may repeat what a stranger wrote: it is for logs.
func malformed(err error) *listen.Trouble {
	return &listen.Trouble{
		Reason: listen.Malformed, Err: err,
		Message: "What is at the feed's address cannot be read as RSS, Atom or JSON Feed: check that it is the address of the feed and not of its page.",
	}
}

// parse reads the document. A panic of the parser is the document's fault.
func parse(body []byte) (parsed *gofeed.Feed, err error) {
	defer func() {
		if r := recover(); r != nil {
			parsed, err = nil, fmt.Errorf("the parser fails: %v", r)
		}
	}()
	parser := gofeed.NewParser()
	parser.KeepOriginalFeed = true
	parsed, err = parser.Parse(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("parse: %w", err)
	}
	return parsed, nil
}

// scanJSON finds the marks of a JSON Feed, and refuses one of which more would be made than it holds.
func scanJSON(body []byte) (m marks, err error) {
	if err := weighJSON(body); err != nil {
		return m, err
	}
	var f struct {
		FeedURL string `json:"feed_url"`
		Hubs    []struct {
			Type string `json:"type"`
			URL  string `json:"url"`
		} `json:"hubs"`
	}
	_ = json.Unmarshal(body, &f) // the parser judges it
	m.link("self", f.FeedURL)
	for _, hub := range f.Hubs {
		if strings.EqualFold(hub.Type, "WebSub") {
			m.link("hub", hub.URL)
		}
	}
	return m, nil
}

// statedPace is the rhythm that a feed wants to be asked in: RSS's ttl, and the syndication module's period and frequency.
func statedPace(f *gofeed.Feed) time.Duration {
	var pace time.Duration
	if original, ok := f.OriginalFeed().(*rss.Feed); ok {
		if minutes, err := strconv.Atoi(strings.TrimSpace(original.TTL)); err == nil {
			pace = time.Duration(min(max(minutes, 0), 24*60)) * time.Minute
		}
	}
	period, ok := map[string]time.Duration{
		"hourly": time.Hour, "daily": 24 * time.Hour, "weekly": 7 * 24 * time.Hour, "monthly": 30 * 24 * time.Hour, "yearly": 365 * 24 * time.Hour,
	}[strings.ToLower(first(f.Extensions["sy"]["updatePeriod"]))]
	if ok {
		frequency, err := strconv.Atoi(first(f.Extensions["sy"]["updateFrequency"]))
		if err != nil || frequency < 1 {
			frequency = 1
		}
		pace = max(pace, period/time.Duration(frequency))
	}
	return min(pace, maxPace)
}

func first(list []ext.Extension) string {
	if len(list) == 0 {
		return ""
	}
	return strings.TrimSpace(list[0].Value)
}

// readEntries reads what the feed has, each with an id of its own.
func (d *document) readEntries(f *gofeed.Feed, at *url.URL) {
	home := ""
	if f.Link != "" {
		home = strings.TrimRight(f.Link, "/")
	}
	links := map[string]int{}
	for _, item := range f.Items {
		links[resolve(at, item.Link)]++
	}
	known := map[string]int{} // where an id stands
	for i, item := range f.Items {
		e := readEntry(f, i, at)
		e.identify(at, func(link string) bool { return links[link] == 1 && strings.TrimRight(link, "/") != home })
		if e.post.ID == "" {
			d.refused["an entry has neither an id, nor an address, nor words"]++
			continue
		}
		if older, ok := known[e.post.ID]; ok {
			if item.GUID != "" {
				d.refused["several entries have the same id: the newest counts"]++
			}
			if e.stamp().After(d.entries[older].stamp()) {
				d.entries[older] = e
			}
			continue
		}
		known[e.post.ID] = len(d.entries)
		d.entries = append(d.entries, e)
	}
}

// original is the entry as its format has it; the others are nil.
func original(f *gofeed.Feed, i int) (*atom.Entry, *jsonfeed.Item) {
	switch of := f.OriginalFeed().(type) {
	case *atom.Feed:
		if i < len(of.Entries) {
			return of.Entries[i], nil
		}
	case *jsonfeed.Feed:
		if i < len(of.Items) {
			return nil, of.Items[i]
		}
	}
	return nil, nil
}
