package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// epoch is a time for checks to which the time makes no difference.
var epoch = time.Unix(0, 0)

// kinds are what a post can be, and what that is to us.
var kinds = map[string]listen.Kind{
	"post": listen.Original, "reply": listen.Reply, "repost": listen.Repost, "quote": listen.Quote, "review": listen.Review,
	"message": listen.Message, "chat": listen.Message, "call": listen.Message, "article": listen.Article,
}

var visibilities = map[string]listen.Visibility{"public": listen.Public, "unlisted": listen.Unlisted, "private": listen.Private}

var mediaTypes = map[string]listen.MediaType{"image": listen.Image, "video": listen.Video, "audio": listen.Audio, "other": listen.Other}

// stars is the best rating where the sender does not say.
const stars = 5

// readPost reads a member of posts.
func readPost(f *faults, path string, raw json.RawMessage) listen.Post {
	var in post
	if !readInto(f, path, raw, &in) {
		return listen.Post{}
	}
	checkID(f, path+".id", in.ID)
	out := listen.Post{
		ID: in.ID, URL: web(f, path+".url", in.URL), Title: in.Title, Language: in.Language, Revision: in.Revision,
		CreatedAt: moment(f, path+".createdAt", in.CreatedAt), EditedAt: moment(f, path+".editedAt", in.EditedAt),
		Thread: in.Thread, Parent: in.Parent, Subject: in.Subject, Tags: in.Tags,
	}
	if in.CreatedAt == "" {
		f.add(path+".createdAt", "it is missing: write when it was written, such as 2026-11-22T10:00:00Z")
	}
	out.Kind = kindOf(f, path, &in)
	out.Visibility = visibilityOf(f, path, in.Visibility, out.Kind)
	words(f, path, &in, &out)
	if in.Author != nil {
		out.Author = readAccount(f, path+".author", in.Author)
	}
	for i := range in.Mentions[:min(len(in.Mentions), listen.MaxMembers)] {
		out.Mentions = append(out.Mentions, readAccount(f, fmt.Sprintf("%s.mentions[%d]", path, i), &in.Mentions[i]))
	}
	readMedia(f, path, &in, &out)
	if e := in.Engagement; e != nil {
		out.Engagement = &listen.Engagement{Likes: e.Likes, Reposts: e.Reposts, Replies: e.Replies, Views: e.Views}
	}
	out.Rating = readRating(f, path+".rating", in.Rating)
	if out.Revision == "" {
		out.Revision = revision(&out)
	}
	return out
}

// kindOf is what a post is: as it says, or by what it has.
func kindOf(f *faults, path string, in *post) listen.Kind {
	kind, ok := kinds[in.Kind]
	switch {
	case ok:
		return kind
	case in.Kind != "":
		f.add(path+".kind", "it is none of post, reply, repost, quote, review, message, chat, call, article")
	case in.Rating != nil:
		return listen.Review
	case in.Parent != "":
		return listen.Reply
	}
	return listen.Original
}

// visibilityOf is who may read a post: what is said to us is private unless it says otherwise.
func visibilityOf(f *faults, path, said string, kind listen.Kind) listen.Visibility {
	visibility, ok := visibilities[said]
	switch {
	case ok:
		return visibility
	case said != "":
		f.add(path+".visibility", "it is none of public, unlisted, private")
	case kind == listen.Message:
		return listen.Private
	}
	return listen.Public
}

// words takes the text, or what the HTML says.
func words(f *faults, path string, in *post, out *listen.Post) {
	out.Text, out.Links = in.Text, nil
	if in.HTML != "" {
		if in.Text != "" {
			f.add(path+".html", "there is a text too: write one of them")
		}
		out.Text, out.Links = listen.PlainText(in.HTML)
	}
	for i, link := range in.Links[:min(len(in.Links), listen.MaxMembers)] {
		out.Links = append(out.Links, web(f, fmt.Sprintf("%s.links[%d]", path, i), link))
	}
}

func readMedia(f *faults, path string, in *post, out *listen.Post) {
	for i, m := range in.Media[:min(len(in.Media), listen.MaxMembers)] {
		at := fmt.Sprintf("%s.media[%d]", path, i)
		kind, ok := mediaTypes[m.Type]
		switch {
		case !ok && m.Type != "":
			f.add(at+".type", "it is none of image, video, audio, other")
		case !ok:
			kind = listen.Other
		}
		if m.URL == "" {
			f.add(at+".url", "it is missing")
		}
		out.Media = append(out.Media, listen.Media{Type: kind, URL: web(f, at+".url", m.URL), Description: m.Description})
	}
}

// readAccount reads who somebody is. Without an id it is who has the address, the number, the page, the handle or the name: in this order.
func readAccount(f *faults, path string, in *account) listen.Account {
	a := listen.Account{
		ID: in.ID, Handle: in.Handle, Name: in.Name, URL: web(f, path+".url", in.URL), Followers: in.Followers,
		CreatedAt: moment(f, path+".createdAt", in.CreatedAt), Bot: in.Bot,
	}
	if in.ID != "" {
		checkID(f, path+".id", in.ID)
	}
	switch {
	case in.Email != "":
		a.Identifier = listen.Identifier{Type: "email", Value: in.Email}
	case in.Phone != "":
		a.Identifier = listen.Identifier{Type: "phone", Value: in.Phone}
	}
	for _, known := range []struct{ prefix, value string }{
		{"mailto:", strings.ToLower(in.Email)}, {"tel:", in.Phone}, {"", a.URL}, {"handle:", in.Handle}, {"name:", strings.ToLower(in.Name)},
	} {
		if a.ID == "" && known.value != "" {
			a.ID = known.prefix + strings.TrimSpace(known.value)
		}
	}
	return a
}

// readRating reads stars: value of best, of five where it does not say.
func readRating(f *faults, path string, in *rating) *listen.Rating {
	if in == nil {
		return nil
	}
	best := float64(stars)
	if in.Best != nil {
		best = *in.Best
	}
	switch {
	case in.Value == nil:
		f.add(path+".value", "it is missing")
		return nil
	case best <= 0 || best > 1000:
		f.add(path+".best", "it is not more than 0 and at most 1000")
	case *in.Value < 0 || *in.Value > best:
		f.add(path+".value", "it is not between 0 and the best (%s)", strconv.FormatFloat(best, 'g', 6, 64))
	}
	return &listen.Rating{Value: *in.Value, Best: best}
}

// moment reads a time. "" is none.
func moment(f *faults, path, text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		f.add(path, "it is no time as RFC 3339 writes it, such as 2026-11-22T10:00:00Z")
	}
	return t.UTC()
}

// web reads an address of the web. "" is none.
func web(f *faults, path, text string) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" || len(text) > listen.MaxURL {
		f.add(path, "it is no address that begins with https:// or http:// and has at most %d bytes", listen.MaxURL)
	}
	return text
}

// revision tells editions of a post apart where the sender does not: by what they say and, where that is told, when. One that says again
// what was said long before is another edition.
func revision(p *listen.Post) string {
	parts := []string{p.Title, p.Text, string(p.Kind), p.URL}
	if !p.EditedAt.IsZero() {
		parts = append(parts, p.EditedAt.Format(time.RFC3339Nano))
	}
	if p.Rating != nil {
		parts = append(parts, fmt.Sprint(*p.Rating))
	}
	for _, m := range p.Media {
		parts = append(parts, m.URL)
	}
	h := sha256.New()
	for _, part := range slices.Concat(parts, p.Links) {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
