package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"strings"
	"time"
)

// routes wires everything that the server answers.
func (s *Server) routes(version string) http.Handler {
	inner := http.NewServeMux()
	s.registerAPI(inner, version)
	inner.HandleFunc(importPattern, s.importContacts)
	inner.HandleFunc(importAccountsPattern, s.importAccounts)
	inner.HandleFunc(streamPattern, s.streamMentions)
	inner.HandleFunc(calendarPattern, s.serveCalendar)
	inner.HandleFunc("GET /u/{token}", s.showUnsubscribe) // GET answers HEAD too
	inner.HandleFunc("POST /u/{token}", s.unsubscribe)
	inner.HandleFunc("GET /p/{token}", s.showPreferences)
	inner.HandleFunc("POST /p/{token}", s.setPreference)
	inner.HandleFunc("GET /s/{token}", s.showConfirm)
	inner.HandleFunc("POST /s/{token}", s.confirm)
	inner.HandleFunc(hookRoute, s.receive)
	for _, route := range sourceRoutes {
		inner.HandleFunc(route, s.hear)
	}
	inner.HandleFunc(clickRoute, damagedLink)
	inner.HandleFunc(openRoute, damagedLink)

	others := s.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if t, below := s.find(r); t != nil {
			defer t.requests.Done()
			s.serveTenant(w, r, t, below, inner)
			return
		}
		writeProblem(w, http.StatusNotFound, "No such tenant is served here.")
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.serveTracked(w, r) {
			others.ServeHTTP(w, r)
		}
	})
}

// find tells whose request it is: a tenant is meant by its public URL's host, or by /t/<id>. It returns nil for one that
// is not served here. Any other is kept until its request is done.
func (s *Server) find(r *http.Request) (t *tenant, below string) {
	if rest, ok := strings.CutPrefix(r.URL.EscapedPath(), "/t/"); ok {
		id, below, _ := strings.Cut(rest, "/")
		return s.tenants.take(id), "/" + below
	}
	if t := s.tenants.takeHost(r.Host); t != nil {
		return t, r.URL.EscapedPath()
	}
	return nil, ""
}

type tenantKey struct{}

// tenantOf is the tenant whose request it is.
func tenantOf(ctx context.Context) *tenant {
	t, _ := ctx.Value(tenantKey{}).(*tenant)
	return t
}

// requestTimeout bounds every request but imports and streams, which have a bound for each batch.
const requestTimeout = 30 * time.Second

// The imports, which take as long as their files are.
const (
	importPattern         = "POST /v1/imports/contacts"
	importAccountsPattern = "POST /v1/imports/accounts"
)

// serveTenant answers a request below a tenant's base URL.
func (s *Server) serveTenant(w http.ResponseWriter, r *http.Request, t *tenant, escaped string, inner *http.ServeMux) {
	unescaped, err := url.PathUnescape(escaped)
	if err != nil || path.Clean(unescaped) != unescaped {
		// The mux would redirect to the clean path, and nothing here ever redirects.
		writeProblem(w, http.StatusNotFound, "There is nothing at this address.")
		return
	}
	u := *r.URL
	u.Path, u.RawPath = unescaped, escaped
	r = r.WithContext(context.WithValue(r.Context(), tenantKey{}, t))
	r.URL = &u
	_, pattern := inner.Handler(r)
	noteRoute(w, t.id, pattern)
	if pattern == "" {
		s.refuse(w, r, inner)
		return
	}
	ctx, span := startSpan(r, t, pattern)
	defer endSpan(span, w)
	if pattern != importPattern && pattern != importAccountsPattern && pattern != streamPattern {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, requestTimeout)
		defer cancel()
	}
	inner.ServeHTTP(w, r.WithContext(ctx))
}

// refuse answers a path or a method that is not there, as a problem like every other error.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, inner *http.ServeMux) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
		probe := r.Clone(r.Context())
		probe.Method = method
		if _, pattern := inner.Handler(probe); pattern != "" {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		writeProblem(w, http.StatusMethodNotAllowed, "This address does not take "+r.Method+".")
		return
	}
	writeProblem(w, http.StatusNotFound, "There is nothing at this address.")
}

// guard surrounds every request: it counts it, bounds what a browser does with the answer, and survives a panic without
// printing anything that the request held.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorder := &recorder{ResponseWriter: w, route: "other"}
		started := time.Now()
		header := recorder.Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-store")
		defer func() {
			failure := recover()
			aborted, _ := failure.(error)
			if errors.Is(aborted, http.ErrAbortHandler) {
				panic(failure) // a handler's way to drop the connection
			}
			if failure != nil {
				s.answerPanic(recorder, failure)
			}
			s.metrics.observe(recorder.tenant, recorder.route, r.Method, recorder.status, time.Since(started))
		}()
		next.ServeHTTP(recorder, r)
	})
}

func (s *Server) answerPanic(w *recorder, failure any) {
	// What failed is named by type only: its text may repeat what the request held.
	s.log.Error(errors.New("panic while answering a request"), "Recovered",
		"tenant", w.tenant, "route", w.route, "type", fmt.Sprintf("%T", failure), "stack", string(debug.Stack()))
	if w.status == 0 {
		writeProblem(w, http.StatusInternalServerError, "The server failed. The failure has been logged.")
	}
}
