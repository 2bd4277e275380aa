package server

import (
	"errors"
	"net/http"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/policy"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// The fields of the page's forms; each holds a purpose.
const (
	fieldWithdraw = "withdraw"
	fieldAsk      = "ask"
)

// showPreferences answers GET and HEAD: it shows what a person receives and changes nothing.
func (s *Server) showPreferences(w http.ResponseWriter, r *http.Request) {
	_, _, found, state := findPreferences(r)
	writePreferences(w, r, state, found, decided{})
}

// setPreference answers POST: a purpose is withdrawn at once, and to have one again is asked by mail, because whoever has the
// link need not be the holder of the address.
func (s *Server) setPreference(w http.ResponseWriter, r *http.Request) {
	if !readForm(w, r) {
		return
	}
	sendID, contactID, found, state := findPreferences(r)
	if state != pageAsk {
		writePreferences(w, r, state, found, decided{})
		return
	}
	withdraw, ask := r.PostForm.Get(fieldWithdraw), r.PostForm.Get(fieldAsk)
	done := decided{field: fieldAsk, purpose: withdraw + ask} // one of them is given, and the other is empty
	if withdraw != "" {
		done.field = fieldWithdraw
	}
	db := tenantOf(r.Context()).db
	var err error
	switch {
	case !crm.IsPurpose(done.purpose):
		err = store.ErrNotFound
	case done.field == fieldWithdraw:
		err = db.Withdraw(r.Context(), sendID, contactID, done.purpose)
	default:
		err = db.AskAgain(r.Context(), sendID, contactID, done.purpose)
	}
	if errors.Is(err, store.ErrNotFound) {
		writeProblem(w, http.StatusUnprocessableEntity, "The form names no purpose that can be chosen.")
		return
	}
	if err != nil {
		failure(r.Context(), err) // logged where it is ours
		writePreferences(w, r, pageUnavailable, found, decided{})
		return
	}
	if done.field == fieldWithdraw {
		s.metrics.leaves.WithLabelValues(tenantOf(r.Context()).id).Inc()
	}
	_, _, found, state = findPreferences(r)
	writePreferences(w, r, state, found, done)
}

// findPreferences checks a link's token, which is the one for unsubscribing, and reads what the person may decide.
func findPreferences(r *http.Request) (sendID, contactID int64, found store.Preferences, state pageState) {
	sendID, contactID, found, state = followLink(r, render.VerifyUnsubscribe, tenantOf(r.Context()).db.FindPreferences, pageUnknown)
	if state == pageAsk && len(found.Purposes) == 0 {
		state = pageUnknown
	}
	return sendID, contactID, found, state
}

// decided is what the form that was sent decides; the zero value before.
type decided struct{ field, purpose string }

// writePreferences shows the page, and what has just been decided.
func writePreferences(w http.ResponseWriter, r *http.Request, state pageState, found store.Preferences, done decided) {
	data := newPage(r, preferencesWording, found.Reader, state)
	if state == pageAsk {
		for _, p := range found.Purposes {
			choice := choose(p, data.language)
			data.Choices = append(data.Choices, choice)
			if p.Purpose == done.purpose {
				data.Notice = choice.Label + ": " + preferenceNotices[done.field][data.language]
			}
		}
	}
	showPage(w, r, data)
}

// choose tells how a purpose stands and what can be decided about it.
func choose(p store.Preference, language int) pageChoice {
	label := labelIn(p.Purpose, p.Labels, pageLanguages[language])
	choice := pageChoice{Label: label.Label, Description: label.Description}
	state, button, field := purposeNotReceived, said{}, ""
	switch {
	case p.Basis == policy.LegalObligation:
		state = purposeAlways
	case p.Receives:
		state, button, field = purposeReceived, purposeWithdraw, fieldWithdraw
	case p.Waits:
		state = purposeWaits
	case p.Askable:
		button, field = purposeAsk, fieldAsk
	}
	choice.State = state[language]
	if field != "" {
		choice.Button = &choiceButton{Field: field, Value: p.Purpose, Label: label.Label, Text: button[language]}
	}
	return choice
}
