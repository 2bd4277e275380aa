package tracking

import (
	"context"
	"strconv"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// maxLinkBytes bounds what is remembered of where links lead: of hundreds of campaigns. Above it some are forgotten, and read again.
const maxLinkBytes = 16 << 20

// linkOverhead is what a link costs beside its address, about.
const linkOverhead = 200

// LinkStore knows where links lead.
type LinkStore interface {
	SendLinks(ctx context.Context, sendID int64) ([]store.Link, error)
}

// Links remembers where links lead. What a link says never changes, so that it needs the database once for all links of a send.
type Links struct {
	store   LinkStore
	loading singleflight.Group
	mu      sync.RWMutex
	known   map[linkKey]Target
	bytes   int
}

// linkKey is a link of a send: a token that names a link of another send leads nowhere.
type linkKey struct{ send, link int64 }

// Target is where a link leads, as a header holds it. It is shared and not to be changed.
type Target []string

// NewLinks makes a memory of the links in a database.
func NewLinks(s LinkStore) *Links { return &Links{store: s, known: map[linkKey]Target{}} }

// Known is where a link leads, if that is remembered; it costs neither a look into the database nor memory.
func (l *Links) Known(send, link int64) (Target, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	target, ok := l.known[linkKey{send, link}]
	return target, ok
}

// Find is where a link leads. It returns store.ErrNotFound where the send has no such link, or where that is no web address.
func (l *Links) Find(ctx context.Context, send, link int64) (Target, error) {
	if target, ok := l.Known(send, link); ok {
		return target, nil
	}
	key := linkKey{send, link}
	// Those who ask for links of one send at once wait for one look; it goes on when the first of them has gone.
	loaded, err, _ := l.loading.Do(strconv.FormatInt(send, 10), func() (any, error) {
		return l.store.SendLinks(context.WithoutCancel(ctx), send)
	})
	if err != nil {
		return nil, err
	}
	links, _ := loaded.([]store.Link)
	var found Target
	for _, each := range links {
		if !render.IsWebURL(each.URL) { // a template of addresses: the tokens say where each leads
			continue
		}
		target := Target{each.URL}
		if each.ID == link {
			found = target
		}
		l.remember(linkKey{send, each.ID}, target)
	}
	if found == nil {
		return nil, store.ErrNotFound
	}
	l.remember(key, found) // last, so that it is not among those that were forgotten for want of room
	return found, nil
}

func (l *Links) remember(key linkKey, target Target) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.known[key]; ok {
		return
	}
	l.known[key] = target
	l.bytes += len(target[0]) + linkOverhead
	for other, forgotten := range l.known { // in no order
		if l.bytes <= maxLinkBytes {
			break
		}
		if other == key {
			continue
		}
		delete(l.known, other)
		l.bytes -= len(forgotten[0]) + linkOverhead
	}
}
