package bluesky

import (
	"context"
	"encoding/json"
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
	if why := flaw(i); why != "" {
		return post.Settle(deliver.Refused, why, posted), nil
	}
	written := texts(&i.Post)
	thread, stop := p.thread(ctx, i)
	if stop != nil {
		return stop.End(posted)
	}
	for n := len(posted); n < len(written); n++ {
		reference, stop := p.publish(ctx, i, n, written[n], thread.answer(posted))
		if stop != nil {
			return stop.End(posted)
		}
		posted = append(posted, reference)
	}
	return post.Settle(deliver.Accepted, "", posted), nil
}

// flaw tells why an intent cannot be published here.
func flaw(i *post.Intent) string {
	if why := post.Flaw(i); why != "" {
		return why
	}
	if v := i.Post.Visibility; v == post.Followers || v == post.Direct {
		return "the network shows every post to everybody: a post for " + strings.ToLower(string(v)) + " cannot be published there"
	}
	return limits.Check(&i.Post, texts(&i.Post))
}

// thread is where an intent's parts hang.
type thread struct {
	answered *reply // what the first part says it answers; nil for none
}

// answer is what the part behind those that are there answers.
func (t thread) answer(posted []post.Reference) *reply {
	if len(posted) == 0 {
		return t.answered
	}
	first, last := strong{posted[0].ID, posted[0].CID}, strong{posted[len(posted)-1].ID, posted[len(posted)-1].CID}
	if t.answered != nil {
		first = t.answered.Root
	}
	return &reply{Root: first, Parent: last}
}

// thread asks for what an intent answers: it has to be there, and it knows its thread's first post. The rest of a thread hangs on what is
// there of it.
func (p *Publisher) thread(ctx context.Context, i *post.Intent) (thread, *wire.Stop) {
	uri := ""
	switch {
	case len(i.Posted) == len(i.Post.Parts):
	case len(i.Posted) > 0:
		uri = i.Posted[0].ID
	case i.Post.ReplyTo != nil:
		uri = i.Post.ReplyTo.ID
	}
	if uri == "" {
		return thread{}, nil
	}
	parent, found, stop := p.get(ctx, uri)
	switch {
	case stop != nil:
		return thread{}, stop
	case !found:
		return thread{}, wire.Refused("the post that is answered was deleted, or its author's account was")
	}
	at := &reply{Root: parent.strong, Parent: parent.strong}
	var above struct {
		Reply *reply `json:"reply"`
	}
	if json.Unmarshal(parent.Value, &above) == nil && above.Reply != nil && isPost(above.Reply.Root.URI) && above.Reply.Root.CID != "" {
		at.Root = above.Reply.Root
	}
	return thread{answered: at}, nil
}

// publish writes a part into our repository.
func (p *Publisher) publish(ctx context.Context, i *post.Intent, n int, text string, answers *reply) (post.Reference, *wire.Stop) {
	if stop := p.client.Rest(createPath); stop != nil {
		return post.Reference{}, stop
	}
	r := record{Type: collection, Text: text, CreatedAt: moment(i, n), Reply: answers}
	if i.Post.Language != "" {
		r.Langs = []string{i.Post.Language}
	}
	var stop *wire.Stop
	if r.Facets, stop = p.facets(ctx, i, text); stop != nil {
		return post.Reference{}, stop
	}
	if r.Embed, stop = p.upload(ctx, i.Post.Parts[n].Images); stop != nil {
		return post.Reference{}, stop
	}
	s, stop := p.login(ctx, "")
	if stop != nil {
		return post.Reference{}, stop
	}
	data, err := json.Marshal(map[string]any{"repo": s.DID, "collection": collection, "rkey": keyOf(i.ID, i.At, n), "record": r})
	if err != nil {
		return post.Reference{}, wire.Refused("the post cannot be written as JSON")
	}
	a, stop, err := p.ask(ctx, wire.Request{Method: http.MethodPost, Path: createPath, Body: data, ContentType: "application/json", Completes: true})
	if stop == nil {
		stop = p.client.Lost(stageOf(createPath), err)
	}
	if stop != nil {
		return post.Reference{}, stop
	}
	return p.judge(ctx, a, i, n)
}

// judge tells what an answer to a post means.
func (p *Publisher) judge(ctx context.Context, a *wire.Answer, i *post.Intent, n int) (post.Reference, *wire.Stop) {
	var w strong
	words := said(a).words(a.Status)
	switch {
	case a.Status/100 == 2 && a.Cut == nil && json.Unmarshal(a.Body, &w) == nil && isPost(w.URI) && w.CID != "":
		return reference(w), nil
	case a.Status/100 == 2:
		return post.Reference{}, coded(a, wire.Unknown(0, "the server took the post, and what it answers cannot be read"))
	case a.Status/100 == 3:
		return post.Reference{}, wire.Troubled(p.client.Moved(stageOf(createPath), a))
	case a.Status == http.StatusTooManyRequests:
		return post.Reference{}, coded(a, wire.Deferred(a.Wait(p.client.Now()), "%s", words))
	case !isRefusal(a.Status):
		return post.Reference{}, coded(a, wire.Unknown(a.Wait(p.client.Now()), "%s", words))
	}
	if trouble := p.ofAccount(createPath, a); trouble != nil {
		return post.Reference{}, wire.Troubled(trouble)
	}
	// Another server may refuse in this way what it has under the key already.
	switch found, there, stop := p.ours(ctx, i, n); {
	case stop != nil && stop.Outcome == deliver.Refused:
		return post.Reference{}, stop
	case stop != nil:
		return post.Reference{}, coded(a, wire.Unknown(stop.RetryIn, "%s", words))
	case there:
		return found, nil
	}
	return post.Reference{}, coded(a, wire.Refused("%s", words))
}

// reference is a post of ours, by who knows it.
func reference(w strong) post.Reference {
	did, key, _ := split(w.URI)
	return post.Reference{ID: w.URI, CID: w.CID, URL: "https://bsky.app/profile/" + did + "/post/" + key}
}
