package store

import (
	"bytes"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/identity"
	"github.com/tertulia-crm/tertulia/internal/listen"
)

// authorProfile is what is known of somebody who writes.
type authorProfile struct {
	nativeID, handle, name, url string
	followers                   *int64
	registeredAt                *time.Time
	bot                         bool
}

// knownAuthor is an author's row, or the one that will be.
type knownAuthor struct {
	key         nativeKey
	id          int64
	stored      bool // there is a row
	profile     authorProfile
	identified  bool
	forgottenAt *time.Time

	identifier listen.Identifier // to be linked; normal
	writes     bool              // something of theirs is stored with this batch
	wanted     bool              // a row is to be there
	changed    bool
}

// authorPlan is what is written of authors.
type authorPlan struct {
	touched []*knownAuthor
	added   []*knownAuthor
	changed []*knownAuthor
	gone    []*knownAuthor // who are to be forgotten
}

// wrote takes in the profile of who wrote a post, and returns the id of the row.
func (p *authorPlan) wrote(g *gathered, key nativeKey, a *listen.Account) int64 {
	author := p.touch(g, key)
	author.writes = true
	next := author.profile
	next.nativeID = a.ID
	next.bot = a.Bot
	for _, f := range []struct {
		to *string
		is string
	}{{&next.handle, a.Handle}, {&next.name, a.Name}, {&next.url, a.URL}} {
		if f.is != "" {
			*f.to = f.is
		}
	}
	if a.Followers != nil {
		next.followers = a.Followers
	}
	if !a.CreatedAt.IsZero() {
		next.registeredAt = &a.CreatedAt
	}
	author.take(next)
	if !author.identified && author.identifier == (listen.Identifier{}) {
		author.identifier = normalIdentifier(a.Identifier)
		author.changed = author.changed || author.identifier != (listen.Identifier{})
	}
	return author.id
}

// named takes in somebody whom a post names, of whom that is all that is known, and returns the id of the row; 0 for somebody who was
// forgotten: others do not bring them back.
func (p *authorPlan) named(g *gathered, key nativeKey, a *listen.Account) int64 {
	if known := g.authors[key]; known.forgottenAt != nil && !known.writes {
		return 0
	}
	author := p.touch(g, key)
	if author.profile.handle == "" && author.profile.name == "" {
		author.take(authorProfile{
			nativeID: a.ID, handle: a.Handle, name: a.Name, url: a.URL, followers: author.profile.followers,
			registeredAt: author.profile.registeredAt, bot: author.profile.bot,
		})
	}
	return author.id
}

func (p *authorPlan) touch(g *gathered, key nativeKey) *knownAuthor {
	author := g.authors[key]
	if !author.wanted {
		author.wanted = true
		p.touched = append(p.touched, author)
	}
	return author
}

func (a *knownAuthor) take(next authorProfile) {
	if a.profile.is(next) {
		return
	}
	a.profile, a.changed = next, true
}

func (p authorProfile) is(o authorProfile) bool {
	followers := p.followers == o.followers || p.followers != nil && o.followers != nil && *p.followers == *o.followers
	registered := p.registeredAt == o.registeredAt || p.registeredAt != nil && o.registeredAt != nil && p.registeredAt.Equal(*o.registeredAt)
	return followers && registered && p.nativeID == o.nativeID && p.handle == o.handle && p.name == o.name && p.url == o.url && p.bot == o.bot
}

// normalIdentifier is the identifier as all sources know it, and the zero value for one that is none.
func normalIdentifier(i listen.Identifier) listen.Identifier {
	if i.Type == "" {
		return listen.Identifier{}
	}
	value, err := identity.Normalize(i.Type, i.Value)
	if err != nil {
		return listen.Identifier{}
	}
	return listen.Identifier{Type: i.Type, Value: value}
}

// finish sorts who is written by how, in the order of their keys.
func (p *authorPlan) finish() {
	for _, a := range p.touched {
		switch {
		case !a.stored:
			p.added = append(p.added, a)
		case a.changed:
			p.changed = append(p.changed, a)
		}
	}
	byKey := func(a, b *knownAuthor) int { return bytes.Compare(a.key[:], b.key[:]) }
	for _, list := range [][]*knownAuthor{p.added, p.changed, p.gone} {
		slices.SortFunc(list, byKey)
	}
}
