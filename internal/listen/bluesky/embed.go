package bluesky

import (
	"strings"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// embed is what a post holds besides its text: pictures, a video, the card of a page, another post, or that with one of the others.
type embed struct {
	Type     string    `json:"$type"`
	Images   []picture `json:"images"`
	Video    blob      `json:"video"`
	Alt      string    `json:"alt"` // of the video
	External struct {
		URI string `json:"uri"`
	} `json:"external"`
	Record struct {
		URI    string    `json:"uri"`
		Record reference `json:"record"` // with media
	} `json:"record"`
	Media *media `json:"media"`
}

// media is what stands beside a quoted post.
type media struct {
	Type     string    `json:"$type"`
	Images   []picture `json:"images"`
	Video    blob      `json:"video"`
	Alt      string    `json:"alt"`
	External struct {
		URI string `json:"uri"`
	} `json:"external"`
}

type picture struct {
	Alt   string `json:"alt"`
	Image blob   `json:"image"`
}

// blob is a file of a repository, named by what it holds.
type blob struct {
	Ref struct {
		Link string `json:"$link"`
	} `json:"ref"`
	CID string `json:"cid"` // as it was written in 2023
}

func (b blob) cid() string {
	for _, id := range []string{b.Ref.Link, b.CID} {
		if id != "" && len(id) <= 128 && onlyOf([]byte(id), "") {
			return id
		}
	}
	return ""
}

// The kinds of embeds.
const (
	embedImages    = "app.bsky.embed.images"
	embedVideo     = "app.bsky.embed.video"
	embedExternal  = "app.bsky.embed.external"
	embedRecord    = "app.bsky.embed.record"
	embedWithMedia = "app.bsky.embed.recordWithMedia"
)

func (e *embed) read(author string, p *listen.Post, named *mentions) {
	quoted := ""
	switch e.Type {
	case embedRecord:
		quoted = e.Record.URI
	case embedWithMedia:
		quoted = e.Record.Record.URI
		if e.Media != nil {
			e.Media.read(author, p)
		}
	default:
		(&media{Type: e.Type, Images: e.Images, Video: e.Video, Alt: e.Alt, External: e.External}).read(author, p)
	}
	// A list, a feed or a starter pack is embedded likewise, and is no quote.
	if did, _, ok := splitPostID(quoted); ok {
		p.Kind, p.Subject = listen.Quote, quoted
		named.add(did)
	}
}

// read makes links of media. The network's own servers for pictures and videos have them by author and content.
func (m *media) read(author string, p *listen.Post) {
	switch m.Type {
	case embedImages:
		for _, picture := range m.Images {
			if cid := picture.Image.cid(); cid != "" && len(p.Media) < listen.MaxMembers {
				p.Media = append(p.Media, listen.Media{
					Type: listen.Image, URL: "https://cdn.bsky.app/img/feed_fullsize/plain/" + author + "/" + cid + "@jpeg", Description: picture.Alt,
				})
			}
		}
	case embedVideo:
		if cid := m.Video.cid(); cid != "" {
			p.Media = append(p.Media, listen.Media{
				Type: listen.Video, Description: m.Alt,
				URL: "https://video.bsky.app/watch/" + strings.ReplaceAll(author, ":", "%3A") + "/" + cid + "/playlist.m3u8",
			})
		}
	case embedExternal:
		if m.External.URI != "" && len(p.Links) < listen.MaxMembers {
			p.Links = append(p.Links, m.External.URI)
		}
	}
}
