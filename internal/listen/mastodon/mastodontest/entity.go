package mastodontest

import (
	"html"
	"maps"
	"strings"
	"time"
)

// status is a post as the API writes it. The caller holds the lock.
func (s *Server) status(e *entry) map[string]any {
	p := e.post
	content := p.HTML
	if content == "" {
		content = "<p>" + strings.ReplaceAll(html.EscapeString(p.Text), "\n", "<br />") + "</p>"
	}
	tags := []any{}
	for _, t := range p.Tags {
		tags = append(tags, map[string]any{"name": strings.ToLower(t), "url": s.o.URL + "/tags/" + t})
	}
	mentions := []any{}
	if p.Mentions {
		mentions = append(mentions, map[string]any{"id": "1", "username": "velo", "acct": "velo", "url": s.o.URL + "/@velo"})
	}
	name, host, remote := strings.Cut(p.Author, "@")
	page := "https://" + host + "/@" + name
	if !remote {
		page = s.o.URL + "/@" + name
	}
	m := map[string]any{
		"id": e.id, "created_at": stamp(p.At), "in_reply_to_id": nil, "in_reply_to_account_id": nil, "sensitive": false, "spoiler_text": "",
		"visibility": "public", "language": "es", "uri": page + "/statuses/" + e.id, "url": page + "/" + e.id,
		"replies_count": 1, "reblogs_count": 2, "favourites_count": 3, "edited_at": nil, "content": content, "reblog": nil,
		"account": s.account(p.Author), "media_attachments": []any{}, "mentions": mentions, "tags": tags, "emojis": []any{}, "card": nil, "poll": nil,
		"filtered": []any{},
	}
	if !e.edited.IsZero() {
		m["edited_at"] = stamp(e.edited)
	}
	if p.InReplyTo != "" {
		m["in_reply_to_id"], m["in_reply_to_account_id"] = p.InReplyTo, "7"
	}
	if of := s.find(p.Reblog); of != nil {
		m["reblog"], m["content"] = s.status(of), s.status(of)["content"]
	}
	if of := s.find(p.Quote); of != nil {
		m["quote"] = map[string]any{"state": "accepted", "quoted_status": s.status(of)}
	}
	maps.Copy(m, p.Extra)
	return m
}

// account is an account as the API writes it. Its id is made of its name.
func (s *Server) account(acct string) map[string]any {
	name, host, remote := strings.Cut(acct, "@")
	if !remote {
		host = Domain
	}
	return map[string]any{
		"id": idOf(acct), "username": name, "acct": acct, "display_name": strings.ToUpper(name[:1]) + name[1:] + " :velo:", "locked": false, "bot": false,
		"created_at": "2023-04-05T00:00:00.000Z", "note": "<p>bici</p>", "uri": "https://" + host + "/users/" + name, "url": "https://" + host + "/@" + name,
		"followers_count": 42, "following_count": 7, "statuses_count": 3,
		"emojis": []any{map[string]any{"shortcode": "velo", "url": "https://" + host + "/velo.png"}}, "fields": []any{},
	}
}

func idOf(acct string) string {
	sum := 0
	for _, r := range acct {
		sum = sum*31 + int(r)
	}
	return "1" + strings.TrimLeft(stringOf(sum&0xFFFFFF), "-")
}

func stringOf(n int) string {
	const digits = "0123456789"
	if n < 10 {
		return digits[n : n+1]
	}
	return stringOf(n/10) + digits[n%10:n%10+1]
}

func (s *Server) notification(e *entry) map[string]any {
	return map[string]any{"id": e.notice, "type": "mention", "created_at": stamp(e.post.At), "account": s.account(e.post.Author), "status": s.status(e)}
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }
