package bluesky

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/deliver/wire"
)

// record is a post as it stands in a repository (app.bsky.feed.post).
type record struct {
	Type      string   `json:"$type"`
	Text      string   `json:"text"`
	CreatedAt string   `json:"createdAt"`
	Langs     []string `json:"langs,omitempty"`
	Facets    []facet  `json:"facets,omitempty"`
	Reply     *reply   `json:"reply,omitempty"`
	Embed     *embed   `json:"embed,omitempty"`
}

type reply struct {
	Root   strong `json:"root"`
	Parent strong `json:"parent"`
}

// strong names a record and its content.
type strong struct {
	URI string `json:"uri"`
	CID string `json:"cid"`
}

// facet says what a part of a text is. Its offsets count bytes of the text in UTF-8.
type facet struct {
	Index struct {
		ByteStart int `json:"byteStart"`
		ByteEnd   int `json:"byteEnd"`
	} `json:"index"`
	Features []feature `json:"features"`
}

type feature struct {
	Type string `json:"$type"`
	URI  string `json:"uri,omitempty"`
	Tag  string `json:"tag,omitempty"`
	DID  string `json:"did,omitempty"`
}

type embed struct {
	Type   string     `json:"$type"`
	Images []embedded `json:"images"`
}

type embedded struct {
	Alt   string          `json:"alt"`
	Image json.RawMessage `json:"image"`
	Ratio *ratio          `json:"aspectRatio,omitempty"`
}

type ratio struct {
	Width  int `json:"width"`
	Height int `json:"height"`
}

// texts are the parts' texts as they are published. The network has no words for a warning, so they come first.
func texts(p *post.Post) []string {
	var out []string
	for n, part := range p.Parts {
		text := part.Text
		if n == 0 && p.Warning != "" {
			text = p.Warning + "\n\n" + text
		}
		out = append(out, text)
	}
	return out
}

// moment is when a part says it was written: parts of a thread follow each other.
func moment(i *post.Intent, n int) string {
	return i.At.Add(time.Duration(n) * time.Millisecond).UTC().Format("2006-01-02T15:04:05.000Z")
}

// maxResolved is how many names are asked for that the caller did not know.
const maxResolved = 10

// facets marks addresses, tags and names. A name that belongs to nobody stays text.
func (p *Publisher) facets(ctx context.Context, i *post.Intent, text string) (found []facet, stop *wire.Stop) {
	people := map[string]string{}
	for _, m := range i.Post.Mentions {
		if didPattern.MatchString(m.ID) {
			people[strings.ToLower(m.Handle)] = m.ID
		}
	}
	resolved := 0
	for _, e := range post.Entities(text) {
		var f feature
		switch e.Kind {
		case post.Link:
			f = feature{Type: "app.bsky.richtext.facet#link", URI: e.Value}
		case post.Tag:
			f = feature{Type: "app.bsky.richtext.facet#tag", Tag: e.Value}
		case post.Name:
			handle := strings.ToLower(e.Value)
			did, known := people[handle]
			if !known && isHandle(handle) && resolved < maxResolved {
				resolved++
				if did, stop = p.resolve(ctx, handle); stop != nil {
					return nil, stop
				}
				people[handle] = did
			}
			if did == "" {
				continue
			}
			f = feature{Type: "app.bsky.richtext.facet#mention", DID: did}
		}
		one := facet{Features: []feature{f}}
		one.Index.ByteStart, one.Index.ByteEnd = e.Start, e.End
		found = append(found, one)
	}
	return found, nil
}

func isHandle(name string) bool {
	return strings.Contains(name, ".") && !strings.ContainsAny(name, "@_") && len(name) < 254
}

// resolve asks whose a handle is; "" where it is nobody's.
func (p *Publisher) resolve(ctx context.Context, handle string) (string, *wire.Stop) {
	a, stop, err := p.ask(ctx, wire.Request{Method: http.MethodGet, Path: resolvePath, Query: url.Values{"handle": {handle}}})
	if stop != nil {
		return "", stop
	}
	if err == nil && (a.Status == http.StatusBadRequest || a.Status == http.StatusNotFound) {
		return "", nil
	}
	if stop := p.halt(resolvePath, a, err); stop != nil {
		return "", stop
	}
	var whose struct {
		DID string `json:"did"`
	}
	if json.Unmarshal(a.Body, &whose) != nil || !didPattern.MatchString(whose.DID) {
		return "", nil
	}
	return whose.DID, nil
}

// upload brings a part's images to the server. Those that no record has are dropped by it.
func (p *Publisher) upload(ctx context.Context, images []post.Image) (*embed, *wire.Stop) {
	if len(images) == 0 {
		return nil, nil
	}
	e := &embed{Type: "app.bsky.embed.images"}
	for _, image := range images {
		if stop := p.client.Rest(uploadPath); stop != nil {
			return nil, stop
		}
		picture, _ := post.Inspect(image.Data)
		a, stop, err := p.ask(ctx, wire.Request{Method: http.MethodPost, Path: uploadPath, Body: image.Data, ContentType: picture.MIME})
		if stop == nil {
			stop = p.halt(uploadPath, a, err)
		}
		if stop != nil {
			return nil, stop
		}
		var uploaded struct {
			Blob json.RawMessage `json:"blob"`
		}
		if json.Unmarshal(a.Body, &uploaded) != nil || len(uploaded.Blob) == 0 {
			return nil, wire.Deferred(0, "the server takes an image and does not say its name")
		}
		one := embedded{Alt: image.Alt, Image: uploaded.Blob}
		if picture.Width > 0 && picture.Height > 0 {
			one.Ratio = &ratio{Width: picture.Width, Height: picture.Height}
		}
		e.Images = append(e.Images, one)
	}
	return e, nil
}
