package conversation

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen/bluesky/jetstream"
)

const (
	postCollection = jetstream.Posts
	// tick is how often it is looked whether somebody has said something.
	tick = 500 * time.Millisecond
)

// serveStream serves the stream, from the beginning of what can still be heard or from what a listener has heard already.
func (c *Conversation) serveStream(w http.ResponseWriter, r *http.Request) {
	s, ok := jetstream.Accept(w, r)
	if !ok {
		return
	}
	defer s.Close()
	defer context.AfterFunc(c.stopping, s.End)()
	from := c.options.Since
	if at := time.UnixMicro(s.Cursor); s.Cursor > 0 && at.After(from) {
		from = at
	}
	c.send(s, from.Add(-time.Microsecond))
}

// send tells what was said since, and goes on until the stream ends.
func (c *Conversation) send(s *jetstream.Stream, after time.Time) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		now := c.options.Now()
		for m := range c.said(after, now) {
			text, err := json.Marshal(m)
			if err == nil && s.Wants(postCollection, m.DID, len(text)) {
				err = s.Send(text)
			}
			if err != nil {
				return
			}
		}
		after = now
		select {
		case <-s.Done():
			return
		case <-ticker.C:
		}
	}
}

// said is what was said after a moment and up to another one, by people and by the shop, in order.
func (c *Conversation) said(after, until time.Time) iter.Seq[message] {
	return func(yield func(message) bool) {
		written := c.repositories.since(after, until)
		for e := range c.timeline().Events(after, until) {
			m := messageOf(e)
			for ; len(written) > 0 && written[0].TimeUS <= m.TimeUS; written = written[1:] {
				if !yield(written[0]) {
					return
				}
			}
			if !yield(m) {
				return
			}
		}
		for _, m := range written {
			if !yield(m) {
				return
			}
		}
	}
}

// message is an event of Jetstream.
type message struct {
	DID    string `json:"did"`
	TimeUS int64  `json:"time_us"`
	Kind   string `json:"kind"`
	Commit commit `json:"commit"`
}

type commit struct {
	Rev        string  `json:"rev"`
	Operation  string  `json:"operation"`
	Collection string  `json:"collection"`
	RKey       string  `json:"rkey"`
	Record     *record `json:"record,omitempty"`
	CID        string  `json:"cid,omitempty"`
}

// record is a post as the network's lexicon has it.
type record struct {
	Type      string   `json:"$type"`
	CreatedAt string   `json:"createdAt"`
	Langs     []string `json:"langs,omitempty"`
	Text      string   `json:"text"`
	Facets    []facet  `json:"facets,omitempty"`
	Reply     *reply   `json:"reply,omitempty"`
}

type reply struct {
	Root   reference `json:"root"`
	Parent reference `json:"parent"`
}

type reference struct {
	CID string `json:"cid"`
	URI string `json:"uri"`
}

// facet is a part of a text that is a hashtag or an account.
type facet struct {
	Index struct {
		ByteStart int `json:"byteStart"`
		ByteEnd   int `json:"byteEnd"`
	} `json:"index"`
	Features []feature `json:"features"`
}

type feature struct {
	Type string `json:"$type"`
	Tag  string `json:"tag,omitempty"`
	DID  string `json:"did,omitempty"`
	URI  string `json:"uri,omitempty"`
}

func messageOf(e Event) message {
	m := message{DID: e.Post.Author.DID, TimeUS: e.At.UnixMicro(), Kind: "commit", Commit: commit{
		Rev: keyOf(e.At), Operation: "delete", Collection: postCollection, RKey: keyOf(e.Post.At),
	}}
	if e.Deleted {
		return m
	}
	m.Commit.Operation, m.Commit.CID = "create", referenceTo(e.Post).CID
	m.Commit.Record = &record{
		Type: postCollection, CreatedAt: e.Post.At.UTC().Format("2006-01-02T15:04:05.000Z"), Langs: []string{e.Post.Language}, Text: e.Post.Text,
		Facets: facetsOf(e.Post.Text),
	}
	if e.Post.Parent != nil { // conversations are two posts long
		to := referenceTo(e.Post.Parent)
		m.Commit.Record.Reply = &reply{Root: to, Parent: to}
	}
	return m
}

func referenceTo(p *Post) reference {
	uri := addressOf(p)
	return reference{URI: uri, CID: contentOf(uri)}
}

// addressOf is where a post is.
func addressOf(p *Post) string {
	return "at://" + p.Author.DID + "/" + postCollection + "/" + keyOf(p.At)
}

// facetsOf marks hashtags, and where the shop's account is named.
func facetsOf(text string) []facet {
	var facets []facet
	for at := 0; at < len(text); {
		end := at + strings.IndexAny(text[at:]+" ", " ")
		word := strings.TrimRight(text[at:end], ".,!?")
		var f facet
		switch {
		case len(word) > 1 && word[0] == '#':
			f.Features = []feature{{Type: "app.bsky.richtext.facet#tag", Tag: word[1:]}}
		case word == "@"+theShop.Handle:
			f.Features = []feature{{Type: "app.bsky.richtext.facet#mention", DID: theShop.DID}}
		}
		if f.Features != nil {
			f.Index.ByteStart, f.Index.ByteEnd = at, at+len(word)
			facets = append(facets, f)
		}
		at = end + 1
	}
	return facets
}

// alphabet is that of keys.
const alphabet = "234567abcdefghijklmnopqrstuvwxyz"

// keyOf is a record's key in the form of the network's timestamp identifiers: 13 characters that sort as the time does.
func keyOf(at time.Time) string {
	n := uint64(at.UnixMicro()) << 10 //nolint:gosec // after 1970
	var key [13]byte
	for i := len(key) - 1; i >= 0; i-- {
		key[i] = alphabet[n&31]
		n >>= 5
	}
	return string(key[:])
}

// momentOf is the time in a key.
func momentOf(key string) (time.Time, bool) {
	var n uint64
	for _, letter := range key {
		value := strings.IndexRune(alphabet, letter)
		if value < 0 {
			return time.Time{}, false
		}
		n = n<<5 | uint64(value) //nolint:gosec // it is not negative
	}
	return time.UnixMicro(int64(n >> 10)).UTC(), len(key) == 13 //nolint:gosec // 54 bits are left
}
