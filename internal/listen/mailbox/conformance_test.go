package mailbox_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/inbound/imap/imaptest"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/listentest"
	"github.com/tertulia-crm/tertulia/internal/listen/mailbox"
)

// TestConformance: the suite of all connectors, on a real Dovecot.
func TestConformance(t *testing.T) {
	listentest.Run(t, func(t *testing.T, _ *listentest.Clock) *listentest.Network {
		server := imaptest.New(t)
		f := newFront(t, net.JoinHostPort(server.Host, strconv.Itoa(server.Port)))
		return &listentest.Network{
			Open: func(o listen.Options) (listen.Connector, error) {
				c, err := mailbox.New(o)
				if err != nil {
					return nil, err
				}
				c.Hasten(20*time.Second, time.Second)
				return c, nil
			},
			Limit: func(c listen.Connector, within time.Duration) { c.(*mailbox.Connector).Hasten(within, time.Second) },
			Options: listen.Options{
				Source: "care", Settings: json.RawMessage(fmt.Sprintf(`{"host":"127.0.0.1","port":%d,"tls":"None"}`, f.port())),
				Credentials: map[string]string{mailbox.Username: server.Username, mailbox.Password: server.Password},
			},
			Publish: func(i listentest.Item) string {
				server.Put(letter(i))
				return i.Key + "@velo.example"
			},
			Revoke:      func() { server.SetPassword("another") },
			Restore:     func() { server.SetPassword(server.Password) },
			Misbehave:   f.behave,
			Connections: f.connections,
			AwaitStream: f.awaitIdle,
			Many:        240,
			Flood:       []byte("* OK "),
			Garbage:     [][]byte{[]byte("* OK ready\r\n* 1 FETCH (((((\r\n"), []byte("220 mail.example ESMTP\r\n"), []byte("+ \r\n")},
			Misdeclared: []string{
				`{"host":"imap.velo.example","port":143,"tls":"None"}`, `{"host":"imap.velo.example","port":99999,"tls":"Implicit"}`,
				`{"host":"a@b","port":993,"tls":"Implicit"}`, `{"host":"imap.velo.example","port":993,"tls":"Sometimes"}`, `{"port":993}`,
				`{"host":"imap.velo.example","mailbox":"IN\r\nBOX"}`,
			},
		}
	})
}

// letter writes an item as a mail program does.
func letter(i listentest.Item) string {
	kind := "text/plain"
	if i.Markup {
		kind = "text/html"
	}
	var body strings.Builder
	encoded := base64.StdEncoding.EncodeToString([]byte(i.Text))
	for len(encoded) > 76 {
		body.WriteString(encoded[:76] + "\r\n")
		encoded = encoded[76:]
	}
	body.WriteString(encoded + "\r\n")
	return fmt.Sprintf("From: Ana <ana@velo.example>\r\nTo: care@shop.example\r\nSubject: Velo\r\nDate: %s\r\nMessage-ID: <%s@velo.example>\r\n"+
		"MIME-Version: 1.0\r\nContent-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n%s",
		i.At.Format(time.RFC1123Z), i.Key, kind, body.String())
}
