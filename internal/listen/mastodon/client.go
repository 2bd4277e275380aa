package mastodon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
)

const (
	// maxAnswer is how many bytes of an answer are read: 40 posts of 200 KiB each.
	maxAnswer = 8 << 20
	// reserve is how many requests of those that the server still grants are left to the account's other programs.
	reserve = 5
	// maxReset bounds when a server says that requests are granted anew. They have five minutes as their window.
	maxReset = time.Hour
)

// client asks a server, no more often than it grants.
type client struct {
	http  listen.HTTPClient
	base  *url.URL
	token string
	agent string
	now   func() time.Time

	// remaining requests are granted until reset; -1 where the server does not say.
	remaining int
	reset     time.Time
}

// get asks for a path. The error is a *listen.Trouble, or ctx's.
func (c *client) get(ctx context.Context, path string, query url.Values) (*fetch.Answer, error) {
	if wait := c.exhausted(); wait > 0 {
		return nil, &listen.Trouble{Reason: listen.Throttled, Wait: wait, Message: c.base.Host + " was asked as often as it allows."}
	}
	u := c.base.String() + path
	if len(query) > 0 {
		u += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	c.introduce(r.Header)
	r.Header.Set("Accept", "application/json")
	seen := &witness{client: c.http}
	answer, err := fetch.Do(seen, r, maxAnswer)
	c.count(seen.header)
	var trouble *listen.Trouble
	if !errors.As(err, &trouble) {
		return answer, err
	}
	told := *trouble
	switch {
	case told.Reason == listen.Throttled:
		c.remaining, c.reset = 0, c.now().Add(max(told.Wait, c.reset.Sub(c.now())))
		told.Wait = c.reset.Sub(c.now())
	case seen.status == http.StatusForbidden:
		told.Message = c.base.Host + " does not allow it (403): the access token needs the scopes read:statuses, read:notifications for mentions " +
			"and read:lists for lists."
	case seen.status == http.StatusUnprocessableEntity && c.token == "": // instead of 401, before 4.2
		told.Reason, told.Message = listen.Unauthorized, c.base.Host+" shows this to members alone: put an access token into the Secret."
	}
	return nil, &told
}

// read asks for a path and reads the answer as JSON.
func (c *client) read(ctx context.Context, path string, query url.Values, into any) error {
	answer, err := c.get(ctx, path, query)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer.Body, into); err != nil {
		return &listen.Trouble{Reason: listen.Malformed, Err: err, Message: c.base.Host + " answers with something else than the Mastodon API's JSON."}
	}
	return nil
}

func (c *client) introduce(h http.Header) {
	h.Set("User-Agent", c.agent)
	if c.token != "" {
		h.Set("Authorization", "Bearer "+c.token)
	}
}

// exhausted is for how long nothing may be asked.
func (c *client) exhausted() time.Duration {
	if c.reset.IsZero() || c.remaining > reserve {
		return 0
	}
	return max(c.reset.Sub(c.now()), 0)
}

// spare is how many requests are granted beyond the reserve.
func (c *client) spare() int {
	if c.reset.IsZero() || !c.reset.After(c.now()) {
		return 1 << 20
	}
	return max(c.remaining-reserve, 0)
}

// count reads what the server still grants.
func (c *client) count(h http.Header) {
	remaining, err := strconv.Atoi(h.Get("X-RateLimit-Remaining"))
	if err != nil || remaining < 0 {
		return
	}
	reset := parseReset(h.Get("X-RateLimit-Reset"), c.now())
	if reset.IsZero() {
		return
	}
	c.remaining, c.reset = remaining, reset
}

// parseReset reads when requests are granted anew: Mastodon writes a time, proxies before it write seconds.
func parseReset(text string, now time.Time) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		seconds, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil || seconds < 0:
			return time.Time{}
		case seconds < int64(maxReset/time.Second)+1:
			at = now.Add(time.Duration(seconds) * time.Second)
		default:
			at = time.Unix(seconds, 0)
		}
	}
	if at.After(now.Add(maxReset)) {
		return now.Add(maxReset)
	}
	return at
}

// witness remembers status and header of the last response: what was refused has them as well.
type witness struct {
	client listen.HTTPClient
	header http.Header
	status int
}

// Do implements listen.HTTPClient.
func (w *witness) Do(r *http.Request) (*http.Response, error) {
	response, err := w.client.Do(r)
	if response != nil {
		w.header, w.status = response.Header, response.StatusCode
	}
	return response, err
}

// instance is what a server says of itself.
type instance struct {
	domain    string // of accounts: it may be another one than the host
	streaming *url.URL
}

// know asks once what the server is. What is not there is no Mastodon API.
func (c *Connector) know(ctx context.Context) (*instance, error) {
	if c.info != nil {
		return c.info, nil
	}
	var v2 struct {
		Domain        string `json:"domain"`
		Configuration struct {
			URLs struct {
				Streaming string `json:"streaming"`
			} `json:"urls"`
		} `json:"configuration"`
	}
	err := c.client.read(ctx, "/api/v2/instance", nil, &v2)
	domain, streaming := v2.Domain, v2.Configuration.URLs.Streaming
	if isReason(err, listen.NotFound) { // before 4.0
		var v1 struct {
			URI  string `json:"uri"`
			URLs struct {
				Streaming string `json:"streaming_api"`
			} `json:"urls"`
		}
		err = c.client.read(ctx, "/api/v1/instance", nil, &v1)
		domain, streaming = v1.URI, v1.URLs.Streaming
		if isReason(err, listen.NotFound) {
			return nil, &listen.Trouble{Reason: listen.NotFound, Err: err, Message: c.client.base.Host + " speaks no Mastodon API: check the instance."}
		}
	}
	if err != nil {
		return nil, err
	}
	c.info = &instance{domain: c.parseDomain(domain), streaming: c.parseStreaming(streaming)}
	return c.info, nil
}

// parseDomain takes the domain of accounts, which older servers write as an address.
func (c *Connector) parseDomain(text string) string {
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		text = u.Host
	}
	u, err := url.Parse("https://" + text)
	if text == "" || err != nil || u.Host != text || len(text) > 253 {
		return c.client.base.Host
	}
	return text
}

// parseStreaming takes the address of streams: protected as the instance is, and nil where there is none.
func (c *Connector) parseStreaming(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil || text == "" || u.Host == "" || u.User != nil {
		return nil
	}
	switch u.Scheme {
	case "wss", "https":
		u.Scheme = "https"
	case "ws", "http":
		if c.client.base.Scheme != "http" || !isLoopback(u.Hostname()) {
			return nil
		}
		u.Scheme = "http"
	default:
		return nil
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/api/v1/streaming"}
}

// isReason tells whether an error is a trouble for this reason.
func isReason(err error, reason listen.Reason) bool {
	var trouble *listen.Trouble
	return errors.As(err, &trouble) && trouble.Reason == reason
}
