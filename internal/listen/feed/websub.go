package feed

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
)

// Subscriptions to hubs (WebSub, W3C Recommendation of 2018).
const (
	// lease is for how long a subscription is asked for. A hub may grant less, and tells only whom it calls, so that it is asked again
	// once a day.
	lease = 10 * 24 * time.Hour
	renew = 24 * time.Hour
	// verifies is how soon a hub calls that was asked.
	verifies = time.Hour
	// skew is by how much the clock that notes a hub's calls may be behind that of who asked.
	skew = time.Minute
	// retries is how soon a hub is asked again that did not, at first; it doubles up to renew.
	retries = time.Hour
	// maxHubAnswer is what is read of a hub's answer: nothing of it counts.
	maxHubAnswer = 64 << 10
)

// hub is what stands in the cursor of a feed's hub.
type hub struct {
	URL   string `json:"url"`
	Topic string `json:"topic"`
	// Asked is when it was asked to subscribe us last, and Next when it is to be asked again.
	Asked time.Time `json:"asked,omitzero"`
	Next  time.Time `json:"next,omitzero"`
	// Speaks says that it called us since.
	Speaks bool `json:"speaks,omitempty"`
	// Failures are those since it did.
	Failures int `json:"failures,omitempty"`
}

func (h *hub) speaks() bool { return h != nil && h.Speaks }

// planHub judges a hub by when it called last, and says whether it is to be asked now.
func planHub(h hub, hooked, now time.Time, missed bool) (next hub, ask bool) {
	if h.Asked.IsZero() {
		return h, !now.Before(h.Next)
	}
	calls := !hooked.Before(h.Asked.Add(-skew))
	switch {
	case h.Speaks && (missed || !calls && now.Sub(h.Asked) > verifies):
		h.Speaks, h.Next = false, now
	case calls && !h.Speaks && !missed:
		h.Speaks, h.Failures, h.Next = true, 0, h.Asked.Add(renew)
	}
	return h, !now.Before(h.Next)
}

// fail counts a failure, and puts the next request off.
func (h *hub) fail(now time.Time) {
	h.Next = now.Add(min(retries<<min(h.Failures, 8), renew))
	h.Failures++
}

// subscribe keeps the subscription to a feed's hub alive. A hub that fails is no trouble of the feed's: it is polled.
func (c *Connector) subscribe(ctx context.Context, p *plan, s state, d *document, answer *fetch.Answer, now time.Time) {
	found := c.discover(s, d, answer)
	if found == nil {
		p.next.Hub = nil
		return
	}
	next, ask := planHub(*found, c.hookedAt(), now, p.missed)
	if ask {
		next.Asked = now.Truncate(time.Second)
		next.Next = now.Add(renew)
		if !c.askHub(ctx, next) || !next.Speaks { // until it calls it counts as failed
			next.fail(now)
		}
	}
	p.next.Hub = &next
}

// discover finds the feed's hub: by the answer's header, else by the document, else, where that has not changed, as it was.
func (c *Connector) discover(s state, d *document, answer *fetch.Answer) *hub {
	var m marks
	link := m.link
	if answer.URL.Scheme == "https" {
		link = m.secureLink
	}
	for _, header := range answer.Header.Values("Link") {
		readLinks(header, answer.URL, link)
	}
	if d != nil {
		link("hub", d.hub)
		link("self", d.self)
	}
	switch {
	case m.hub == "" && d == nil:
		return s.Hub
	case m.hub == "":
		return nil
	case m.self == "" && s.Hub != nil && s.Hub.URL == m.hub:
		m.self = s.Hub.Topic
	case m.self == "":
		m.self = answer.URL.String()
	}
	if s.Hub != nil && s.Hub.URL == m.hub && s.Hub.Topic == m.self {
		return s.Hub
	}
	return &hub{URL: m.hub, Topic: m.self}
}

// secureLink keeps a hub only where it is asked by https. It is told a secret: in the clear only where what it tells of is read so, too.
func (m *marks) secureLink(rel, href string) {
	if rel != "hub" || strings.HasPrefix(strings.ToLower(href), "https:") {
		m.link(rel, href)
	}
}

// readLinks reads a Link header (RFC 8288).
func readLinks(header string, base *url.URL, link func(rel, href string)) {
	for header != "" {
		_, rest, ok := strings.Cut(header, "<")
		if !ok {
			return
		}
		target, rest, ok := strings.Cut(rest, ">")
		if !ok {
			return
		}
		parameters := rest
		if next := strings.Index(rest, "<"); next >= 0 {
			parameters = rest[:next]
		}
		header = rest
		for parameter := range strings.SplitSeq(parameters, ";") {
			name, value, _ := strings.Cut(strings.Trim(parameter, " \t,"), "=")
			if !strings.EqualFold(strings.TrimSpace(name), "rel") {
				continue
			}
			for rel := range strings.FieldsSeq(strings.Trim(value, ` "`)) {
				link(strings.ToLower(rel), resolve(base, target))
			}
		}
	}
}

// askHub asks a hub to subscribe us, and says whether it accepts to try.
func (c *Connector) askHub(ctx context.Context, h hub) bool {
	token := c.token(h.Topic)
	form := url.Values{
		"hub.mode": {"subscribe"}, "hub.topic": {h.Topic}, "hub.callback": {c.callback(token)},
		"hub.secret": {c.secret(token)}, "hub.lease_seconds": {strconv.Itoa(int(lease / time.Second))},
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return false
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", c.o.UserAgent)
	answer, err := fetch.Do(c.o.Client, r, maxHubAnswer)
	return err == nil && answer.Status/100 == 2
}

// callback is where the hub calls: the source's address, with a token by which a process that knows nothing of the subscription but the
// source's key sees that it was we who asked.
func (c *Connector) callback(token string) string {
	separator := "?"
	if strings.Contains(c.o.Callback, "?") {
		separator = "&"
	}
	return c.o.Callback + separator + tokenParameter + "=" + token
}

// tokenParameter is the query parameter with the token of a subscription.
const tokenParameter = "subscription"

// token stands for a subscription to a topic for this feed.
func (c *Connector) token(topic string) string { return c.derive("token", topic)[:32] }

// secret is what the hub signs with.
func (c *Connector) secret(token string) string { return c.derive("secret", token) }

// derive makes a name of what only we can make.
func (c *Connector) derive(purpose, of string) string {
	mac := hmac.New(sha256.New, c.o.Key)
	for _, part := range []string{"websub", purpose, c.settings.URL, of} {
		mac.Write([]byte(part))
		mac.Write([]byte{0})
	}
	return hex.EncodeToString(mac.Sum(nil))
}
