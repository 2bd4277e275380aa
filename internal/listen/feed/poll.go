package feed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
)

const (
	// maxPace bounds the rhythm that a feed can ask for.
	maxPace = 24 * time.Hour
	// told is the rhythm in which a feed is read whose hub tells us what is new: to see that it does.
	told = time.Hour
	// maxTag bounds what is kept of an answer to ask by it again.
	maxTag = 512
	// restate is how old Read may be in a cursor that says the same otherwise.
	restate = 15 * time.Minute
	accept  = "application/atom+xml, application/rss+xml, application/feed+json, application/json;q=0.9, " +
		"application/rdf+xml;q=0.9, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5"
)

// rest is what is left of a document, for who goes on from the cursor that was given with the page before.
type rest struct {
	after listen.Cursor
	plan  plan
	wait  time.Duration
}

// Poll implements listen.Poller.
func (c *Connector) Poll(ctx context.Context, after listen.Cursor) (listen.Page, error) {
	if err := ctx.Err(); err != nil {
		return listen.Page{}, err
	}
	if left := c.left; left != nil && bytes.Equal(left.after, after) {
		return c.page(left.plan, left.wait)
	}
	c.left = nil
	s := readState(after, c.settings.URL)
	answer, err := c.get(ctx, &s)
	if err != nil {
		return listen.Page{}, err
	}
	now := c.o.Now()
	next := s
	var d *document
	if answer.Status != http.StatusNotModified {
		body := sha256.Sum256(answer.Body)
		next.Body = base64.RawStdEncoding.EncodeToString(body[:16])
		next.ETag, next.Modified = short(answer.Header.Get("ETag")), short(answer.Header.Get("Last-Modified"))
		if next.Body != s.Body {
			if d, err = readDocument(answer.Body, answer.Header.Get("Content-Type"), c.address); err != nil {
				return listen.Page{}, err
			}
			next.Pace = int64(d.pace / time.Second)
		}
	}
	// What is no feed was refused by now, and is not believed to be one that has moved.
	if answer.Moved && isWeb(answer.URL.String(), maxURL) && (d != nil || s.Body != "") {
		next.Moved = answer.URL.String()
	}
	p := planPoll(s, next, d, c.hookedAt(), now)
	if c.hooked() {
		c.subscribe(ctx, &p, s, d, answer, now)
		if err := ctx.Err(); err != nil {
			return listen.Page{}, err
		}
	} else {
		p.next.Hub = nil
	}
	wait := max(time.Duration(p.next.Pace)*time.Second, maxAge(answer.Header), fetch.RetryAfter(answer.Header, now))
	if p.next.Hub.speaks() {
		wait = max(wait, told)
	}
	return c.page(p, min(wait, maxPace))
}

// hookedAt is when the feed's hub called last; zero where it may not, or nobody knows.
func (c *Connector) hookedAt() time.Time {
	if !c.hooked() || c.o.Hooked == nil {
		return time.Time{}
	}
	return c.o.Hooked()
}

// get asks for the feed where it is now. Where it has moved for ever and cannot be read there any more it is asked for at its old address:
// a move can be a mistake, and it can move on. Who asks for patience gets it.
func (c *Connector) get(ctx context.Context, s *state) (*fetch.Answer, error) {
	moved, err := url.Parse(s.Moved)
	if s.Moved == "" || err != nil {
		return c.ask(ctx, c.address, *s)
	}
	answer, err := c.ask(ctx, moved, *s)
	if err == nil || isFinal(err) {
		return answer, err
	}
	before := state{URL: s.URL, Read: s.Read, Seen: s.Seen, Hub: s.Hub}
	answer, otherwise := c.ask(ctx, c.address, before)
	switch {
	case otherwise == nil:
		*s = before
		return answer, nil
	case isFinal(otherwise):
		return nil, otherwise
	}
	return nil, err // of where it is said to be
}

// isFinal says that nobody is to be asked any more: somebody asked for patience, or ctx has ended.
func isFinal(err error) bool {
	var trouble *listen.Trouble
	return !errors.As(err, &trouble) || trouble.Reason == listen.Throttled
}

func (c *Connector) ask(ctx context.Context, at *url.URL, s state) (*fetch.Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return nil, listen.Troublef(listen.Misdeclared, "The feed's url cannot be asked for.")
	}
	r.Header.Set("User-Agent", c.o.UserAgent)
	r.Header.Set("Accept", accept)
	if s.ETag != "" {
		r.Header.Set("If-None-Match", s.ETag)
	}
	if s.Modified != "" {
		r.Header.Set("If-Modified-Since", s.Modified)
	}
	if password := c.o.Credentials[passwordKey]; password != "" && at.Scheme == "https" && at.Host == c.address.Host {
		r.SetBasicAuth(c.o.Credentials[usernameKey], password)
	}
	answer, err := fetch.Do(c.o.Client, r, maxDocument)
	if err != nil {
		return nil, err
	}
	if answer.Status != http.StatusOK && answer.Status != http.StatusNotModified {
		return nil, listen.Troublef(listen.Malformed, "%s answers with status %d and no feed.", at.Host, answer.Status)
	}
	return answer, nil
}

// plan is what a poll brings, whole: it is handed over in pages.
type plan struct {
	from    state // before any of it is stored
	next    state // when all of it is
	posts   []entry
	deleted []listen.Deletion
	gaps    []listen.Gap
	refused map[string]int
	missed  bool // the hub said nothing of what is new
}

// planPoll finds what is new in a document, or edited, or deleted. d is nil where nothing has changed.
func planPoll(s, next state, d *document, hooked, now time.Time) plan {
	p := plan{from: s, next: next}
	if d == nil {
		if now.Sub(s.Read) > restate || now.Before(s.Read) {
			p.next.Read = now
		}
		return p
	}
	p.next.Read, p.refused = now, d.refused
	entries := newest(d.entries, now)
	known := s.Seen.index()
	seen := make([]sighting, 0, len(entries))
	overlap := false
	for i := range entries {
		e := &entries[i]
		is := sight(e)
		said, old := known[is.id]
		overlap = overlap || old
		seen = append(seen, is)
		switch {
		case !old:
			e.edit(notAfter(e.updated, now))
			p.posts = append(p.posts, *e)
			p.missed = p.missed || isMissed(e, s.Read, hooked, now)
		case said != is.said:
			edited := now
			if e.updated.After(s.Read) {
				edited = notAfter(e.updated, now)
			}
			e.edit(edited)
			p.posts = append(p.posts, *e)
		}
	}
	p.next.Seen = s.Seen.with(seen)
	p.deleted, p.posts = bury(d, p.posts)
	if !overlap && len(entries) > 0 && len(s.Seen) > 0 && !hooked.After(s.Read) {
		p.gaps = []listen.Gap{{From: s.Read, To: now, Reason: fmt.Sprintf(
			"the feed shows %d entries, and all are newer than when it was read last: what came between them may have been missed", len(entries))}}
	}
	return p
}

func notAfter(t, limit time.Time) time.Time {
	if t.After(limit) {
		return limit
	}
	return t
}

// late is for how long a hub may know of an entry and not have told us.
const late = 10 * time.Minute

// isMissed says that a hub that works would have told of an entry.
func isMissed(e *entry, read, hooked, now time.Time) bool {
	came := e.post.CreatedAt
	if came.IsZero() || came.Before(read) {
		came = read // at the earliest
	}
	return hooked.Before(came) && now.Sub(came) > late
}

// newest are the newest entries of a document, the oldest first. Where not all have a date that can be, the document's order counts.
func newest(entries []entry, now time.Time) []entry {
	ordered := slices.Clone(entries)
	slices.Reverse(ordered)
	if !slices.ContainsFunc(ordered, func(e entry) bool { return !datable(e.post.CreatedAt, now) }) {
		slices.SortStableFunc(ordered, func(a, b entry) int { return a.post.CreatedAt.Compare(b.post.CreatedAt) })
	}
	return ordered[max(0, len(ordered)-maxSeen):]
}

func datable(t, now time.Time) bool { return t.Year() >= 1990 && !t.After(now.Add(listen.Skew)) }

// bury finds what was deleted: of a tombstone and an entry the later counts.
func bury(d *document, posts []entry) ([]listen.Deletion, []entry) {
	stands := map[string]time.Time{}
	for i := range d.entries {
		stands[d.entries[i].post.ID] = d.entries[i].stamp()
	}
	var deleted []listen.Deletion
	gone := map[string]bool{}
	for _, stone := range d.stones {
		if at, ok := stands[stone.ref]; stone.ref != "" && !gone[stone.ref] && (!ok || !at.After(stone.when)) {
			gone[stone.ref] = true
			deleted = append(deleted, listen.Deletion{PostID: stone.ref})
		}
	}
	return deleted, slices.DeleteFunc(posts, func(e entry) bool { return gone[e.post.ID] })
}

// page hands over the next posts of a plan. The cursor of a page that is not the last remembers its posts, and the document is asked for anew
// by who begins with it.
func (c *Connector) page(p plan, wait time.Duration) (listen.Page, error) {
	c.left = nil
	n := min(len(p.posts), listen.MaxBatch)
	page := listen.Page{
		Batch: listen.Batch{Network: c.network(), Deleted: p.deleted, Gaps: p.gaps, Rejected: p.refused}, Wait: wait, Moved: shown(p.next.Moved),
	}
	seen := make([]sighting, n)
	for i := range n {
		page.Posts = append(page.Posts, p.posts[i].post)
		seen[i] = sight(&p.posts[i])
	}
	next := p.next
	if n < len(p.posts) {
		next = p.from // by whose tags the document is a new one
		next.Hub, next.Seen = p.next.Hub, p.from.Seen.with(seen)
	}
	cursor, err := next.cursor()
	if err != nil {
		return listen.Page{}, err
	}
	if before, err := p.from.cursor(); err != nil || !bytes.Equal(before, cursor) {
		page.Next = cursor
	}
	if n < len(p.posts) {
		page.More, page.Wait = true, 0
		c.left = &rest{after: cursor, wait: wait, plan: plan{from: next, next: p.next, posts: p.posts[n:]}}
	}
	return page, nil
}

// shown is an address for people: without its query, in which keys stand.
func shown(address string) string {
	u, err := url.Parse(address)
	if err != nil || address == "" {
		return ""
	}
	bare := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	if u.RawQuery != "" {
		return bare.String() + "?…"
	}
	return bare.String()
}

// short is a header's value, where it can be kept.
func short(value string) string {
	if len(value) > maxTag {
		return ""
	}
	return value
}

// maxAge is for how long an answer is fresh (RFC 9111, 5.2.2.1).
func maxAge(h http.Header) time.Duration {
	for _, line := range h.Values("Cache-Control") {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
			if seconds, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 64); strings.EqualFold(name, "max-age") && err == nil {
				return time.Duration(min(max(seconds, 0), int64(maxPace/time.Second))) * time.Second
			}
		}
	}
	return 0
}
