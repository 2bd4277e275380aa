package bluesky

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

const (
	notificationsAtOnce = 100 // as many as one request may ask for
	postsAtOnce         = 25
	// missesBeforeGone is how often in a row the network must not know a post before it counts as deleted: once may be a failure of its own.
	missesBeforeGone = 2
	// walkRest is for how long a walk back rests that has to begin anew.
	walkRest = time.Minute
	// backlogAge is how far back a source begins that was never read.
	backlogAge = 7 * 24 * time.Hour
)

// reasons are those of notifications that are posts.
var reasons = []string{"mention", "reply", "quote"}

// poller hears what is said to us.
type poller struct{ *network }

var _ listen.Poller = poller{}

// Poll implements listen.Poller.
func (p poller) Poll(ctx context.Context, after listen.Cursor) (listen.Page, error) {
	return p.poll(ctx, after)
}

// Close implements listen.Connector.
func (p poller) Close() error { return p.close() }

// notification tells of a post that mentions, answers or quotes us.
type notification struct {
	URI       string          `json:"uri"`
	CID       string          `json:"cid"`
	Author    profile         `json:"author"`
	Reason    string          `json:"reason"`
	Record    json.RawMessage `json:"record"`
	IndexedAt string          `json:"indexedAt"`
}

// postView is a post as the network shows it.
type postView struct {
	URI       string          `json:"uri"`
	CID       string          `json:"cid"`
	Author    profile         `json:"author"`
	Record    json.RawMessage `json:"record"`
	IndexedAt string          `json:"indexedAt"`
	Likes     int64           `json:"likeCount"`
	Reposts   int64           `json:"repostCount"`
	Quotes    int64           `json:"quoteCount"`
	Replies   int64           `json:"replyCount"`
	Labels    []struct {
		Val string `json:"val"`
	} `json:"labels"`
}

func (n *network) poll(ctx context.Context, after listen.Cursor) (listen.Page, error) {
	at, err := readCursor(after)
	if err != nil {
		return listen.Page{}, err
	}
	page, box, err := n.look(ctx, at.Inbox)
	n.away = awayFor(err)
	if err != nil {
		return listen.Page{}, err
	}
	at.Inbox = box
	if page.Next, err = at.encode(); err != nil {
		return listen.Page{}, err
	}
	return page, nil
}

// look reads one page of notifications, and asks again for some posts that came before. It leaves the inbox that it is given as it is.
func (n *network) look(ctx context.Context, before *inbox) (listen.Page, *inbox, error) {
	page := listen.Page{Batch: listen.Batch{Network: Network}}
	var answer struct {
		Cursor        string          `json:"cursor"`
		Notifications *[]notification `json:"notifications"`
	}
	query := url.Values{"limit": {"100"}, "reasons": reasons}
	if before != nil && before.Page != "" {
		query.Set("cursor", before.Page)
	}
	rest, err := n.session.ask(ctx, "app.bsky.notification.listNotifications", query, &answer)
	if errors.Is(err, errTooLong) { // a page of the longest records there can be
		query.Set("limit", "10")
		rest, err = n.session.ask(ctx, "app.bsky.notification.listNotifications", query, &answer)
	}
	if query.Has("cursor") && isRefused(err, "InvalidRequest") { // its cursors are other ones now
		box := before.clone()
		box.Page, box.Top, page.Wait = "", time.Time{}, walkRest
		return page, box, nil
	}
	if err != nil {
		return page, nil, err
	}
	if answer.Notifications == nil {
		return page, nil, nonsense("The service", nil)
	}
	page.Wait = rest
	now := n.options.Now()
	box := before.clone()
	if box == nil || box.DID != n.session.did {
		if box != nil && box.Page != "" {
			return page, &inbox{DID: n.session.did, Seen: now.Add(-backlogAge)}, nil // the page was another account's
		}
		box = &inbox{DID: n.session.did, Seen: now.Add(-backlogAge)}
	}
	fresh, oldest := box.sort(*answer.Notifications, &page.Batch)
	asked := box.turn()
	views, rest, err := n.posts(ctx, fresh, asked)
	if err != nil {
		return page, nil, err
	}
	page.Wait = max(page.Wait, rest)
	for _, f := range slices.Backward(fresh) { // they come newest first
		f.take(views, box, &page.Batch, now)
	}
	box.follow(asked, views, &page.Batch, now)
	page.More = box.walk(oldest, answer.Cursor)
	return page, box, nil
}

// sort tells which notifications are of posts that are not known, and when the oldest of all was taken up. The first page is read whole,
// whatever its times: a post that says to be written last week stands where it would have stood then.
func (b *inbox) sort(all []notification, batch *listen.Batch) (fresh []notification, oldest time.Time) {
	for _, n := range all[:min(len(all), notificationsAtOnce)] {
		at, err := time.Parse(time.RFC3339, n.IndexedAt)
		if err == nil && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
		if err == nil && b.Page == "" && at.After(b.Top) {
			b.Top = at
		}
		if !slices.Contains(reasons, n.Reason) {
			continue
		}
		if _, _, ok := splitPostID(n.URI); !ok {
			reject(batch, rejectNoID)
			continue
		}
		if known := b.find(n.URI); known != nil && known.CID == tail(n.CID) {
			continue
		}
		fresh = append(fresh, n)
	}
	return fresh, oldest
}

func reject(b *listen.Batch, why string) {
	if b.Rejected == nil {
		b.Rejected = map[string]int{}
	}
	b.Rejected[why]++
}

// walk moves the inbox on by a page, and tells whether there is another one before what was seen.
func (b *inbox) walk(oldest time.Time, next string) (more bool) {
	if next != "" && len(next) <= maxPage && next != b.Page && oldest.After(b.Seen) {
		b.Page = next
		return true
	}
	if b.Top.After(b.Seen) {
		b.Seen = b.Top
	}
	b.Page, b.Top = "", time.Time{}
	return false
}

// turn tells which of the posts that came before are asked for again now.
func (b *inbox) turn() []string {
	var ids []string
	if b.Turn >= len(b.Recent) {
		b.Turn = 0
	}
	for _, w := range b.Recent[b.Turn:min(len(b.Recent), b.Turn+postsAtOnce)] {
		ids = append(ids, w.ID)
	}
	b.Turn += len(ids)
	return ids
}

// posts asks for posts as they are now.
func (n *network) posts(ctx context.Context, fresh []notification, again []string) (map[string]*postView, time.Duration, error) {
	ids := slices.Clone(again)
	for _, f := range fresh {
		if !slices.Contains(ids, f.URI) {
			ids = append(ids, f.URI)
		}
	}
	views := map[string]*postView{}
	longest := time.Duration(0)
	for some := range slices.Chunk(ids, postsAtOnce) {
		rest, err := n.addPosts(ctx, some, views)
		if err != nil {
			return nil, 0, err
		}
		longest = max(longest, rest)
	}
	return views, longest, nil
}

func (n *network) addPosts(ctx context.Context, ids []string, views map[string]*postView) (time.Duration, error) {
	var answer struct {
		Posts *[]postView `json:"posts"`
	}
	rest, err := n.session.ask(ctx, "app.bsky.feed.getPosts", url.Values{"uris": ids}, &answer)
	if errors.Is(err, errTooLong) && len(ids) > 1 {
		half := len(ids) / 2
		if _, err := n.addPosts(ctx, ids[:half], views); err != nil {
			return 0, err
		}
		return n.addPosts(ctx, ids[half:], views)
	}
	switch {
	case err != nil:
		return 0, err
	case answer.Posts == nil: // no post is taken for deleted because of it
		return 0, nonsense("The service", nil)
	}
	for _, p := range *answer.Posts {
		views[p.URI] = &p
	}
	return rest, nil
}

// take makes a post of a notification, as it is now where the network shows it.
func (f *notification) take(views map[string]*postView, box *inbox, batch *listen.Batch, now time.Time) {
	view := views[f.URI]
	if view == nil {
		view = &postView{URI: f.URI, CID: f.CID, Author: f.Author, Record: f.Record, IndexedAt: f.IndexedAt}
	}
	p := view.post(now)
	if p == nil {
		reject(batch, rejectRecord)
		return
	}
	if views[f.URI] == nil {
		p.Engagement = nil
	}
	known := box.find(f.URI)
	switch {
	case known == nil:
		box.watch(f.URI, view.CID)
	case known.CID == tail(view.CID):
		return
	default:
		known.CID, p.EditedAt = tail(view.CID), now
	}
	batch.Posts = append(batch.Posts, *p)
}

// follow tells what became of posts that were asked for again.
func (b *inbox) follow(asked []string, views map[string]*postView, batch *listen.Batch, now time.Time) {
	for _, id := range asked {
		w, view := b.find(id), views[id]
		switch {
		case w == nil:
		case view == nil:
			if w.Missed++; w.Missed >= missesBeforeGone {
				batch.Deleted = append(batch.Deleted, listen.Deletion{PostID: id})
				i := slices.IndexFunc(b.Recent, func(w watched) bool { return w.ID == id })
				b.Recent = slices.Delete(b.Recent, i, i+1)
				if i < b.Turn {
					b.Turn--
				}
			}
		case w.CID != tail(view.CID):
			w.CID, w.Missed = tail(view.CID), 0
			if p := view.post(now); p != nil {
				p.EditedAt = now
				batch.Posts = append(batch.Posts, *p)
			}
		default:
			w.Missed = 0
		}
	}
}

// post translates what the network shows, or is nil for what cannot be read.
func (v *postView) post(now time.Time) *listen.Post {
	did, rkey, ok := splitPostID(v.URI)
	if !ok {
		return nil
	}
	at, err := time.Parse(time.RFC3339, v.IndexedAt)
	if err != nil || at.After(now.Add(listen.Skew)) {
		at = now
	}
	p, ok := readRecord(v.Record, origin{did: did, rkey: rkey, cid: v.CID, at: at.UTC()})
	if !ok {
		return nil
	}
	if v.Author.DID == did {
		v.Author.describe(&p.Author)
		if v.Author.says(membersOnly) {
			p.Visibility = listen.Unlisted
		}
	}
	for _, l := range v.Labels {
		if l.Val == membersOnly {
			p.Visibility = listen.Unlisted
		}
	}
	p.Engagement = &listen.Engagement{Likes: v.Likes, Reposts: v.Reposts + v.Quotes, Replies: v.Replies}
	return p
}
