package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// explained is what the API tells of a campaign.
type explained struct {
	Campaign, State string
	SendKey         string `json:"send_key"`
	Sending         bool
	Findings        []struct{ Code, What string }
	Again           *int64
}

func (e explained) codes() string {
	var codes []string
	for _, f := range e.Findings {
		codes = append(codes, f.Code)
	}
	return strings.Join(codes, " ")
}

// decide posts a command and returns how the campaign stands then.
func (f *fixture) decide(name, body string) (e explained) {
	f.t.Helper()
	got := f.request(http.MethodPost, "/v1/campaigns/"+name+"/commands", body)
	if got.status != http.StatusOK {
		f.t.Fatalf("status %d: %s", got.status, got.body)
	}
	got.json(f.t, &e)
	return e
}

func TestACampaignIsPausedExplainedAndAborted(t *testing.T) {
	f := newFixture(t)
	if got := f.request(http.MethodGet, "/v1/campaigns/spring/explain", ""); got.status != http.StatusNotFound || !strings.Contains(got.body, "kubectl describe campaign spring") {
		t.Errorf("a campaign that is not there: %d %s", got.status, got.body)
	}
	f.declareSend("spring", time.Hour)
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	e := f.decide("spring", `{"verb": "pause", "by": "ana", "reason": "the price is wrong", "until": "`+until+`"}`)
	if !strings.Contains(e.codes(), "Paused") || e.Campaign != "spring" || e.SendKey != "spring-key" || e.Sending {
		t.Errorf("paused: %+v", e)
	}
	for _, finding := range e.Findings {
		if finding.Code == "Paused" && finding.What != "It was paused by ana: the price is wrong" {
			t.Errorf("who and why: %q", finding.What)
		}
	}
	if e = f.decide("spring", `{"verb": "resume", "by": "ana"}`); strings.Contains(e.codes(), "Paused") {
		t.Errorf("resumed: %+v", e)
	}
	if e = f.decide("spring", `{"verb": "resend-ambiguous", "by": "ana", "reason": "the relay lost them"}`); e.Again == nil || *e.Again != 0 {
		t.Errorf("nothing to send again: %+v", e)
	}
	if e = f.decide("spring", `{"verb": "abort", "by": "ana", "reason": "not this year"}`); e.State != "Aborted" || e.codes() != "Aborted" {
		t.Errorf("aborted: %+v", e)
	}
	got := f.request(http.MethodPost, "/v1/campaigns/spring/commands", `{"verb": "resume", "by": "ana"}`)
	if got.status != http.StatusConflict || !strings.Contains(got.body, "final") {
		t.Errorf("after an abort: %d %s", got.status, got.body)
	}
	var token string
	if err := f.db.Pool.QueryRow(t.Context(), "select token from send_command where verb = 'abort'").Scan(&token); err != nil || token == "" {
		t.Errorf("whose token it was: %q, %v", token, err)
	}
}

func TestCommandsThatAreRefused(t *testing.T) {
	f := newFixture(t)
	f.declareSend("spring", time.Hour)
	for name, tc := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"abort without a reason":  {`{"verb": "abort", "by": "ana"}`, 422, "reason"},
		"resend without a reason": {`{"verb": "resend-ambiguous", "by": "ana", "reason": " x "}`, 422, "reason"},
		"by nobody":               {`{"verb": "pause", "by": ""}`, 422, "by"},
		"another verb":            {`{"verb": "delete", "by": "ana"}`, 422, "verb"},
		"an address":              {`{"verb": "pause", "by": "ana", "reason": "eva@people.example complained"}`, 422, "addresses"},
		"until yesterday":         {`{"verb": "pause", "by": "ana", "until": "2001-01-01T00:00:00Z"}`, 422, "passed"},
		"abort until":             {`{"verb": "abort", "by": "ana", "reason": "wrong", "until": "2101-01-01T00:00:00Z"}`, 422, "pause"},
	} {
		t.Run(name, func(t *testing.T) {
			got := f.request(http.MethodPost, "/v1/campaigns/spring/commands", tc.body)
			if got.status != tc.status || !strings.Contains(got.body, tc.want) {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
	if got := f.request(http.MethodPost, "/v1/campaigns/autumn/commands", `{"verb": "pause", "by": "ana"}`); got.status != http.StatusNotFound {
		t.Errorf("a campaign that is not there: %d %s", got.status, got.body)
	}
	var n int
	if err := f.db.Pool.QueryRow(t.Context(), "select count(*) from send_command").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d commands were recorded, %v", n, err)
	}
}
