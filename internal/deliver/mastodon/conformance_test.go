package mastodon_test

import (
	"net/http"
	"regexp"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver/mastodon"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/posttest"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon/mastodontest"
)

// TestConformance: the suite of all publishers, on what kinds of servers there are.
func TestConformance(t *testing.T) {
	for name, change := range map[string]func(*mastodontest.Options){
		"recent":                 func(*mastodontest.Options) {},
		"old":                    func(o *mastodontest.Options) { o.Old = true },
		"keeps no keys":          func(o *mastodontest.Options) { o.Forgetful = true },
		"foreign, keeps no keys": func(o *mastodontest.Options) { o.Opaque, o.Forgetful, o.IgnoreLimit = true, true, true },
		"slow with images":       func(o *mastodontest.Options) { o.Processing = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			posttest.Run(t, func(t *testing.T) *posttest.Network {
				_, n := network(t, change)
				return n
			})
		})
	}
}

var leading = regexp.MustCompile(`^(@[\w@.-]+ )+`)

func network(t *testing.T, change func(*mastodontest.Options)) (*mastodontest.Server, *posttest.Network) {
	t.Helper()
	clock := posttest.NewClock()
	o := mastodontest.Options{Now: clock.Now}
	change(&o)
	fake := mastodontest.New(o)
	server := posttest.NewServer(t, fake, func(r *http.Request) bool { return r.Method == http.MethodPost && r.URL.Path == "/api/v1/statuses" })
	fake.Change(func(o *mastodontest.Options) { o.URL = server.URL() })
	return fake, &posttest.Network{
		Server: server, Clock: clock,
		Open: func(t *testing.T, o wire.Options) post.Publisher {
			p, err := mastodon.New(mastodon.Options{Server: o, Token: mastodontest.Token, Poll: time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			return p
		},
		Posted: func() []posttest.Seen { return seen(fake) },
		Say: func(text string) post.Target {
			return post.Target{ID: fake.Publish(mastodontest.Post{Text: text, Author: "ana@velo.example"})}
		},
		Remove: fake.Delete, Revoke: fake.Revoke, Longest: 500, Account: "@velo@social.example",
		Private: []string{mastodontest.Token, "ana"},
	}
}

// seen are our posts, each with the first post of its thread.
func seen(fake *mastodontest.Server) []posttest.Seen {
	var all []posttest.Seen
	roots := map[string]string{}
	for _, p := range fake.Posted() {
		s := posttest.Seen{ID: p.ID, Text: leading.ReplaceAllString(p.Text, ""), Parent: p.InReplyTo, Language: p.Language, Alts: p.Alts}
		switch root, ours := roots[p.InReplyTo]; {
		case ours:
			s.Root = root
		case p.InReplyTo != "":
			s.Root = p.InReplyTo
		default:
			s.Root = p.ID
		}
		roots[p.ID] = s.Root
		all = append(all, s)
	}
	return all
}
