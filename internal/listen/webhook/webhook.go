// Package webhook takes what any other system posts to a source's address, in a JSON shape of ours: docs/networks/webhook.md. It is how
// reviews, forums, calls and chats come in for which there is no connector.
package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/signature"
)

// Settings are a webhook's, as they stand in the kind: there are none beside the reference to its Secret.
type Settings struct{}

// signingKey is the credential that who posts signs with: one key, or on a second line the one before.
const signingKey = "signing-key"

// Connector takes posts for one source.
type Connector struct {
	network string
	keys    signature.Keys
}

// New makes a connector.
func New(o listen.Options) (*Connector, error) {
	var settings *Settings
	if err := json.Unmarshal(o.Settings, &settings); err != nil || settings == nil {
		return nil, listen.Troublef(listen.Misdeclared, "The webhook's settings are not what they should be: write webhook with a secretRef.")
	}
	if o.Source == "" {
		return nil, listen.Troublef(listen.Misdeclared, "The webhook's source has no name.")
	}
	if o.Credentials[signingKey] == "" {
		return nil, listen.Troublef(listen.Unauthorized, "The webhook's Secret has no key %q: without it nobody can be believed.", signingKey)
	}
	keys, err := signature.ParseKeys(o.Credentials[signingKey])
	if err != nil {
		return nil, listen.Troublef(listen.Unauthorized, "The webhook's Secret cannot be used: under %q %s.", signingKey, err)
	}
	return &Connector{network: "webhook:" + o.Source, keys: keys}, nil
}

// Close implements listen.Connector. It keeps nothing open.
func (c *Connector) Close() error { return nil }

// Receive implements listen.WebhookReceiver.
func (c *Connector) Receive(_ context.Context, r listen.Request) (listen.Batch, listen.Response, error) {
	if r.Method != http.MethodPost {
		return listen.Batch{}, listen.Response{Status: http.StatusMethodNotAllowed}, listen.Troublef(listen.Malformed, "Post by POST.")
	}
	if err := c.verify(r); err != nil {
		return listen.Batch{}, refusal(http.StatusUnauthorized, err), err
	}
	batch, err := read(r.Body)
	if err != nil {
		return listen.Batch{}, refusal(http.StatusBadRequest, err), err
	}
	batch.Network = c.network
	return batch, listen.Response{}, nil
}

// refusal tells who posted what is wrong: the system's owner has to mend it, and sees nothing but the answer.
func refusal(status int, err error) listen.Response {
	body, _ := json.Marshal(map[string]string{"error": err.Error()}) //nolint:errchkjson // strings
	return listen.Response{Status: status, ContentType: "application/json", Body: body}
}

// verify checks who signed a request, and when. Of one that is signed well by a clock that is wrong it says by how much.
func (c *Connector) verify(r listen.Request) error {
	id, timestamp, signatures := r.Header.Get(signature.IDHeader), r.Header.Get(signature.TimestampHeader), r.Header.Get(signature.SignatureHeader)
	if id == "" || timestamp == "" || signatures == "" {
		return fmt.Errorf("%w: send the headers %s, %s and %s", listen.ErrSignature,
			signature.IDHeader, signature.TimestampHeader, signature.SignatureHeader)
	}
	err := c.keys.Verify(id, timestamp, signatures, r.Body, r.At)
	if err == nil {
		return nil
	}
	seconds, number := strconv.ParseInt(timestamp, 10, 64)
	if number != nil {
		return fmt.Errorf("%w: %s is no number of seconds", listen.ErrSignature, signature.TimestampHeader)
	}
	signed := time.Unix(seconds, 0)
	if c.keys.Verify(id, timestamp, signatures, r.Body, signed) != nil {
		return fmt.Errorf("%w: it is by no key that this source has, or of another body", listen.ErrSignature)
	}
	return fmt.Errorf("%w: %s is %s: set the clock of who signs, and sign anew at each try (at most %s is accepted)",
		listen.ErrSignature, signature.TimestampHeader, apart(signed, r.At), signature.Tolerance)
}

// apart says how far a clock is from ours, at most some centuries.
func apart(signed, now time.Time) string {
	if off := now.Sub(signed).Round(time.Second); off >= 0 {
		return off.String() + " behind this server's clock"
	}
	return signed.Sub(now).Round(time.Second).String() + " ahead of this server's clock"
}

var (
	_ listen.Connector       = (*Connector)(nil)
	_ listen.WebhookReceiver = (*Connector)(nil)
)
