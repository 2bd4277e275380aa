// Package networks knows the connectors of all networks that can be listened to. A network is added in a folder of its own
// and by a line here.
package networks

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/egress"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/bluesky"
	"github.com/tertulia-crm/tertulia/internal/listen/feed"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
	"github.com/tertulia-crm/tertulia/internal/listen/mailbox"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon"
	"github.com/tertulia-crm/tertulia/internal/listen/webhook"
)

// connectors make a connector, by the type of the sources that it is for.
var connectors = map[string]func(listen.Options) (listen.Connector, error){
	"Bluesky":  bluesky.New,
	"Feed":     of(feed.New),
	"Mailbox":  of(mailbox.New),
	"Mastodon": mastodon.New,
	"Webhook":  of(webhook.New),
}

// Open makes the connector of a type of sources. The error is a *listen.Trouble where settings or credentials are to blame.
func Open(networkType string, o listen.Options) (listen.Connector, error) {
	open := connectors[networkType]
	if open == nil {
		return nil, listen.Troublef(listen.Misdeclared, "Sources of type %q are not known to this version: it knows %s.",
			networkType, strings.Join(Types(), ", "))
	}
	return open(o)
}

// Types are the types of sources that there are connectors for, in order.
func Types() []string { return slices.Sorted(maps.Keys(connectors)) }

// of lets a package's New, which returns a type of its own, make a connector: a nil one must not become one that is not.
func of[C listen.Connector](open func(listen.Options) (C, error)) func(listen.Options) (listen.Connector, error) {
	return func(o listen.Options) (listen.Connector, error) {
		c, err := open(o)
		if err != nil {
			return nil, err
		}
		return c, nil
	}
}

// Outside is how connectors reach their networks. All sources of a process share it, and with it the connections that it keeps.
type Outside struct {
	Client    *http.Client
	Dial      listen.DialFunc
	UserAgent string
}

// NewOutside reaches public addresses, and those of the networks that are allowed, and says that this version of the program asks.
func NewOutside(allowed []netip.Prefix, version string) Outside {
	dialer := egress.Dialer{Allowed: allowed, Timeout: dialTimeout}
	if version == "" {
		version = "dev"
	}
	return Outside{
		Client: fetch.NewClient(fetch.Options{Dialer: dialer}),
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if !strings.HasPrefix(network, "tcp") {
				return nil, fmt.Errorf("dial %s: sources are read over TCP", network)
			}
			return dialer.DialContext(ctx, address)
		},
		UserAgent: "Tertulia/" + version + " (+https://github.com/tertulia-crm/tertulia)",
	}
}

// dialTimeout bounds the making of a connection.
const dialTimeout = 15 * time.Second

// Options are what a source's connector is made with. What differs between sources is left to the caller.
func (o Outside) Options() listen.Options {
	return listen.Options{UserAgent: o.UserAgent, Client: o.Client, Dial: o.Dial, Now: time.Now}
}

// Callback is the address of a source, where its network may post; "" where nobody says where the tenant's server is reached.
func Callback(publicURL, source string) string {
	if publicURL == "" {
		return ""
	}
	return strings.TrimSuffix(publicURL, "/") + "/sources/" + source
}

// Key is a source's own, derived from the tenant's key of links: the same in every process and for ever.
func Key(tenantKey []byte, source string) []byte {
	mac := hmac.New(sha256.New, tenantKey)
	mac.Write([]byte("source\x00" + source))
	return mac.Sum(nil)
}
