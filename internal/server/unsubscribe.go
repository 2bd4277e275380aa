package server

import (
	"io"
	"net/http"

	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// showUnsubscribe answers GET and HEAD: it asks and changes nothing, so that no scanner of links and no prefetch
// unsubscribes anybody.
func (s *Server) showUnsubscribe(w http.ResponseWriter, r *http.Request) {
	_, _, subscription, state := findLink(r)
	if state == pageAsk && subscription.Withdrawn {
		state = pageDone
	}
	writeUnsubscribe(w, r, state, subscription)
}

// unsubscribe answers POST, the one-click of mail clients and the page's button alike: 200 when the decision is on
// disk, else 503, and never a redirect. Mail clients send List-Unsubscribe=One-Click (RFC 8058), the page's button sends an
// empty form; neither says anything that the signed address does not.
func (s *Server) unsubscribe(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxForm)); err != nil {
		writeProblem(w, http.StatusRequestEntityTooLarge, "Send an empty form, or List-Unsubscribe=One-Click.")
		return
	}
	sendID, contactID, subscription, state := findLink(r)
	if state == pageAsk {
		t := tenantOf(r.Context())
		state = decide(r.Context(), func() error { return t.db.Unsubscribe(r.Context(), sendID, contactID) }, pageUnknown)
		if state == pageDone {
			s.metrics.leaves.WithLabelValues(t.id).Inc()
		}
	}
	writeUnsubscribe(w, r, state, subscription)
}

// findLink checks a link's token and reads what it is about.
func findLink(r *http.Request) (sendID, contactID int64, subscription store.Subscription, state pageState) {
	return followLink(r, render.VerifyUnsubscribe, tenantOf(r.Context()).db.FindSubscription, pageUnknown)
}

func writeUnsubscribe(w http.ResponseWriter, r *http.Request, state pageState, subscription store.Subscription) {
	data := newPage(r, unsubscribeWording, subscription.Reader, state)
	if subscription.Preferences && (state == pageAsk || state == pageDone) {
		data.Link = &pageLink{Address: "../p/" + r.PathValue("token"), Text: preferencesLink[data.language]}
	}
	showPage(w, r, data)
}
