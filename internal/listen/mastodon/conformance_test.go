package mastodon_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/listentest"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon/mastodontest"
)

// TestConformance: the suite of all connectors, on what kinds of servers there are.
func TestConformance(t *testing.T) {
	for name, change := range map[string]func(*mastodontest.Options){
		"Recent":  func(*mastodontest.Options) {},
		"Old":     func(o *mastodontest.Options) { o.Old, o.OneStream = true, true },
		"Foreign": func(o *mastodontest.Options) { o.Opaque, o.ProtocolToken, o.IgnoreLimit = true, true, true },
	} {
		t.Run(name, func(t *testing.T) {
			listentest.Run(t, func(t *testing.T, clock *listentest.Clock) *listentest.Network {
				o := mastodontest.Options{Now: clock.Now}
				change(&o)
				n := network(t, mastodontest.New(o))
				// Where ids tell no time reading begins with the newest page, and a stream tells what was before it later.
				n.Unordered = o.Opaque
				return n
			})
		})
	}
}

func network(t *testing.T, fake *mastodontest.Server) *listentest.Network {
	server := listentest.NewServer(t, fake, false)
	fake.Change(func(o *mastodontest.Options) { o.URL = server.URL() })
	return &listentest.Network{
		Open: mastodon.New,
		Options: listen.Options{
			Source:      "velo",
			Settings:    settings(t, mastodon.Settings{Instance: server.URL(), Hashtags: []string{"#Velo"}, Mentions: true, Lists: []string{"12"}}),
			Credentials: map[string]string{mastodon.AccessToken: mastodontest.Token},
		},
		Server: server,
		Publish: func(i listentest.Item) string {
			p := mastodontest.Post{Text: i.Text, At: i.At, Tags: []string{"velo", "Bici"}}
			if i.Markup {
				p.Text, p.HTML = "", i.Text
			}
			return fake.Publish(p)
		},
		Edit:        fake.Edit,
		Delete:      fake.Delete,
		Revoke:      fake.Revoke,
		Restore:     fake.Restore,
		AwaitStream: func(ctx context.Context) error { return fake.AwaitStreams(ctx, 3) },
		Misdeclared: []string{
			`{"instance":"social.example","hashtags":["velo"]}`, `{"instance":"http://social.example","hashtags":["velo"]}`,
			`{"instance":"https://ana:secret@social.example","hashtags":["velo"]}`, `{"instance":"https://social.example"}`,
			`{"instance":"https://social.example","hashtags":["two words"]}`, `{"instance":"https://social.example","hashtags":["../lists"]}`,
			`{"instance":"https://social.example","lists":["1/../2"]}`, `{"instance":"https://social.example/path","hashtags":["velo"]}`,
			`{"instance":"https://social.example","hashtags":"velo"}`,
			`{"instance":"https://social.example","hashtags":["` + strings.Join(strings.Split(strings.Repeat("v", 30), ""), `","`) + `v"]}`,
		},
	}
}

func settings(t *testing.T, s mastodon.Settings) json.RawMessage {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
