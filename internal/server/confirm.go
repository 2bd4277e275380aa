package server

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// fieldShown is the field of the page's form that says what the page showed, by the marks of requests.
const fieldShown = "shown"

// showConfirm answers GET and HEAD: it asks and changes nothing, so that no scanner of links and no prefetch confirms anything.
func (s *Server) showConfirm(w http.ResponseWriter, r *http.Request) {
	_, _, asked, state := findAsked(r)
	writeConfirm(w, r, state, asked, said{})
}

// confirm answers POST, the page's button: 200 when the decision is on disk, and never a redirect. It grants what the page showed;
// what was asked for since then is shown.
func (s *Server) confirm(w http.ResponseWriter, r *http.Request) {
	if !readForm(w, r) {
		return
	}
	sendID, contactID, asked, state := findAsked(r)
	if state != pageAsk {
		writeConfirm(w, r, state, asked, said{})
		return
	}
	shown, ok := shownRequests(r, asked)
	if !ok {
		writeConfirm(w, r, pageUnavailable, asked, said{})
		return
	}
	notice := confirmedNone
	state = decide(r.Context(), func() error {
		granted, err := tenantOf(r.Context()).db.ConfirmConsent(r.Context(), sendID, contactID, shown)
		if granted {
			notice = confirmedPart
		}
		return err
	}, pageExpired)
	if state == pageDone {
		_, _, asked, state = findAsked(r)
	}
	writeConfirm(w, r, state, asked, notice)
}

// findAsked checks a link's token and reads what it is about.
func findAsked(r *http.Request) (sendID, contactID int64, asked store.Asked, state pageState) {
	var expires time.Time
	verify := func(key []byte, token string) (sendID, contactID int64, err error) {
		sendID, contactID, expires, err = render.VerifyConfirm(key, token)
		return sendID, contactID, err
	}
	sendID, contactID, asked, state = followLink(r, verify, tenantOf(r.Context()).db.FindAsked, pageExpired)
	switch {
	case state != pageAsk:
	case time.Now().After(expires):
		state = pageExpired
	case len(asked.Purposes) == 0:
		state = pageDone
	}
	return sendID, contactID, asked, state
}

// shownRequests are those that can be confirmed and of which the form says that its page showed them.
func shownRequests(r *http.Request, asked store.Asked) (shown []int64, ok bool) {
	key, ok := linkKeyOf(r.Context())
	for _, request := range asked.Requests {
		if ok && slices.Contains(r.PostForm[fieldShown], markRequest(key, request)) {
			shown = append(shown, request)
		}
	}
	return shown, ok
}

// markRequest names a request in a form. The number itself would tell how many people ask for something.
func markRequest(key []byte, request int64) string {
	mac := hmac.New(sha256.New, key)
	mac.Write(binary.BigEndian.AppendUint64([]byte("shown "), uint64(request))) //nolint:gosec // a row's number
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:12])
}

// writeConfirm shows the page. notice is what has just happened.
func writeConfirm(w http.ResponseWriter, r *http.Request, state pageState, asked store.Asked, notice said) {
	data := newPage(r, confirmWording, asked.Reader, state)
	if state == pageAsk {
		key, ok := linkKeyOf(r.Context())
		if !ok {
			showPage(w, r, newPage(r, confirmWording, asked.Reader, pageUnavailable))
			return
		}
		data.Notice = notice[data.language]
		for _, p := range asked.Purposes {
			data.Names = append(data.Names, labelIn(p.Name, p.Labels, pageLanguages[data.language]).Label)
		}
		for _, request := range asked.Requests {
			data.Shown = append(data.Shown, markRequest(key, request))
		}
	}
	showPage(w, r, data)
}
