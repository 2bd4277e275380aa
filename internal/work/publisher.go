package work

import (
	"errors"
	"fmt"
	"time"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver/bluesky"
	"github.com/tertulia-crm/tertulia/internal/deliver/mastodon"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// socialTimeout bounds a request to a social network: with what it may go on for after that, it ends before the next worker looks for the post.
const socialTimeout = 20 * time.Second

// NewPublisher makes the publisher of a channel of a social network by its type.
func (t Transports) NewPublisher(c store.Channel, secret credentials.Channel) (post.Publisher, error) {
	server := wire.Options{Base: c.Social.Server, Allowed: t.SocialNetworks, Timeout: socialTimeout, UserAgent: userAgent(t.Version)}
	switch c.Type {
	case store.MastodonType:
		if secret.AccessToken == "" {
			return nil, errors.New("the channel's credentials have not arrived: its Secret needs the key access-token")
		}
		return mastodon.New(mastodon.Options{Server: server, Token: secret.AccessToken})
	case store.BlueskyType:
		if secret.Identifier == "" || secret.AppPassword == "" {
			return nil, errors.New("the channel's credentials have not arrived: its Secret needs the keys identifier and app-password")
		}
		return bluesky.New(bluesky.Options{Server: server, Identifier: secret.Identifier, Password: secret.AppPassword})
	}
	return nil, fmt.Errorf("channels of type %q post on no social network that this worker knows: upgrade it", c.Type)
}

// userAgent names us to a network.
func userAgent(version string) string {
	if version == "" {
		return "Tertulia"
	}
	return "Tertulia/" + version
}
