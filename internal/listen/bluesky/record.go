package bluesky

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// record is a post as it stands in its author's repository (app.bsky.feed.post). Whoever keeps a repository writes there what he likes.
type record struct {
	Text      string   `json:"text"`
	CreatedAt string   `json:"createdAt"`
	Langs     []string `json:"langs"`
	Tags      []string `json:"tags"`
	Facets    []facet  `json:"facets"`
	Reply     struct {
		Root   reference `json:"root"`
		Parent reference `json:"parent"`
	} `json:"reply"`
	Embed  embed  `json:"embed"`
	Labels labels `json:"labels"`
}

// facet says what a part of a text is. Its offsets count bytes of the text in UTF-8.
type facet struct {
	Index struct {
		ByteStart int `json:"byteStart"`
		ByteEnd   int `json:"byteEnd"`
	} `json:"index"`
	Features []struct {
		Type string `json:"$type"`
		DID  string `json:"did"`
		URI  string `json:"uri"`
		Tag  string `json:"tag"`
	} `json:"features"`
}

// reference is a strong reference to a record.
type reference struct {
	URI string `json:"uri"`
}

// labels are what an author says of a post of his own.
type labels struct {
	Values []struct {
		Val string `json:"val"`
	} `json:"values"`
}

// membersOnly is the label by which an author asks not to be shown to those who have no account.
const membersOnly = "!no-unauthenticated"

// origin is what is known of a record besides what stands in it.
type origin struct {
	did, rkey, cid string
	at             time.Time // when it came to the network
}

// maxFacets is how many facets of a post are read.
const maxFacets = 256

// readRecord translates a post. It fails on what is no JSON object; of one that has members of other types than a post has, it takes the rest.
func readRecord(data []byte, o origin) (*listen.Post, bool) {
	var r record
	var mistyped *json.UnmarshalTypeError
	if err := json.Unmarshal(data, &r); err != nil && (!errors.As(err, &mistyped) || mistyped.Field == "") {
		return nil, false
	}
	p := &listen.Post{
		ID: postID(o.did, o.rkey), Kind: listen.Original, Revision: o.cid,
		URL:        "https://bsky.app/profile/" + o.did + "/post/" + o.rkey,
		Author:     account(o.did),
		CreatedAt:  o.at,
		Text:       r.Text,
		Visibility: listen.Public,
		Tags:       slices.Clone(r.Tags[:min(len(r.Tags), listen.MaxMembers)]),
	}
	if at, err := time.Parse(time.RFC3339, r.CreatedAt); err == nil && at.Before(o.at.Add(listen.Skew)) {
		p.CreatedAt = at.UTC()
	}
	if len(r.Langs) == 1 { // of several nobody says which one it is
		p.Language = r.Langs[0]
	}
	for _, l := range r.Labels.Values {
		if l.Val == membersOnly {
			p.Visibility = listen.Unlisted
		}
	}
	named := mentions{post: p}
	r.readFacets(&named)
	r.Embed.read(o.did, p, &named)
	if did, _, ok := splitPostID(r.Reply.Parent.URI); ok {
		p.Kind, p.Parent, p.Thread = listen.Reply, r.Reply.Parent.URI, r.Reply.Parent.URI
		named.add(did)
		if _, _, ok := splitPostID(r.Reply.Root.URI); ok {
			p.Thread = r.Reply.Root.URI
		}
	}
	return p, true
}

func (r *record) readFacets(named *mentions) {
	p := named.post
	for _, f := range r.Facets[:min(len(r.Facets), maxFacets)] {
		// What lies outside of the text nobody sees. The text itself is not cut by these numbers.
		if f.Index.ByteStart < 0 || f.Index.ByteStart >= f.Index.ByteEnd || f.Index.ByteEnd > len(r.Text) {
			continue
		}
		for _, feature := range f.Features[:min(len(f.Features), maxFacets)] {
			switch kind, _ := strings.CutPrefix(feature.Type, "app.bsky.richtext.facet#"); {
			case kind == "mention" && isDID([]byte(feature.DID)):
				named.add(feature.DID)
			case kind == "link" && len(p.Links) < listen.MaxMembers:
				p.Links = append(p.Links, feature.URI)
			case kind == "tag" && len(p.Tags) < listen.MaxMembers:
				p.Tags = append(p.Tags, feature.Tag)
			}
		}
	}
}

// mentions collects who is named by a post, each once.
type mentions struct {
	post *listen.Post
	seen map[string]bool
}

func (m *mentions) add(did string) {
	if m.seen[did] || len(m.post.Mentions) >= listen.MaxMembers {
		return
	}
	if m.seen == nil {
		m.seen = map[string]bool{}
	}
	m.seen[did] = true
	m.post.Mentions = append(m.post.Mentions, account(did))
}

// account is somebody of whom no more than the DID is known.
func account(did string) listen.Account {
	return listen.Account{ID: did, Identifier: listen.Identifier{Type: "bluesky", Value: did}, URL: "https://bsky.app/profile/" + did}
}
