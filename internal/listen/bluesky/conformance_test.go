package bluesky

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/bluesky/blueskytest"
	"github.com/tertulia-crm/tertulia/internal/listen/listentest"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
)

// Who is on the network in tests.
const (
	ourDID  = "did:plc:velo4velo4velo4velo4velo"
	anasDID = "did:plc:anaanaanaanaanaanaanaana"
	ourKey  = "abcd-efgh-ijkl-mnop"
)

// quick is a rhythm for tests.
var quick = rhythm{
	sweep: 20 * time.Millisecond, rest: 100 * time.Millisecond, ping: time.Minute, inbox: 100 * time.Millisecond, dial: 20 * time.Second, names: 20 * time.Second,
}

// openQuick opens a connector with the rhythm of tests.
func openQuick(o listen.Options) (listen.Connector, error) {
	c, err := New(o)
	switch c := c.(type) {
	case streamer:
		c.rhythm = quick
	case both:
		c.rhythm = quick
	}
	return c, err
}

func newFake(now func() time.Time) *blueskytest.Network {
	fake := blueskytest.New(blueskytest.Options{Now: now})
	fake.AddAccount(blueskytest.Account{DID: ourDID, Handle: "velo.example", Name: "Velo", Password: ourKey})
	fake.AddAccount(blueskytest.Account{DID: anasDID, Handle: "ana.example", Name: "Ana", Followers: 12, Labels: []string{"bot"}})
	return fake
}

// wants is what a source of a test listens for.
type wants struct{ keywords, mentions bool }

func (w wants) settings(t *testing.T, url string) json.RawMessage {
	t.Helper()
	s := Settings{Service: url, AppView: url, Jetstream: strings.Replace(url, "http", "ws", 1) + "/subscribe", Mentions: w.mentions}
	if w.keywords {
		s.Keywords = []match.Term{{Word: "velo"}, {Hashtag: "velo"}}
	}
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (w wants) credentials() map[string]string {
	if !w.mentions {
		return nil
	}
	return map[string]string{CredentialIdentifier: "velo.example", CredentialPassword: ourKey}
}

// addressed is a record that a source of either kind wants.
func addressed(text string, at time.Time) map[string]any {
	return map[string]any{
		"text": text, "createdAt": at.UTC().Format(time.RFC3339Nano), "tags": []string{"velo"}, "langs": []string{"es"},
		"facets": []any{map[string]any{
			"index":    map[string]any{"byteStart": 0, "byteEnd": 1},
			"features": []any{map[string]any{"$type": "app.bsky.richtext.facet#mention", "did": ourDID}},
		}},
	}
}

func TestConformance(t *testing.T) {
	for name, w := range map[string]wants{"keywords": {keywords: true}, "mentions": {mentions: true}, "both": {keywords: true, mentions: true}} {
		t.Run(name, func(t *testing.T) { conform(t, w) })
	}
}

func conform(t *testing.T, w wants) {
	listentest.Run(t, func(t *testing.T, clock *listentest.Clock) *listentest.Network {
		fake := newFake(clock.Now)
		server := listentest.NewServer(t, fake, true)
		n := &listentest.Network{
			Open:    openQuick,
			Options: listen.Options{Source: "velo", Settings: w.settings(t, server.URL()), Credentials: w.credentials()},
			Server:  server,
			Publish: func(i listentest.Item) string { return fake.Post(anasDID, i.Key, addressed(i.Text, i.At)) },
			Edit:    func(id, text string, at time.Time) { fake.Edit(id, addressed(text, at)) },
			Delete:  fake.Delete,

			AwaitStream: fake.AwaitStream,
			FromNow:     w.keywords && !w.mentions,
			Unordered:   w.mentions, Plain: true,
			Misdeclared: []string{
				`{}`, `{"mentions":true,"service":"https://bsky.example?a=b"}`,
				`{"keywords":[{"word":""}]}`, `{"keywords":[{"author":"ana.example"}]}`, `{"mentions":true,"service":"http://bsky.example"}`,
				`{"mentions":true,"service":"ftp://bsky.example"}`, `{"keywords":[{"word":"velo"}],"jetstream":"https://jetstream.example"}`,
				`{"keywords":[{"word":"velo"}],"appView":"bsky.example"}`,
			},
		}
		if w.mentions {
			n.Revoke, n.Restore = func() { fake.Revoke(ourDID) }, func() { fake.Restore(ourDID) }
		}
		if !w.mentions { // notifications are kept, and fill what the stream misses
			n.Forget = fake.Forget
		}
		return n
	})
}
