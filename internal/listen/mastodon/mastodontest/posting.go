package mastodontest

import (
	"cmp"
	"encoding/json"
	"html"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rivo/uniseg"
)

// Account is whose the token is.
const Account = "velo"

// What the server takes.
const (
	maxImages     = 4
	maxImageBytes = 1 << 20
	maxPixels     = 1 << 20
	maxAlt        = 1500
	perURL        = 23
	keptKeys      = time.Hour
)

// posting is what was posted by the API.
type posting struct {
	keys  map[string]kept // by Idempotency-Key
	media map[string]*upload
	next  int
}

type kept struct {
	id string
	at time.Time
}

type upload struct {
	Alt, MIME string
	data      []byte
	left      int // answers that it is not ready
	attached  bool
}

// Posted is a post of Account.
type Posted struct {
	ID, Text, InReplyTo, Visibility, Warning, Language string
	Alts                                               []string
}

// Posted are the posts of Account, the oldest first.
func (s *Server) Posted() []Posted {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Posted
	for _, e := range s.entries {
		if e.post.Author != Account {
			continue
		}
		p := Posted{ID: e.id, Text: e.post.Text, InReplyTo: e.post.InReplyTo}
		p.Visibility, _ = e.post.Extra["visibility"].(string)
		p.Warning, _ = e.post.Extra["spoiler_text"].(string)
		p.Language, _ = e.post.Extra["language"].(string)
		attachments, _ := e.post.Extra["media_attachments"].([]any)
		for _, a := range attachments {
			alt, _ := a.(map[string]any)["description"].(string)
			p.Alts = append(p.Alts, alt)
		}
		all = append(all, p)
	}
	return all
}

func (o Options) maxCharacters() int { return cmp.Or(o.MaxCharacters, 500) }

// configuration is what an instance says that it takes.
func (o Options) configuration(urls map[string]any) map[string]any {
	return map[string]any{
		"urls": urls,
		"statuses": map[string]any{
			"max_characters": o.maxCharacters(), "max_media_attachments": maxImages, "characters_reserved_per_url": perURL,
		},
		"media_attachments": map[string]any{
			"supported_mime_types": []string{"image/jpeg", "image/png", "image/gif", "image/webp"}, "description_limit": maxAlt,
			"image_size_limit": maxImageBytes, "image_matrix_limit": maxPixels,
		},
	}
}

func (s *Server) routePosting() {
	s.posting = posting{keys: map[string]kept{}, media: map[string]*upload{}}
	s.mux.HandleFunc("POST /api/v1/statuses", s.authorized(true, s.post))
	s.mux.HandleFunc("POST /api/v2/media", s.authorized(true, s.upload))
	s.mux.HandleFunc("GET /api/v1/media/{id}", s.authorized(true, s.uploaded))
	s.mux.HandleFunc("GET /api/v1/statuses/{id}/source", s.authorized(true, s.source))
	s.mux.HandleFunc("GET /api/v1/accounts/{id}/statuses", s.authorized(false, s.ofAccount))
	s.mux.HandleFunc("GET /api/v1/accounts/verify_credentials", s.authorized(true, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, s.account(Account))
	}))
}

// asked is what a request to post says.
type asked struct {
	Status     string   `json:"status"`
	InReplyTo  string   `json:"in_reply_to_id"`
	Media      []string `json:"media_ids"`
	Sensitive  bool     `json:"sensitive"`
	Spoiler    string   `json:"spoiler_text"`
	Visibility string   `json:"visibility"`
	Language   string   `json:"language"`
}

func (s *Server) post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // it ended within
	}
	var a asked
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" || json.Unmarshal(body, &a) != nil {
		refuse(w, http.StatusUnprocessableEntity, "Validation failed: Text can't be blank")
		return
	}
	key := r.Header.Get("Idempotency-Key")
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, there := s.posting.keys[key]; key != "" && there && !s.o.Forgetful && s.o.Now().Sub(k.at) < keptKeys {
		if e := s.find(k.id); e != nil {
			answer(w, s.status(e))
			return
		}
		refuse(w, http.StatusNotFound, "Record not found")
		return
	}
	if status, why := s.refusesPost(&a); why != "" {
		refuse(w, status, why)
		return
	}
	e := s.publishAsked(&a)
	if key != "" {
		s.posting.keys[key] = kept{e.id, s.o.Now()}
	}
	answer(w, s.status(e))
}

func (s *Server) refusesPost(a *asked) (status int, why string) {
	const invalid = http.StatusUnprocessableEntity
	switch {
	case a.InReplyTo != "" && s.find(a.InReplyTo) == nil:
		return http.StatusNotFound, "The post you are trying to reply to does not appear to exist."
	case strings.TrimSpace(a.Status) == "" && len(a.Media) == 0:
		return invalid, "Validation failed: Text can't be blank"
	case a.characters() > s.o.maxCharacters():
		return invalid, "Validation failed: Text character limit exceeded"
	case len(a.Media) > maxImages:
		return invalid, "Validation failed: Cannot attach more than 4 files"
	case !slices.Contains([]string{"", "public", "unlisted", "private", "direct"}, a.Visibility):
		return invalid, "'" + a.Visibility + "' is not a valid visibility"
	case len(a.Language) > 3:
		return invalid, "Validation failed: Language is invalid"
	}
	for _, id := range a.Media {
		switch m := s.posting.media[id]; {
		case m == nil || m.attached:
			return invalid, "Validation failed: Media attachments not found"
		case m.left > 0:
			return invalid, "Cannot attach files that have not finished processing. Try again in a moment!"
		}
	}
	return 0, ""
}

var (
	addressPattern = regexp.MustCompile(`https?://[^\s]+`)
	remotePattern  = regexp.MustCompile(`(@\w+)@[\w.-]+\w`)
)

func (a *asked) characters() int {
	text := addressPattern.ReplaceAllString(a.Status, strings.Repeat("x", perURL))
	return uniseg.GraphemeClusterCount(a.Spoiler) + uniseg.GraphemeClusterCount(remotePattern.ReplaceAllString(text, "$1"))
}

func (s *Server) publishAsked(a *asked) *entry {
	attachments := []any{}
	for _, id := range a.Media {
		m := s.posting.media[id]
		m.attached = true
		attachments = append(attachments, s.attachment(id, m))
	}
	p := Post{Author: Account, Text: a.Status, At: s.o.Now(), InReplyTo: a.InReplyTo, HTML: s.markup(a.Status), Extra: map[string]any{
		"visibility": cmp.Or(a.Visibility, "public"), "spoiler_text": a.Spoiler, "language": a.Language, "media_attachments": attachments,
		"sensitive": a.Sensitive, "account": s.account(Account),
	}}
	e := &entry{id: s.nextID(p.At), post: p}
	s.entries = append(s.entries, e)
	slices.SortFunc(s.entries, func(a, b *entry) int { return compare(a.id, b.id) })
	s.tell(e, "update")
	return e
}

// markup is a text as readers see it: addresses are cut for the eye, and names lose their server.
func (s *Server) markup(text string) string {
	text = html.EscapeString(text)
	if s.o.Plain {
		text = strings.NewReplacer("--", "–", "...", "…").Replace(text)
	}
	text = addressPattern.ReplaceAllStringFunc(text, func(at string) string {
		scheme, rest, _ := strings.Cut(at, "://")
		shown := rest[:min(30, len(rest))]
		return `<a href="` + at + `" rel="nofollow"><span class="invisible">` + scheme + `://</span><span class="ellipsis">` + shown +
			`</span><span class="invisible">` + rest[len(shown):] + `</span></a>`
	})
	text = remotePattern.ReplaceAllString(text, `<span class="h-card"><a href="https://remote.example/" class="u-url mention">$1</a></span>`)
	return "<p>" + strings.ReplaceAll(strings.ReplaceAll(text, "\n\n", "</p><p>"), "\n", "<br />") + "</p>"
}

func (s *Server) attachment(id string, m *upload) map[string]any {
	a := map[string]any{"id": id, "type": "image", "url": nil, "description": nil}
	if m.left <= 0 {
		a["url"] = s.o.URL + "/media/" + id
	}
	if m.Alt != "" {
		a["description"] = m.Alt
	}
	return a
}

func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxImageBytes+64<<10)
	if err := r.ParseMultipartForm(maxImageBytes); err != nil {
		refuse(w, http.StatusUnprocessableEntity, "Validation failed: File can't be blank")
		return
	}
	file, _, err := r.FormFile("file")
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, "Validation failed: File can't be blank")
		return
	}
	data, _ := io.ReadAll(file)
	alt := r.FormValue("description")
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &upload{Alt: alt, MIME: http.DetectContentType(data), data: data, left: s.o.Processing}
	switch {
	case !strings.HasPrefix(m.MIME, "image/"):
		refuse(w, http.StatusUnprocessableEntity, "Validation failed: File content type is invalid")
		return
	case len(data) > maxImageBytes:
		refuse(w, http.StatusUnprocessableEntity, "Validation failed: File file size must be less than or equal to 1 MB")
		return
	case len([]rune(alt)) > maxAlt:
		refuse(w, http.StatusUnprocessableEntity, "Validation failed: Description is too long (maximum is 1500 characters)")
		return
	}
	s.posting.next++
	id := "9" + stringOf(s.posting.next)
	s.posting.media[id] = m
	w.Header().Set("Content-Type", contentType)
	if m.left > 0 {
		w.WriteHeader(http.StatusAccepted)
	}
	_ = json.NewEncoder(w).Encode(s.attachment(id, m))
}

func (s *Server) uploaded(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.PathValue("id")
	m := s.posting.media[id]
	if m == nil || m.attached {
		refuse(w, http.StatusNotFound, "Record not found")
		return
	}
	w.Header().Set("Content-Type", contentType)
	if m.left > 0 {
		m.left--
		w.WriteHeader(http.StatusPartialContent)
	}
	_ = json.NewEncoder(w).Encode(s.attachment(id, m))
}

// source is a post as it was written, for its author.
func (s *Server) source(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(r.PathValue("id"))
	if e == nil || e.post.Author != Account || s.o.Plain {
		refuse(w, http.StatusNotFound, "Record not found")
		return
	}
	answer(w, map[string]any{"id": e.id, "text": e.post.Text, "spoiler_text": e.post.Extra["spoiler_text"]})
}

func (s *Server) ofAccount(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.PathValue("id") != idOf(Account) {
		refuse(w, http.StatusNotFound, "Record not found")
		return
	}
	w.Header().Set("Date", s.o.Now().UTC().Format(http.TimeFormat))
	s.write(w, s.page(w, r, func(e *entry) string {
		if e.post.Author != Account || e.post.Reblog != "" && r.URL.Query().Get("exclude_reblogs") == "true" {
			return ""
		}
		return e.id
	}, len(s.entries)), s.status)
}
