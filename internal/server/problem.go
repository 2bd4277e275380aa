package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// retryAfter is how many seconds a client should wait while a database is away.
const retryAfter = "5"

// writeProblem answers with a problem (RFC 9457).
func writeProblem(w http.ResponseWriter, status int, detail string, errs ...string) {
	problem := &huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail}
	for _, message := range errs {
		problem.Errors = append(problem.Errors, &huma.ErrorDetail{Message: message})
	}
	w.Header().Set("Content-Type", "application/problem+json")
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(problem) // the client may be gone
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

const (
	detailUnavailable = "The tenant's database cannot be reached at the moment. Nothing was changed by this request, or it may be repeated safely."
	detailNoText      = "Something that was sent is no text: leave out zero characters (NUL), and write UTF-8."
	detailInternal    = "The server failed. The failure has been logged."
)

// failure turns an error of the store into what the client may know of it. Errors of ours are logged here, without
// anything of the rows they are about.
func failure(ctx context.Context, err error) (status int, detail string) {
	switch {
	case store.IsUnavailable(err), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return http.StatusServiceUnavailable, detailUnavailable
	case store.IsNoText(err):
		return http.StatusUnprocessableEntity, detailNoText
	}
	log := logr.FromContextOrDiscard(ctx)
	if t := tenantOf(ctx); t != nil {
		log = log.WithValues("tenant", t.id)
	}
	log.Error(store.Brief(err), "Request failed")
	return http.StatusInternalServerError, detailInternal
}

// apiError is failure as an error of the API.
func apiError(ctx context.Context, err error) error {
	status, detail := failure(ctx, err)
	problem := huma.NewError(status, detail)
	if status == http.StatusServiceUnavailable {
		return huma.ErrorWithHeaders(problem, http.Header{"Retry-After": {retryAfter}})
	}
	return problem
}
