package mastodon

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

const ana = `{"id":"7","username":"ana","acct":"ana@velo.example","display_name":"Ana :velo: la bici","uri":"https://velo.example/users/ana",
	"url":"https://velo.example/@ana","followers_count":42,"created_at":"2023-04-05T00:00:00.000Z","bot":false,"emojis":[{"shortcode":"velo"}]}`

func anaAccount() listen.Account {
	followers := int64(42)
	return listen.Account{
		ID: "7", Identifier: listen.Identifier{Type: "mastodon", Value: "https://velo.example/users/ana"}, Handle: "ana@velo.example", Name: "Ana  la bici",
		URL: "https://velo.example/@ana", Followers: &followers, CreatedAt: time.Date(2023, 4, 5, 0, 0, 0, 0, time.UTC),
	}
}

func TestPost(t *testing.T) {
	at := time.Date(2026, 11, 2, 9, 30, 0, 123e6, time.UTC)
	plain := func(change func(*listen.Post)) listen.Post {
		p := listen.Post{
			ID: "115", Kind: listen.Original, URL: "https://velo.example/@ana/115", Author: anaAccount(), CreatedAt: at, Text: "Hola",
			Visibility: listen.Public, Engagement: &listen.Engagement{},
		}
		change(&p)
		return p
	}
	cases := map[string]struct {
		fields string
		want   listen.Post
	}{
		"Plain": {`"content":"<p>Hola</p>","language":null,"edited_at":null,"in_reply_to_id":null`, plain(func(*listen.Post) {})},
		"Counts": {
			`"content":"Hola","favourites_count":3,"reblogs_count":2,"replies_count":1,"language":"es"`,
			plain(func(p *listen.Post) {
				p.Language, p.Engagement = "es", &listen.Engagement{Likes: 3, Reposts: 2, Replies: 1}
			}),
		},
		"Links": {
			`"content":"<p><span class=\"h-card\"><a href=\"https://social.example/@velo\" class=\"u-url mention\">@<span>velo</span></a></span> mirad ` +
				`<a href=\"https://velo.example/2026/bici-nueva?a=1&amp;b=2\" rel=\"nofollow\"><span class=\"invisible\">https://</span>` +
				`<span class=\"ellipsis\">velo.example/2026/bici</span><span class=\"invisible\">-nueva?a=1&amp;b=2</span></a> ` +
				`<a href=\"https://other.example/tags/Velo\" class=\"mention hashtag\" rel=\"tag\">#<span>Velo</span></a></p><p>¡Ya!</p>",` +
				`"mentions":[{"id":"1","acct":"velo","url":"https://social.example/@velo"}],"tags":[{"name":"velo"}]`,
			plain(func(p *listen.Post) {
				p.Text = "@velo mirad https://velo.example/2026/bici-nueva?a=1&b=2 #Velo\n\n¡Ya!"
				p.Links, p.Tags = []string{"https://velo.example/2026/bici-nueva?a=1&b=2"}, []string{"velo"}
				p.Mentions = []listen.Account{{ID: "1", Handle: "velo@social.example", URL: "https://social.example/@velo"}}
			}),
		},
		"EditedReply": {
			`"content":"Hola","edited_at":"2026-11-02T10:00:00.000Z","in_reply_to_id":"99","in_reply_to_account_id":"7"`,
			plain(func(p *listen.Post) {
				p.Kind, p.Parent, p.Revision, p.EditedAt = listen.Reply, "99", "2026-11-02T10:00:00.000Z", at.Truncate(time.Second).Add(30*time.Minute)
			}),
		},
		"Warned": {`"content":"Hola","spoiler_text":"Sobre bicis"`, plain(func(p *listen.Post) { p.Title = "Sobre bicis" })},
		"Direct": {`"content":"Hola","visibility":"direct"`, plain(func(p *listen.Post) { p.Visibility = listen.Private })},
		"Odd":    {`"content":"Hola","visibility":"circle"`, plain(func(p *listen.Post) { p.Visibility = listen.Private })},
		"Quiet":  {`"content":"Hola","visibility":"unlisted"`, plain(func(p *listen.Post) { p.Visibility = listen.Unlisted })},
		"Poll": {
			`"content":"¿Cuál?","poll":{"id":"1","options":[{"title":"Urbana","votes_count":1},{"title":"Eléctrica"}]}`,
			plain(func(p *listen.Post) { p.Text = "¿Cuál?\nUrbana\nEléctrica" }),
		},
		"Media": {
			`"content":"Hola","media_attachments":[{"type":"image","url":"https://m.example/1.png","description":"Una bici"},{"type":"gifv","url":"https://m.example/2.mp4"},
				{"type":"unknown","url":null,"remote_url":"https://far.example/3"},{"type":"audio","url":"https://m.example/4.ogg"}]`,
			plain(func(p *listen.Post) {
				p.Media = []listen.Media{
					{Type: listen.Image, URL: "https://m.example/1.png", Description: "Una bici"},
					{Type: listen.Video, URL: "https://m.example/2.mp4"},
					{Type: listen.Other, URL: "https://far.example/3"},
					{Type: listen.Audio, URL: "https://m.example/4.ogg"},
				}
			}),
		},
		"Repost": {
			`"content":"<p>Bea dice</p>","reblog":{"id":"88","content":"<p>Bea dice</p>","url":"https://social.example/@bea/88","account":{"id":"2","acct":"bea"}}`,
			plain(func(p *listen.Post) {
				p.Kind, p.Subject, p.URL, p.Text, p.Engagement = listen.Repost, "88", "https://social.example/@bea/88", "", nil
				p.Mentions = []listen.Account{{ID: "2", Handle: "bea@social.example"}}
			}),
		},
		"Quote": {
			`"content":"<p class=\"quote-inline\">RE: <a href=\"https://social.example/@bea/88\">https://social.example/@bea/88</a></p><p>Hola</p>",
				"quote":{"state":"accepted","quoted_status":{"id":"88","content":"x","account":{"id":"2","acct":"bea"}}}`,
			plain(func(p *listen.Post) {
				p.Kind, p.Subject, p.Mentions = listen.Quote, "88", []listen.Account{{ID: "2", Handle: "bea@social.example"}}
			}),
		},
		"ShallowQuote": {`"content":"Hola","quote":{"state":"accepted","quoted_status_id":"88"}`, plain(func(p *listen.Post) { p.Kind, p.Subject = listen.Quote, "88" })},
		"QuoteRevoked": {`"content":"Hola","quote":{"state":"revoked","quoted_status_id":"88"}`, plain(func(*listen.Post) {})},
		// What a later version of the API changes may cost what was changed, and no more.
		"OtherCounts": {`"content":"Hola","favourites_count":"3","tags":"none","media_attachments":{"x":1}`, plain(func(*listen.Post) {})},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			raw := `{"id":"115","created_at":"2026-11-02T09:30:00.123Z","visibility":"public","url":"https://velo.example/@ana/115","account":` + ana + "," + tc.fields + "}"
			s, refused := parseStatus([]byte(raw))
			if refused != "" {
				t.Fatalf("refused: %s", refused)
			}
			if diff := cmp.Diff(tc.want, s.post("social.example")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseStatusRefuses(t *testing.T) {
	cases := map[string]string{
		`{"content":"x"}`:                            noID,
		`{"id":"` + strings.Repeat("1", 65) + `"}`:   noID,
		`{"id":17,"content":"x"}`:                    otherForm,
		`{"id":"1","content":17}`:                    otherForm,
		`{"id":"1","content":"x","account":"ana"}`:   otherForm,
		`{"id":"1","content":"x","visibility":true}`: otherForm,
		`[]`:               otherForm,
		`"115"`:            otherForm,
		`{"id":"1"`:        otherForm,
		`null`:             noID,
		"":                 otherForm,
		"{\"id\":\"1\x00}": otherForm,
	}
	for raw, want := range cases {
		if _, refused := parseStatus([]byte(raw)); refused != want {
			t.Errorf("%.40s: refused %q, want %q", raw, refused, want)
		}
	}
}

func TestParseEvent(t *testing.T) {
	status := func(id string) *status { return &status{ID: id, Content: "x"} }
	cases := map[string]struct {
		message string
		want    event
		ok      bool
	}{
		"Update":       {`{"stream":["hashtag","velo"],"event":"update","payload":"{\"id\":\"1\",\"content\":\"x\"}"}`, event{status: status("1")}, true},
		"Edit":         {`{"stream":["list","1"],"event":"status.update","payload":"{\"id\":\"1\",\"content\":\"x\"}"}`, event{status: status("1")}, true},
		"Unwrapped":    {`{"event":"update","payload":{"id":"1","content":"x"}}`, event{status: status("1")}, true},
		"Mention":      {`{"event":"notification","payload":"{\"id\":\"9\",\"type\":\"mention\",\"status\":{\"id\":\"1\",\"content\":\"x\"}}"}`, event{status: status("1")}, true},
		"Favourite":    {`{"event":"notification","payload":"{\"id\":\"9\",\"type\":\"favourite\"}"}`, event{}, false},
		"Delete":       {`{"event":"delete","payload":"106692867363994015"}`, event{deleted: "106692867363994015"}, true},
		"DeleteNumber": {`{"event":"delete","payload":106692867363994015}`, event{deleted: "106692867363994015"}, true},
		"DeleteEmpty":  {`{"event":"delete","payload":""}`, event{}, false},
		"Filters":      {`{"stream":["user"],"event":"filters_changed"}`, event{}, false},
		"Error":        {`{"error":"Unknown stream type","status":400}`, event{failure: true}, true},
		"Nothing":      {`{}`, event{failure: true}, false},
		"Garbled":      {`{"event":`, event{refused: otherForm}, true},
		"NoStatus":     {`{"event":"notification","payload":"{\"type\":\"mention\"}"}`, event{refused: otherForm}, true},
	}
	for name, tc := range cases {
		got, ok := parseEvent([]byte(tc.message))
		if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(event{})); diff != "" || ok != tc.ok {
			t.Errorf("%s: ok is %t (-want +got):\n%s", name, ok, diff)
		}
	}
}
