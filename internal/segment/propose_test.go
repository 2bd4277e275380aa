package segment_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/segment"
)

// TestPropose puts definitions behind those that they ask for, and says what keeps them from coming into force.
func TestPropose(t *testing.T) {
	schema := crm.Schema{Attributes: []crm.Attribute{{Name: "plan", Type: crm.String}}}
	inForce := map[string]segment.InForce{
		"pro":     {Match: `contact.plan == "pro"`, Built: true},
		"over":    {Match: `in_segment("pro")`, Built: true},
		"frozen":  {Match: `in_segment("pro")`, Built: true, Suspend: true},
		"unbuilt": {Match: `contact.plan == "pro"`},
		"old":     {Match: `contact.gone == 1 || in_segment("pro")`, Built: true},
	}
	one := func(name, match string) segment.Manifest { return segment.Manifest{Name: name, Match: match} }
	type found struct{ Order, Problems string }
	for name, tc := range map[string]struct {
		manifests []segment.Manifest // the last is compared
		want      found
	}{
		"alone":                 {[]segment.Manifest{one("a", `in_segment("pro")`)}, found{Order: "a"}},
		"behind another":        {[]segment.Manifest{one("b", "true"), one("a", `in_segment("b")`)}, found{Order: "b a"}},
		"over one in force":     {[]segment.Manifest{one("pro", "true"), one("a", `in_segment("over")`)}, found{Order: "pro over a"}},
		"over one that is kept": {[]segment.Manifest{one("pro", "true"), one("a", `in_segment("frozen")`)}, found{Order: "a"}},
		"nobody asks for it":    {[]segment.Manifest{one("pro", "true"), one("a", "true")}, found{Order: "a"}},
		"suspended":             {[]segment.Manifest{{Name: "pro", Match: "false", Suspend: true}, one("a", `in_segment("pro")`)}, found{Order: "a"}},
		"suspended and new":     {[]segment.Manifest{{Name: "b", Match: "true", Suspend: true}, one("a", `true && in_segment("b")`)}, found{Problems: `a 1:20 Segment "b" has no membership yet`}},
		"not built":             {[]segment.Manifest{one("a", `in_segment("unbuilt")`)}, found{Problems: `a 1:12 Segment "unbuilt" has no membership yet`}},
		"unknown":               {[]segment.Manifest{one("a", `in_segment("ovr")`)}, found{Problems: `a 1:12 there is no Segment "ovr": did you mean "over"?`}},
		"a circle":              {[]segment.Manifest{one("pro", `in_segment("over")`)}, found{Problems: "pro 1:12 in_segment leads back to this segment: pro → over → pro. Take it out of one of them."}},
		"itself":                {[]segment.Manifest{one("a", `in_segment("a")`)}, found{Problems: "a 1:12 in_segment leads back to this segment: a → a. Take it out of one of them."}},
		"a circle of others":    {[]segment.Manifest{one("b", `in_segment("c")`), one("c", `in_segment("b")`), one("a", `in_segment("b")`)}, found{Order: "c b a"}},
		"two mistakes":          {[]segment.Manifest{one("a", "contact.x == 1 &&\ncontact.y == 1")}, found{Problems: `a 1:9 contact has no attribute "x"; a 2:9 contact has no attribute "y"`}},
		"over an outdated one":  {[]segment.Manifest{one("pro", "true"), one("a", `in_segment("old")`)}, found{Order: "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			proposals, problems, err := segment.Propose(tc.manifests[len(tc.manifests)-1].Name, tc.manifests, inForce, schema)
			if err != nil {
				t.Fatal(err)
			}
			var got found
			var order, wrong []string
			for _, p := range proposals {
				order = append(order, p.Name)
			}
			for _, p := range problems {
				place, message, _ := strings.Cut(strings.TrimPrefix(p.Error(), `segment "`+p.Manifest+`": spec.match: `), ": ")
				message, _, _ = strings.Cut(message, ": there is")
				wrong = append(wrong, p.Manifest+" "+place+" "+message)
			}
			if got.Problems = strings.Join(wrong, "; "); len(problems) == 0 {
				got.Order = strings.Join(order, " ")
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
