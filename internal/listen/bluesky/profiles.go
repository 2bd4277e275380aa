package bluesky

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

const (
	profilesAtOnce = 25 // as many as one request may ask for
	profilesKept   = 4096
	// A name holds for a day; the stream says earlier when a handle changes.
	profileAge = 24 * time.Hour
	// profilesRest is for how long nobody is asked after a failure.
	profilesRest = time.Minute
)

// profile is what is public of an account, as lists and posts have it.
type profile struct {
	DID            string `json:"did"`
	Handle         string `json:"handle"`
	DisplayName    string `json:"displayName"`
	FollowersCount *int64 `json:"followersCount"`
	CreatedAt      string `json:"createdAt"`
	Labels         []struct {
		Val string `json:"val"`
		Src string `json:"src"`
	} `json:"labels"`
	known time.Time
}

// describe writes into an account what its profile says.
func (p *profile) describe(a *listen.Account) {
	if p.Handle != "handle.invalid" {
		a.Handle = p.Handle
	}
	a.Name, a.Followers, a.Bot = p.DisplayName, p.FollowersCount, p.says("bot")
	a.CreatedAt, _ = time.Parse(time.RFC3339, p.CreatedAt) // zero where it is none
}

// says tells whether an account has a label that it gave itself.
func (p *profile) says(label string) bool {
	for _, l := range p.Labels {
		if l.Val == label && l.Src == p.DID {
			return true
		}
	}
	return false
}

// profiles gives authors of the stream their names, of which the stream has none. It never fails: who is not found soon stays without.
type profiles struct {
	network *network
	mu      sync.Mutex
	known   map[string]*profile
	rest    time.Time // nobody is asked before
}

func newProfiles(n *network) *profiles {
	return &profiles{network: n, known: map[string]*profile{}}
}

// name writes what is known of authors into posts, and asks for those who are not known.
func (p *profiles) name(ctx context.Context, posts []listen.Post) {
	if p.network.settings.AppView == "" || len(posts) == 0 {
		return
	}
	now := p.network.options.Now()
	var unknown []string
	asked := map[string]bool{}
	p.mu.Lock()
	for i := range posts {
		id := posts[i].Author.ID
		if posts[i].Author.Handle != "" {
			continue
		}
		if known := p.known[id]; (known == nil || now.Sub(known.known) > profileAge) && !asked[id] {
			asked[id] = true
			unknown = append(unknown, id)
		}
	}
	p.mu.Unlock()
	p.fetch(ctx, unknown, now)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range posts {
		if known := p.known[posts[i].Author.ID]; known != nil && posts[i].Author.Handle == "" {
			known.describe(&posts[i].Author)
			if known.says(membersOnly) && posts[i].Visibility == listen.Public {
				posts[i].Visibility = listen.Unlisted
			}
		}
	}
}

// fetch asks for profiles for as long as there is patience.
func (p *profiles) fetch(ctx context.Context, unknown []string, now time.Time) {
	if len(unknown) == 0 || now.Before(p.rest) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.network.rhythm.names)
	defer cancel()
	for i, some := range slices.Collect(slices.Chunk(unknown, profilesAtOnce)) {
		var answer struct {
			Profiles []profile `json:"profiles"`
		}
		rest, err := p.network.ask(ctx, call{
			server: p.network.settings.AppView, name: "app.bsky.actor.getProfiles", query: url.Values{"actors": some},
		}, &answer)
		switch {
		case i > 0 && errors.Is(err, context.DeadlineExceeded):
			return // they are many, and the next batch asks for those that are left
		case err != nil:
			p.rest = now.Add(max(profilesRest, waitOf(err)))
			return
		}
		p.keep(some, answer.Profiles, now)
		if rest > 0 {
			p.rest = now.Add(rest)
			return
		}
	}
}

// keep remembers profiles, and of whom there is none.
func (p *profiles) keep(asked []string, found []profile, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.known)+len(asked) > profilesKept {
		clear(p.known) // who writes now is asked for again; it happens once in thousands of authors
	}
	for _, id := range asked {
		p.known[id] = &profile{DID: id, known: now}
	}
	for i := range found {
		if f := &found[i]; p.known[f.DID] != nil {
			f.known = now
			p.known[f.DID] = f
		}
	}
}

// forget drops somebody whose name may be another one now.
func (p *profiles) forget(did string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.known, did)
}
