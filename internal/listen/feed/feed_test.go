package feed

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/listentest"
)

func TestConformance(t *testing.T) {
	for _, format := range []string{"atom", "rss", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			listentest.Run(t, func(t *testing.T, clock *listentest.Clock) *listentest.Network {
				fake := &fakeFeed{format: format, clock: clock, self: "https://velo.example/feed"}
				server := listentest.NewServer(t, fake, true)
				settings, _ := json.Marshal(Settings{URL: server.URL() + "/feed"})
				o := listen.Options{
					Source: "velo-blog", Settings: settings, Callback: callback, Key: sourceKey,
					Credentials: map[string]string{usernameKey: username, passwordKey: password},
				}
				signer, err := New(o)
				if err != nil {
					t.Fatal(err)
				}
				n := &listentest.Network{
					Open:    func(o listen.Options) (listen.Connector, error) { return New(o) },
					Options: o,
					Server:  server,
					Publish: fake.publish,
					Edit:    fake.edit,
					Forget:  fake.forget,
					Revoke:  fake.revoke(true), Restore: fake.revoke(false),
					Hooks: fake.hooks(signer),
					Sign:  func(body []byte) listen.Request { return signAs(signer, body) },
					Misdeclared: []string{
						`{"url":"ftp://velo.example/feed"}`, `{"url":"https://ana:s3cret@velo.example/feed"}`, `{"url":"/feed"}`, `{"url":"https://"}`,
						`{"url":"http://velo.example/feed"}`, `{"url":17}`,
					},
					Garbage: [][]byte{
						[]byte(`{}`), []byte(`{"version":"2","items":[]}`), []byte(`<?xml version="1.0"?><html><body>nothing</body></html>`),
						[]byte(`<?xml version="1.0"?><rss version="2.0"><channel><item>`), []byte(`<?xml version="1.0" encoding="klingon"?><rss/>`),
					},
					Flood: []byte(`<?xml version="1.0"?><rss version="2.0"><channel><title>`),
				}
				if format == "atom" {
					n.Delete = fake.remove
				}
				return n
			})
		})
	}
}

func TestSettings(t *testing.T) {
	_, err := New(listen.Options{Settings: json.RawMessage(`{"url":"http://velo.example/feed"}`), Credentials: map[string]string{passwordKey: password}})
	var trouble *listen.Trouble
	if !errors.As(err, &trouble) || trouble.Reason != listen.Misdeclared {
		t.Errorf("a password in the clear: %v", err)
	}
	if _, err := New(listen.Options{Settings: json.RawMessage(`{"url":"http://velo.example/feed","webSub":false}`)}); err != nil {
		t.Errorf("http without credentials: %v", err)
	}
}
