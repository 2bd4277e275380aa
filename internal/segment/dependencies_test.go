package segment_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/segment"
)

func TestDepend(t *testing.T) {
	schema := crm.Schema{
		Attributes: []crm.Attribute{{Name: "plan", Type: crm.String}, {Name: "trial_ends", Type: crm.Timestamp}},
		Events:     []crm.EventType{{Name: "purchase"}},
	}
	day := (24 * time.Hour).Microseconds()
	cases := map[string]segment.Dependencies{
		`contact.plan == "pro"`: {Watches: []segment.Watch{{Kind: segment.WatchAttribute, Name: "plan"}}, Boundaries: []segment.Boundary{}},
		`"vip" in contact.tags`: {Watches: []segment.Watch{{Kind: segment.WatchTag, Name: "vip"}}, Boundaries: []segment.Boundary{}},
		`has(contact.tags)`:     {Watches: []segment.Watch{{Kind: segment.WatchField, Name: "tags"}}, Boundaries: []segment.Boundary{}},
		`consented("newsletter") && contact.trial_ends < ahead("7d") && contact.created_at > ago("1d")`: {
			Watches: []segment.Watch{
				{Kind: segment.WatchAttribute, Name: "trial_ends"}, {Kind: segment.WatchField, Name: "created_at"}, {Kind: segment.WatchPurpose, Name: "newsletter"},
			},
			Boundaries: []segment.Boundary{
				{Of: segment.OfField, Name: "attr_trial_ends", After: -7 * day}, {Of: segment.OfField, Name: "created_at", After: day},
			},
		},
		`events("purchase").within("90d").count() == 0 && events("purchase").before("7d").count() > 0`: {
			Watches: []segment.Watch{{Kind: segment.WatchEvent, Name: "purchase"}},
			Boundaries: []segment.Boundary{
				{Of: segment.OfEvent, Name: "purchase"}, {Of: segment.OfEvent, Name: "purchase", After: 7 * day}, {Of: segment.OfEvent, Name: "purchase", After: 90 * day},
			},
		},
	}
	for source, want := range cases {
		t.Run(source, func(t *testing.T) {
			compiled, err := expr.Compile(schema, source)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, segment.Depend(compiled.Dependencies)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
