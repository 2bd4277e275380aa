package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/listentest"
	"github.com/tertulia-crm/tertulia/internal/signature"
)

const key = "the signing key of a shop, for tests"

var now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)

// sign makes a request that is signed at a time.
func sign(t testing.TB, with string, at time.Time, body []byte) listen.Request {
	t.Helper()
	keys, err := signature.ParseKeys(with)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{"Content-Type": {"application/json"}}
	h.Set(signature.IDHeader, "msg-1")
	h.Set(signature.TimestampHeader, strconv.FormatInt(at.Unix(), 10))
	h.Set(signature.SignatureHeader, keys.Sign("msg-1", at, body))
	return listen.Request{Method: http.MethodPost, Header: h, Body: body, At: at}
}

func open(t testing.TB) *Connector {
	t.Helper()
	c, err := New(listen.Options{Source: "shop", Settings: json.RawMessage(`{}`), Credentials: map[string]string{signingKey: key}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func receive(t testing.TB, body string) (listen.Batch, error) {
	t.Helper()
	batch, response, err := open(t).Receive(context.Background(), sign(t, key, now, []byte(body)))
	if err != nil && (response.Status != http.StatusBadRequest || !strings.Contains(string(response.Body), `"error":`)) {
		t.Errorf("the error %v is answered with %d %s", err, response.Status, response.Body)
	}
	return batch, err
}

// sender is a system that posts what happens in it.
type sender struct {
	t       *testing.T
	clock   *listentest.Clock
	posts   []map[string]any // that were not told of yet
	all     map[string]map[string]any
	deleted []string
}

func (s *sender) publish(i listentest.Item) string {
	text := "text"
	if i.Markup {
		text = "html"
	}
	p := map[string]any{"id": i.Key, text: i.Text, "createdAt": i.At.Format(time.RFC3339), "author": map[string]any{"name": "Ana"}, "newer": []int{1}}
	s.posts = append(s.posts, p)
	s.all[i.Key] = p
	return i.Key
}

func (s *sender) edit(id, text string, at time.Time) {
	p := map[string]any{"id": id, "text": text, "createdAt": s.all[id]["createdAt"], "editedAt": at.Format(time.RFC3339)}
	s.posts = append(s.posts, p)
}

// hooks posts one by one: a post of a megabyte fills a request.
func (s *sender) hooks() []listen.Request {
	var requests []listen.Request
	for _, p := range s.posts {
		body, _ := json.Marshal(map[string]any{"posts": []any{p}})
		requests = append(requests, s.sign(body))
	}
	for _, id := range s.deleted {
		body, _ := json.Marshal(map[string]any{"deleted": []any{map[string]string{"id": id}}})
		requests = append(requests, s.sign(body))
	}
	s.posts, s.deleted = nil, nil
	return requests
}

func (s *sender) sign(body []byte) listen.Request { return sign(s.t, key, s.clock.Now(), body) }

func TestConformance(t *testing.T) {
	listentest.Run(t, func(t *testing.T, clock *listentest.Clock) *listentest.Network {
		s := &sender{t: t, clock: clock, all: map[string]map[string]any{}}
		return &listentest.Network{
			Open:    func(o listen.Options) (listen.Connector, error) { return New(o) },
			Options: listen.Options{Source: "shop", Settings: json.RawMessage(`{}`), Credentials: map[string]string{signingKey: key}},
			Publish: s.publish,
			Edit:    s.edit,
			Delete:  func(id string) { s.deleted = append(s.deleted, id) },
			Hooks:   s.hooks, Sign: s.sign,
			Garbage: [][]byte{
				[]byte(`{}`), []byte(`{"posts":null}`), []byte(`{"posts":{}}`), []byte(`{"posts":[null]}`), []byte(`{"posts":[{}]}`),
				[]byte(`{"deleted":[{}]}`), []byte(`{"posts":[{"id":"a\u0000b","createdAt":"2026-11-22T10:00:00Z"}]}`), []byte("{\"posts\":[{\"id\":\"\xff\"}]}"),
			},
		}
	})
}

func TestCredentials(t *testing.T) {
	for name, credentials := range map[string]map[string]string{
		"none": nil, "an empty one": {signingKey: ""}, "a short one": {signingKey: "short-s3cret"}, "another's": {"key": key},
	} {
		_, err := New(listen.Options{Source: "shop", Settings: json.RawMessage(`{}`), Credentials: credentials})
		var trouble *listen.Trouble
		if !errors.As(err, &trouble) || trouble.Reason != listen.Unauthorized || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatAPostBecomes(t *testing.T) {
	got, err := receive(t, `{"posts": [{
		"id": "r-1", "kind": "review", "url": "https://shop.example/r/1", "title": "Good", "text": "It rolls.", "language": "en",
		"createdAt": "2026-11-22T10:00:00+01:00", "editedAt": "2026-11-22T10:30:00Z", "revision": "2",
		"author": {"email": "Ana@example.com", "name": "Ana", "followers": 3},
		"rating": {"value": 4}, "tags": ["bike"], "links": ["https://velo.example/"], "mentions": [{"handle": "velo"}],
		"media": [{"type": "image", "url": "https://shop.example/1.png", "description": "a wheel"}],
		"engagement": {"likes": 2}, "thread": "t", "parent": "p", "subject": "s"
	}, {"id": "c-1", "kind": "call", "html": "<p>Hola<br>Velo</p>", "createdAt": "2026-11-22T10:00:00Z", "author": {"phone": "+34 600 000 000"}},
	{"id": "f-1", "text": "Sí", "parent": "f-0", "createdAt": "2026-11-22T10:00:00Z"}],
	"deleted": [{"id": "old"}, {"author": "gone"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	three := int64(3)
	want := listen.Batch{
		Network: "webhook:shop",
		Posts: []listen.Post{{
			ID: "r-1", Kind: listen.Review, URL: "https://shop.example/r/1", Title: "Good", Text: "It rolls.", Language: "en", Revision: "2",
			CreatedAt: now.Add(-time.Hour), EditedAt: now.Add(30 * time.Minute), Visibility: listen.Public,
			Author: listen.Account{
				ID: "mailto:ana@example.com", Identifier: listen.Identifier{Type: "email", Value: "Ana@example.com"}, Name: "Ana", Followers: &three,
			},
			Rating: &listen.Rating{Value: 4, Best: 5}, Tags: []string{"bike"}, Links: []string{"https://velo.example/"},
			Mentions:   []listen.Account{{ID: "handle:velo", Handle: "velo"}},
			Media:      []listen.Media{{Type: listen.Image, URL: "https://shop.example/1.png", Description: "a wheel"}},
			Engagement: &listen.Engagement{Likes: 2}, Thread: "t", Parent: "p", Subject: "s",
		}, {
			ID: "c-1", Kind: listen.Message, Text: "Hola\nVelo", CreatedAt: now, Visibility: listen.Private,
			Author: listen.Account{ID: "tel:+34 600 000 000", Identifier: listen.Identifier{Type: "phone", Value: "+34 600 000 000"}},
		}, {ID: "f-1", Kind: listen.Reply, Text: "Sí", Parent: "f-0", CreatedAt: now, Visibility: listen.Public}},
		Deleted: []listen.Deletion{{PostID: "old"}, {AuthorID: "gone"}},
	}
	for i := range got.Posts {
		if got.Posts[i].Revision == "" {
			t.Errorf("post %d has no revision", i)
		}
		if i > 0 {
			got.Posts[i].Revision = ""
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestFaultsNameThePath: who sends finds the place, and nothing of what was sent is repeated.
func TestFaultsNameThePath(t *testing.T) {
	const at = `"createdAt":"2026-11-22T10:00:00Z"`
	for name, tc := range map[string]struct{ body, want string }{
		"no JSON":              {`{"posts":[`, "body: it is no JSON from byte 10 on"},
		"no object":            {`["s3cret"]`, "body: it is a JSON array and should be an object"},
		"nothing":              {`{"items":[]}`, "body: it has neither posts nor deleted"},
		"no list":              {`{"posts":{"a":"s3cret"}}`, "posts: it is a JSON object and should be an array"},
		"a member that is not": {`{"posts":[{"id":"a",` + at + `},"s3cret"]}`, "posts[1]: it is a JSON string and should be an object"},
		"null":                 {`{"posts":[null]}`, "posts[0]: it is null"},
		"a mistyped id":        {`{"posts":[{"id":17,` + at + `}]}`, "posts[0].id: it is a JSON number and should be a string"},
		"no id":                {`{"posts":[{` + at + `}]}`, "posts[0].id: it has no id"},
		"a long id":            {`{"posts":[{"id":"` + strings.Repeat("s3cret", 100) + `",` + at + `}]}`, "posts[0].id: its id is too long"},
		"no time":              {`{"posts":[{"id":"a"}]}`, "posts[0].createdAt: it is missing"},
		"another time":         {`{"posts":[{"id":"a","createdAt":"s3cret"}]}`, "posts[0].createdAt: it is no time"},
		"a deep one":           {`{"posts":[{"id":"a",` + at + `,"rating":{"value":"s3cret"}}]}`, "posts[0].rating.value: it is a JSON string and should be a number"},
		"too many stars":       {`{"posts":[{"id":"a",` + at + `,"rating":{"value":6}}]}`, "posts[0].rating.value: it is not between 0 and the best (5)"},
		"stars of none":        {`{"posts":[{"id":"a",` + at + `,"rating":{"value":0,"best":0}}]}`, "posts[0].rating.best: it is not more than 0"},
		"no stars":             {`{"posts":[{"id":"a",` + at + `,"rating":{}}]}`, "posts[0].rating.value: it is missing"},
		"another kind":         {`{"posts":[{"id":"a",` + at + `,"kind":"s3cret"}]}`, "posts[0].kind: it is none of post, reply"},
		"another visibility":   {`{"posts":[{"id":"a",` + at + `,"visibility":"s3cret"}]}`, "posts[0].visibility: it is none of public"},
		"no address":           {`{"posts":[{"id":"a",` + at + `,"url":"javascript:s3cret"}]}`, "posts[0].url: it is no address"},
		"in a list":            {`{"posts":[{"id":"a",` + at + `,"links":["https://velo.example","s3cret"]}]}`, "posts[0].links[1]: it is no address"},
		"of somebody named":    {`{"posts":[{"id":"a",` + at + `,"mentions":[{},{"url":"s3cret"}]}]}`, "posts[0].mentions[1].url: it is no address"},
		"of a medium":          {`{"posts":[{"id":"a",` + at + `,"media":[{"type":"s3cret"}]}]}`, "posts[0].media[0].url: it is missing"},
		"two texts":            {`{"posts":[{"id":"a",` + at + `,"text":"s3cret","html":"s3cret"}]}`, "posts[0].html: there is a text too"},
		"a deletion of both":   {`{"deleted":[{"id":"a"},{"id":"s3cret","author":"s3cret"}]}`, "deleted[1]: write either"},
		"too many":             {`{"posts":[` + strings.Repeat(`{},`, listen.MaxBatch) + `{}]}`, "posts: it has 501 members, more than 500"},
		"many faults":          {`{"posts":[` + strings.Repeat(`{},`, 9) + `{}]}`, "and 15 more"},
	} {
		t.Run(name, func(t *testing.T) {
			batch, err := receive(t, tc.body)
			var trouble *listen.Trouble
			if !errors.As(err, &trouble) || trouble.Reason != listen.Malformed || !strings.Contains(trouble.Message, tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if err != nil && (strings.Contains(err.Error(), "s3cret") || len(err.Error()) > 1000) {
				t.Errorf("the error repeats what was sent, or is long: %v", err)
			}
			if !batch.Empty() {
				t.Errorf("something is taken: %+v", batch)
			}
		})
	}
}

func TestWhoMayPost(t *testing.T) {
	const body = `{"posts":[]}`
	const older = "the signing key before that one, for tests"
	keys := map[string]string{signingKey: key + "\n" + older}
	c, err := New(listen.Options{Source: "shop", Settings: json.RawMessage(`{}`), Credentials: keys})
	if err != nil {
		t.Fatal(err)
	}
	without := func(header string) listen.Request {
		r := sign(t, key, now, []byte(body))
		r.Header.Del(header)
		return r
	}
	for name, tc := range map[string]struct {
		request listen.Request
		want    string // "" accepts
	}{
		"the key":             {sign(t, key, now, []byte(body)), ""},
		"the key before":      {sign(t, older, now, []byte(body)), ""},
		"a stranger's":        {sign(t, "the signing key of a stranger", now, []byte(body)), "by no key that this source has"},
		"at the limit":        {sign(t, key, now.Add(-signature.Tolerance), []byte(body)), ""},
		"a clock behind":      {sign(t, key, now.Add(-7*time.Minute-12*time.Second), []byte(body)), "7m12s behind this server's clock"},
		"a clock ahead":       {sign(t, key, now.Add(3*time.Hour), []byte(body)), "3h0m0s ahead of this server's clock"},
		"a stranger's, late":  {sign(t, "the signing key of a stranger", now.Add(-time.Hour), []byte(body)), "by no key that this source has"},
		"without an id":       {without(signature.IDHeader), "send the headers"},
		"without a time":      {without(signature.TimestampHeader), "send the headers"},
		"without a signature": {without(signature.SignatureHeader), "send the headers"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.request.At = now
			_, response, err := c.Receive(t.Context(), tc.request)
			if (err == nil) != (tc.want == "") || err != nil && (!errors.Is(err, listen.ErrSignature) || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if err != nil && response.Status != http.StatusUnauthorized {
				t.Errorf("it is answered with %d", response.Status)
			}
		})
	}
}

// TestTimestamps: those that no clock has are refused like others.
func TestTimestamps(t *testing.T) {
	for _, timestamp := range []string{"9223372036854775807", "-9223372036854775808", "0", "x", "1e9", " 17"} {
		r := sign(t, key, now, []byte(`{}`))
		r.Header.Set(signature.TimestampHeader, timestamp)
		if _, _, err := open(t).Receive(t.Context(), r); !errors.Is(err, listen.ErrSignature) {
			t.Errorf("%q: %v", timestamp, err)
		}
	}
}

// TestARevisionIsOfWhatIsSaid: the same again is the same edition, whatever else a sender changes.
func TestARevisionIsOfWhatIsSaid(t *testing.T) {
	of := func(text, likes string) string {
		b, err := receive(t, fmt.Sprintf(`{"posts":[{"id":"a","text":%q,"createdAt":"2026-11-22T10:00:00Z","engagement":{"likes":%s}}]}`, text, likes))
		if err != nil {
			t.Fatal(err)
		}
		return b.Posts[0].Revision
	}
	if of("one", "1") != of("one", "2") || of("one", "1") == of("two", "1") {
		t.Error("a revision does not tell texts apart, or tells likes")
	}
	edited := func(at string) string {
		b, err := receive(t, `{"posts":[{"id":"a","text":"one","createdAt":"2026-11-22T10:00:00Z","editedAt":"`+at+`"}]}`)
		if err != nil {
			t.Fatal(err)
		}
		return b.Posts[0].Revision
	}
	// Back to the first words: the store keeps each edition once, and would take it for the first one.
	if later := edited("2026-11-22T12:00:00Z"); later == of("one", "1") || later == edited("2026-11-22T11:00:00Z") || later != edited("2026-11-22T13:00:00+01:00") {
		t.Error("a revision does not tell when it was edited")
	}
}

func FuzzRead(f *testing.F) {
	for _, body := range []string{
		`{"posts":[{"id":"a","text":"b","createdAt":"2026-11-22T10:00:00Z","rating":{"value":1e308,"best":null},"mentions":[{"id":"x"}]}]}`,
		`{"deleted":[{"id":"a"},{"author":"b"}]}`, `{"posts":[{"id":"a","html":"<p>x<script>","createdAt":"0001-01-01T00:00:00Z"}]}`,
		`{"posts":[[[[`, "null", "[]", `{"posts":[{"links":["%zz"],"media":[{}]}]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := read(body)
		if err != nil {
			var trouble *listen.Trouble
			if !errors.As(err, &trouble) || trouble.Reason != listen.Malformed || len(trouble.Message) > 2000 {
				t.Errorf("the error is %v", err)
			}
			return
		}
		if len(b.Posts) > listen.MaxBatch || len(b.Deleted) > listen.MaxBatch {
			t.Errorf("%d posts and %d deletions", len(b.Posts), len(b.Deleted))
		}
		for i := range b.Posts {
			if refused := listen.Normalize(&b.Posts[i], now); refused != "" {
				t.Errorf("what was taken cannot be kept: %s", refused)
			}
		}
	})
}

// FuzzReceive: who has no key changes nothing, and is not repeated.
func FuzzReceive(f *testing.F) {
	f.Add("POST", "msg", "1795341600", "v1,AAAA", []byte(`{"posts":[]}`))
	f.Add("POST", "msg", "-9223372036854775808", "v1, v1,%", []byte{0xff})
	f.Add("GET", "", "", "", []byte(nil))
	f.Fuzz(func(t *testing.T, method, id, timestamp, signatures string, body []byte) {
		h := http.Header{signature.IDHeader: {id}, signature.TimestampHeader: {timestamp}, signature.SignatureHeader: {signatures}}
		batch, response, err := open(t).Receive(t.Context(), listen.Request{Method: method, Header: h, Body: body, At: now})
		if err == nil || !batch.Empty() || response.Status/100 != 4 || len(response.Body) > 1000 {
			t.Errorf("it is answered %+v, %+v, %v", batch, response, err)
		}
	})
}
