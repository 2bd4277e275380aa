package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/engagement"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/server/tracking"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// The routes of tracked links and of pixels. Requests for them do not go through the mux and what surrounds it: a campaign brings
// more of them within a minute than everything else within a day, so that they cost as little as they can. They are counted
// as all others are.
const (
	clickRoute = "GET /c/{token}"
	openRoute  = "GET /o/{token}"
)

// pixel is a GIF of one transparent point, in 43 bytes.
var pixel = []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff" +
	"!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;")

// Values of headers that are shared by all answers, and never changed.
var (
	headerNoStore    = []string{"no-store, max-age=0"}
	headerNoSniff    = []string{"nosniff"}
	headerNoReferrer = []string{"no-referrer"}
	headerGIF        = []string{"image/gif"}
	headerPixelSize  = []string{"43"}
)

// The answers to links that lead nowhere. They are read by people who followed them.
const (
	textBadLink = "This link is not valid. Open it again from the e-mail, as a whole.\n" +
		"Este enlace no es válido. Ábrelo otra vez desde el correo, completo."
	textLater = "This link does not work right now. Please try again in a few minutes.\n" +
		"Este enlace no funciona ahora mismo. Vuelve a intentarlo dentro de unos minutos, por favor."
	textNothing = "There is nothing here. You can close this page.\nAquí no hay nada. Puedes cerrar esta página."
)

// tracked is a request for a tracked link or a pixel.
type tracked struct {
	kind  engagement.Kind
	route string
	id    string // of the tenant, where the path names it
	token string
}

// readTracked tells whether a request is for a link or a pixel.
func readTracked(r *http.Request) (t tracked, ok bool) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead || r.URL.RawPath != "" {
		return t, false
	}
	path := r.URL.Path
	if rest, below := strings.CutPrefix(path, "/t/"); below {
		end := strings.IndexByte(rest, '/')
		if end < 0 {
			return t, false
		}
		t.id, path = rest[:end], rest[end:]
	}
	switch {
	case strings.HasPrefix(path, "/c/"):
		t.kind, t.route, t.token = engagement.Click, clickRoute, path[len("/c/"):]
	case strings.HasPrefix(path, "/o/") && strings.HasSuffix(path, ".gif"):
		t.kind, t.route, t.token = engagement.Open, openRoute, path[len("/o/"):len(path)-len(".gif")]
	default:
		return t, false
	}
	return t, t.token != "" && strings.IndexByte(t.token, '/') < 0
}

// serveTracked answers a request for a link or a pixel. It returns false for any other, and for one of a tenant that is not served.
func (s *Server) serveTracked(w http.ResponseWriter, r *http.Request) bool {
	request, ok := readTracked(r)
	if !ok {
		return false
	}
	var t *tenant
	if request.id != "" {
		t = s.tenants.take(request.id)
	} else {
		t = s.tenants.takeHost(r.Host)
	}
	if t == nil {
		return false
	}
	defer t.requests.Done()
	defer func() {
		if failure := recover(); failure != nil {
			s.answerPanic(&recorder{ResponseWriter: w, tenant: t.id, route: request.route}, failure)
		}
	}()
	started := time.Now()
	header := w.Header()
	header["Cache-Control"], header["X-Content-Type-Options"], header["Referrer-Policy"] = headerNoStore, headerNoSniff, headerNoReferrer
	status := answerTracked(w, r, t, request, started)
	t.meters.observe(request.route, r.Method, status, time.Since(started))
	return true
}

func answerTracked(w http.ResponseWriter, r *http.Request, t *tenant, request tracked, now time.Time) (status int) {
	signer, err := t.linkSigner(r.Context())
	if err != nil {
		return refuseTracked(w, r, t, err)
	}
	track, err := signer.ParseTrack(request.token)
	if err != nil || (track.Kind == render.TrackClick) != (request.kind == engagement.Click) {
		return refuseTracked(w, r, t, render.ErrToken)
	}
	if request.kind == engagement.Open {
		t.note(r, track, request.kind, now)
		header := w.Header()
		header["Content-Type"], header["Content-Length"] = headerGIF, headerPixelSize
		w.WriteHeader(http.StatusOK)
		if r.Method == http.MethodGet {
			_, _ = w.Write(pixel) // who asked may be gone
		}
		return http.StatusOK
	}
	if track.Link == 0 && track.Target == "" {
		t.note(r, track, request.kind, now)
		writeText(w, http.StatusOK, textNothing)
		return http.StatusOK
	}
	target, err := t.target(r.Context(), track)
	if err != nil {
		return refuseTracked(w, r, t, err)
	}
	t.note(r, track, request.kind, now)
	w.Header()["Location"] = target
	w.WriteHeader(http.StatusFound)
	return http.StatusFound
}

// linkTimeout bounds how long somebody waits for where a link leads.
const linkTimeout = 3 * time.Second

// target is where a link of a message leads: to nowhere but what the message says.
func (t *tenant) target(ctx context.Context, track render.Track) ([]string, error) {
	if track.Target != "" {
		return []string{track.Target}, nil // signed with the token, and a web address
	}
	if known, ok := t.links.Known(track.Send, track.Link); ok {
		return known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, linkTimeout)
	defer cancel()
	return t.links.Find(ctx, track.Send, track.Link)
}

// note records that somebody asked for something. It never waits.
func (t *tenant) note(r *http.Request, track render.Track, kind engagement.Kind, now time.Time) {
	signals, visitor := t.visitors.Read(r.UserAgent(), origin(r))
	if r.Method == http.MethodHead {
		signals |= engagement.SignalHead
	}
	signals |= engagement.ReadHeaders(engagement.Headers{
		SecPurpose: first(r.Header["Sec-Purpose"]), Purpose: first(r.Header["Purpose"]),
		XPurpose: first(r.Header["X-Purpose"]), XMoz: first(r.Header["X-Moz"]),
	})
	t.recorder.Record(engagement.Event{
		At: now.UnixNano(), Send: track.Send, Seq: track.Seq, Link: track.Link, Visitor: visitor, Kind: kind, Signals: signals,
	})
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// origin is where a request comes from, to tell visitors of one message apart and for nothing else: nobody gains by a wrong one.
func origin(r *http.Request) string {
	if forwarded := r.Header["X-Forwarded-For"]; len(forwarded) > 0 {
		return forwarded[len(forwarded)-1]
	}
	return r.RemoteAddr[:max(strings.LastIndexByte(r.RemoteAddr, ':'), 0)]
}

// refuseTracked answers somebody whose link leads nowhere.
func refuseTracked(w http.ResponseWriter, r *http.Request, t *tenant, err error) (status int) {
	text := textLater
	switch {
	case errors.Is(err, render.ErrToken), errors.Is(err, store.ErrNotFound):
		status, text = http.StatusNotFound, textBadLink
	default:
		if status, _ = failure(context.WithValue(r.Context(), tenantKey{}, t), err); status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", retryAfter)
		}
	}
	writeText(w, status, text)
	return status
}

// damagedLink answers requests for links and pixels that serveTracked did not take for any, because of signs that no token has.
func damagedLink(w http.ResponseWriter, _ *http.Request) {
	writeText(w, http.StatusNotFound, textBadLink)
}

const (
	// leastFlush is how long a server that ends may take to store what is left, however long requests took to end; what is left of its
	// grace is added to that.
	leastFlush = 4 * time.Second
	// lastFlush is how long one may take that gives a tenant up.
	lastFlush = 30 * time.Second
)

// track prepares what a tenant's tracked links and pixels need.
func (ts *tenants) track(t *tenant) {
	t.links, t.visitors, t.meters = tracking.NewLinks(t.db), tracking.NewVisitors(), newTrackMeters(ts.metrics, t.id)
	t.recorder = tracking.NewRecorder(tracking.Options{
		// A process that gives a tenant up and takes it again counts its batches anew.
		Store: t.db, Flusher: fmt.Sprintf("%s/%d", ts.process.ID, time.Now().UnixNano()), Observer: t.meters, Log: ts.log.WithValues("tenant", t.id),
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t.recorder.Run(ctx)
	}()
	t.endTracking = func(within time.Duration) {
		stop()
		<-ended
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		t.recorder.Finish(ctx)
	}
}

// linkSigner reads the tokens that the key of links signed.
func (t *tenant) linkSigner(ctx context.Context) (*render.Signer, error) {
	if signer := t.sign.Load(); signer != nil {
		return signer, nil
	}
	ctx, cancel := context.WithTimeout(ctx, linkTimeout)
	defer cancel()
	key, err := t.linkKey(ctx)
	if err != nil {
		return nil, err
	}
	signer := render.NewSigner(key)
	t.sign.Store(signer)
	return signer, nil
}
