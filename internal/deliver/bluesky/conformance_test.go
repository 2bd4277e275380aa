package bluesky

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/posttest"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
	"github.com/tertulia-crm/tertulia/internal/listen/bluesky/blueskytest"
)

// Who is on the network in tests.
const (
	ourDID  = "did:plc:velo4velo4velo4velo4velo"
	anasDID = "did:plc:anaanaanaanaanaanaanaana"
	ourKey  = "abcd-efgh-ijkl-mnop"
)

// TestConformance: the suite of all publishers.
func TestConformance(t *testing.T) {
	t.Parallel()
	posttest.Run(t, func(t *testing.T) *posttest.Network {
		_, n := network(t)
		return n
	})
}

func network(t *testing.T) (*blueskytest.Network, *posttest.Network) {
	t.Helper()
	clock := posttest.NewClock()
	fake := blueskytest.New(blueskytest.Options{Now: clock.Now})
	fake.AddAccount(blueskytest.Account{DID: ourDID, Handle: "velo.example", Name: "Velo", Password: ourKey})
	fake.AddAccount(blueskytest.Account{DID: anasDID, Handle: "ana.example", Name: "Ana"})
	server := posttest.NewServer(t, fake, func(r *http.Request) bool { return r.URL.Path == createPath })
	said := 0
	return fake, &posttest.Network{
		Server: server, Clock: clock,
		Open: func(t *testing.T, o wire.Options) post.Publisher {
			p, err := New(Options{Server: o, Identifier: "velo.example", Password: ourKey})
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Posted: func() []posttest.Seen { return seen(t, fake) },
		Say: func(text string) post.Target {
			said++
			return post.Target{ID: fake.Post(anasDID, "said"+string(rune('a'+said)), map[string]any{"text": text})}
		},
		Remove: fake.Delete, Revoke: func() { fake.Revoke(ourDID) }, Longest: 300, Account: "@velo.example",
		Private: []string{ourKey, "access.", "refresh.", anasDID, "ana.example"},
	}
}

func seen(t *testing.T, fake *blueskytest.Network) []posttest.Seen {
	t.Helper()
	var all []posttest.Seen
	for _, p := range fake.Posted(ourDID) {
		var r record
		if err := json.Unmarshal(p.Record, &r); err != nil {
			t.Fatal(err)
		}
		s := posttest.Seen{ID: p.URI, Text: r.Text, Root: p.URI}
		if len(r.Langs) == 1 {
			s.Language = r.Langs[0]
		}
		if r.Reply != nil {
			s.Parent, s.Root = r.Reply.Parent.URI, r.Reply.Root.URI
		}
		if r.Embed != nil {
			for _, i := range r.Embed.Images {
				s.Alts = append(s.Alts, i.Alt)
			}
		}
		all = append(all, s)
	}
	return all
}
