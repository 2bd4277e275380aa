package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestWhatEndsMustEndLater tells how to mend a moment that has passed, with one that would do.
func TestWhatEndsMustEndLater(t *testing.T) {
	f := newFixture(t)
	for path, body := range map[string]string{
		"/v1/tokens":           `{"name": "shop", "scopes": ["contacts:write"], "expires_at": "AT"}`,
		"/v1/suppressions:add": `{"addresses": ["ana@example.com"], "expires_at": "AT"}`,
	} {
		post := func(at string) answer {
			return f.request(http.MethodPost, path, strings.Replace(body, "AT", at, 1), "Content-Type", "application/json")
		}
		got := post("2020-01-01T00:00:00Z")
		_, example, found := strings.Cut(got.body, "such as ")
		if got.status != http.StatusUnprocessableEntity || !found || !strings.Contains(got.body, "RFC 3339") {
			t.Errorf("%s: status %d: %s", path, got.status, got.body)
			continue
		}
		example, _, _ = strings.Cut(example, ";")
		if at, err := time.Parse(time.RFC3339, example); err != nil || at.Before(time.Now()) {
			t.Errorf("%s: the example %q, %v", path, example, err)
		}
		if got := post(example); got.status >= http.StatusBadRequest {
			t.Errorf("%s: the example was refused: %d: %s", path, got.status, got.body)
		}
	}
}
