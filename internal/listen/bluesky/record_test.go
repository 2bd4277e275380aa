package bluesky

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

const (
	rootURI   = "at://" + ourDID + "/app.bsky.feed.post/3root"
	parentURI = "at://did:plc:bobbobbob/app.bsky.feed.post/3parent"
	pictureID = "bafkreib2rxk3rh6kzwqcvpmwnlnnwpgyjgn4cpqz5cmkmb4oqtnmxnhlvu"
)

var arrived = time.Date(2026, 11, 22, 10, 0, 5, 0, time.UTC)

var theirs = origin{did: anasDID, rkey: "3post", cid: "bafyrei1", at: arrived}

// plainPost is what the shortest record becomes.
func plainPost(change func(*listen.Post)) *listen.Post {
	p := &listen.Post{
		ID: "at://" + anasDID + "/app.bsky.feed.post/3post", Kind: listen.Original, URL: "https://bsky.app/profile/" + anasDID + "/post/3post",
		Author: account(anasDID), CreatedAt: arrived, Revision: "bafyrei1", Visibility: listen.Public,
	}
	change(p)
	return p
}

func TestReadRecord(t *testing.T) {
	for name, tt := range map[string]struct {
		record string
		want   func(*listen.Post)
	}{
		"text, time and language": {`{"text":"Hola","createdAt":"2026-11-22T11:00:00.5+01:00","langs":["es-MX"]}`, func(p *listen.Post) {
			p.Text, p.Language, p.CreatedAt = "Hola", "es-MX", time.Date(2026, 11, 22, 10, 0, 0, 5e8, time.UTC)
		}},
		"two languages are none":                 {`{"text":"Hola","langs":["es","en"]}`, func(p *listen.Post) { p.Text = "Hola" }},
		"a time in the future":                   {`{"createdAt":"2100-01-01T00:00:00Z"}`, func(*listen.Post) {}},
		"a time that is none":                    {`{"createdAt":"yesterday"}`, func(*listen.Post) {}},
		"an old time, of what was moved here":    {`{"createdAt":"2015-01-01T00:00:00Z"}`, func(p *listen.Post) { p.CreatedAt = time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC) }},
		"who does not want to be shown everyone": {`{"labels":{"$type":"com.atproto.label.defs#selfLabels","values":[{"val":"!no-unauthenticated"}]}}`, func(p *listen.Post) { p.Visibility = listen.Unlisted }},
		"an answer": {`{"reply":{"root":{"uri":"` + rootURI + `","cid":"a"},"parent":{"uri":"` + parentURI + `","cid":"b"}}}`, func(p *listen.Post) {
			p.Kind, p.Thread, p.Parent, p.Mentions = listen.Reply, rootURI, parentURI, []listen.Account{account("did:plc:bobbobbob")}
		}},
		"an answer to what is no post": {`{"reply":{"root":{"uri":"https://a.example"},"parent":{"uri":"at://ana.example/app.bsky.feed.post/1"}}}`, func(*listen.Post) {}},
		"an answer without a root": {`{"reply":{"parent":{"uri":"` + parentURI + `"}}}`, func(p *listen.Post) {
			p.Kind, p.Thread, p.Parent, p.Mentions = listen.Reply, parentURI, parentURI, []listen.Account{account("did:plc:bobbobbob")}
		}},
		"facets": {`{"text":"Ñ @velo #bici a.example…","tags":["oculta"],"facets":[
			{"index":{"byteStart":3,"byteEnd":8},"features":[{"$type":"app.bsky.richtext.facet#mention","did":"` + ourDID + `"}]},
			{"index":{"byteStart":9,"byteEnd":14},"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"bici"}]},
			{"index":{"byteStart":15,"byteEnd":27},"features":[{"$type":"app.bsky.richtext.facet#link","uri":"https://a.example/long"}]}]}`, func(p *listen.Post) {
			p.Text, p.Tags, p.Links, p.Mentions = "Ñ @velo #bici a.example…", []string{"oculta", "bici"}, []string{"https://a.example/long"}, []listen.Account{account(ourDID)}
		}},
		"facets outside of the text": {`{"text":"Ñ","facets":[
			{"index":{"byteStart":-1,"byteEnd":1},"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"a"}]},
			{"index":{"byteStart":0,"byteEnd":3},"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"b"}]},
			{"index":{"byteStart":1,"byteEnd":1},"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"c"}]},
			{"index":{"byteStart":2,"byteEnd":1},"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"d"}]},
			{"index":{"byteStart":9223372036854775807,"byteEnd":-9223372036854775808},"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"e"}]},
			{"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"f"}]}]}`, func(p *listen.Post) { p.Text = "Ñ" }},
		"a facet within a character cuts nothing": {`{"text":"Ñ","facets":[{"index":{"byteStart":1,"byteEnd":2},"features":[{"$type":"app.bsky.richtext.facet#tag","tag":"a"}]}]}`, func(p *listen.Post) {
			p.Text, p.Tags = "Ñ", []string{"a"}
		}},
		"a mention of nobody": {`{"text":"@x","facets":[{"index":{"byteStart":0,"byteEnd":2},"features":[{"$type":"app.bsky.richtext.facet#mention","did":"x"}]}]}`, func(p *listen.Post) { p.Text = "@x" }},
		"pictures": {`{"embed":{"$type":"app.bsky.embed.images","images":[
			{"alt":"una bici","image":{"$type":"blob","ref":{"$link":"` + pictureID + `"},"mimeType":"image/jpeg","size":1}},
			{"alt":"old","image":{"cid":"bafkold","mimeType":"image/png"}},{"alt":"none","image":{"ref":{"$link":"../../x"}}}]}}`, func(p *listen.Post) {
			p.Media = []listen.Media{
				{Type: listen.Image, URL: "https://cdn.bsky.app/img/feed_fullsize/plain/" + anasDID + "/" + pictureID + "@jpeg", Description: "una bici"},
				{Type: listen.Image, URL: "https://cdn.bsky.app/img/feed_fullsize/plain/" + anasDID + "/bafkold@jpeg", Description: "old"},
			}
		}},
		"a video": {`{"embed":{"$type":"app.bsky.embed.video","alt":"caída","video":{"ref":{"$link":"` + pictureID + `"}}}}`, func(p *listen.Post) {
			p.Media = []listen.Media{{Type: listen.Video, URL: "https://video.bsky.app/watch/did%3Aplc%3Aanaanaanaanaanaanaanaana/" + pictureID + "/playlist.m3u8", Description: "caída"}}
		}},
		"the card of a page": {`{"embed":{"$type":"app.bsky.embed.external","external":{"uri":"https://velo.example/a","title":"t","description":"d"}}}`, func(p *listen.Post) {
			p.Links = []string{"https://velo.example/a"}
		}},
		"a quote": {`{"embed":{"$type":"app.bsky.embed.record","record":{"uri":"` + rootURI + `","cid":"a"}}}`, func(p *listen.Post) {
			p.Kind, p.Subject, p.Mentions = listen.Quote, rootURI, []listen.Account{account(ourDID)}
		}},
		"a list that is shown": {`{"embed":{"$type":"app.bsky.embed.record","record":{"uri":"at://` + ourDID + `/app.bsky.graph.list/1","cid":"a"}}}`, func(*listen.Post) {}},
		"a quote with a picture, in an answer to the same": {`{"reply":{"root":{"uri":"` + rootURI + `"},"parent":{"uri":"` + rootURI + `"}},"embed":{"$type":"app.bsky.embed.recordWithMedia",
			"record":{"$type":"app.bsky.embed.record","record":{"uri":"` + rootURI + `","cid":"a"}},
			"media":{"$type":"app.bsky.embed.images","images":[{"alt":"","image":{"ref":{"$link":"` + pictureID + `"}}}]}}}`, func(p *listen.Post) {
			p.Kind, p.Subject, p.Thread, p.Parent, p.Mentions = listen.Reply, rootURI, rootURI, rootURI, []listen.Account{account(ourDID)}
			p.Media = []listen.Media{{Type: listen.Image, URL: "https://cdn.bsky.app/img/feed_fullsize/plain/" + anasDID + "/" + pictureID + "@jpeg"}}
		}},
		"members of other types": {`{"text":"Hola","langs":"es","tags":7,"facets":{"a":1},"reply":[],"embed":"x","labels":null,"createdAt":5}`, func(p *listen.Post) { p.Text = "Hola" }},
		"a new kind of embed":    {`{"text":"Hola","embed":{"$type":"app.bsky.embed.hologram","hologram":{"a":[1]}}}`, func(p *listen.Post) { p.Text = "Hola" }},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := readRecord([]byte(tt.record), theirs)
			if !ok {
				t.Fatal("it cannot be read")
			}
			if diff := cmp.Diff(plainPost(tt.want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for name, record := range map[string]string{"nothing": "", "half": `{"text":"`, "a list": `[]`, "a number": `7`, "too deep": strings.Repeat(`{"embed":`, 20_000)} {
		if p, ok := readRecord([]byte(record), theirs); ok {
			t.Errorf("%s reads as %+v", name, p)
		}
	}
}

func TestReadRecordBounded(t *testing.T) {
	facet := `{"index":{"byteStart":0,"byteEnd":1},"features":[` + strings.TrimSuffix(strings.Repeat(`{"$type":"app.bsky.richtext.facet#mention","did":"did:plc:x%[1]d"},`, 50), ",") + `]}`
	var facets []string
	for i := range 2000 {
		facets = append(facets, fmt.Sprintf(facet, i))
	}
	p, ok := readRecord([]byte(`{"text":"a","facets":[`+strings.Join(facets, ",")+`]}`), theirs)
	if !ok || len(p.Mentions) != listen.MaxMembers {
		t.Errorf("of a post that names 2,000 accounts %d are kept", len(p.Mentions))
	}
}

func FuzzReadRecord(f *testing.F) {
	f.Add([]byte(`{"text":"Ñ @velo","facets":[{"index":{"byteStart":3,"byteEnd":8},"features":[{"$type":"app.bsky.richtext.facet#mention","did":"did:plc:abc"}]}]}`))
	f.Add([]byte(`{"embed":{"$type":"app.bsky.embed.recordWithMedia","record":{"record":{"uri":"at://did:plc:abc/app.bsky.feed.post/1"}},"media":{"$type":"app.bsky.embed.external","external":{"uri":"x"}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, ok := readRecord(data, theirs)
		if !ok {
			return
		}
		if !json.Valid(data) {
			t.Errorf("%q is no JSON, and is a post", data)
		}
		if refused := listen.Normalize(p, arrived); refused != "" {
			t.Errorf("%q cannot be kept: %s", data, refused)
		}
	})
}
