package mastodon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
)

// Publish implements post.Publisher.
func (p *Publisher) Publish(ctx context.Context, i *post.Intent) (post.Result, error) {
	posted := slices.Clone(i.Posted)
	if why := post.Flaw(i); why != "" {
		return post.Settle(deliver.Refused, why, posted), nil
	}
	d, stop := p.draft(ctx, i)
	if stop != nil {
		return stop.End(posted)
	}
	for n := len(posted); n < len(d.texts); n++ {
		reference, stop := p.publish(ctx, d, n, posted)
		if stop != nil {
			return stop.End(posted)
		}
		posted = append(posted, reference)
	}
	return post.Settle(deliver.Accepted, "", posted), nil
}

// draft is an intent as this server takes it.
type draft struct {
	intent     *post.Intent
	texts      []string
	answers    string // the id of what the first part answers
	visibility post.Visibility
}

// draft asks for what an intent answers and checks it against the server's limits. Nothing is sent of what does not fit whole.
func (p *Publisher) draft(ctx context.Context, i *post.Intent) (*draft, *wire.Stop) {
	k, stop := p.know(ctx)
	if stop != nil {
		return nil, stop
	}
	d := &draft{intent: i, visibility: post.Narrower(i.Post.Visibility, post.Public)}
	mentions, under := i.Post.Mentions, ""
	if to := i.Post.ReplyTo; to != nil {
		d.answers, d.visibility = to.ID, post.Narrower(i.Post.Visibility, to.Visibility)
		under = to.ID
	}
	if n := len(i.Posted); n > 0 { // the rest of a thread is seen by no more people than its beginning
		under = i.Posted[n-1].ID
	}
	if under != "" && len(i.Posted) < len(i.Post.Parts) {
		parent, stop := p.parent(ctx, under)
		if stop != nil {
			return nil, stop
		}
		d.visibility = post.Narrower(d.visibility, parent.visibility())
		if parent.Account.Acct != k.acct { // nobody is told of an answer that does not name them
			mentions = append([]post.Mention{{Handle: parent.Account.Acct}}, mentions...)
		}
	}
	for n, part := range i.Post.Parts {
		text := part.Text
		if n == 0 {
			text = Address(text, mentions)
		}
		d.texts = append(d.texts, text)
	}
	limits := k.limits
	limits.Count = func(text string) int { return count(text, k.perURL) + post.Graphemes(i.Post.Warning) }
	if why := limits.Check(&i.Post, d.texts); why != "" {
		return nil, wire.Refused("%s", why)
	}
	return d, nil
}

// Address puts the names before a text that it lacks, as an answer's are.
func Address(text string, mentions []post.Mention) string {
	there := map[string]bool{}
	for _, e := range post.Entities(text) {
		if e.Kind == post.Name {
			there[strings.ToLower(e.Value)] = true
		}
	}
	var names strings.Builder
	for _, m := range mentions {
		if name := strings.ToLower(m.Handle); name != "" && !there[name] && isName(name) {
			there[name] = true
			names.WriteString("@" + m.Handle + " ")
		}
	}
	return names.String() + text
}

// isName tells whether a handle can stand in a text as a name: a server may say anything.
func isName(handle string) bool {
	found := post.Entities("@" + handle)
	return len(handle) < 320 && len(found) == 1 && found[0].Kind == post.Name && found[0].Value == handle
}

// parent asks for what is answered. Some servers would publish an answer to nothing as a post of its own.
func (p *Publisher) parent(ctx context.Context, id string) (*status, *wire.Stop) {
	if !isID(id) {
		return nil, wire.Refused("what is answered has no id of this server")
	}
	s := &status{}
	_, stop := p.read(ctx, "/api/v1/statuses/"+id, nil, s)
	switch {
	case stop != nil && isGone(stop.Code):
		return nil, wire.Refused("the post that is answered was deleted, or is not shown to the account any more")
	case stop != nil:
		return nil, stop
	case s.ID != id:
		return nil, wire.Deferred(0, "the server shows another post than the one that is answered")
	}
	return s, nil
}

// body is what is posted.
type body struct {
	Status     string   `json:"status"`
	InReplyTo  string   `json:"in_reply_to_id,omitempty"`
	Media      []string `json:"media_ids,omitempty"`
	Sensitive  bool     `json:"sensitive,omitempty"`
	Spoiler    string   `json:"spoiler_text,omitempty"`
	Visibility string   `json:"visibility"`
	Language   string   `json:"language,omitempty"`
}

var visibilities = map[post.Visibility]string{post.Public: "public", post.Unlisted: "unlisted", post.Followers: "private", post.Direct: "direct"}

// publish publishes a part, behind those that are there.
func (p *Publisher) publish(ctx context.Context, d *draft, n int, posted []post.Reference) (post.Reference, *wire.Stop) {
	const path = "/api/v1/statuses"
	i := d.intent
	if stop := p.client.Rest(path); stop != nil {
		return post.Reference{}, stop
	}
	media, stop := p.upload(ctx, i.Post.Parts[n].Images)
	if stop != nil {
		return post.Reference{}, stop
	}
	b := body{
		Status: d.texts[n], InReplyTo: d.replyTo(n, posted), Media: media, Spoiler: i.Post.Warning, Sensitive: i.Post.Warning != "" && len(media) > 0,
		Visibility: visibilities[d.visibility],
	}
	b.Language, _, _ = strings.Cut(i.Post.Language, "-")
	data, err := json.Marshal(b)
	if err != nil {
		return post.Reference{}, wire.Refused("the post cannot be written as JSON")
	}
	a, err := p.client.Do(ctx, wire.Request{
		Method: http.MethodPost, Path: path, Token: p.o.Token, Body: data, ContentType: "application/json",
		Header: map[string]string{"Idempotency-Key": key(i.ID, n)}, Completes: true,
	})
	if stop := p.client.Lost("POST "+path, err); stop != nil {
		return post.Reference{}, stop
	}
	return p.judge(ctx, a, b.InReplyTo != "")
}

// replyTo is the id of what a part answers; "" for none.
func (d *draft) replyTo(n int, posted []post.Reference) string {
	if n == 0 {
		return d.answers
	}
	return posted[n-1].ID
}

// key is what a server that keeps such keys knows a part by. It tells nothing of the intent.
func key(id string, n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "tertulia post %s part %d", id, n))
	return hex.EncodeToString(sum[:16])
}

// judge tells what an answer to a post means.
func (p *Publisher) judge(ctx context.Context, a *wire.Answer, answers bool) (post.Reference, *wire.Stop) {
	var s status
	words := wire.Words(a.Status, said(a))
	switch {
	case a.Status/100 == 2 && a.Cut == nil && json.Unmarshal(a.Body, &s) == nil && isID(s.ID):
		return s.reference(), nil
	case a.Status/100 == 2:
		return post.Reference{}, coded(a, wire.Unknown(0, "the server took the post, and what it answers cannot be read"))
	case a.Status/100 == 3, a.Status == http.StatusUnauthorized:
		p.forget()
		return post.Reference{}, p.halt("POST /api/v1/statuses", a, nil)
	case a.Status == http.StatusForbidden:
		return post.Reference{}, p.forbidden(ctx, a, words)
	case a.Status == http.StatusTooManyRequests:
		return post.Reference{}, coded(a, wire.Deferred(a.Wait(p.client.Now()), "%s", words))
	case a.Status >= 500, a.Status == http.StatusRequestTimeout, a.Status == http.StatusConflict, a.Status == http.StatusTooEarly:
		return post.Reference{}, coded(a, wire.Unknown(a.Wait(p.client.Now()), "%s", words))
	case answers && isGone(a.Status):
		return post.Reference{}, coded(a, wire.Refused("the post that is answered was deleted, or is not shown to the account any more: %s", words))
	case isGone(a.Status): // a server that keeps keys says so of a post that was there
		return post.Reference{}, coded(a, wire.Refused("the server had this post already, and somebody has deleted it: %s", words))
	}
	return post.Reference{}, coded(a, wire.Refused("%s", words))
}

func isGone(status int) bool { return status == http.StatusNotFound || status == http.StatusGone }

func coded(a *wire.Answer, s *wire.Stop) *wire.Stop {
	s.Code = a.Status
	return s
}

// forbidden tells whether a 403 is about the account or about this post: the account is asked for again.
func (p *Publisher) forbidden(ctx context.Context, a *wire.Answer, words string) *wire.Stop {
	p.forget()
	if strings.Contains(strings.ToLower(words), "scope") {
		return p.halt("POST /api/v1/statuses", a, nil)
	}
	if _, stop := p.know(ctx); stop != nil && stop.Trouble != nil {
		return stop
	}
	return coded(a, wire.Refused("%s", words))
}
