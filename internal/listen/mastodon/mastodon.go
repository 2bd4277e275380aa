// Package mastodon listens to servers that speak the Mastodon client API: hashtags, mentions of the account that the token is of, and its
// lists. Streams tell what happens at once but repeat nothing, and timelines can be read again from any post on: so what counts as read
// is what was read from a timeline, and a stream only brings it earlier.
package mastodon

import (
	"encoding/json"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// Settings say what is listened to, as they stand in the source.
type Settings struct {
	// Instance is the server's address, such as https://social.example.
	Instance string `json:"instance"`
	// Hashtags are read whoever writes them. The # may be left out.
	Hashtags []string `json:"hashtags,omitempty"`
	// Mentions of the account that the access token is of.
	Mentions bool `json:"mentions,omitempty"`
	// Lists of that account, by their ids.
	Lists []string `json:"lists,omitempty"`
}

// AccessToken is the key of the credential.
const AccessToken = "access-token"

// Bounds of the settings: together they fit into a rate of 300 requests in five minutes, with a minute between polls.
const (
	maxHashtags = 24
	maxLists    = 10
	maxToken    = 4 << 10
)

// Connector reads one server for one source.
type Connector struct {
	client    *client
	network   string
	timelines []timeline

	// The rest is learnt, and learnt again by the next connector.
	info     *instance
	separate bool // the server takes one stream on a connection
	single   bool // the server gives posts by their ids one at a time
	turn     int  // which timeline is read first
	round    round
	runs     map[string]run
	rhythm   rhythm
}

// poller is a Connector that cannot stream, because it has no token.
type poller struct{ listen.Poller }

// Close implements listen.Connector.
func (poller) Close() error { return nil }

// New makes a connector. It streams where there is an access token: servers stream to nobody else.
func New(o listen.Options) (listen.Connector, error) {
	var s Settings
	if err := json.Unmarshal(o.Settings, &s); err != nil {
		return nil, listen.Troublef(listen.Misdeclared, "The settings cannot be read: instance, hashtags, mentions and lists are known.")
	}
	token := strings.TrimSpace(o.Credentials[AccessToken])
	base, err := parseInstance(s.Instance, token != "")
	if err != nil {
		return nil, err
	}
	timelines, err := s.timelines()
	if err != nil {
		return nil, err
	}
	switch {
	case token == "" && (s.Mentions || len(s.Lists) > 0):
		return nil, listen.Troublef(listen.Unauthorized, "Mentions and lists need an access token: put it into the Secret (%s).", AccessToken)
	case len(token) > maxToken || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, listen.Troublef(listen.Unauthorized, "The access token can be none: copy it into the Secret again (%s).", AccessToken)
	}
	c := &Connector{
		client:  &client{http: o.Client, base: base, token: token, agent: o.UserAgent, now: o.Now},
		network: network(base), timelines: timelines, runs: map[string]run{}, rhythm: usual,
		turn: int(o.Now().Unix() / 60 % int64(len(timelines))),
	}
	if token == "" {
		return poller{c}, nil
	}
	return c, nil
}

// network names the instance on which ids are unique.
func network(base *url.URL) string { return "mastodon:" + base.Host }

// NetworkOf is the network of what a server's posts are, as batches name it; "" for what is no address of a server.
func NetworkOf(instance string) string {
	base, err := parseInstance(instance, false)
	if err != nil {
		return ""
	}
	return network(base)
}

// Close implements listen.Connector.
func (c *Connector) Close() error { return nil }

// parseInstance reads a server's address. Without TLS only this machine gets a token.
func parseInstance(text string, token bool) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(text))
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "https" && u.Scheme != "http" {
		return nil, listen.Troublef(listen.Misdeclared, "The instance is no address of a server: write it as https://social.example.")
	}
	if u.Scheme == "http" && token && !isLoopback(u.Hostname()) {
		return nil, listen.Troublef(listen.Misdeclared, "The instance is without https: the access token would travel in the open.")
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// timeline is what is read page by page, and what it is called as a stream.
type timeline struct {
	key    string // in cursors
	path   string
	query  url.Values
	stream subscription
	// notifications wrap the posts, and have ids of their own.
	notifications bool
	// passing says that the server keeps the last few hundred posts only.
	passing bool
	// unknown says that the server has nothing there until somebody writes.
	unknown bool
}

// subscription is the message that asks for a stream.
type subscription struct {
	Type   string `json:"type"`
	Stream string `json:"stream"`
	Tag    string `json:"tag,omitempty"`
	List   string `json:"list,omitempty"`
}

var (
	hashtag = regexp.MustCompile(`^[\p{L}\p{M}\p{N}_·・]{1,100}$`)
	listID  = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
)

func (s Settings) timelines() ([]timeline, error) {
	var found []timeline
	for _, tag := range s.Hashtags {
		tag = strings.ToLower(strings.TrimPrefix(strings.TrimSpace(tag), "#"))
		if !hashtag.MatchString(tag) {
			return nil, listen.Troublef(listen.Misdeclared, "A hashtag can be none: it has letters, digits and underscores, such as velociclismo.")
		}
		found = append(found, timeline{
			key: "tag:" + tag, path: "/api/v1/timelines/tag/" + url.PathEscape(tag), unknown: true,
			stream: subscription{Type: "subscribe", Stream: "hashtag", Tag: tag},
		})
	}
	if s.Mentions {
		found = append(found, timeline{
			key: "mentions", path: "/api/v1/notifications", notifications: true,
			// Of the account's policy for notifications people know who look at them; here strangers count as well.
			query:  url.Values{"types[]": {"mention"}, "include_filtered": {"true"}},
			stream: subscription{Type: "subscribe", Stream: "user:notification"},
		})
	}
	for _, id := range s.Lists {
		if !listID.MatchString(id) {
			return nil, listen.Troublef(listen.Misdeclared, "A list is no id of one: write the number at the end of its address.")
		}
		found = append(found, timeline{
			key: "list:" + id, path: "/api/v1/timelines/list/" + id, passing: true,
			stream: subscription{Type: "subscribe", Stream: "list", List: id},
		})
	}
	switch {
	case len(found) == 0:
		return nil, listen.Troublef(listen.Misdeclared, "There is nothing to listen to: name hashtags or lists, or set mentions.")
	case len(s.Hashtags) > maxHashtags, len(s.Lists) > maxLists:
		return nil, listen.Troublef(listen.Misdeclared, "There are more than %d hashtags or %d lists: spread them over several sources.", maxHashtags, maxLists)
	}
	slices.SortFunc(found, func(a, b timeline) int { return strings.Compare(a.key, b.key) })
	return slices.CompactFunc(found, func(a, b timeline) bool { return a.key == b.key }), nil
}
