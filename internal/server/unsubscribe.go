package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"io"
	"net/http"

	"golang.org/x/text/language"

	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

//go:embed unsubscribe.html
var unsubscribeHTML string

//go:embed unsubscribe.css
var unsubscribeCSS string

var unsubscribePage = template.Must(template.New("unsubscribe").Parse(unsubscribeHTML))

// unsubscribePolicy lets the page show itself and post to its own address, and nothing else.
var unsubscribePolicy = func() string {
	digest := sha256.Sum256([]byte(unsubscribeCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) +
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}()

// pageState is what the page has to say.
type pageState string

const (
	pageAsk         pageState = "ask"
	pageDone        pageState = "done"
	pageUnknown     pageState = "unknown"
	pageUnavailable pageState = "unavailable"
)

// unsubscribeData is what the page shows.
type unsubscribeData struct {
	Lang   string
	Tenant string // how the organisation calls itself; "" where it is not known
	Title  string
	Text   string
	Button string // "" shows none
	Style  template.CSS
}

// wording is what the page says in one language.
type wording struct {
	title, text map[pageState]string
	button      string
}

var (
	pageLanguages = []language.Tag{language.Spanish, language.English}
	pageMatcher   = language.NewMatcher(pageLanguages)
	wordings      = []wording{
		{
			title: map[pageState]string{
				pageAsk: "¿Quieres dejar de recibir estos correos?", pageDone: "Hecho: ya no recibirás estos correos",
				pageUnknown: "Este enlace no es válido", pageUnavailable: "Ahora mismo no es posible",
			},
			text: map[pageState]string{
				pageAsk:         "Pulsa el botón y no te enviaremos más correos de este tipo.",
				pageDone:        "Hemos guardado tu decisión. Puedes cerrar esta página.",
				pageUnknown:     "Ábrelo otra vez desde el correo, completo. Si no funciona, responde a ese correo y pídenos la baja.",
				pageUnavailable: "No hemos podido guardar tu decisión. Vuelve a intentarlo dentro de unos minutos, por favor.",
			},
			button: "Darme de baja",
		},
		{
			title: map[pageState]string{
				pageAsk: "Do you want to stop receiving these e-mails?", pageDone: "Done: you will not receive these e-mails any more",
				pageUnknown: "This link is not valid", pageUnavailable: "This is not possible right now",
			},
			text: map[pageState]string{
				pageAsk:         "Press the button and we will send you no more e-mails of this kind.",
				pageDone:        "Your decision has been saved. You can close this page.",
				pageUnknown:     "Open it again from the e-mail, as a whole. If that does not help, answer the e-mail and ask to be unsubscribed.",
				pageUnavailable: "Your decision could not be saved. Please try again in a few minutes.",
			},
			button: "Unsubscribe",
		},
	}
)

// showUnsubscribe answers GET and HEAD: it asks and changes nothing, so that no scanner of links and no prefetch
// unsubscribes anybody.
func (s *Server) showUnsubscribe(w http.ResponseWriter, r *http.Request) {
	_, _, subscription, state := findLink(r)
	if state == pageAsk && subscription.Withdrawn {
		state = pageDone
	}
	writePage(w, r, state, subscription)
}

// maxUnsubscribeBody bounds what is read of a POST's body. Mail clients send List-Unsubscribe=One-Click (RFC 8058), the
// page's button sends an empty form; neither says anything that the signed address does not.
const maxUnsubscribeBody = 16 << 10

// unsubscribe answers POST, the one-click of mail clients and the page's button alike: 200 when the decision is on
// disk, else 503, and never a redirect.
func (s *Server) unsubscribe(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxUnsubscribeBody)); err != nil {
		writeProblem(w, http.StatusRequestEntityTooLarge, "Send an empty form, or List-Unsubscribe=One-Click.")
		return
	}
	sendID, contactID, subscription, state := findLink(r)
	if state == pageAsk {
		state = pageDone
		if err := tenantOf(r.Context()).db.Unsubscribe(r.Context(), sendID, contactID); err != nil {
			failure(r.Context(), err) // logged where it is ours
			state = pageUnavailable
		} else {
			s.metrics.leaves.WithLabelValues(tenantOf(r.Context()).id).Inc()
		}
	}
	writePage(w, r, state, subscription)
}

// findLink checks a link's token and reads what it is about.
func findLink(r *http.Request) (sendID, contactID int64, subscription store.Subscription, state pageState) {
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	t := tenantOf(ctx)
	key, err := t.linkKey(ctx)
	if err != nil {
		failure(ctx, err)
		return 0, 0, subscription, pageUnavailable
	}
	sendID, contactID, err = render.VerifyUnsubscribe(key, r.PathValue("token"))
	if err != nil {
		return 0, 0, subscription, pageUnknown
	}
	linkSend(ctx, t, sendID)
	subscription, err = t.db.FindSubscription(ctx, sendID, contactID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return 0, 0, subscription, pageUnknown
	case err != nil:
		failure(ctx, err)
		return 0, 0, subscription, pageUnavailable
	}
	return sendID, contactID, subscription, pageAsk
}

var pageStatus = map[pageState]int{
	pageAsk: http.StatusOK, pageDone: http.StatusOK, pageUnknown: http.StatusNotFound, pageUnavailable: http.StatusServiceUnavailable,
}

func writePage(w http.ResponseWriter, r *http.Request, state pageState, subscription store.Subscription) {
	at := pageLanguage(subscription, r.Header.Get("Accept-Language"))
	said := wordings[at]
	data := unsubscribeData{
		Lang: pageLanguages[at].String(), Tenant: subscription.DisplayName, Title: said.title[state], Text: said.text[state],
		Style: template.CSS(unsubscribeCSS), //nolint:gosec // ours
	}
	if state == pageAsk {
		data.Button = said.button
	}
	var page bytes.Buffer
	if err := unsubscribePage.Execute(&page, data); err != nil {
		failure(r.Context(), err)
		writeText(w, http.StatusInternalServerError, "The page cannot be shown.")
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Language", data.Lang)
	header.Set("Content-Security-Policy", unsubscribePolicy)
	header.Set("X-Robots-Tag", "noindex")
	if state == pageUnavailable {
		header.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(pageStatus[state])
	_, _ = page.WriteTo(w) // the reader may be gone; what they decided is saved
}

// pageLanguage picks the language of the page: the contact's, else the browser's, else the tenant's first.
func pageLanguage(s store.Subscription, acceptLanguage string) int {
	var wanted []language.Tag
	if tag, err := language.Parse(s.Locale); err == nil && s.Locale != "" {
		wanted = append(wanted, tag)
	}
	if accepted, _, err := language.ParseAcceptLanguage(acceptLanguage); err == nil {
		wanted = append(wanted, accepted...)
	}
	for _, locale := range s.Locales {
		if tag, err := language.Parse(locale); err == nil {
			wanted = append(wanted, tag)
		}
	}
	for _, tag := range wanted {
		if _, at, confidence := pageMatcher.Match(tag); confidence >= language.High {
			return at
		}
	}
	return 1 // English
}
