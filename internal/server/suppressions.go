package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

type suppressInput struct {
	Body struct {
		Addresses []string   `json:"addresses" minItems:"1" maxItems:"1000" doc:"E-mail addresses that are not to be written to."`
		Purpose   string     `json:"purpose,omitempty" doc:"For what. Default: for anything at all." example:"newsletter"`
		Reason    string     `json:"reason,omitempty" enum:"manual,bounced,complained,unsubscribed" doc:"Why; unsubscribed: their holders said so, and only they can take it back. Default: manual."`
		ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"When it ends. Default: never."`
	}
}

type suppressOutput struct {
	Body struct {
		Changed int `json:"changed" doc:"Addresses that were not suppressed, or not for as long."`
	}
}

type addressesInput struct {
	Body struct {
		Addresses []string `json:"addresses" minItems:"1" maxItems:"1000" doc:"E-mail addresses."`
	}
}

type unsuppressInput struct {
	Body struct {
		Addresses []string `json:"addresses" minItems:"1" maxItems:"1000" doc:"E-mail addresses that may be written to again."`
		Purpose   string   `json:"purpose,omitempty" doc:"For what. Default: ends the suppressions of everything, and none of a purpose's." example:"newsletter"`
	}
}

type unsuppressOutput struct {
	Body struct {
		Ended int `json:"ended" doc:"Suppressions that were ended."`
		Kept  int `json:"kept" doc:"Those that the holder of the address has asked for: only they can take them back."`
	}
}

type suppressionBody struct {
	Address   string     `json:"address" doc:"As it was asked for, in its normal form."`
	Purpose   string     `json:"purpose,omitempty" doc:"For what; absent for anything at all."`
	Reason    string     `json:"reason" doc:"Why: manual, bounced, complained or unsubscribed."`
	Source    string     `json:"source" doc:"Who or what recorded it."`
	CreatedAt time.Time  `json:"created_at" doc:"When."`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"When it ends; absent where it never does."`
}

type foundOutput struct {
	Body struct {
		Suppressions []suppressionBody `json:"suppressions" doc:"In the order of the addresses; none for one that may be written to."`
	}
}

type suppressionCount struct {
	Purpose   string `json:"purpose,omitempty" doc:"For what; absent for anything at all."`
	Reason    string `json:"reason" doc:"Why."`
	Addresses int64  `json:"addresses" doc:"How many addresses are suppressed now."`
	Expiring  int64  `json:"expiring" doc:"How many of them for a time only."`
}

type countsOutput struct {
	Body struct {
		Counts []suppressionCount `json:"counts" doc:"By purpose and reason."`
	}
}

func (s *Server) registerSuppressions(api huma.API) {
	secured := requires(scopeSuppressionsWrite)
	invalid := []int{http.StatusUnprocessableEntity}
	register(api, huma.Operation{
		OperationID: "suppress", Method: http.MethodPost, Path: "/v1/suppressions:add", Tags: []string{"Consent"},
		Summary: "Suppress up to 1000 addresses", Security: secured, MaxBodyBytes: maxBatchBody, Errors: invalid,
		Description: "All are suppressed, or none. What is suppressed for longer already stays so.",
	}, suppress)
	register(api, huma.Operation{
		OperationID: "unsuppress", Method: http.MethodPost, Path: "/v1/suppressions:remove", Tags: []string{"Consent"},
		Summary: "End the suppressions of up to 1000 addresses", Security: secured, MaxBodyBytes: maxBatchBody, Errors: invalid,
	}, unsuppress)
	register(api, huma.Operation{
		OperationID: "find-suppressions", Method: http.MethodPost, Path: "/v1/suppressions:find", Tags: []string{"Consent"},
		Summary: "Tell what keeps up to 1000 addresses from being written to", Security: secured, MaxBodyBytes: maxBatchBody, Errors: invalid,
		Description: "Only hashes of addresses are kept, so that the addresses have to be named; they stand in the body, where no log records them.",
	}, findSuppressions)
	register(api, huma.Operation{
		OperationID: "count-suppressions", Method: http.MethodGet, Path: "/v1/suppressions", Tags: []string{"Consent"},
		Summary: "Count the suppressed addresses", Security: secured,
	}, countSuppressions)
}

// normalAddresses checks addresses. The error names a place in the list and no address.
func normalAddresses(list []string) ([]string, error) {
	normal := make([]string, len(list))
	for i, address := range list {
		var err error
		if normal[i], err = crm.NormalizeEmail(address); err != nil {
			return nil, huma.Error422UnprocessableEntity(fmt.Sprintf("addresses[%d]: %s", i, err))
		}
	}
	return normal, nil
}

// checkSuppressed checks addresses, and what they are suppressed for.
func checkSuppressed(list []string, purpose string) ([]string, error) {
	if purpose != "" && !crm.IsPurpose(purpose) {
		return nil, huma.Error422UnprocessableEntity("purpose: must be lower-case letters, digits, hyphens and underscores, such as newsletter")
	}
	return normalAddresses(list)
}

// checkExpiry checks when something ends; nil: never.
func checkExpiry(at *time.Time) error {
	if now := time.Now(); at != nil && !at.After(now) {
		return huma.Error422UnprocessableEntity("expires_at: must be a moment after now (RFC 3339), such as " +
			now.AddDate(0, 0, 30).UTC().Format(time.RFC3339) + "; leave it out for one that never ends")
	}
	return nil
}

func suppress(ctx context.Context, in *suppressInput) (*suppressOutput, error) {
	addresses, err := checkSuppressed(in.Body.Addresses, in.Body.Purpose)
	if err != nil {
		return nil, err
	}
	if err := checkExpiry(in.Body.ExpiresAt); err != nil {
		return nil, err
	}
	entry := store.Suppression{Purpose: in.Body.Purpose, Reason: store.SuppressReason(in.Body.Reason), Source: "api:" + tokenName(ctx)}
	if entry.Reason == "" {
		entry.Reason = store.SuppressManual
	}
	if in.Body.ExpiresAt != nil {
		entry.ExpiresAt = *in.Body.ExpiresAt
	}
	list := make([]store.Suppression, len(addresses))
	for i, address := range addresses {
		list[i] = entry
		list[i].Address = address
	}
	out := &suppressOutput{}
	if out.Body.Changed, err = tenantOf(ctx).db.Suppress(ctx, list...); err != nil {
		return nil, apiError(ctx, err)
	}
	return out, nil
}

func unsuppress(ctx context.Context, in *unsuppressInput) (*unsuppressOutput, error) {
	addresses, err := checkSuppressed(in.Body.Addresses, in.Body.Purpose)
	if err != nil {
		return nil, err
	}
	out := &unsuppressOutput{}
	if out.Body.Ended, out.Body.Kept, err = tenantOf(ctx).db.Unsuppress(ctx, addresses, in.Body.Purpose); err != nil {
		return nil, apiError(ctx, err)
	}
	return out, nil
}

func findSuppressions(ctx context.Context, in *addressesInput) (*foundOutput, error) {
	addresses, err := normalAddresses(in.Body.Addresses)
	if err != nil {
		return nil, err
	}
	found, err := tenantOf(ctx).db.FindSuppressions(ctx, addresses)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	out := &foundOutput{}
	out.Body.Suppressions = make([]suppressionBody, len(found))
	for i, f := range found {
		out.Body.Suppressions[i] = suppressionBody{
			Address: f.Address, Purpose: f.Purpose, Reason: string(f.Reason), Source: f.Source, CreatedAt: f.CreatedAt, ExpiresAt: f.ExpiresAt,
		}
	}
	return out, nil
}

func countSuppressions(ctx context.Context, _ *struct{}) (*countsOutput, error) {
	counts, err := tenantOf(ctx).db.CountSuppressions(ctx)
	if err != nil {
		return nil, apiError(ctx, err)
	}
	out := &countsOutput{}
	out.Body.Counts = make([]suppressionCount, len(counts))
	for i, c := range counts {
		out.Body.Counts[i] = suppressionCount{Purpose: c.Purpose, Reason: string(c.Reason), Addresses: c.Addresses, Expiring: c.Expiring}
	}
	return out, nil
}
