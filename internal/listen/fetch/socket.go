package fetch

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// SocketOptions say how a WebSocket is opened.
type SocketOptions struct {
	Header http.Header
	// Protocols are offered as subprotocols.
	Protocols []string
	// Within is how long the handshake may take. It has to be set.
	Within time.Duration
	// Now is the clock. It has to be set.
	Now func() time.Time
}

// Socket opens a WebSocket by the rules that client has for all its requests: to where egress allows, with whom it trusts, and by redirects as it follows
// them. The error is a *listen.Trouble, or ctx's; status is what the server answered then, and 0 where it did not. How long messages may be is
// left to who reads them.
func Socket(ctx context.Context, client listen.HTTPClient, at *url.URL, o SocketOptions) (conn *websocket.Conn, status int, err error) {
	within, cancel := context.WithTimeout(ctx, o.Within)
	defer cancel()
	conn, response, err := websocket.Dial(within, at.String(), &websocket.DialOptions{ //nolint:bodyclose // Dial closes it
		HTTPClient: asClient(client), HTTPHeader: o.Header, Subprotocols: o.Protocols, CompressionMode: websocket.CompressionDisabled,
	})
	switch {
	case err == nil:
		return conn, 0, nil
	case ctx.Err() != nil || response == nil:
		return nil, 0, Unreachable(ctx, at, err)
	}
	trouble := Refused(response, o.Now())
	if trouble == nil {
		trouble = &listen.Trouble{Reason: listen.Malformed, Message: at.Host + " does not speak WebSocket at that address."}
	}
	trouble.Err = err
	return nil, response.StatusCode, trouble
}

// asClient is a client as the library wants it.
func asClient(client listen.HTTPClient) *http.Client {
	if c, ok := client.(*http.Client); ok {
		return c
	}
	return &http.Client{Transport: doer{client}}
}

// doer is a listen.HTTPClient as a http.RoundTripper.
type doer struct{ listen.HTTPClient }

// RoundTrip implements http.RoundTripper.
func (d doer) RoundTrip(r *http.Request) (*http.Response, error) { return d.Do(r) }
