package mastodontest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxPage     = 40
	maxByID     = 20
	keptOfList  = 400
	window      = 5 * time.Minute
	usualSize   = 20
	contentType = "application/json; charset=utf-8"
)

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if agent := r.UserAgent(); agent == "" || strings.HasPrefix(agent, "Go-http-client") {
		w.WriteHeader(http.StatusTeapot) // as what stands before some servers does
		return
	}
	if s.options().Nothing {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if r.URL.Path == "/api/v1/streaming" {
		s.stream(w, r)
		return
	}
	if !s.grant(w) {
		refuse(w, http.StatusTooManyRequests, "Too many requests")
		return
	}
	s.mux.ServeHTTP(w, r)
}

// grant counts a request, and tells how many are left.
func (s *Server) grant(w http.ResponseWriter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.o.Now()
	if start := now.Truncate(window); !start.Equal(s.window) {
		s.window, s.asked = start, 0
	}
	s.asked++
	s.all++
	w.Header().Set("X-RateLimit-Limit", strconv.Itoa(s.o.Limit))
	w.Header().Set("X-RateLimit-Remaining", strconv.Itoa(max(s.o.Limit-s.asked, 0)))
	w.Header().Set("X-RateLimit-Reset", s.window.Add(window).UTC().Format("2006-01-02T15:04:05.000000Z"))
	if s.asked > s.o.Limit {
		s.refused++
	}
	return s.asked <= s.o.Limit
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": text})
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", contentType)
	_ = json.NewEncoder(w).Encode(body)
}

func (s *Server) route() {
	s.mux.HandleFunc("GET /api/v2/instance", func(w http.ResponseWriter, _ *http.Request) {
		o := s.options()
		if o.Old {
			refuse(w, http.StatusNotFound, "Not Found")
			return
		}
		answer(w, map[string]any{
			"domain": Domain, "version": "4.5.2", "configuration": o.configuration(map[string]any{"streaming": o.streaming()}),
		})
	})
	s.mux.HandleFunc("GET /api/v1/instance", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"uri": Domain, "version": "3.5.3", "urls": map[string]any{"streaming_api": s.options().streaming()},
			"configuration": s.options().configuration(nil),
		})
	})
	s.mux.HandleFunc("GET /api/v1/apps/verify_credentials", s.authorized(true, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"name": "tertulia"})
	}))
	s.mux.HandleFunc("GET /api/v1/timelines/tag/{tag}", s.authorized(false, s.tag))
	s.mux.HandleFunc("GET /api/v1/timelines/list/{list}", s.authorized(true, s.list))
	s.mux.HandleFunc("GET /api/v1/notifications", s.authorized(true, s.notifications))
	s.mux.HandleFunc("GET /api/v1/statuses", s.authorized(false, s.byIDs))
	s.mux.HandleFunc("GET /api/v1/statuses/{id}", s.authorized(false, s.byID))
	s.routePosting()
}

func (o Options) streaming() string { return "ws" + strings.TrimPrefix(o.URL, "http") }

// authorized asks for the token: always, or where there is one, or where the server is closed.
func (s *Server) authorized(always bool, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		token, bears := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		s.mu.Lock()
		valid, needed, old := token == Token && !s.revoked, always || s.o.Closed, s.o.Old
		narrow := s.o.Narrow && always
		s.mu.Unlock()
		switch {
		case needed && !bears && old:
			refuse(w, http.StatusUnprocessableEntity, "This method requires an authenticated user")
		case valid && narrow:
			refuse(w, http.StatusForbidden, "This action is outside the authorized scopes")
		case r.URL.Query().Has("access_token"):
			refuse(w, http.StatusUnauthorized, "The access token is written into an address")
		case bears && !valid, needed && !bears:
			refuse(w, http.StatusUnauthorized, "The access token is invalid")
		default:
			next(w, r)
		}
	}
}

func (s *Server) tag(w http.ResponseWriter, r *http.Request) {
	tag := strings.ToLower(r.PathValue("tag"))
	s.mu.Lock()
	defer s.mu.Unlock()
	used := false
	found := s.page(w, r, func(e *entry) string {
		if !slices.ContainsFunc(e.post.Tags, func(t string) bool { return strings.EqualFold(t, tag) }) {
			return ""
		}
		used = true
		return e.id
	}, len(s.entries))
	if !used {
		refuse(w, http.StatusNotFound, "Record not found")
		return
	}
	s.write(w, found, s.status)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := r.PathValue("list")
	if s.gone[id] || len(id) > 8 {
		refuse(w, http.StatusNotFound, "Record not found")
		return
	}
	s.write(w, s.page(w, r, func(e *entry) string {
		if e.post.List != id {
			return ""
		}
		return e.id
	}, keptOfList), s.status)
}

func (s *Server) notifications(w http.ResponseWriter, r *http.Request) {
	if types := r.URL.Query()["types[]"]; len(types) != 1 || types[0] != "mention" {
		refuse(w, http.StatusUnprocessableEntity, "not asked for mentions")
		return
	}
	filtered := r.URL.Query().Get("include_filtered") == "true"
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(w, s.page(w, r, func(e *entry) string {
		if e.post.Filtered && !filtered {
			return ""
		}
		return e.notice
	}, len(s.entries)), s.notification)
}

var number = regexp.MustCompile(`^[0-9A-Z]+$`)

// page is the page of a timeline that a request asks for, newest first, with links to those beside it. key is an entry's id in the timeline;
// "" where it is in another. The caller holds the lock.
func (s *Server) page(w http.ResponseWriter, r *http.Request, key func(*entry) string, kept int) []*entry {
	query := r.URL.Query()
	size := usualSize
	if text := query.Get("limit"); text != "" {
		size, _ = strconv.Atoi(text)
		size = min(max(size, 1), maxPage)
	}
	if s.o.IgnoreLimit {
		size = 200
	}
	var all []*entry
	for _, e := range s.entries {
		if key(e) != "" {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b *entry) int { return compare(key(a), key(b)) })
	all = all[max(len(all)-kept, 0):]
	for _, bound := range []string{"min_id", "since_id", "max_id"} {
		id := query.Get(bound)
		if id == "" || !number.MatchString(id) {
			continue
		}
		all = slices.DeleteFunc(all, func(e *entry) bool {
			if bound == "max_id" {
				return compare(key(e), id) >= 0
			}
			return compare(key(e), id) <= 0
		})
	}
	if query.Get("min_id") != "" {
		all = all[:min(size, len(all))]
	} else {
		all = all[max(len(all)-size, 0):]
	}
	slices.Reverse(all)
	if len(all) > 0 {
		self := func(bound, id string) string {
			return "<" + s.o.URL + r.URL.Path + "?" + url.Values{"limit": {strconv.Itoa(size)}, bound: {id}}.Encode() + ">"
		}
		w.Header().Set("Link", fmt.Sprintf(`%s; rel="next", %s; rel="prev"`, self("max_id", key(all[len(all)-1])), self("min_id", key(all[0]))))
	}
	return slices.DeleteFunc(slices.Clone(all), func(e *entry) bool { return e.post.Hidden })
}

func (s *Server) write(w http.ResponseWriter, entries []*entry, as func(*entry) map[string]any) {
	list := []any{}
	for _, e := range entries {
		list = append(list, as(e))
	}
	answer(w, list)
}

func (s *Server) byIDs(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := r.URL.Query()["id[]"]
	switch {
	case s.o.Old:
		refuse(w, http.StatusNotFound, "Not Found")
		return
	case len(ids) > maxByID:
		refuse(w, http.StatusUnprocessableEntity, "Too many statuses")
		return
	}
	var found []*entry
	for _, id := range ids {
		if e := s.find(id); e != nil {
			found = append(found, e)
		}
	}
	s.write(w, found, s.status)
}

func (s *Server) byID(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.find(r.PathValue("id"))
	if e == nil {
		refuse(w, http.StatusNotFound, "Record not found")
		return
	}
	answer(w, s.status(e))
}
