package work

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/smtp"
	"github.com/tertulia-crm/tertulia/internal/deliver/webhook"
	"github.com/tertulia-crm/tertulia/internal/signature"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Transports makes the transports of channels.
type Transports struct {
	// WebhookNetworks are networks that are not public and that webhooks may be posted to.
	WebhookNetworks []netip.Prefix
	// SocialNetworks are networks that are not public and that servers of social networks may be in: those of sources.
	SocialNetworks []netip.Prefix
	// Version names us to social networks.
	Version string
}

// New makes the transport of a channel by its type. certificate is told until when the certificate is good that the far end
// shows; it may be nil.
func (t Transports) New(c store.Channel, secret credentials.Channel, certificate func(notAfter time.Time)) (deliver.Transport, error) {
	switch c.Type {
	case store.EmailType:
		return newSMTP(c.Email, secret, certificate)
	case store.WebhookType:
		return t.newWebhook(c.Webhook, secret, certificate)
	case store.MastodonType, store.BlueskyType:
		return nil, fmt.Errorf("channels of type %q write to nobody's address: they publish and answer", c.Type)
	}
	return nil, fmt.Errorf("channels of type %q are unknown to this worker: upgrade it", c.Type)
}

func newSMTP(e store.EmailSettings, secret credentials.Channel, certificate func(notAfter time.Time)) (deliver.Transport, error) {
	o := smtp.Options{Host: e.Host, Port: e.Port, TLS: smtp.TLSMode(e.TLS), Connections: e.Connections, Certificate: certificate}
	if e.Authenticated {
		if secret.Username == "" {
			return nil, errors.New("the channel's credentials have not arrived: its Secret needs the keys username and password")
		}
		o.Username, o.Password = secret.Username, secret.Password
	}
	return smtp.New(o)
}

func (t Transports) newWebhook(w store.WebhookSettings, secret credentials.Channel, certificate func(notAfter time.Time)) (deliver.Transport, error) {
	if secret.SigningKey == "" {
		return nil, errors.New("the channel's signing key has not arrived: its Secret needs the key signing-key")
	}
	keys, err := signature.ParseKeys(secret.SigningKey)
	if err != nil {
		return nil, fmt.Errorf("the channel's Secret, key signing-key: %w", err)
	}
	return webhook.New(webhook.Options{
		URL: w.URL, Keys: keys, Allowed: t.WebhookNetworks, Connections: w.Connections, Timeout: time.Duration(w.Timeout) * time.Second,
		Certificate: certificate,
	})
}
