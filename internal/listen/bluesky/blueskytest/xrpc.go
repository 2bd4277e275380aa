package blueskytest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// token is one that was given out.
type token struct {
	did     string
	refresh bool
	expires time.Time
	revoked bool
}

// refusal is how XRPC servers refuse.
type refusal struct {
	status        int
	name, message string
}

func invalid(format string, args ...any) *refusal {
	return &refusal{http.StatusBadRequest, "InvalidRequest", fmt.Sprintf(format, args...)}
}

// calls are what the network answers. With needsLogin who asks has to be logged in; did is "" otherwise.
var calls = map[string]struct {
	method     string
	needsLogin bool
	answer     func(n *Network, did string, r *http.Request) (any, *refusal)
}{
	"com.atproto.server.createSession":        {http.MethodPost, false, (*Network).createSession},
	"com.atproto.server.refreshSession":       {http.MethodPost, false, (*Network).refreshSession},
	"com.atproto.server.getSession":           {http.MethodGet, true, (*Network).getSession},
	"app.bsky.actor.getProfiles":              {http.MethodGet, false, (*Network).getProfiles},
	"app.bsky.feed.getPosts":                  {http.MethodGet, true, (*Network).getPosts},
	"app.bsky.notification.listNotifications": {http.MethodGet, true, (*Network).listNotifications},
	"com.atproto.repo.createRecord":           {http.MethodPost, true, (*Network).createRecord},
	"com.atproto.repo.getRecord":              {http.MethodGet, false, (*Network).getRecord},
	"com.atproto.repo.uploadBlob":             {http.MethodPost, true, (*Network).uploadBlob},
	"com.atproto.identity.resolveHandle":      {http.MethodGet, false, (*Network).resolveHandle},
}

func (n *Network) call(w http.ResponseWriter, r *http.Request, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	answer, refused := n.answer(w.Header(), r, name)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if refused != nil {
		w.WriteHeader(refused.status)
		answer = map[string]string{"error": refused.name, "message": refused.message}
	}
	_, _ = w.Write(encode(answer))
}

func (n *Network) answer(h http.Header, r *http.Request, name string) (any, *refusal) {
	if refused := n.count(h); refused != nil {
		return nil, refused
	}
	c, known := calls[name]
	if !known {
		return nil, &refusal{http.StatusNotImplemented, "MethodNotImplemented", "Method Not Implemented"}
	}
	if r.Method != c.method {
		return nil, invalid("Incorrect HTTP method (%s) expected %s", r.Method, c.method)
	}
	did := ""
	if c.needsLogin {
		t, refused := n.token(r, false)
		if refused != nil {
			return nil, refused
		}
		did = t.did
	}
	return c.answer(n, did, r)
}

// count counts requests, and says in the answer's header how many are left. There is no Retry-After, as with the real ones.
func (n *Network) count(h http.Header) *refusal {
	if n.options.Requests == 0 {
		return nil
	}
	now := n.options.Now()
	if now.Sub(n.window) >= n.options.Window {
		n.window, n.requests = now, 0
	}
	n.requests++
	h.Set("RateLimit-Limit", strconv.Itoa(n.options.Requests))
	h.Set("RateLimit-Remaining", strconv.Itoa(max(0, n.options.Requests-n.requests)))
	h.Set("RateLimit-Reset", strconv.FormatInt(n.window.Add(n.options.Window).Unix(), 10))
	h.Set("RateLimit-Policy", fmt.Sprintf("%d;w=%d", n.options.Requests, int(n.options.Window/time.Second)))
	if n.requests > n.options.Requests {
		return &refusal{http.StatusTooManyRequests, "RateLimitExceeded", "Rate Limit Exceeded"}
	}
	return nil
}

// token finds the one that a request brings.
func (n *Network) token(r *http.Request, refresh bool) (*token, *refusal) {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, &refusal{http.StatusUnauthorized, "AuthMissing", "Authentication Required"}
	}
	t := n.sessions[text]
	switch {
	case t == nil:
		return nil, &refusal{http.StatusBadRequest, "InvalidToken", "Token could not be verified"}
	case t.refresh != refresh:
		return nil, &refusal{http.StatusBadRequest, "InvalidToken", "Bad token scope"}
	case t.revoked || !n.options.Now().Before(t.expires):
		return nil, &refusal{http.StatusBadRequest, "ExpiredToken", "Token has expired"}
	}
	return t, nil
}

func (n *Network) createSession(_ string, r *http.Request) (any, *refusal) {
	var asked struct{ Identifier, Password string }
	body, err := io.ReadAll(io.LimitReader(r.Body, 64<<10))
	if mime, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); mime != "application/json" || err != nil || json.Unmarshal(body, &asked) != nil {
		return nil, invalid("Wrong request encoding")
	}
	for _, a := range n.accounts {
		if (a.DID == asked.Identifier || a.Handle == strings.ToLower(asked.Identifier)) && a.Password != "" && a.Password == asked.Password && !a.revoked {
			if a.gone == "takendown" {
				return nil, &refusal{http.StatusUnauthorized, "AccountTakedown", "Account has been taken down"}
			}
			return n.session(a), nil
		}
	}
	return nil, &refusal{http.StatusUnauthorized, "AuthenticationRequired", "Invalid identifier or password"}
}

func (n *Network) refreshSession(_ string, r *http.Request) (any, *refusal) {
	t, refused := n.token(r, true)
	if refused != nil {
		return nil, refused
	}
	t.revoked = true // it is exchanged once
	return n.session(n.accounts[t.did]), nil
}

func (n *Network) getSession(did string, _ *http.Request) (any, *refusal) {
	a := n.accounts[did]
	return map[string]any{"did": a.DID, "handle": a.Handle, "active": a.gone == ""}, nil
}

func (n *Network) session(a *account) map[string]any {
	access, refresh := fmt.Sprintf("access.%d.%s", n.next(), CID([]byte(a.DID))), fmt.Sprintf("refresh.%d.%s", n.next(), CID([]byte(a.DID)))
	now := n.options.Now()
	n.sessions[access] = &token{did: a.DID, expires: now.Add(n.options.Token)}
	n.sessions[refresh] = &token{did: a.DID, refresh: true, expires: now.Add(90 * 24 * time.Hour)}
	answer := map[string]any{"did": a.DID, "handle": a.Handle, "accessJwt": access, "refreshJwt": refresh, "active": a.gone == ""}
	if a.gone != "" {
		answer["status"] = a.gone
	}
	return answer
}

func (n *Network) profile(did string) map[string]any {
	a := n.accounts[did]
	if a == nil {
		a = &account{Account: Account{DID: did, Handle: "handle.invalid"}, created: n.options.Now()}
	}
	labels := []map[string]any{}
	for _, l := range a.Labels {
		labels = append(labels, map[string]any{"src": did, "uri": "at://" + did + "/app.bsky.actor.profile/self", "val": l, "cts": timestamp(a.created)})
	}
	p := map[string]any{"did": did, "handle": a.Handle, "createdAt": timestamp(a.created), "labels": labels}
	if a.Name != "" {
		p["displayName"] = a.Name
	}
	return p
}

func timestamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

func (n *Network) getProfiles(_ string, r *http.Request) (any, *refusal) {
	actors := r.URL.Query()["actors"]
	if len(actors) == 0 || len(actors) > 25 {
		return nil, invalid("Error: actors must not have more than 25 elements")
	}
	found := []map[string]any{}
	for _, id := range actors {
		if a := n.accounts[id]; a != nil && a.gone == "" {
			p := n.profile(id)
			p["followersCount"], p["followsCount"], p["postsCount"] = a.Followers, 0, 0
			found = append(found, p)
		}
	}
	return map[string]any{"profiles": found}, nil
}

func (n *Network) getPosts(_ string, r *http.Request) (any, *refusal) {
	uris := r.URL.Query()["uris"]
	if len(uris) == 0 || len(uris) > 25 {
		return nil, invalid("Error: uris must not have more than 25 elements")
	}
	found := []map[string]any{}
	for _, uri := range uris {
		p := n.posts[uri]
		if p == nil || n.isGone(p.did) || n.hidden[uri] {
			continue
		}
		found = append(found, map[string]any{
			"uri": p.uri, "cid": p.cid, "author": n.profile(p.did), "record": p.record, "indexedAt": timestamp(p.indexed),
			"bookmarkCount": 0, "likeCount": 3, "replyCount": 2, "repostCount": 1, "quoteCount": 0, "labels": []any{},
		})
	}
	return map[string]any{"posts": found}, nil
}

func (n *Network) isGone(did string) bool {
	return n.accounts[did] != nil && n.accounts[did].gone != ""
}

// listNotifications lists posts that speak to an account, the newest first: by when they say to be written, where that is before they came, as
// the real one sorts them. A cursor is the moment of the last one and its address.
func (n *Network) listNotifications(did string, r *http.Request) (any, *refusal) {
	query := r.URL.Query()
	limit, refused := limitOf(query)
	if refused != nil {
		return nil, refused
	}
	wanted := query["reasons"]
	before := query.Get("cursor")
	if before != "" && !strings.Contains(before, "::") {
		return nil, invalid("Malformed cursor")
	}
	type noted struct {
		*post
		key, reason string
		at          time.Time
	}
	var all []noted
	for _, uri := range n.order {
		p := n.posts[uri]
		reason := reasonFor(did, p)
		if reason == "" || n.isGone(p.did) || len(wanted) > 0 && !slices.Contains(wanted, reason) {
			continue
		}
		at := p.sorted()
		if key := timestamp(at) + "::" + CID([]byte(uri)); before == "" || key < before {
			all = append(all, noted{post: p, key: key, reason: reason, at: at})
		}
	}
	slices.SortFunc(all, func(a, b noted) int { return strings.Compare(b.key, a.key) })
	answer := map[string]any{"priority": false, "seenAt": timestamp(n.options.Now())}
	if len(all) > limit {
		all = all[:limit]
		answer["cursor"] = all[limit-1].key // the last page has none
	}
	list := []map[string]any{}
	for _, p := range all {
		list = append(list, map[string]any{
			"uri": p.uri, "cid": p.cid, "author": n.profile(p.did), "reason": p.reason, "record": p.record, "isRead": false,
			"indexedAt": timestamp(p.at), "labels": []any{},
		})
	}
	answer["notifications"] = list
	return answer, nil
}

// sorted is where a post stands among notifications.
func (p *post) sorted() time.Time {
	if p.said.CreatedAt.Before(p.indexed) {
		return p.said.CreatedAt
	}
	return p.indexed
}

func limitOf(query url.Values) (int, *refusal) {
	text := query.Get("limit")
	if text == "" {
		return 50, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > 100 {
		return 0, invalid("Error: limit can not be greater than 100")
	}
	return limit, nil
}

// said is what of a record tells whom it is for, and when.
type said struct {
	CreatedAt time.Time
	Reply     struct{ Parent, Root struct{ URI string } }
	Embed     struct {
		Record struct {
			URI    string
			Record struct{ URI string }
		}
	}
	Facets []struct{ Features []struct{ DID string } }
}

// reasonFor tells why a post is for an account, or "".
func reasonFor(did string, p *post) string {
	own := "at://" + did + "/"
	switch {
	case p.did == did:
		return ""
	case strings.HasPrefix(p.said.Reply.Parent.URI, own), strings.HasPrefix(p.said.Reply.Root.URI, own):
		return "reply"
	case strings.HasPrefix(p.said.Embed.Record.URI, own), strings.HasPrefix(p.said.Embed.Record.Record.URI, own):
		return "quote"
	}
	for _, f := range p.said.Facets {
		for _, feature := range f.Features {
			if feature.DID == did {
				return "mention"
			}
		}
	}
	return ""
}
