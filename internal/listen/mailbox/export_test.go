package mailbox

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// Trust makes a connector trust other certificates than the system does.
func (c *Connector) Trust(config *tls.Config) { c.login.TLSConfig = config }

// Hasten makes a connector wait no longer than tests do.
func (c *Connector) Hasten(command, look time.Duration) {
	c.rhythm = rhythm{command: command, idle: time.Minute, look: look}
}

// BeginWith makes a connector begin with so many mails.
func (c *Connector) BeginWith(mails uint32) { c.recent = mails }

// ReadMail reads a mail as one that came in at this time.
func ReadMail(t testing.TB, username string, raw []byte, received time.Time) (listen.Post, string) {
	t.Helper()
	c := &Connector{own: username, network: "mailbox:test"}
	p, refused := c.post(mail{uid: 1, raw: raw, received: received})
	if refused == "" {
		if wrong := listen.Normalize(&p, received); wrong != "" {
			t.Fatalf("the post cannot be kept: %s", wrong)
		}
	}
	return p, refused
}

// OwnWords is what a text says beside what it quotes.
func OwnWords(text string, reply bool) string { return ownWords(text, reply) }
