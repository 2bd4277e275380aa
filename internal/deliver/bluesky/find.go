package bluesky

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
)

// Find implements post.Publisher. It asks our repository for the keys of the parts. That one is not there leaves nothing open: a
// request that is still under way writes it under the same key.
func (p *Publisher) Find(ctx context.Context, i *post.Intent) (post.Result, error) {
	posted := slices.Clone(i.Posted)
	if why := post.Flaw(i); why != "" {
		return post.Settle(deliver.Refused, why, posted), nil
	}
	for n := len(posted); n < len(i.Post.Parts); n++ {
		found, there, stop := p.ours(ctx, i, n)
		if stop != nil {
			return undecided(stop).End(posted)
		}
		if !there {
			return post.Settle(deliver.Untouched, "", posted), nil
		}
		posted = append(posted, found)
	}
	return post.Settle(deliver.Accepted, "", posted), nil
}

// undecided makes what kept a look-up from its end an outcome of a look-up: it may be asked again.
func undecided(s *wire.Stop) *wire.Stop {
	if s.Outcome != deliver.Refused || s.Code != 0 {
		s.Outcome, s.RetryIn = deliver.Unknown, max(s.RetryIn, time.Minute)
	}
	return s
}

// ours looks for a part under its key in our repository.
func (p *Publisher) ours(ctx context.Context, i *post.Intent, n int) (found post.Reference, there bool, stop *wire.Stop) {
	s, stop := p.login(ctx, "")
	if stop != nil {
		return post.Reference{}, false, stop
	}
	r, there, stop := p.get(ctx, "at://"+s.DID+"/"+collection+"/"+keyOf(i.ID, i.At, n))
	if stop != nil || !there {
		return post.Reference{}, false, stop
	}
	var said record
	if json.Unmarshal(r.Value, &said) != nil || said.CreatedAt != moment(i, n) && said.Text != texts(&i.Post)[n] {
		return post.Reference{}, false, wire.Refused("another post stands under the key that this one would have")
	}
	return reference(r.strong), true, nil
}

// stored is a record of a repository.
type stored struct {
	strong
	Value json.RawMessage `json:"value"`
}

var postPattern = regexp.MustCompile(`^at://(did:[a-z]{1,16}:[A-Za-z0-9._:%-]{1,230})/app\.bsky\.feed\.post/([A-Za-z0-9._:~-]{1,512})$`)

func isPost(uri string) bool { return postPattern.MatchString(uri) }

// split takes a post's address apart.
func split(uri string) (did, key string, ok bool) {
	m := postPattern.FindStringSubmatch(uri)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// get asks for a post by its address: the server of its author, which is ours or is asked by ours. found is false where it is not there.
func (p *Publisher) get(ctx context.Context, uri string) (r stored, found bool, stop *wire.Stop) {
	did, key, ok := split(uri)
	if !ok {
		return r, false, wire.Refused("what is answered has no address of this network, such as at://did:plc:…/app.bsky.feed.post/…")
	}
	query := url.Values{"repo": {did}, "collection": {collection}, "rkey": {key}}
	a, stop, err := p.ask(ctx, wire.Request{Method: http.MethodGet, Path: getPath, Query: query})
	if stop != nil {
		return r, false, stop
	}
	if err == nil && isMissing(a) {
		return r, false, nil
	}
	if stop := p.halt(getPath, a, err); stop != nil {
		return r, false, stop
	}
	if json.Unmarshal(a.Body, &r) != nil || r.URI != uri || r.CID == "" {
		return r, false, wire.Deferred(0, "the server answers with something else than the record that it was asked for")
	}
	return r, true, nil
}

// isMissing tells that there is no such record, or no such repository. Not all servers give that a name of its own.
func isMissing(a *wire.Answer) bool {
	if a.Status != http.StatusBadRequest && a.Status != http.StatusNotFound {
		return false
	}
	r := said(a)
	return r.Error == "RecordNotFound" || r.Error == "RepoNotFound" ||
		r.Error == "InvalidRequest" && (strings.HasPrefix(r.Message, "Could not locate record") || strings.HasPrefix(r.Message, "Could not find"))
}
