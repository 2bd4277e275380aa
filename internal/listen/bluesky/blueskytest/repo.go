package blueskytest

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/rivo/uniseg"
)

// What a post may have (app.bsky.feed.post, app.bsky.embed.images).
const (
	maxGraphemes = 300
	maxBytes     = 3000
	maxImages    = 4
	maxImage     = 1_000_000
)

// blob is what was uploaded.
type blob struct {
	did, mime string
	size      int
}

// Posted is a post as its repository has it.
type Posted struct {
	URI, CID string
	Record   json.RawMessage
}

// Posted are the posts of an account, in the order in which they came.
func (n *Network) Posted(did string) []Posted {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []Posted
	for _, uri := range n.order {
		if p := n.posts[uri]; p.did == did {
			all = append(all, Posted{URI: uri, CID: p.cid, Record: p.record})
		}
	}
	return all
}

// written is what of a post a server checks before it is written.
type written struct {
	Type      string `json:"$type"`
	Text      *string
	CreatedAt string
	Facets    []struct {
		Index    struct{ ByteStart, ByteEnd int }
		Features []struct {
			Type string `json:"$type"`
			URI  string
			DID  string
			Tag  string
		}
	}
	Reply *struct{ Root, Parent struct{ URI, CID string } }
	Embed *struct {
		Type   string `json:"$type"`
		Images []struct {
			Alt   *string
			Image struct {
				Type string `json:"$type"`
				Ref  struct {
					Link string `json:"$link"`
				}
				MimeType string
				Size     int
			}
		}
	}
}

var keyPattern = regexp.MustCompile(`^[A-Za-z0-9._:~-]{1,512}$`)

// createRecord writes a post. Under a key that is taken it fails as the real one does, which is not by a name.
func (n *Network) createRecord(did string, r *http.Request) (any, *refusal) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	var asked struct {
		Repo, Collection, Rkey string
		Record                 json.RawMessage
	}
	if mime, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); mime != "application/json" || err != nil || json.Unmarshal(body, &asked) != nil {
		return nil, invalid("Wrong request encoding")
	}
	a := n.accounts[did]
	switch {
	case asked.Repo != did && asked.Repo != a.Handle:
		return nil, &refusal{http.StatusUnauthorized, "AuthenticationRequired", "Authentication Required"}
	case a.gone == "takendown":
		return nil, &refusal{http.StatusUnauthorized, "AccountTakedown", "Account has been taken down"}
	case a.gone != "":
		return nil, &refusal{http.StatusBadRequest, "AccountDeactivated", "Account is deactivated"}
	case asked.Collection != postCollection:
		return nil, invalid("Error: only posts are known here")
	}
	if asked.Rkey == "" {
		asked.Rkey = n.rev()
	}
	var record map[string]any
	if !keyPattern.MatchString(asked.Rkey) || json.Unmarshal(asked.Record, &record) != nil {
		return nil, invalid("Invalid %s record", postCollection)
	}
	if why := n.checkRecord(did, asked.Record); why != "" {
		return nil, invalid("Invalid %s record: %s", postCollection, why)
	}
	uri := "at://" + did + "/" + postCollection + "/" + asked.Rkey
	if _, there := n.posts[uri]; there {
		return nil, &refusal{http.StatusInternalServerError, "InternalServerError", "Internal Server Error"}
	}
	n.put(uri, did, asked.Rkey, "create", record)
	n.order = append(n.order, uri)
	return map[string]any{
		"uri": uri, "cid": n.posts[uri].cid, "validationStatus": "valid", "commit": map[string]any{"cid": n.posts[uri].cid, "rev": n.rev()},
	}, nil
}

// checkRecord checks a post as its lexicon has it; "" for one that is right.
func (n *Network) checkRecord(did string, data json.RawMessage) string {
	var w written
	if json.Unmarshal(data, &w) != nil || w.Type != postCollection || w.Text == nil {
		return `Record must have the property "text"`
	}
	switch _, err := time.Parse(time.RFC3339, w.CreatedAt); {
	case err != nil:
		return "Record/createdAt must be an valid atproto datetime"
	case len(*w.Text) > maxBytes:
		return "Record/text must not be longer than 3000 characters"
	case uniseg.GraphemeClusterCount(*w.Text) > maxGraphemes:
		return "Record/text must not be longer than 300 graphemes"
	}
	if why := w.checkLinks(); why != "" {
		return why
	}
	if w.Embed != nil {
		return n.checkImages(did, &w)
	}
	return ""
}

// checkLinks checks what a post points to.
func (w *written) checkLinks() string {
	for _, f := range w.Facets {
		if f.Index.ByteStart < 0 || f.Index.ByteEnd <= f.Index.ByteStart || f.Index.ByteEnd > len(*w.Text) || len(f.Features) == 0 {
			return "Record/facets is out of the text"
		}
	}
	if w.Reply != nil && (w.Reply.Root.URI == "" || w.Reply.Root.CID == "" || w.Reply.Parent.URI == "" || w.Reply.Parent.CID == "") {
		return `Record/reply must have the property "cid"`
	}
	return ""
}

func (n *Network) checkImages(did string, w *written) string {
	if w.Embed.Type != "app.bsky.embed.images" || len(w.Embed.Images) == 0 || len(w.Embed.Images) > maxImages {
		return "Record/embed/images must not have more than 4 elements"
	}
	for _, i := range w.Embed.Images {
		b, there := n.blobs[i.Image.Ref.Link]
		switch {
		case i.Alt == nil:
			return `Record/embed/images must have the property "alt"`
		case !there || b.did != did || i.Image.Type != "blob":
			return "Could not find blob: " + i.Image.Ref.Link
		case b.mime != i.Image.MimeType || b.size != i.Image.Size || b.size > maxImage || !strings.HasPrefix(b.mime, "image/"):
			return "Referenced blob does not match"
		}
	}
	return ""
}

func (n *Network) getRecord(_ string, r *http.Request) (any, *refusal) {
	query := r.URL.Query()
	if query.Get("repo") == "" || query.Get("collection") == "" || query.Get("rkey") == "" {
		return nil, invalid("Error: Params must have the property \"repo\"")
	}
	uri := "at://" + query.Get("repo") + "/" + query.Get("collection") + "/" + query.Get("rkey")
	p := n.posts[uri]
	if p == nil || n.isGone(p.did) {
		return nil, &refusal{http.StatusBadRequest, "RecordNotFound", "Could not locate record: " + uri}
	}
	return map[string]any{"uri": p.uri, "cid": p.cid, "value": p.record}, nil
}

func (n *Network) uploadBlob(did string, r *http.Request) (any, *refusal) {
	mime, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	data, err := io.ReadAll(io.LimitReader(r.Body, 50<<20))
	if err != nil || mime == "" || len(data) == 0 {
		return nil, invalid("Request encoding (Content-Type) required but not provided")
	}
	sum := sha256.Sum256(data)
	raw := append([]byte{0x01, 0x55, 0x12, 0x20}, sum[:]...)
	link := "b" + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw))
	if seen := http.DetectContentType(data); strings.HasPrefix(seen, "image/") {
		mime = seen // the real one looks into it too
	}
	n.blobs[link] = blob{did: did, mime: mime, size: len(data)}
	return map[string]any{"blob": map[string]any{"$type": "blob", "ref": map[string]any{"$link": link}, "mimeType": mime, "size": len(data)}}, nil
}

func (n *Network) resolveHandle(_ string, r *http.Request) (any, *refusal) {
	handle := strings.ToLower(r.URL.Query().Get("handle"))
	for _, a := range n.accounts {
		if a.Handle == handle && a.gone == "" {
			return map[string]any{"did": a.DID}, nil
		}
	}
	return nil, invalid("Unable to resolve handle")
}
