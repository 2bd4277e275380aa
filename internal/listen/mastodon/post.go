package mastodon

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/identity"
	"github.com/tertulia-crm/tertulia/internal/listen"
)

// post translates what a server calls a status. domain is that of accounts whose names have none.
func (s *status) post(domain string) listen.Post {
	p := listen.Post{
		ID: s.ID, Kind: listen.Original, URL: s.URL, Author: s.Account.account(domain), CreatedAt: parseTime(s.CreatedAt),
		Language: s.Language, Visibility: visibility(s.Visibility), Parent: s.InReplyTo,
		Revision: s.revision(), EditedAt: parseTime(s.EditedAt),
	}
	if p.URL == "" {
		p.URL = s.URI
	}
	for _, m := range s.Mentions {
		p.Mentions = append(p.Mentions, listen.Account{ID: m.ID, Handle: handle(m.Acct, domain), URL: m.URL})
	}
	if s.Reblog != nil {
		p.Kind, p.Subject, p.URL = listen.Repost, s.Reblog.ID, s.Reblog.URL
		p.Mentions = []listen.Account{s.Reblog.Account.account(domain)}
		return p
	}
	p.Title = s.SpoilerText
	p.Text, p.Links = readContent(s.Content)
	switch {
	case s.Quote != nil && s.Quote.subject() != "":
		p.Kind, p.Subject = listen.Quote, s.Quote.subject()
		if quoted := s.Quote.Status; quoted != nil {
			p.Mentions = append(p.Mentions, quoted.Account.account(domain))
		}
	case p.Parent != "":
		p.Kind = listen.Reply
	}
	if s.Poll != nil {
		for _, o := range s.Poll.Options {
			p.Text += "\n" + o.Title
		}
	}
	for _, t := range s.Tags {
		p.Tags = append(p.Tags, t.Name)
	}
	for _, m := range s.Media {
		p.Media = append(p.Media, m.media())
	}
	p.Engagement = &listen.Engagement{Likes: s.Favourites, Reposts: s.Reblogs, Replies: s.Replies}
	return p
}

// revision tells editions apart by the time of the last edit; "" for the first.
func (s *status) revision() string {
	return s.EditedAt[:min(len(s.EditedAt), maxNativeID)]
}

// counts tell what others did, in short. Of a boost nothing is counted.
func (s *status) counts() string {
	if s.Reblog != nil {
		return ""
	}
	return fmt.Sprintf("%d/%d/%d", s.Favourites, s.Reblogs, s.Replies)
}

// subject is the post that is quoted; "" where it may not be shown.
func (q *quote) subject() string {
	switch {
	case q.State != "" && q.State != "accepted":
		return ""
	case q.Status != nil:
		return q.Status.ID
	}
	return q.StatusID
}

// account translates an account. Its id is the server's own, because that is all that a mention of somebody has.
func (a *account) account(domain string) listen.Account {
	translated := listen.Account{
		ID: a.ID, Handle: handle(a.Acct, domain), Name: a.name(), URL: a.URL, Followers: a.Followers, CreatedAt: parseTime(a.CreatedAt), Bot: a.Bot,
	}
	if actor, err := identity.Normalize(identity.Mastodon, a.URI); err == nil {
		translated.Identifier = listen.Identifier{Type: identity.Mastodon, Value: actor}
	}
	return translated
}

// name is the display name without the server's own pictures, which stand in it as :words:.
func (a *account) name() string {
	name := a.DisplayName
	if strings.Count(name, ":") < 2 {
		return name
	}
	for _, e := range a.Emojis[:min(len(a.Emojis), listen.MaxMembers)] {
		if e.Shortcode != "" {
			name = strings.ReplaceAll(name, ":"+e.Shortcode+":", "")
		}
	}
	return strings.TrimSpace(name)
}

// handle is an account's name with its host, which a server leaves out of its own.
func handle(acct, domain string) string {
	if acct == "" || strings.Contains(acct, "@") {
		return acct
	}
	return acct + "@" + domain
}

// visibility translates who may read. What is not known is private.
func visibility(name string) listen.Visibility {
	switch name {
	case "public":
		return listen.Public
	case "unlisted":
		return listen.Unlisted
	}
	return listen.Private // private, direct, limited
}

func (m *media) media() listen.Media {
	types := map[string]listen.MediaType{"image": listen.Image, "gifv": listen.Video, "video": listen.Video, "audio": listen.Audio}
	translated := listen.Media{Type: types[m.Type], URL: m.URL, Description: m.Description}
	if translated.Type == "" {
		translated.Type = listen.Other
	}
	if translated.URL == "" {
		translated.URL = m.RemoteURL
	}
	return translated
}

// parseTime reads a time; one that cannot be read is zero.
func parseTime(text string) time.Time {
	for _, form := range []string{time.RFC3339Nano, time.DateOnly} {
		if at, err := time.Parse(form, text); err == nil {
			return at.UTC()
		}
	}
	return time.Time{}
}

// sortPosts puts posts into the order of their ids, which is that of time.
func sortPosts(posts []listen.Post) {
	slices.SortStableFunc(posts, func(a, b listen.Post) int { return compareIDs(a.ID, b.ID) })
}
