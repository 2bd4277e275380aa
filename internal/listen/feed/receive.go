package feed

import (
	"context"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // hubs sign with it, and HMAC holds with it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"net/http"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

const (
	signatureHeader = "X-Hub-Signature"
	// maxChallenge is how many bytes a hub may have repeated.
	maxChallenge = 1 << 10
)

// Receive implements listen.WebhookReceiver: a hub asks whether it was we who subscribed, or posts what is new.
func (c *Connector) Receive(_ context.Context, r listen.Request) (listen.Batch, listen.Response, error) {
	if len(c.o.Key) == 0 {
		return listen.Batch{}, listen.Response{Status: http.StatusNotFound}, listen.ErrSignature
	}
	switch r.Method {
	case http.MethodGet:
		response, err := c.verify(r)
		return listen.Batch{}, response, err
	case http.MethodPost:
		batch, response, err := c.delivered(r)
		return batch, response, err
	}
	return listen.Batch{}, listen.Response{Status: http.StatusMethodNotAllowed},
		listen.Troublef(listen.Malformed, "A hub asks by GET and posts by POST.")
}

func query(r listen.Request, name string) string {
	if values := r.Query[name]; len(values) == 1 {
		return values[0]
	}
	return ""
}

// verify answers a hub that asks whether we mean what was asked of it (WebSub, 5.3).
func (c *Connector) verify(r listen.Request) (listen.Response, error) {
	topic := query(r, "hub.topic")
	if !hmac.Equal([]byte(query(r, tokenParameter)), []byte(c.token(topic))) {
		return listen.Response{Status: http.StatusNotFound}, listen.ErrSignature
	}
	challenge := query(r, "hub.challenge")
	switch mode := query(r, "hub.mode"); {
	case mode == "denied":
		return listen.Response{Status: http.StatusOK}, listen.Troublef(listen.Forbidden, "The feed's hub does not subscribe us: it is polled instead.")
	case mode != "subscribe" && mode != "unsubscribe" || challenge == "" || len(challenge) > maxChallenge:
		return listen.Response{Status: http.StatusBadRequest}, listen.Troublef(listen.Malformed, "The feed's hub asks for nothing that there is.")
	case (mode == "subscribe") != c.hooked():
		return listen.Response{Status: http.StatusNotFound}, listen.Troublef(listen.Forbidden, "The feed's hub asks for what we do not want.")
	}
	return listen.Response{Status: http.StatusOK, ContentType: "text/plain; charset=utf-8", Body: []byte(challenge)}, nil
}

// delivered reads what a hub posts (WebSub, 7).
func (c *Connector) delivered(r listen.Request) (listen.Batch, listen.Response, error) {
	if !signed(r, []byte(c.secret(query(r, tokenParameter)))) {
		return listen.Batch{}, listen.Response{}, listen.ErrSignature
	}
	if !c.hooked() {
		return listen.Batch{}, listen.Response{Status: http.StatusGone}, nil // by which the hub ends the subscription
	}
	d, err := readDocument(r.Body, r.Header.Get("Content-Type"), c.address)
	if err != nil {
		return listen.Batch{}, listen.Response{}, err
	}
	return c.deliver(d, r.At), listen.Response{}, nil
}

// deliver is what a document that was posted brings. What is more than a batch holds comes by the next poll.
func (c *Connector) deliver(d *document, now time.Time) listen.Batch {
	b := listen.Batch{Network: c.network(), Rejected: d.refused}
	entries := newest(d.entries, now)
	for i := range entries {
		entries[i].edit(notAfter(entries[i].updated, now))
	}
	b.Deleted, entries = bury(d, entries)
	for _, e := range entries[max(0, len(entries)-listen.MaxBatch):] {
		b.Posts = append(b.Posts, e.post)
	}
	return b
}

// signed says whether a hub signed a request with the secret that it was given.
func signed(r listen.Request, secret []byte) bool {
	method, given, ok := strings.Cut(r.Header.Get(signatureHeader), "=")
	algorithm := map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}[strings.ToLower(method)]
	if !ok || algorithm == nil {
		return false
	}
	signature, err := hex.DecodeString(given)
	if err != nil {
		return false
	}
	mac := hmac.New(algorithm, secret)
	mac.Write(r.Body)
	return hmac.Equal(signature, mac.Sum(nil))
}
