// Package feed reads RSS (0.9x, 1.0, 2.0), Atom and JSON Feed: by polls that ask for what has changed in the rhythm that the feed wants,
// and by what its hub posts where it has one (WebSub, W3C). What is no longer in a feed has scrolled out of it and stays; what the feed says
// was deleted (RFC 6721) is.
package feed

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// Settings are a feed's, as they stand in the kind.
type Settings struct {
	// URL is the feed's address, http or https.
	URL string `json:"url"`
	// WebSub says whether its hub may post to us, where it has one. Default: true.
	WebSub *bool `json:"webSub,omitempty"`
}

// The keys of a feed's credentials, for HTTP's Basic authentication.
const (
	usernameKey = "username"
	passwordKey = "password" //nolint:gosec // the name of a credential, and none
)

// maxURL is how long an address in a feed's settings, or one that is kept in a cursor, is at most, in bytes.
const maxURL = 1 << 10

// Connector reads one feed.
type Connector struct {
	o        listen.Options
	address  *url.URL
	settings Settings
	left     *rest // of a document that is handed over in several pages
}

// New makes a connector.
func New(o listen.Options) (*Connector, error) {
	c := &Connector{o: o}
	decoder := json.NewDecoder(bytes.NewReader(o.Settings))
	if err := decoder.Decode(&c.settings); err != nil {
		return nil, listen.Troublef(listen.Misdeclared, "The feed's settings are not what they should be: write feed.url.")
	}
	address, err := url.Parse(c.settings.URL)
	switch {
	case err != nil || address.Hostname() == "" || address.Scheme != "http" && address.Scheme != "https":
		return nil, listen.Troublef(listen.Misdeclared, "The feed's url is none of the web: write one that begins with https://.")
	case address.User != nil:
		return nil, listen.Troublef(listen.Misdeclared, "The feed's url holds credentials: put username and password into the source's Secret.")
	case len(c.settings.URL) > maxURL:
		return nil, listen.Troublef(listen.Misdeclared, "The feed's url is longer than %d bytes.", maxURL)
	case address.Scheme == "http" && o.Credentials[passwordKey] != "":
		return nil, listen.Troublef(listen.Misdeclared, "The feed's password would be sent in the clear: write its url with https.")
	}
	address.Fragment = ""
	c.address = address
	return c, nil
}

// Close implements listen.Connector. Connections are the client's.
func (c *Connector) Close() error {
	c.left = nil
	return nil
}

// network is the instance on which the feed's ids are unique.
func (c *Connector) network() string { return "feed:" + strings.ToLower(c.address.Host) }

// hooked says whether the feed's hub may post to us.
func (c *Connector) hooked() bool {
	return (c.settings.WebSub == nil || *c.settings.WebSub) && c.o.Callback != "" && len(c.o.Key) > 0
}

var (
	_ listen.Connector       = (*Connector)(nil)
	_ listen.Poller          = (*Connector)(nil)
	_ listen.WebhookReceiver = (*Connector)(nil)
)
