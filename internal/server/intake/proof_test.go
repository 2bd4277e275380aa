package intake

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestProofsOfConsent(t *testing.T) {
	file := "external_id,consent_at:newsletter,consent:newsletter,consent_how:newsletter,consent_text:newsletter,consent:offers\n"
	future := time.Now().AddDate(1, 0, 0).Format(time.DateOnly)
	for name, c := range map[string]struct {
		row   string
		proof store.Proof
		part  string // of the rejection
	}{
		"all of it":         {"C1,2026-03-01T10:15:00+01:00,true, checkout form ,2026-01,", store.Proof{GivenAt: "2026-03-01T09:15:00Z", Method: "checkout form", TextVersion: "2026-01"}, ""},
		"a date":            {"C1,2026-03-01,true,,,true", store.Proof{GivenAt: "2026-03-01T00:00:00Z"}, ""},
		"nothing":           {"C1,,true,,,", store.Proof{}, ""},
		"no date":           {"C1,yesterday,true,,,", store.Proof{}, "consent_at:newsletter: is no date"},
		"before its time":   {"C1,0001-01-01,true,,,", store.Proof{}, "is no date"},
		"the future":        {"C1," + future + ",true,,,", store.Proof{}, "must be when the consent was given"},
		"a long how":        {"C1,,true," + strings.Repeat("x", 101) + ",,", store.Proof{}, "longer than 100 bytes"},
		"a hostile version": {"C1,,true,,<script>,", store.Proof{}, "consent_text:newsletter"},
	} {
		t.Run(name, func(t *testing.T) {
			source, err := NewReader(strings.NewReader(file + c.row + "\n"))
			if err != nil {
				t.Fatal(err)
			}
			r, err := NewContactReader(source, nil)
			if err != nil {
				t.Fatal(err)
			}
			row, err := r.Next()
			if c.part != "" {
				if err == nil || !strings.Contains(err.Error(), c.part) {
					t.Errorf("the rejection lacks %q: %v", c.part, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]store.Proof{c.proof, {}}, row.Proofs); diff != "" || !r.Columns.Proofs {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	source, err := NewReader(strings.NewReader("external_id,consent_at:newsletter\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewContactReader(source, nil); err == nil || !strings.Contains(err.Error(), `add the column "consent:newsletter"`) {
		t.Errorf("a proof of nothing: %v", err)
	}
}
