package feed

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"
	"time"

	"github.com/mmcdole/gofeed"
	"github.com/mmcdole/gofeed/atom"
	jsonfeed "github.com/mmcdole/gofeed/json"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// entry is one of a feed.
type entry struct {
	post    listen.Post // its EditedAt is zero: who reads knows whether it is an edit
	guid    string
	said    string    // tells what people read of it apart
	updated time.Time // as the feed says, where that is later than the post's CreatedAt
}

// key tells an entry apart from the feed's others, wherever the feed is.
func (e *entry) key() string {
	if e.guid != "" {
		return e.guid
	}
	return e.post.ID
}

// edit says when the entry became what it is. One that says again what it said long before is another edition all the same.
func (e *entry) edit(at time.Time) {
	e.post.EditedAt, e.post.Revision = at, e.said
	if !at.IsZero() {
		e.post.Revision = digest("", e.said, at.UTC().Format(time.RFC3339Nano))[:16]
	}
}

// stamp is when the entry became what it is, as the feed says.
func (e *entry) stamp() time.Time {
	if e.updated.IsZero() {
		return e.post.CreatedAt
	}
	return e.updated
}

// readEntry translates an item of a feed. Its address is where links are relative to.
func readEntry(f *gofeed.Feed, i int, at *url.URL) entry {
	item := f.Items[i]
	ofAtom, ofJSON := original(f, i)
	e := entry{guid: strings.TrimSpace(item.GUID)}
	p := &e.post
	p.Kind, p.Visibility = listen.Article, listen.Public
	p.URL = resolve(at, item.Link)
	p.Title, _ = listen.PlainText(item.Title)
	p.Text, p.Links = words(item, ofAtom, ofJSON)
	for l := range p.Links {
		p.Links[l] = resolve(at, p.Links[l])
	}
	if ofJSON != nil && ofJSON.ExternalURL != "" {
		p.Links = append(p.Links, resolve(at, ofJSON.ExternalURL))
	}
	p.Author = author(f, item, ofAtom, ofJSON, at)
	p.Language = language(f, item, ofJSON)
	p.Tags = item.Categories
	p.Media = media(item, at)
	e.readDates(item)
	e.readReply(item, at)
	e.said = revision(p)
	e.edit(time.Time{})
	return e
}

// words are what an entry says: its content, or else its summary.
func words(item *gofeed.Item, ofAtom *atom.Entry, ofJSON *jsonfeed.Item) (text string, links []string) {
	switch {
	case ofAtom != nil && ofAtom.Content != nil && (ofAtom.Content.Type == "" || ofAtom.Content.Type == "text") && ofAtom.Content.Value != "":
		return ofAtom.Content.Value, nil
	case ofJSON != nil && ofJSON.ContentHTML == "" && ofJSON.ContentText != "":
		return ofJSON.ContentText, nil
	}
	if text, links = listen.PlainText(item.Content); text != "" {
		return text, links
	}
	return listen.PlainText(item.Description)
}

func (e *entry) readDates(item *gofeed.Item) {
	if item.PublishedParsed != nil {
		e.post.CreatedAt = item.PublishedParsed.UTC()
	}
	if item.UpdatedParsed != nil {
		updated := item.UpdatedParsed.UTC()
		switch {
		case e.post.CreatedAt.IsZero():
			e.post.CreatedAt = updated
		case updated.After(e.post.CreatedAt):
			e.updated = updated
		}
	}
}

// readReply reads what an entry answers (RFC 4685), under whichever prefix.
func (e *entry) readReply(item *gofeed.Item, at *url.URL) {
	for _, elements := range item.Extensions {
		for _, reply := range elements["in-reply-to"] {
			if ref := strings.TrimSpace(reply.Attrs["ref"]); ref != "" {
				e.post.Kind, e.post.Parent = listen.Reply, nativeID(ref, at)
				return
			}
		}
	}
}

// author is who wrote an entry: a person by address, mail or name, or else the publication.
func author(f *gofeed.Feed, item *gofeed.Item, ofAtom *atom.Entry, ofJSON *jsonfeed.Item, at *url.URL) listen.Account {
	var a listen.Account
	people := item.Authors
	if len(people) == 0 {
		people = f.Authors
	}
	if len(people) > 0 && people[0] != nil {
		a.Name = strings.TrimSpace(people[0].Name)
		mail := strings.ToLower(strings.TrimSpace(people[0].Email))
		if mail != "" && !strings.HasPrefix(mail, "noreply@") && !strings.HasPrefix(mail, "no-reply@") {
			a.ID, a.Identifier = "mailto:"+mail, listen.Identifier{Type: "email", Value: mail}
		}
	}
	a.URL = resolve(at, authorPage(ofAtom, ofJSON))
	switch {
	case a.ID != "":
	case a.URL != "":
		a.ID = a.URL
	case a.Name != "":
		a.ID = "name:" + bounded(strings.ToLower(a.Name))
	default:
		a.ID, a.Name, a.URL = bounded(at.Scheme+"://"+at.Host+place(at)), f.Title, resolve(at, f.Link)
	}
	return a
}

// authorPage is the address of an entry's author, which gofeed's universal form leaves out.
func authorPage(ofAtom *atom.Entry, ofJSON *jsonfeed.Item) string {
	switch {
	case ofAtom != nil && len(ofAtom.Authors) > 0:
		return ofAtom.Authors[0].URI
	case ofJSON != nil && len(ofJSON.Authors) > 0 && ofJSON.Authors[0] != nil:
		return ofJSON.Authors[0].URL
	case ofJSON != nil && ofJSON.Author != nil:
		return ofJSON.Author.URL
	}
	return ""
}

func language(f *gofeed.Feed, item *gofeed.Item, ofJSON *jsonfeed.Item) string {
	switch {
	case ofJSON != nil && ofJSON.Language != "":
		return ofJSON.Language
	case item.DublinCoreExt != nil && len(item.DublinCoreExt.Language) > 0:
		return item.DublinCoreExt.Language[0]
	}
	return f.Language
}

// media are what an entry shows: its picture, and what is enclosed.
func media(item *gofeed.Item, at *url.URL) []listen.Media {
	var list []listen.Media
	if item.Image != nil && item.Image.URL != "" {
		list = append(list, listen.Media{Type: listen.Image, URL: resolve(at, item.Image.URL), Description: item.Image.Title})
	}
	for _, enclosure := range item.Enclosures {
		if enclosure == nil || len(list) == listen.MaxMembers {
			continue
		}
		kind := listen.Other
		switch family, _, _ := strings.Cut(enclosure.Type, "/"); strings.ToLower(family) {
		case "image":
			kind = listen.Image
		case "video":
			kind = listen.Video
		case "audio":
			kind = listen.Audio
		}
		if address := resolve(at, enclosure.URL); len(list) == 0 || address != list[0].URL {
			list = append(list, listen.Media{Type: kind, URL: address})
		}
	}
	return list
}

// identify gives an entry its id: the feed's own, where that is unique in the world as it is and else with the feed's place before it,
// because ids are unique on a host here; or one that is derived from what changes least. telling says whether an address tells entries apart.
func (e *entry) identify(at *url.URL, telling func(link string) bool) {
	p := &e.post
	switch link := p.URL; {
	case e.guid != "":
		p.ID = nativeID(e.guid, at)
	case link != "" && telling(link):
		p.ID = bounded(link)
	case p.Title != "" || p.Text != "":
		words := p.Title
		if words == "" {
			words = p.Text
		}
		p.ID = digest("derived:", p.URL, words, p.CreatedAt.Format(time.RFC3339))
	}
}

// nativeID is an id as a feed writes it, made unique on its host.
func nativeID(guid string, at *url.URL) string {
	if scheme, rest, ok := strings.Cut(guid, ":"); ok && rest != "" && isScheme(scheme) {
		return bounded(guid)
	}
	return bounded(place(at) + " " + guid)
}

// place is where a feed is on its host. A query tells feeds apart too, and can hold a key: its digest stands for it.
func place(at *url.URL) string {
	if at.RawQuery == "" {
		return at.EscapedPath()
	}
	return at.EscapedPath() + "?" + digest("", at.RawQuery)[:16]
}

func isScheme(s string) bool {
	for _, known := range []string{"http", "https", "tag", "urn", "at", "did", "mid", "cid", "info", "doi", "gid", "yt"} {
		if strings.EqualFold(s, known) {
			return true
		}
	}
	return false
}

// bounded is an id itself, or where it is too long or no plain text a digest of it.
func bounded(id string) string {
	p := listen.Post{ID: id}
	if id == "" || listen.Normalize(&p, time.Time{}) == "" {
		return id
	}
	return digest("derived:", id)
}

// digest is a name for several strings together.
func digest(prefix string, parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return prefix + hex.EncodeToString(h.Sum(nil)[:16])
}

// revision tells editions apart by what people read of them.
func revision(p *listen.Post) string {
	parts := append([]string{p.Title, p.Text, p.URL}, p.Links...)
	for _, m := range p.Media {
		parts = append(parts, m.URL)
	}
	return digest("", parts...)[:16]
}

// resolve makes an address of the web absolute, and "" of anything else.
func resolve(base *url.URL, address string) string {
	address = strings.TrimSpace(address)
	if address == "" || len(address) > listen.MaxURL {
		return ""
	}
	u, err := base.Parse(address)
	if err != nil || !isWeb(u.String(), listen.MaxURL) {
		return ""
	}
	return u.String()
}

// isWeb says that a text is an absolute address of the web of at most so many bytes.
func isWeb(address string, limit int) bool {
	u, err := url.Parse(address)
	return err == nil && len(address) <= limit && u.Hostname() != "" && u.User == nil && (u.Scheme == "http" || u.Scheme == "https")
}
