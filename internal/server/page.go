package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"errors"
	"html/template"
	"net/http"

	"golang.org/x/text/language"

	"github.com/tertulia-crm/tertulia/internal/store"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// pagePolicy lets a page show itself and post to its own address, and nothing else.
var pagePolicy = func() string {
	digest := sha256.Sum256([]byte(pageCSS))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) +
		"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
}()

// pageState is what a page has to say.
type pageState string

const (
	pageAsk         pageState = "ask"
	pageDone        pageState = "done"
	pageUnknown     pageState = "unknown"
	pageExpired     pageState = "expired"
	pageUnavailable pageState = "unavailable"
)

var pageStatus = map[pageState]int{
	pageAsk: http.StatusOK, pageDone: http.StatusOK, pageUnknown: http.StatusNotFound, pageExpired: http.StatusGone,
	pageUnavailable: http.StatusServiceUnavailable,
}

// pageData is what a page for the people who are written to shows.
type pageData struct {
	state    pageState
	language int // among pageLanguages

	Lang   string
	Tenant string // how the organisation calls itself; "" where it is not known
	Title  string
	Text   string
	Notice string   // what has just happened; "" for nothing
	Names  []string // of purposes
	Shown  []string // what the page shows, for its form to say
	Button string   // "" shows none
	// Choices are decided one by one.
	Choices []pageChoice
	Link    *pageLink
	Style   template.CSS
}

// pageChoice is one purpose on the page of preferences.
type pageChoice struct {
	Label, Description, State string
	Button                    *choiceButton // nil where nothing can be decided
}

type choiceButton struct{ Field, Value, Label, Text string }

type pageLink struct{ Address, Text string }

// newPage is what a page says to its reader.
func newPage(r *http.Request, w wording, reader store.Reader, state pageState) pageData {
	at := pageLanguage(reader.Locale, reader.Locales, r.Header.Get("Accept-Language"))
	data := pageData{
		state: state, language: at, Lang: pageLanguages[at].String(), Tenant: reader.DisplayName,
		Title: sayFirst(state, w.title, commonTitles)[at], Text: sayFirst(state, w.text, commonTexts)[at],
	}
	if state == pageAsk {
		data.Button = w.button[at]
	}
	return data
}

// showPage answers with a page.
func showPage(w http.ResponseWriter, r *http.Request, data pageData) {
	data.Style = template.CSS(pageCSS) //nolint:gosec // ours
	var page bytes.Buffer
	if err := pageTemplate.Execute(&page, data); err != nil {
		failure(r.Context(), err)
		writeText(w, http.StatusInternalServerError, "The page cannot be shown.")
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Language", data.Lang)
	header.Set("Content-Security-Policy", pagePolicy)
	header.Set("X-Robots-Tag", "noindex")
	if data.state == pageUnavailable {
		header.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(pageStatus[data.state])
	_, _ = page.WriteTo(w) // the reader may be gone; what they decided is saved
}

var (
	pageLanguages = []language.Tag{language.Spanish, language.English}
	pageMatcher   = language.NewMatcher(pageLanguages)
)

// pageLanguage picks the language of a page: the contact's, else the browser's, else the tenant's first.
func pageLanguage(locale string, locales []string, acceptLanguage string) int {
	var wanted []language.Tag
	if tag, err := language.Parse(locale); err == nil && locale != "" {
		wanted = append(wanted, tag)
	}
	if accepted, _, err := language.ParseAcceptLanguage(acceptLanguage); err == nil {
		wanted = append(wanted, accepted...)
	}
	for _, locale := range locales {
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

// labelIn is what a purpose is called in a page's language, else in the first that it has a name in, else its plain name.
func labelIn(purpose string, labels []store.PurposeLabel, page language.Tag) store.PurposeLabel {
	if len(labels) == 0 {
		return store.PurposeLabel{Label: purpose}
	}
	tags := make([]language.Tag, len(labels))
	for i, l := range labels {
		tags[i] = language.Make(l.Locale)
	}
	_, at, _ := language.NewMatcher(tags).Match(page)
	return labels[at]
}

// followLink checks the token of a link in a mail and reads what it is about; absent is the state where there is no such thing.
// Otherwise the state is pageAsk, or why it cannot be known.
func followLink[T any](
	r *http.Request, verify func(key []byte, token string) (sendID, contactID int64, err error),
	find func(ctx context.Context, sendID, contactID int64) (T, error), absent pageState,
) (sendID, contactID int64, found T, state pageState) {
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	key, ok := linkKeyOf(ctx)
	if !ok {
		return 0, 0, found, pageUnavailable
	}
	sendID, contactID, err := verify(key, r.PathValue("token"))
	if err != nil {
		return 0, 0, found, pageUnknown
	}
	linkSend(ctx, tenantOf(ctx), sendID)
	found, err = find(ctx, sendID, contactID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return 0, 0, found, absent
	case err != nil:
		failure(ctx, err)
		return 0, 0, found, pageUnavailable
	}
	return sendID, contactID, found, pageAsk
}

// decide does what the button of a page says, and tells how that went; absent is the state where there is nothing to decide any more.
func decide(ctx context.Context, do func() error, absent pageState) pageState {
	err := do()
	switch {
	case err == nil:
		return pageDone
	case errors.Is(err, store.ErrNotFound):
		return absent
	}
	failure(ctx, err) // logged where it is ours
	return pageUnavailable
}

// maxForm bounds what is read of a POST's body.
const maxForm = 16 << 10

// readForm reads the form of a page. Where there is none it answers.
func readForm(w http.ResponseWriter, r *http.Request) bool {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	if err == nil {
		return true
	}
	status := http.StatusBadRequest
	if large := new(http.MaxBytesError); errors.As(err, &large) {
		status = http.StatusRequestEntityTooLarge
	}
	writeProblem(w, status, "Send the form of the page.")
	return false
}

// linkKeyOf reads the key that the tokens of a tenant's links are signed with.
func linkKeyOf(ctx context.Context) ([]byte, bool) {
	key, err := tenantOf(ctx).linkKey(ctx)
	if err != nil {
		failure(ctx, err)
		return nil, false
	}
	return key, true
}
