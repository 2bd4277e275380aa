package health

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTenants(t *testing.T) {
	const waits = "the tenant directory /one has not arrived, or is not complete"
	cases := map[string]struct {
		expected []string
		happened func(*Tenants)
		ready    string // "" for ready
		tokens   []string
		hidden   bool // metrics are not served yet
	}{
		"nobody has looked":   {happened: func(*Tenants) {}, ready: "tenants have not been looked for yet"},
		"nobody declared any": {happened: func(r *Tenants) { r.Looked(nil) }},
		"the root is missing": {happened: func(r *Tenants) { r.Looked(errors.New("/nope: no such directory")) }, ready: "/nope: no such directory"},
		"an expected one has not come": {
			expected: []string{"/one"}, happened: func(r *Tenants) { r.Looked(nil); r.Set("/one", nil) }, ready: waits, hidden: true,
		},
		"it has come, and nothing is known": {
			expected: []string{"/one"}, happened: func(r *Tenants) { r.Looked(nil); r.Found("/one", "") },
			ready: "the database of the tenant in /one has not been asked yet",
		},
		"its database is away": {
			expected: []string{"/one"}, happened: func(r *Tenants) { r.Looked(nil); r.Found("/one", "hash"); r.Set("/one", errors.New("away")) },
			ready: "away", tokens: []string{"hash"},
		},
		"it can be worked for": {
			expected: []string{"/one"}, happened: func(r *Tenants) { r.Looked(nil); r.Found("/one", "hash"); r.Set("/one", nil) }, tokens: []string{"hash"},
		},
		"what changes in it says nothing of its database": {
			expected: []string{"/one"}, happened: func(r *Tenants) { r.Looked(nil); r.Found("/one", "a"); r.Set("/one", nil); r.Found("/one", "b") }, tokens: []string{"b"},
		},
		"it went away again, and its token holds": {
			expected: []string{"/one"}, happened: func(r *Tenants) { r.Looked(nil); r.Found("/one", "hash"); r.Set("/one", nil); r.Gone("/one") },
			ready: waits, tokens: []string{"hash"},
		},
		"one of two is in trouble": {
			happened: func(r *Tenants) {
				r.Looked(nil)
				r.Found("/a", "x")
				r.Found("/b", "y")
				r.Set("/a", errors.New("away"))
				r.Set("/b", nil)
			},
			tokens: []string{"x", "y"},
		},
		"both are in trouble": {
			happened: func(r *Tenants) {
				r.Looked(nil)
				r.Found("/a", "")
				r.Found("/b", "")
				r.Set("/a", errors.New("away"))
				r.Set("/b", errors.New("foreign"))
			},
			ready: "away\nforeign",
		},
		"the last one is gone": {happened: func(r *Tenants) { r.Looked(nil); r.Found("/a", ""); r.Gone("/a"); r.Set("/a", errors.New("late")) }},
		"it stops":             {happened: func(r *Tenants) { r.Looked(nil); r.Stop() }, ready: "the process is stopping"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			tenants := NewTenants(c.expected)
			c.happened(tenants)
			ready := ""
			if err := tenants.Ready(); err != nil {
				ready = err.Error()
			}
			tokens, err := tenants.MetricsTokens()
			if diff := cmp.Diff([]any{c.ready, c.tokens, c.hidden}, []any{ready, tokens, err != nil}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
