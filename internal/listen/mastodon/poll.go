package mastodon

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/fetch"
)

const (
	// pageSize is the most that servers give at a time.
	pageSize = 40
	// maxPage bounds the posts of a page that a server fills as it likes.
	maxPage = 2 * pageSize
	// maxRequests of one poll for timelines: each can be read to its end where little is new.
	maxRequests = 2 * (maxHashtags + maxLists + 1)
	// kept is from how many posts of a list on some may have been lost: servers keep its last 400.
	kept = 360
)

var _ listen.Poller = (*Connector)(nil)

// Poll implements listen.Poller.
func (c *Connector) Poll(ctx context.Context, after listen.Cursor) (listen.Page, error) {
	at, ok := readCursor(after, c.timelines)
	r := &reading{Connector: c, at: at, after: after}
	if c.round.done == nil || !bytes.Equal(after, c.round.at) { // what was brought last may not be stored
		c.round = round{done: map[string]bool{}}
	}
	if !ok {
		r.batch.Gaps = append(r.batch.Gaps, listen.Gap{To: c.client.now(), Reason: "Where reading was left could not be read, and it began anew."})
	}
	if _, err := c.know(ctx); err != nil {
		return listen.Page{}, err
	}
	drained, trouble, err := r.sweepAll(ctx)
	if err == nil && drained {
		err = r.check(ctx)
		if errors.As(err, &trouble) {
			err = nil
		}
	}
	if late := errors.Is(err, context.DeadlineExceeded) && len(r.batch.Posts) > 0; err != nil && !late { // what came in time counts
		return listen.Page{}, err
	}
	return r.page(drained, trouble)
}

// round is a reading of all timelines to their ends, in as many polls as it takes.
type round struct {
	done map[string]bool // that were read to their ends, or cannot be read
	at   listen.Cursor   // with which the last of these polls ended
}

// reading is one poll.
type reading struct {
	*Connector
	at       cursor
	after    listen.Cursor
	batch    listen.Batch
	requests int
	answered bool // a timeline was there
}

// page is what was read. Trouble is told only once there is nothing else to tell: what could be read is stored first.
func (r *reading) page(drained bool, trouble *listen.Trouble) (listen.Page, error) {
	next, err := r.at.encode()
	if err != nil {
		return listen.Page{}, err
	}
	r.round.at = next
	if drained {
		r.round = round{}
	}
	if !bytes.Equal(next, r.after) {
		r.batch.Next = next
	}
	if trouble != nil && len(r.batch.Posts)+len(r.batch.Deleted) == 0 && r.batch.Next == nil {
		return listen.Page{}, trouble
	}
	r.batch.Network = r.network
	sortPosts(r.batch.Posts)
	page := listen.Page{Batch: r.batch, More: !drained || trouble != nil}
	if page.Wait = r.client.exhausted(); page.Wait > 0 {
		page.More = false
	}
	return page, nil
}

// sweepAll reads all timelines on that were not read to their ends in this round. Trouble with one keeps none of the others from being read,
// unless it is the server's.
func (r *reading) sweepAll(ctx context.Context) (drained bool, trouble *listen.Trouble, err error) {
	r.turn++ // nobody waits for ever behind a timeline that is always full
	done := r.round.done
	for i := range r.timelines {
		t := r.timelines[(r.turn+i)%len(r.timelines)]
		if done[t.key] {
			continue
		}
		end, err := r.sweep(ctx, t)
		var told *listen.Trouble
		switch {
		case end:
			done[t.key] = true
		case err == nil: // it goes on with the next poll
		case !errors.As(err, &told):
			return false, nil, err
		default:
			trouble = cmp.Or(trouble, told)
			if told.Reason != listen.NotFound && told.Reason != listen.Forbidden {
				return false, trouble, nil
			}
			done[t.key] = true
		}
	}
	return len(done) == len(r.timelines), trouble, nil
}

// sweep reads a timeline on, and tells whether its end was reached.
func (r *reading) sweep(ctx context.Context, t timeline) (end bool, err error) {
	if _, begun := r.at.Timelines[t.key]; !begun {
		if end, err := r.begin(ctx, t); end || err != nil {
			return end, err
		}
	}
	for r.requests < maxRequests && len(r.batch.Posts)+maxPage <= listen.MaxBatch {
		from := r.at.start(t)
		items, onward, err := r.ask(ctx, t, from)
		switch {
		case err != nil:
			return false, err
		case len(items) == 0 && compareIDs(onward, from) <= 0:
			r.reached(t)
			return true, nil
		}
		if onward, err = r.read(t, items, onward); err != nil {
			return false, err
		}
		if compareIDs(onward, from) <= 0 {
			return false, listen.Troublef(listen.Malformed, "%s does not turn the pages of a timeline (min_id).", r.client.base.Host)
		}
		p := r.at.Timelines[t.key]
		r.at.Timelines[t.key] = place{Read: later(p.Read, onward), At: onward}
	}
	return false, nil
}

// begin finds where a timeline that was never read begins: a week before its newest post, or with its newest page where ids tell no time.
func (r *reading) begin(ctx context.Context, t timeline) (end bool, err error) {
	items, _, err := r.ask(ctx, t, "")
	if err != nil {
		return false, err
	}
	newest := "0"
	for _, i := range items {
		newest = later(newest, i.id)
	}
	if from := earlier(newest, history); from != newest {
		r.at.Timelines[t.key] = place{Read: from, At: from}
		return false, nil
	}
	if _, err := r.read(t, items, newest); err != nil {
		return false, err
	}
	r.at.Timelines[t.key] = place{Read: newest}
	return true, nil
}

// reached notes that a timeline was read to its end. A list of which so much was read at once may have had more.
func (r *reading) reached(t timeline) {
	p := r.at.Timelines[t.key]
	p.At = ""
	r.at.Timelines[t.key] = p
	run := r.runs[t.key]
	delete(r.runs, t.key)
	if t.passing && run.posts >= kept {
		r.batch.Gaps = append(r.batch.Gaps, listen.Gap{
			From: run.since, To: run.first, Reason: "Servers keep the last 400 posts of a list, and more may have been written.",
		})
	}
}

// run is a reading of a timeline over several pages.
type run struct {
	posts        int
	since, first time.Time
}

// item is a post on a page, under the id by which the page is turned.
type item struct {
	id  string
	raw json.RawMessage
}

// read takes the posts of a page, oldest first, and returns from where to go on.
func (r *reading) read(t timeline, items []item, onward string) (string, error) {
	unread := 0
	for _, i := range items {
		onward = later(onward, i.id)
		raw := i.raw
		if t.notifications {
			var n notification
			if err := json.Unmarshal(i.raw, &n); err == nil && n.Type != "mention" {
				continue
			}
			raw = n.Status
		}
		s, refused := parseStatus(raw)
		if refused != "" {
			r.batch.Refuse(refused, 1)
			unread++
			continue
		}
		r.take(&s)
	}
	if unread > 0 && unread == len(items) && onward == "" {
		return "", listen.Troublef(listen.Malformed, "%s answers with posts of which none can be read.", r.client.base.Host)
	}
	if t.passing {
		r.count(t, items)
	}
	return onward, nil
}

func (r *reading) count(t timeline, items []item) {
	run := r.runs[t.key]
	if run.posts == 0 && len(items) > 0 {
		run.since, _ = idTime(r.at.Timelines[t.key].Read)
		run.first, _ = idTime(items[0].id)
		if run.first.IsZero() {
			run.first = r.client.now()
		}
	}
	run.posts += len(items)
	r.runs[t.key] = run
}

// take brings an edition of a post that has not come yet.
func (r *reading) take(s *status) {
	if r.at.isNew(s.ID, s.revision(), s.counts()) {
		r.batch.Posts = append(r.batch.Posts, s.post(r.info.domain))
	}
}

// ask gets the page of a timeline behind an id, or its newest one, oldest first. onward is where the server says that the next one begins.
func (r *reading) ask(ctx context.Context, t timeline, from string) (items []item, onward string, err error) {
	query := url.Values{}
	for name, values := range t.query {
		query[name] = values
	}
	if from != "" {
		query.Set("min_id", from)
	}
	var answer *fetch.Answer
	for size := pageSize; ; size /= 8 {
		query.Set("limit", strconv.Itoa(max(size, 1)))
		r.requests++
		answer, err = r.client.get(ctx, t.path, query)
		if !errors.Is(err, fetch.ErrTooLarge) || size <= 1 {
			break
		}
	}
	if t.unknown && isReason(err, listen.NotFound) {
		return nil, "", nil // nobody has used the hashtag yet
	}
	if err != nil {
		return nil, "", err
	}
	r.answered = true
	items, err = parsePage(answer.Body)
	if err != nil {
		return nil, "", &listen.Trouble{Reason: listen.Malformed, Err: err, Message: r.client.base.Host + " answers with something else than a timeline."}
	}
	if len(items) > maxPage {
		items = items[:maxPage]
		return items, "", nil
	}
	return items, parseOnward(answer.Header.Values("Link")), nil
}

// parsePage splits a page into posts, oldest first. One that cannot be read at all has no id.
func parsePage(body []byte) ([]item, error) {
	var raws []json.RawMessage
	if err := json.Unmarshal(body, &raws); err != nil {
		return nil, err
	}
	items := make([]item, len(raws))
	for i, raw := range raws {
		var named struct {
			ID string `json:"id"`
		}
		if json.Unmarshal(raw, &named) != nil || len(named.ID) > maxNativeID {
			named.ID = ""
		}
		items[i] = item{id: named.ID, raw: raw}
	}
	slices.SortStableFunc(items, func(a, b item) int { return compareIDs(a.id, b.id) })
	return items, nil
}

var link = regexp.MustCompile(`<([^<>]+)>\s*;\s*rel="?(?:prev|previous)"?`)

// parseOnward reads from a Link header where the next newer page begins. Of the address only the id counts: requests go where the settings say.
func parseOnward(headers []string) string {
	for _, h := range headers[:min(len(headers), 4)] {
		found := link.FindStringSubmatch(h[:min(len(h), 8<<10)])
		if found == nil {
			continue
		}
		u, err := url.Parse(found[1])
		if err != nil {
			continue
		}
		if id := cmp.Or(u.Query().Get("min_id"), u.Query().Get("since_id")); len(id) <= maxNativeID {
			return id
		}
	}
	return ""
}
