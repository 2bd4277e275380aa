// Package mastodon publishes posts and answers on Mastodon, and on servers that speak its client API (GoToSocial, Pleroma, Pixelfed).
//
// # What became of a post
//
// POST /api/v1/statuses publishes, and bears an Idempotency-Key that follows from the intent. Mastodon keeps it for an hour; others ignore it.
// So nothing relies on it: it is one safeguard more, for a request that is made again within the hour.
//
//   - 2xx with an id: Accepted.
//   - 429: Deferred for as long as the server asks.
//   - 401, 3xx, and a 403 that is about the account: the channel's trouble. The post is Untouched.
//   - 5xx, 408, 409, 425, 2xx that cannot be read, no answer to a request that was written whole: Unknown. Find tells.
//   - Other 4xx: Refused. Of an answer to a post that is gone as well, which is asked for before.
//
// # How a post is found again
//
// A post bears no mark that its readers would not see, so Find compares: the account's own posts since the intent, by the server's clock, that
// answer the same post, are seen by the same people and have the same text, warning and descriptions of images, and of which no other intent
// is known to have the id. Servers change what is written (names lose their domain, addresses are shortened), so text is compared without
// what is changed, and where that does not suffice as the server gives it for editing. One that is alike and not the same (edited since, or
// written in another way by a server of another kind) is Unknown for a person to look at, and never published again by itself. That nothing
// is there counts only when the request cannot be under way any more.
package mastodon

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
)

// Options of a publisher. Server.Base, the instance, and Token are required.
type Options struct {
	Server wire.Options
	// Token is an access token with the scopes read:accounts, read:statuses, write:statuses and write:media.
	Token string
	// Settled is how long a request may be under way in a server after it was made. Default: 2 min
	Settled time.Duration
	// Processing is how long a server may take for an image. Default: 1 min
	Processing time.Duration
	// Poll is how often it is asked whether it has. Default: 1 s
	Poll time.Duration
}

// Publisher publishes by one account. It is made by New.
type Publisher struct {
	o      Options
	client *wire.Client

	mu    sync.Mutex
	known *known
}

var _ post.Publisher = (*Publisher)(nil)

// New checks the options. Nobody is asked before something is published.
func New(o Options) (*Publisher, error) {
	client, err := wire.New(o.Server)
	if err != nil {
		return nil, err
	}
	if o.Token == "" || strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("there is no access token, or it holds characters that none has")
	}
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{{&o.Settled, 2 * time.Minute}, {&o.Processing, time.Minute}, {&o.Poll, time.Second}} {
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	return &Publisher{o: o, client: client}, nil
}

// Patience implements post.Publisher.
func (p *Publisher) Patience() time.Duration { return p.client.Patience() }

// Close implements post.Publisher.
func (p *Publisher) Close() error { return p.client.Close() }

const scopes = "read:accounts, read:statuses, write:statuses and write:media"

// get asks for something as the account.
func (p *Publisher) get(ctx context.Context, path string, query url.Values, limit int64) (*wire.Answer, error) {
	return p.client.Do(ctx, wire.Request{Method: http.MethodGet, Path: path, Query: query, Token: p.o.Token, Limit: limit})
}

// read asks for something and reads it. Nothing was published by it.
func (p *Publisher) read(ctx context.Context, path string, query url.Values, into any) (*wire.Answer, *wire.Stop) {
	a, err := p.get(ctx, path, query, 8<<20)
	if stop := p.halt("GET "+stageOf(path), a, err); stop != nil {
		return a, stop
	}
	if err := json.Unmarshal(a.Body, into); err != nil {
		return a, wire.Deferred(0, "the server answers with something else than the Mastodon API's JSON")
	}
	return a, nil
}

// stageOf is a path without ids.
func stageOf(path string) string {
	var parts []string
	for _, part := range strings.Split(path, "/") {
		if strings.ContainsAny(part, "0123456789") && part != "v1" && part != "v2" {
			part = "…"
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "/")
}

// halt judges a request that published nothing, with what is to be mended.
func (p *Publisher) halt(stage string, a *wire.Answer, err error) *wire.Stop {
	stop := p.client.Halt(stage, a, err)
	if stop == nil || a == nil {
		return stop
	}
	switch a.Status {
	case http.StatusUnauthorized:
		return wire.Troubled(p.client.Trouble(stage, a.Status, "the server refuses the access token: it is wrong or revoked; make a new one and write it "+
			"into the Secret", nil))
	case http.StatusForbidden:
		return wire.Troubled(p.client.Trouble(stage, a.Status, "the server does not allow it: the access token needs the scopes "+scopes+
			", and the account must not be suspended", nil))
	}
	return stop
}

// said are the words in which a server refuses.
func said(a *wire.Answer) string {
	var refusal struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(a.Body, &refusal) // what stands before a server answers as it likes
	return refusal.Error
}
