package mailbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// Bounds of the JSON list's limit.
const (
	defaultLimit = 100
	maxLimit     = 10_000
)

// apiList is GET /api/messages.
func (s *site) apiList(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	limit, limitErr := number(query, "limit", defaultLimit, maxLimit)
	offset, offsetErr := number(query, "offset", 0, 1<<30)
	for _, err := range []error{limitErr, offsetErr} {
		if err != nil {
			answer(w, http.StatusBadRequest, apiError{err.Error()})
			return
		}
	}
	entries, total, err := s.store.Find(filter(query), offset, limit)
	if err != nil {
		answer(w, status(err), apiError{err.Error()})
		return
	}
	if entries == nil {
		entries = []Entry{}
	}
	answer(w, http.StatusOK, struct {
		Total    int     `json:"total"`
		Messages []Entry `json:"messages"`
	}{total, entries})
}

// apiCount is GET /api/count.
func (s *site) apiCount(w http.ResponseWriter, r *http.Request) {
	tally, err := s.store.Count(filter(r.URL.Query()))
	if err != nil {
		answer(w, status(err), apiError{err.Error()})
		return
	}
	answer(w, http.StatusOK, tally)
}

// apiMessage is GET /api/messages/{id}.
func (s *site) apiMessage(w http.ResponseWriter, r *http.Request) {
	m, _, err := s.read(r)
	if err != nil {
		answer(w, status(err), apiError{err.Error()})
		return
	}
	answer(w, http.StatusOK, m)
}

type apiError struct {
	Error string `json:"error"`
}

func filter(query url.Values) Filter {
	return Filter{Text: query.Get("q"), From: query.Get("from"), To: query.Get("to"), Header: query.Get("header")}
}

func number(query url.Values, name string, fallback, largest int) (int, error) {
	text := query.Get(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > largest {
		return 0, fmt.Errorf("%s must be a number from 0 to %d", name, largest)
	}
	return n, nil
}

func answer(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body)
}
