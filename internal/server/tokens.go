package server

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// adminToken is the name of the token that the operator keeps in the tenant's namespace.
const adminToken = "admin"

type createTokenInput struct {
	Body struct {
		Name      string     `json:"name" maxLength:"63" pattern:"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$" doc:"What the token is for." example:"shop"`
		Scopes    []string   `json:"scopes" minItems:"1" doc:"What it may do." enum:"admin,agents:represent,calendar:read,contacts:read,contacts:write,conversations:read,conversations:write,events:write,imports:write,mentions:read,mentions:write,monitors:read,monitors:write,previews:read,rules:read,rules:write,segments:read,subscriptions:write,suppressions:write,tests:send"`
		ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"When the token ends. Default: never."`
	}
}

type tokenBody struct {
	Name      string     `json:"name" doc:"What the token is for."`
	Scopes    []string   `json:"scopes" doc:"What it may do."`
	CreatedAt time.Time  `json:"created_at" doc:"When it was made."`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"When it ends; absent where it never does."`
	Token     string     `json:"token,omitempty" doc:"Shown once, when the token is made."`
}

type tokenOutput struct{ Body tokenBody }

type tokensOutput struct {
	Body struct {
		Tokens []tokenBody `json:"tokens" doc:"By name."`
	}
}

type tokenInput struct {
	Name string `path:"name"`
}

func (s *Server) registerTokens(api huma.API) {
	admin := requires(scopeAdmin)
	register(api, huma.Operation{
		OperationID: "create-token", Method: http.MethodPost, Path: "/v1/tokens", Tags: []string{"Tokens"}, DefaultStatus: http.StatusCreated,
		Summary: "Make a token", Security: admin, Errors: []int{http.StatusConflict, http.StatusUnprocessableEntity},
	}, createToken)
	register(api, huma.Operation{
		OperationID: "list-tokens", Method: http.MethodGet, Path: "/v1/tokens", Tags: []string{"Tokens"},
		Summary: "List the tokens that are not revoked", Security: admin,
	}, listTokens)
	register(api, huma.Operation{
		OperationID: "revoke-token", Method: http.MethodDelete, Path: "/v1/tokens/{name}", Tags: []string{"Tokens"}, DefaultStatus: http.StatusNoContent,
		Summary: "Revoke a token at once", Security: admin, Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, revokeToken)
}

func createToken(ctx context.Context, in *createTokenInput) (*tokenOutput, error) {
	if err := checkExpiry(in.Body.ExpiresAt); err != nil {
		return nil, err
	}
	if in.Body.Name == adminToken {
		return nil, huma.Error409Conflict("The token admin belongs to the operator: choose another name.")
	}
	token := store.NewToken()
	slices.Sort(in.Body.Scopes)
	made, err := tenantOf(ctx).db.CreateToken(ctx, store.Token{
		Name: in.Body.Name, Scopes: slices.Compact(in.Body.Scopes), ExpiresAt: in.Body.ExpiresAt,
	}, store.HashToken(token))
	if errors.Is(err, store.ErrNameTaken) {
		return nil, huma.Error409Conflict("A token of this name exists: revoke it first, or choose another name.")
	}
	if err != nil {
		return nil, apiError(ctx, err)
	}
	body := describeToken(made)
	body.Token = token
	return &tokenOutput{Body: body}, nil
}

func describeToken(t store.Token) tokenBody {
	return tokenBody{Name: t.Name, Scopes: t.Scopes, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt}
}

func listTokens(ctx context.Context, _ *struct{}) (*tokensOutput, error) {
	tokens, err := tenantOf(ctx).db.ListTokens(ctx)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	out := &tokensOutput{}
	out.Body.Tokens = make([]tokenBody, len(tokens))
	for i, t := range tokens {
		out.Body.Tokens[i] = describeToken(t)
	}
	return out, nil
}

func revokeToken(ctx context.Context, in *tokenInput) (*struct{}, error) {
	if in.Name == adminToken {
		return nil, huma.Error409Conflict("The token admin belongs to the operator: delete the Secret tertulia-admin to have it replaced.")
	}
	err := tenantOf(ctx).db.RevokeToken(ctx, in.Name)
	if errors.Is(err, store.ErrNotFound) {
		return nil, huma.Error404NotFound("No token of this name is in force.")
	}
	if err != nil {
		return nil, apiError(ctx, err)
	}
	return nil, nil
}
