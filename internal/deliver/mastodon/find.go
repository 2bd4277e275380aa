package mastodon

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
)

const (
	pageSize = 40
	maxPages = 10
	// skew is by how much the server's clock may go otherwise than its answers say.
	skew = time.Minute
	// maxSources is how many posts are asked for as they were written.
	maxSources = 10
)

// status is a post of the server.
type status struct {
	ID         string    `json:"id"`
	URL        string    `json:"url"`
	URI        string    `json:"uri"`
	CreatedAt  time.Time `json:"created_at"`
	EditedAt   string    `json:"edited_at"`
	InReplyTo  string    `json:"in_reply_to_id"`
	Visibility string    `json:"visibility"`
	Spoiler    string    `json:"spoiler_text"`
	Content    string    `json:"content"`
	Account    struct {
		Acct string `json:"acct"`
	} `json:"account"`
	Media []attachment `json:"media_attachments"`
}

func (s *status) reference() post.Reference {
	r := post.Reference{ID: s.ID, URL: s.URL}
	if r.URL == "" {
		r.URL = s.URI
	}
	return r
}

func (s *status) visibility() post.Visibility {
	for ours, theirs := range visibilities {
		if theirs == s.Visibility {
			return ours
		}
	}
	return post.Public
}

// Find implements post.Publisher.
func (p *Publisher) Find(ctx context.Context, i *post.Intent) (post.Result, error) {
	posted := slices.Clone(i.Posted)
	if why := post.Flaw(i); why != "" {
		return post.Settle(deliver.Refused, why, posted), nil
	}
	if len(posted) == len(i.Post.Parts) {
		return post.Settle(deliver.Accepted, "", posted), nil
	}
	k, stop := p.know(ctx)
	if stop != nil {
		return undecided(stop).End(posted)
	}
	own, whole, stop := p.ownSince(ctx, k.id, i.At)
	if stop != nil {
		return undecided(stop).End(posted)
	}
	s := search{p: p, intent: i, own: own}
	for len(posted) < len(i.Post.Parts) {
		found, stop := s.part(ctx, len(posted), posted)
		if stop != nil {
			return undecided(stop).End(posted)
		}
		if found == nil {
			return p.absent(i, whole).End(posted)
		}
		posted = append(posted, found.reference())
	}
	return post.Settle(deliver.Accepted, "", posted), nil
}

// undecided makes what kept a look-up from its end an outcome of a look-up: it may be asked again.
func undecided(s *wire.Stop) *wire.Stop {
	if s.Outcome == deliver.Unknown {
		return s
	}
	s.Outcome, s.RetryIn = deliver.Unknown, max(s.RetryIn, time.Minute)
	return s
}

// absent is that a part was not found. While a request may be under way that says nothing.
func (p *Publisher) absent(i *post.Intent, whole bool) *wire.Stop {
	if wait := p.o.Settled - p.client.Now().Sub(i.Tried); !i.Tried.IsZero() && wait > 0 {
		return wire.Unknown(min(wait, p.o.Settled), "the post is not there yet, and the server may still be at it")
	}
	if !whole {
		return wire.Unknown(0, "the account has written more than %d posts since: look whether it is among them", pageSize*maxPages)
	}
	return &wire.Stop{}
}

// ownSince are the account's own posts since a moment, the newest first; whole where these are all.
func (p *Publisher) ownSince(ctx context.Context, id string, since time.Time) (own []status, whole bool, stop *wire.Stop) {
	query := url.Values{"limit": {strconv.Itoa(pageSize)}, "exclude_reblogs": {"true"}}
	seen := map[string]bool{}
	for n := range maxPages {
		var page []status
		a, stop := p.read(ctx, "/api/v1/accounts/"+id+"/statuses", query, &page)
		if stop != nil {
			return nil, false, stop
		}
		if n == 0 {
			since = p.byServer(since, a.Header)
		}
		fresh := 0
		for _, s := range page {
			if s.CreatedAt.Before(since) {
				return own, true, nil
			}
			if isID(s.ID) && !seen[s.ID] {
				seen[s.ID] = true
				own = append(own, s)
				fresh++
			}
		}
		if fresh == 0 {
			return own, len(page) == 0 || n > 0, nil
		}
		query.Set("max_id", own[len(own)-1].ID)
	}
	return own, false, nil
}

// byServer is a moment by the server's clock, with some time to spare.
func (p *Publisher) byServer(at time.Time, h http.Header) time.Time {
	if theirs, err := http.ParseTime(h.Get("Date")); err == nil {
		at = at.Add(theirs.Sub(p.client.Now()))
	}
	return at.Add(-skew)
}

// search looks for the parts of an intent among the account's posts.
type search struct {
	p       *Publisher
	intent  *post.Intent
	own     []status
	sources int
}

// part looks for a part. It is nil where none is there that it could be, and a stop where one could be.
func (s *search) part(ctx context.Context, n int, posted []post.Reference) (*status, *wire.Stop) {
	var alike *status
	for m := range slices.Backward(s.own) { // the oldest first: of two that are the same, the first is told first
		candidate := &s.own[m]
		if s.isTaken(candidate.ID, posted) {
			continue
		}
		likeness, stop := s.compare(ctx, candidate, n, posted)
		switch {
		case stop != nil:
			return nil, stop
		case likeness == same:
			return candidate, nil
		case likeness == similar:
			alike = candidate
		}
	}
	if alike != nil {
		return nil, wire.Unknown(0, "a post that is like this one is there, and may be it: look at %s", alike.reference().URL)
	}
	return nil, nil
}

func (s *search) isTaken(id string, posted []post.Reference) bool {
	return slices.ContainsFunc(posted, func(r post.Reference) bool { return r.ID == id }) || s.intent.Taken != nil && s.intent.Taken(id)
}

// compare compares a post with a part, also as it was written, where its look alone does not tell.
func (s *search) compare(ctx context.Context, c *status, n int, posted []post.Reference) (likeness, *wire.Stop) {
	i := s.intent
	l := compare(c, n, i, posted, plain(c.Content))
	if l != similar || s.sources >= maxSources {
		return l, nil
	}
	s.sources++
	var source struct {
		Text    string `json:"text"`
		Spoiler string `json:"spoiler_text"`
	}
	if _, stop := s.p.read(ctx, "/api/v1/statuses/"+c.ID+"/source", nil, &source); stop != nil {
		if stop.Code == http.StatusNotFound { // not every server has it
			return l, nil
		}
		return l, stop
	}
	return compare(c, n, i, posted, source.Text), nil
}
