// Package bluesky listens to Bluesky, and to other networks of the AT Protocol: to the whole public stream for keywords, by a Jetstream,
// and to what is said to our own account, by its notifications.
//
// A Jetstream (https://github.com/bluesky-social/jetstream, the wire of version 1) sends every event of the network as JSON over a WebSocket, and
// plays again what came after a moment. Keywords are compared here, with as little decoding as possible: about a thousand posts a second
// are written, of which few are wanted.
package bluesky

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
)

// Network is the instance on which ids are unique. There is one for all servers.
const Network = "bluesky"

// Where the public network is.
const (
	DefaultService   = "https://bsky.social"
	DefaultJetstream = "wss://jetstream2.us-east.bsky.network/subscribe"
	DefaultAppView   = "https://public.api.bsky.app"
)

// Settings are what a source of type Bluesky says.
type Settings struct {
	// Service is the server of our account. Default: DefaultService.
	Service string `json:"service,omitempty"`
	// Jetstream is the stream's address. Default: DefaultJetstream.
	Jetstream string `json:"jetstream,omitempty"`
	// AppView answers what everybody may know: names of authors. Default: DefaultAppView beside a Jetstream of the public network; with another
	// Jetstream none, and authors have no names.
	AppView string `json:"appView,omitempty"`
	// Keywords are what is wanted of the stream.
	Keywords []match.Term `json:"keywords,omitempty"`
	// Mentions wants what mentions, answers or quotes our account.
	Mentions bool `json:"mentions,omitempty"`
}

// The keys of a source's Secret.
const (
	CredentialIdentifier = "identifier"   // a handle or a DID
	CredentialPassword   = "app-password" // made in the settings of Bluesky
)

// network is what the connectors share.
type network struct {
	options  listen.Options
	settings Settings
	matcher  *match.Matcher
	profiles *profiles
	session  session
	rhythm   rhythm
	away     *listen.Trouble // that keeps notifications from being read; nil where nothing does
}

// New makes a connector: a Streamer where there are keywords, a Poller where mentions are wanted, and both where both are. The error is a
// *listen.Trouble.
func New(o listen.Options) (listen.Connector, error) {
	n := &network{options: o, rhythm: usual}
	if err := json.Unmarshal(o.Settings, &n.settings); err != nil {
		return nil, &listen.Trouble{Reason: listen.Misdeclared, Err: err, Message: "The settings cannot be read: service, jetstream, " +
			"appView, keywords and mentions are known."}
	}
	if err := n.settings.complete(); err != nil {
		return nil, err
	}
	if err := n.compile(); err != nil {
		return nil, err
	}
	n.profiles = newProfiles(n)
	if n.settings.Mentions {
		n.session = session{network: n, identifier: o.Credentials[CredentialIdentifier], password: o.Credentials[CredentialPassword]}
		if n.session.identifier == "" || n.session.password == "" {
			return nil, listen.Troublef(listen.Unauthorized, "Mentions need an account: put the keys %s and %s into the Secret.",
				CredentialIdentifier, CredentialPassword)
		}
		n.session.resume()
	}
	switch {
	case n.settings.Mentions && n.matcher != nil:
		return both{n}, nil
	case n.settings.Mentions:
		return poller{n}, nil
	}
	return streamer{n}, nil
}

// complete writes the defaults and says what cannot work.
func (s *Settings) complete() error {
	if len(s.Keywords) == 0 && !s.Mentions {
		return listen.Troublef(listen.Misdeclared, "There is nothing to listen for: write keywords, or set mentions.")
	}
	if s.Service == "" {
		s.Service = DefaultService
	}
	if s.Jetstream == "" {
		s.Jetstream = DefaultJetstream
	}
	stream, err := checkAddress("jetstream", s.Jetstream, "wss", "ws")
	if err != nil {
		return err
	}
	if s.AppView == "" && strings.HasSuffix("."+stream.Hostname(), ".bsky.network") {
		s.AppView = DefaultAppView
	}
	if _, err := checkAddress("service", s.Service, "https", ""); err != nil {
		return err
	}
	if s.AppView != "" {
		if _, err := checkAddress("appView", s.AppView, "https", ""); err != nil {
			return err
		}
	}
	s.Service, s.AppView = strings.TrimRight(s.Service, "/"), strings.TrimRight(s.AppView, "/")
	return nil
}

// checkAddress reads an address. A password goes unencrypted to this machine alone.
func checkAddress(field, text, secure, plain string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.RawQuery != "" && secure == "https" {
		return nil, listen.Troublef(listen.Misdeclared, "The %s is no address: write one such as %s://bsky.example.", field, secure)
	}
	switch {
	case u.Scheme == secure, plain != "" && u.Scheme == plain, u.Scheme == "http" && secure == "https" && isThisMachine(u.Hostname()):
		return u, nil
	}
	return nil, listen.Troublef(listen.Misdeclared, "The %s begins with %q: write an address that begins with %s://.", field, u.Scheme+"://", secure)
}

func isThisMachine(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// compile makes one matcher of all keywords.
func (n *network) compile() error {
	if len(n.settings.Keywords) == 0 {
		return nil
	}
	for i, t := range n.settings.Keywords {
		if t.Author != "" && !isDID([]byte(t.Author)) {
			return listen.Troublef(listen.Misdeclared, "The author of keyword %d is no DID, and the stream names authors by nothing else: write did:plc:… "+
				"in the place of the handle.", i+1)
		}
	}
	matcher, err := match.Compile([]match.Topic{{Name: "keywords", Any: n.settings.Keywords}})
	if err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return &listen.Trouble{Reason: listen.Misdeclared, Err: err, Message: fmt.Sprintf("The keywords cannot be looked for: %s.", first)}
	}
	n.matcher = matcher
	return nil
}

// close has nothing to let go of: a stream's connection ends with Stream, and others belong to who made the client.
func (n *network) close() error { return nil }
