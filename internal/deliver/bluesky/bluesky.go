// Package bluesky publishes posts and answers on Bluesky, and on other servers of the AT Protocol.
//
// # What became of a post
//
// A post is a record of our repository, and we choose its key: a TID that follows from the intent. com.atproto.repo.createRecord writes no second
// record under a key, and never another in the place of the first, so that a request may be made again without harm. (putRecord would
// replace what is there, and with it what was edited or is not ours.) com.atproto.repo.getRecord asks the repository itself whether it
// is there.
//
//   - 200: Accepted.
//   - 429: Deferred until the server counts anew.
//   - A token that is over is renewed, and the post made again. A session that cannot be had, 3xx, an account that is not active: the
//     channel's trouble. The post is Untouched.
//   - 5xx (which is how the server of Bluesky refuses a second record of a key), no answer to a request that was written whole, 200 that cannot
//     be read: Unknown. Find tells.
//   - Other 4xx: Refused, unless the record turns out to be there.
//
// A record under the key that is not ours is told from ours by its moment and its text.
package bluesky

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
)

// Options of a publisher. Server.Base, the account's server, and both credentials are required.
type Options struct {
	Server wire.Options
	// Identifier is a handle or a DID; Password an app password of it.
	Identifier, Password string
}

// Publisher publishes by one account. It is made by New.
type Publisher struct {
	o      Options
	client *wire.Client

	mu      sync.Mutex // held while a session is begun or renewed: one is enough
	session session
}

var _ post.Publisher = (*Publisher)(nil)

// New checks the options. Nobody is asked before something is published.
func New(o Options) (*Publisher, error) {
	client, err := wire.New(o.Server)
	if err != nil {
		return nil, err
	}
	if o.Identifier == "" || o.Password == "" {
		return nil, errors.New("there is no identifier or no app password")
	}
	o.Identifier = strings.TrimPrefix(o.Identifier, "@")
	return &Publisher{o: o, client: client}, nil
}

// Patience implements post.Publisher.
func (p *Publisher) Patience() time.Duration { return p.client.Patience() }

// Close implements post.Publisher.
func (p *Publisher) Close() error { return p.client.Close() }

// What the network takes (app.bsky.feed.post, app.bsky.embed.images).
var limits = post.Limits{
	Graphemes: 300, Bytes: 3000, Images: 4, ImageBytes: 1_000_000, Alt: 2000,
	MIME: []string{"image/png", "image/jpeg", "image/webp", "image/gif"},
}

const (
	collection  = "app.bsky.feed.post"
	createPath  = "/xrpc/com.atproto.repo.createRecord"
	getPath     = "/xrpc/com.atproto.repo.getRecord"
	uploadPath  = "/xrpc/com.atproto.repo.uploadBlob"
	resolvePath = "/xrpc/com.atproto.identity.resolveHandle"
)

// stageOf is a method's name, as it is told in troubles.
func stageOf(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// coded adds the server's status.
func coded(a *wire.Answer, s *wire.Stop) *wire.Stop {
	s.Code = a.Status
	return s
}

// isRefusal tells whether an answer says that a request was not carried out, whatever it was.
func isRefusal(status int) bool {
	return status/100 == 4 && status != http.StatusRequestTimeout && status != http.StatusConflict && status != http.StatusTooEarly
}
