package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// The scopes of tokens.
const (
	scopeCalendarRead  = "calendar:read" // what is sent and published when, and what came of posts; nothing of people
	scopeContactsRead  = "contacts:read"
	scopeContactsWrite = "contacts:write"
	scopeEventsWrite   = "events:write"
	scopeImportsWrite  = "imports:write"
	// scopeSubscriptionsWrite is for a site that has a form: it can ask for consents and do nothing else.
	scopeSubscriptionsWrite = "subscriptions:write"
	scopeSuppressionsWrite  = "suppressions:write"
	scopePreviewsRead       = "previews:read" // what a message says of a contact, too
	scopeSegmentsRead       = "segments:read" // what segments are and how large, and nothing of single contacts
	scopeTestsSend          = "tests:send"
	scopeMentionsRead       = "mentions:read"       // what people wrote, and who they are on their networks
	scopeMentionsWrite      = "mentions:write"      // how it was meant
	scopeMonitorsRead       = "monitors:read"       // how much is said, and nothing that somebody wrote but words that many use
	scopeMonitorsWrite      = "monitors:write"      // how much was said before
	scopeRulesRead          = "rules:read"          // who goes through rules, by ids
	scopeRulesWrite         = "rules:write"         // who is retried or ended
	scopeConversationsRead  = "conversations:read"  // what people wrote to us, and what we answered
	scopeConversationsWrite = "conversations:write" // what is answered
	scopeAgentsRepresent    = "agents:represent"    // in whose name: that of any agent, as a console does
	scopeAdmin              = "admin"               // everything, tokens included
)

// Scopes are all scopes that a token can have.
var Scopes = []string{
	scopeAdmin, scopeAgentsRepresent, scopeCalendarRead, scopeContactsRead, scopeContactsWrite, scopeConversationsRead, scopeConversationsWrite,
	scopeEventsWrite, scopeImportsWrite, scopeMentionsRead, scopeMentionsWrite, scopeMonitorsRead, scopeMonitorsWrite, scopePreviewsRead,
	scopeRulesRead, scopeRulesWrite, scopeSegmentsRead, scopeSubscriptionsWrite, scopeSuppressionsWrite, scopeTestsSend,
}

// bearer is the name of the API's security scheme.
const bearer = "bearer"

// requires is the security of an operation: a token with one of these scopes, or admin. Each is an alternative of its own:
// OpenAPI reads scopes that stand together as all needed.
func requires(scopes ...string) []map[string][]string {
	var alternatives []map[string][]string
	for _, scope := range scopes {
		alternatives = append(alternatives, map[string][]string{bearer: {scope}})
	}
	return alternatives
}

// authorize answers the request unless its token is in force and has one of the scopes. It tells whether it has.
func authorize(w http.ResponseWriter, r *http.Request, scopes []string) bool {
	_, ok := identify(w, r, scopes)
	return ok
}

// identify is authorize, and tells which token it is.
func identify(w http.ResponseWriter, r *http.Request, scopes []string) (found store.Token, ok bool) {
	token, ok := bearerToken(r)
	if !ok {
		refuseToken(w, `Bearer realm="tertulia"`, "Send a token in the header Authorization: Bearer ttl_….")
		return found, false
	}
	found, err := findToken(r.Context(), token)
	if errors.Is(err, store.ErrNotFound) {
		refuseToken(w, `Bearer realm="tertulia", error="invalid_token"`, "The token is unknown, expired or revoked.")
		return found, false
	}
	if err != nil {
		status, detail := failure(r.Context(), err)
		writeProblem(w, status, detail)
		return found, false
	}
	for _, scope := range append([]string{scopeAdmin}, scopes...) {
		if slices.Contains(found.Scopes, scope) {
			return found, true
		}
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="tertulia", error="insufficient_scope", scope="`+strings.Join(scopes, " ")+`"`)
	writeProblem(w, http.StatusForbidden, "The token lacks the scope "+strings.Join(scopes, " or ")+".")
	return found, false
}

func refuseToken(w http.ResponseWriter, challenge, detail string) {
	w.Header().Set("WWW-Authenticate", challenge)
	writeProblem(w, http.StatusUnauthorized, detail)
}

func findToken(ctx context.Context, token string) (store.Token, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	return tenantOf(ctx).db.FindToken(ctx, store.HashToken(token))
}

// maxToken bounds what is hashed of a header.
const maxToken = 200

func bearerToken(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "bearer") && token != "" && len(token) <= maxToken
}

// authorizeOperation is authorize for operations of the described API. One that names no scope is for admin alone.
func authorizeOperation(ctx huma.Context, next func(huma.Context)) {
	var scopes []string
	for _, alternative := range ctx.Operation().Security {
		scopes = append(scopes, alternative[bearer]...)
	}
	r, w := humago.Unwrap(ctx)
	if token, ok := identify(w, r, scopes); ok {
		next(huma.WithValue(ctx, tokenKey{}, token))
	}
}

type tokenKey struct{}

// tokenName is the name of the token that an operation was called with.
func tokenName(ctx context.Context) string {
	token, _ := ctx.Value(tokenKey{}).(store.Token)
	return token.Name
}

// tokenHas tells whether the token that an operation was called with has a scope, or admin.
func tokenHas(ctx context.Context, scope string) bool {
	token, _ := ctx.Value(tokenKey{}).(store.Token)
	return slices.Contains(token.Scopes, scope) || slices.Contains(token.Scopes, scopeAdmin)
}
