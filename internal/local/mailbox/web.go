package mailbox

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

//go:embed pages
var pages embed.FS

// pageSize is how many messages a page of the list shows.
const pageSize = 50

// Content security policies. Our own pages load our style sheet and nothing else, and run no script. A message's HTML is a
// stranger's: it gets an origin of its own, runs nothing and fetches nothing (so that looking at a mail here triggers no tracking),
// but its links may be followed, into a new tab.
const (
	pagePolicy = "default-src 'none'; style-src 'self'; img-src 'self' data:; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	mailPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; sandbox allow-popups allow-popups-to-escape-sandbox"
)

// words are what the pages' templates can say of times, sizes and lists.
var words = template.FuncMap{
	"when":    when,
	"briefly": func(t time.Time) string { return briefly(t, time.Now()) },
	"size":    humanSize,
	"join":    func(list []string) string { return strings.Join(list, ", ") },
}

// site serves web pages and JSON over a store.
type site struct {
	store     *Store
	templates map[string]*template.Template
}

// NewHandler serves the mailbox's web pages and its JSON:
//
//	GET /                              the list; ?q= searches, ?page= turns pages
//	GET /messages/{id}                 one message; ?view=html|text|header|source
//	GET /messages/{id}/html|source     its HTML part alone, itself as it came
//	GET /messages/{id}/parts/{index}   one part, to download
//	GET /api/messages                  ?q= ?to= ?from= ?header=Name:text ?limit= ?offset=, newest first
//	GET /api/messages/{id}             one message taken apart
//	GET /api/count                     how many messages match the same filters, and how many different Message-IDs they have
func NewHandler(store *Store) http.Handler {
	s := &site{store: store, templates: map[string]*template.Template{}}
	for _, name := range []string{"list", "message", "problem"} {
		frame := template.New("frame.html").Funcs(words)
		s.templates[name] = template.Must(frame.ParseFS(pages, "pages/frame.html", "pages/"+name+".html"))
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.list)
	mux.HandleFunc("GET /messages/{id}", s.message)
	mux.HandleFunc("GET /messages/{id}/html", s.html)
	mux.HandleFunc("GET /messages/{id}/source", s.source)
	mux.HandleFunc("GET /messages/{id}/parts/{index}", s.part)
	mux.HandleFunc("GET /api/messages", s.apiList)
	mux.HandleFunc("GET /api/messages/{id}", s.apiMessage)
	mux.HandleFunc("GET /api/count", s.apiCount)
	mux.HandleFunc("GET /style.css", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, pages, "pages/style.css")
	})
	return guard(mux)
}

// guard sets what every answer has, and refuses requests for foreign host names: a page elsewhere could have its own name
// resolve to this machine and then read the mail (DNS rebinding).
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if host != "localhost" && net.ParseIP(strings.Trim(host, "[]")) == nil {
			http.Error(w, "open the mailbox by its address or as localhost", http.StatusMisdirectedRequest)
			return
		}
		header := w.Header()
		header.Set("Content-Security-Policy", pagePolicy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// listPage is what the list's template shows.
type listPage struct {
	Title, Query   string
	Entries        []Entry
	Total, All     int
	First, Last    int
	Newer, Older   string // links; empty where there is no such page
	Page, LastPage int
}

func (s *site) list(w http.ResponseWriter, r *http.Request) {
	query := strings.TrimSpace(r.URL.Query().Get("q"))
	page, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil || page < 1 || page > 1<<30/pageSize {
		page = 1
	}
	offset := (page - 1) * pageSize
	entries, total, err := s.store.Find(Filter{Text: query}, offset, pageSize)
	if err != nil {
		s.problem(w, err)
		return
	}
	p := listPage{
		Title: "Mailbox", Query: query, Entries: entries, Total: total, All: s.store.Len(),
		First: offset + 1, Last: offset + len(entries), Page: page, LastPage: max(1, (total+pageSize-1)/pageSize),
	}
	if page > 1 {
		p.Newer = pageLink(query, min(page-1, p.LastPage))
	}
	if page < p.LastPage {
		p.Older = pageLink(query, page+1)
	}
	s.render(w, http.StatusOK, "list", p)
}

func pageLink(query string, page int) string {
	values := url.Values{"page": {strconv.Itoa(page)}}
	if query != "" {
		values.Set("q", query)
	}
	return "/?" + values.Encode()
}

// messagePage is what the message's template shows.
type messagePage struct {
	Message
	Title, View  string
	Views        []view
	Source       string
	Newer, Older int64 // ids; 0 where there is none
}

type view struct{ Name, Label string }

func (s *site) message(w http.ResponseWriter, r *http.Request) {
	m, raw, ok := s.load(w, r)
	if !ok {
		return
	}
	p := messagePage{Message: m, Title: m.Subject, View: r.URL.Query().Get("view"), Older: m.ID - 1}
	if p.Title == "" {
		p.Title = "(no subject)"
	}
	if m.ID < int64(s.store.Len()) {
		p.Newer = m.ID + 1
	}
	if m.HTML != "" {
		p.Views = append(p.Views, view{"html", "HTML"})
	}
	p.Views = append(p.Views, view{"text", "Text"}, view{"header", "Header"}, view{"source", "Source"})
	known := false
	for _, v := range p.Views {
		known = known || v.Name == p.View
	}
	if !known {
		p.View = p.Views[0].Name
	}
	if p.View == "source" {
		p.Source = strings.ToValidUTF8(string(raw), "\uFFFD")
	}
	s.render(w, http.StatusOK, "message", p)
}

// html serves a message's HTML part. Links open a new tab, because the frame that shows it may not leave it.
func (s *site) html(w http.ResponseWriter, r *http.Request) {
	m, _, ok := s.load(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Security-Policy", mailPolicy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprintf(w, "<!doctype html><base target=\"_blank\">%s", m.HTML)
}

func (s *site) source(w http.ResponseWriter, r *http.Request) {
	_, raw, ok := s.load(w, r)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(raw)
}

// part serves a part as a download, never for display: its type is a stranger's claim.
func (s *site) part(w http.ResponseWriter, r *http.Request) {
	m, _, ok := s.load(w, r)
	if !ok {
		return
	}
	index, err := strconv.Atoi(r.PathValue("index"))
	if err != nil || index < 0 || index >= len(m.Parts) {
		s.problem(w, fmt.Errorf("part %s: %w", r.PathValue("index"), ErrNotFound))
		return
	}
	part := m.Parts[index]
	name := part.Name
	if name == "" {
		name = fmt.Sprintf("message-%d-part-%d", m.ID, index)
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": name}))
	_, _ = w.Write(part.content)
}

// load reads the message that the path names, or answers that there is none.
func (s *site) load(w http.ResponseWriter, r *http.Request) (Message, []byte, bool) {
	m, raw, err := s.read(r)
	if err != nil {
		s.problem(w, err)
		return Message{}, nil, false
	}
	return m, raw, true
}

func (s *site) read(r *http.Request) (Message, []byte, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return Message{}, nil, fmt.Errorf("message %q: %w", r.PathValue("id"), ErrNotFound)
	}
	entry, raw, err := s.store.Message(id)
	if err != nil {
		return Message{}, nil, err
	}
	return parse(entry, raw), raw, nil
}

func (s *site) problem(w http.ResponseWriter, err error) {
	s.render(w, status(err), "problem", struct{ Title, Text string }{"Mailbox", err.Error()})
}

func status(err error) int {
	if errors.Is(err, ErrNotFound) {
		return http.StatusNotFound
	}
	return http.StatusInternalServerError
}

// render makes the whole page before it answers, so that a failing template is an error and not half a page.
func (s *site) render(w http.ResponseWriter, code int, name string, data any) {
	var page bytes.Buffer
	if err := s.templates[name].Execute(&page, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = page.WriteTo(w)
}

func when(t time.Time) string { return t.Local().Format("2 Jan 2006 15:04:05") }

// briefly is for lists: today's mail by the time, older mail by the day.
func briefly(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	switch {
	case t.Year() != now.Year():
		return t.Format("2 Jan 2006")
	case t.YearDay() != now.YearDay():
		return t.Format("2 Jan 15:04")
	default:
		return t.Format("15:04:05")
	}
}

func humanSize(bytes int) string {
	switch {
	case bytes < 1<<10:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 1<<20:
		return fmt.Sprintf("%.1f KB", float64(bytes)/(1<<10))
	default:
		return fmt.Sprintf("%.1f MB", float64(bytes)/(1<<20))
	}
}
