package bluesky

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
)

const (
	maxAnswer = 16 << 20 // of a hundred notifications with their records, each of which has a megabyte at most
	// maxRest bounds for how long a server's count of requests makes us rest.
	maxRest = time.Hour
)

var errTooLong = errors.New("an answer that is too long")

// refusal is what a server says when it refuses: a name, such as ExpiredToken.
type refusal struct {
	name string
	*listen.Trouble
}

// Unwrap gives the trouble.
func (r *refusal) Unwrap() error { return r.Trouble }

// isRefused tells whether a server refused for one of some reasons.
func isRefused(err error, names ...string) bool {
	var r *refusal
	if !errors.As(err, &r) {
		return false
	}
	for _, name := range names {
		if r.name == name {
			return true
		}
	}
	return false
}

// call is a request to an XRPC server: a query, or with a method of POST a procedure.
type call struct {
	server, name string
	query        url.Values
	post         bool
	body         any    // of a procedure; nil for none
	token        string // "" for what everybody may ask
}

// ask makes a call, and reads the answer into answer. The error is a *listen.Trouble, or a *refusal around one. rest is for how long the
// server wants to be left alone because as much was asked as may be.
func (n *network) ask(ctx context.Context, c call, answer any) (rest time.Duration, err error) {
	request, err := c.request(ctx)
	if err != nil {
		return 0, listen.Troublef(listen.Misdeclared, "The address of the service cannot be asked.")
	}
	request.Header.Set("User-Agent", n.options.UserAgent)
	response, err := n.options.Client.Do(request)
	if err != nil {
		return 0, fetch.Unreachable(ctx, request.URL, err)
	}
	defer response.Body.Close() //nolint:errcheck // read as far as is wanted
	now := n.options.Now()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if trouble := fetch.Refused(response, now); trouble != nil {
		return 0, refused(trouble, response, body, now)
	}
	host := request.URL.Host
	switch {
	case err != nil:
		return 0, fetch.Unreachable(ctx, request.URL, err)
	case len(body) > maxAnswer:
		return 0, &listen.Trouble{Reason: listen.Malformed, Err: errTooLong, Message: fmt.Sprintf("%s answers with more than %d bytes.", host, maxAnswer)}
	}
	var mistyped *json.UnmarshalTypeError
	if err := json.Unmarshal(body, answer); err != nil && (!errors.As(err, &mistyped) || mistyped.Field == "") {
		return 0, nonsense(host, err)
	}
	return untilReset(response.Header, now), nil
}

// nonsense is that a server answers something else than what was asked for.
func nonsense(host string, err error) error {
	return &listen.Trouble{Reason: listen.Malformed, Err: err, Message: host + " answers with what cannot be read: is it a server of the AT Protocol?"}
}

func (c call) request(ctx context.Context) (*http.Request, error) {
	address := c.server + "/xrpc/" + c.name
	if len(c.query) > 0 {
		address += "?" + c.query.Encode()
	}
	method, body := http.MethodGet, io.Reader(nil)
	if c.post {
		method = http.MethodPost
		if c.body != nil {
			data, err := json.Marshal(c.body)
			if err != nil {
				return nil, err
			}
			body = bytes.NewReader(data)
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, err
	}
	request.GetBody = nil // a password is not said again to where a redirect leads
	request.Header.Set("Accept", "application/json")
	if c.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	return request, nil
}

// refused adds to a trouble the name that the server gives it, and for how long it wants to be left alone: it says so by its
// count of requests rather than by Retry-After.
func refused(trouble *listen.Trouble, response *http.Response, body []byte, now time.Time) error {
	var said struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(body, &said) // a proxy in between answers with what it likes
	if response.StatusCode == http.StatusTooManyRequests {
		trouble.Wait = max(trouble.Wait, resetIn(response.Header, now))
	}
	return &refusal{name: said.Error, Trouble: trouble}
}

// untilReset tells for how long no more requests are allowed; zero while some are.
func untilReset(h http.Header, now time.Time) time.Duration {
	if h.Get("RateLimit-Remaining") != "0" {
		return 0
	}
	return resetIn(h, now)
}

// resetIn reads when a server begins to count anew: it writes a moment, in Unix seconds.
func resetIn(h http.Header, now time.Time) time.Duration {
	seconds, err := strconv.ParseInt(h.Get("RateLimit-Reset"), 10, 64)
	if err != nil {
		return 0
	}
	return min(max(time.Unix(seconds, 0).Sub(now), 0), maxRest)
}
