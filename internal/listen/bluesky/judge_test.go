package bluesky

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen/match"
)

func newJudge(t testing.TB) *judge {
	return &judge{matcher: benchMatcher(t), own: ourDID, now: func() time.Time { return arrived }}
}

// TestJudgeReads: what keywords are compared with is all that stands in a record, wherever it stands.
func TestJudgeReads(t *testing.T) {
	for name, tt := range map[string]struct {
		record string
		want   match.Post
		ours   bool
	}{
		"text with escapes": {`{"text":"Ñ \"velo\"\n\u00e1\ud83d\udeb2 \ud800"}`, match.Post{Text: "Ñ \"velo\"\ná🚲 \uFFFD"}, false},
		"tags of two kinds": {`{"tags":["a"],"facets":[{"features":[{"tag":"b"}]}]}`, match.Post{Tags: []string{"a", "b"}}, false},
		"links of two kinds": {`{"facets":[{"features":[{"uri":"https://a.example"}]}],"embed":{"external":{"uri":"https://b.example"}}}`, match.Post{
			Links: []string{"https://a.example", "https://b.example"},
		}, false},
		"a card beside a quote": {`{"embed":{"record":{"record":{"uri":"at://did:plc:x/app.bsky.feed.post/1"}},"media":{"external":{"uri":"https://b.example"}}}}`, match.Post{
			Links: []string{"https://b.example"},
		}, false},
		"a link in an answer is none":           {`{"reply":{"parent":{"uri":"https://a.example"}}}`, match.Post{}, false},
		"a mention of us":                       {`{"facets":[{"features":[{"did":"` + ourDID + `"}]}]}`, match.Post{Mentions: []string{ourDID}}, true},
		"an answer to us":                       {`{"reply":{"parent":{"uri":"` + rootURI + `"}}}`, match.Post{}, true},
		"in a thread of ours":                   {`{"reply":{"root":{"uri":"` + rootURI + `"},"parent":{"uri":"at://did:plc:x/app.bsky.feed.post/1"}}}`, match.Post{}, true},
		"a quote of us":                         {`{"embed":{"record":{"uri":"` + rootURI + `"}}}`, match.Post{}, true},
		"of somebody whose name begins as ours": {`{"reply":{"parent":{"uri":"at://` + ourDID + `x/app.bsky.feed.post/1"}}}`, match.Post{}, false},
		"other types":                           {`{"text":["a"],"tags":{"a":1},"facets":[7,{"features":"a"},{"features":[8,{"did":9}]}],"reply":"x","embed":[1],"langs":{}}`, match.Post{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJudge(t)
			s := scanner{data: []byte(tt.record)}
			j.readRecord(&s)
			if diff := cmp.Diff(tt.want, j.post); diff != "" || j.ours != tt.ours || s.bad {
				t.Errorf("ours %t, bad %t (-want +got):\n%s", j.ours, s.bad, diff)
			}
		})
	}
}

// FuzzJudge: no message does harm, and the reading that is quick finds the text that the whole one finds.
func FuzzJudge(f *testing.F) {
	for _, record := range []string{
		`{"text":"velo","langs":["es"]}`, `{"text":"\u0076elo","facets":[{"index":{"byteStart":0,"byteEnd":4},"features":[{"did":"did:plc:x"}]}]}`,
		`{"embed":{"record":{"record":{"record":{"record":{"record":{"uri":"velo"}}}}}}}`, `{"reply":{"root":{"uri":"at://did:plc:x/y/z"}}}`,
	} {
		f.Add([]byte(record))
	}
	j := newJudge(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		j.event = event{did: []byte(anasDID), rkey: []byte("1"), record: data}
		j.wants(data)
		p, ok := readRecord(data, theirs)
		if !ok || strings.Count(strings.ToLower(string(data)), "text") != strings.Count(string(data), `"text"`) || strings.Contains(string(data), `\u`) || !json.Valid(data) {
			return // a name may be written in another way
		}
		if strings.Count(string(data), `"text"`) > 1 || p.Text != strings.ToValidUTF8(p.Text, "") || strings.Contains(p.Text, "\uFFFD") {
			return // it may be there twice; and the quick reading leaves mending to what follows
		}
		if j.post.Text != p.Text {
			t.Errorf("%q: the text is %q, and reads as %q", data, p.Text, j.post.Text)
		}
	})
}
