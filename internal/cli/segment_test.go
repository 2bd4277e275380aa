package cli

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// segment brings a segment into force, as the operator does, and builds it.
func (s *shop) segment(name, match string) {
	s.t.Helper()
	ctx := context.Background()
	schema, err := s.db.LoadExpressionSchema(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	compiled, err := expr.Compile(schema, match)
	if err != nil {
		s.t.Fatal(err)
	}
	_, _, err = s.db.SaveSegment(ctx, store.SegmentDefinition{
		Name: name, Match: match, Digest: compiled.Digest, Predicate: compiled.Predicate, Arguments: compiled.Arguments, Dependencies: &compiled.Dependencies,
	})
	if err == nil {
		_, err = s.db.EvaluateSegment(ctx, name)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestSegment(t *testing.T) {
	s := newShop(t)
	attributes := []crm.Attribute{{Name: "first_name", Type: crm.String, Personal: true}, {Name: "plan", Type: crm.String, Enum: []string{"club", "pro"}}}
	if _, _, err := s.db.EnsureAttributes(context.Background(), attributes); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Pool.Exec(context.Background(), `insert into contact (attr_plan, attr_first_name, locale)
		select case when i <= 40 then 'club' else 'pro' end, 'Ana' || i, 'es' from generate_series(1, 100) i`); err != nil {
		t.Fatal(err)
	}
	s.segment("pro", `contact.plan == "pro"`)
	s.segment("buyers", `in_segment("pro") && events("purchase").within("90d").where(e, e.amount > 50.0)`)
	run := func(args ...string) string {
		t.Helper()
		out, _, err := s.run(append(append([]string{"segment"}, args...), "--kubeconfig", s.kubeconfig)...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out
	}
	wants := func(out string, wanted ...string) {
		t.Helper()
		for _, want := range wanted {
			if !strings.Contains(out, want) {
				t.Errorf("lacks %q:\n%s", want, out)
			}
		}
	}
	wants(run("list"), "NAME", "LAG", "pro", "Current   60        0s", "buyers")
	wants(run("explain", "buyers"), "Segment buyers: Current, 0 members", "expression     5", "of 1000", "last build", "ago",
		"segments       pro", "event          purchase within 90d", "$1 = ", "CTE belongs", "CTE differs", "event purchase, 90d after it: nobody is on the way")
	wants(run("explain", "pro"), "Needed by\n  segments       buyers", "attributes     plan", `$1 = "pro"`, "Its passing changes nothing.")
	var e segmentExplanation
	if err := json.Unmarshal([]byte(run("explain", "pro", "-o", "json")), &e); err != nil || e.Predicate == "" || e.Cost.Limit != 1000 || len(e.UsedBy.Segments) != 1 {
		t.Errorf("explain as JSON: %+v, %v", e, err)
	}
	if ids := strings.Fields(run("sample", "pro", "--size", "5")); len(ids) != 5 || len(ids[0]) != 36 {
		t.Errorf("a sample: %q", ids)
	}
	_, _, err := s.run("segment", "explain", "nothing", "--kubeconfig", s.kubeconfig)
	if err == nil || !strings.Contains(err.Error(), `Segment "nothing" is not in force`) {
		t.Errorf("explain nothing: %v", err)
	}
}

func TestSegmentDiff(t *testing.T) {
	s := newShop(t)
	attributes := []crm.Attribute{{Name: "first_name", Type: crm.String, Personal: true}, {Name: "plan", Type: crm.String, Enum: []string{"club", "pro"}}}
	if _, _, err := s.db.EnsureAttributes(context.Background(), attributes); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Pool.Exec(context.Background(), `insert into contact (attr_plan, attr_first_name, locale)
		select case when i <= 40 then 'club' when i <= 95 then 'pro' end, 'Ana' || i, case when i % 2 = 0 then 'es' end from generate_series(1, 100) i`); err != nil {
		t.Fatal(err)
	}
	s.segment("pro", `contact.plan == "pro"`)
	const head = "apiVersion: crm.tertulia.dev/v1alpha1\nkind: Segment\n"
	file := s.file("segments.yaml", head+"metadata: {name: pro}\nspec:\n  match: contact.plan == \"club\"\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: texts}\n---\n"+
		head+"metadata: {name: both}\nspec:\n  match: >-\n    in_segment(\"pro\")\n    || contact.plan == \"pro\"\n")
	out, told, err := s.run("segment", "diff", file, "--kubeconfig", s.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"Segment pro\n  members   55 now, 40 then\n  enter     40\n  leave     55\n", "  by plan   enter   leave\n  pro       0       55\n  club      40      0\n",
		"Segment both: new\n  members   - now, 95 then\n  enter     95\n  leave     0\n", "(unknown)", "by locale",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	if !strings.Contains(told, `segments.yaml:7: ConfigMap "texts" is left out`) {
		t.Errorf("of what is left out it says %q", told)
	}
	var answer struct{ Segments []segmentDifference }
	out, _, err = s.run("segment", "diff", file, "--kubeconfig", s.kubeconfig, "-o", "json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &answer)
	}
	if err != nil || len(answer.Segments) != 2 || answer.Segments[0].Leave.String() != "55" || !answer.Segments[1].IsNew {
		t.Errorf("as JSON: %+v, %v", answer, err)
	}

	wrong := s.file("wrong.yaml", head+"metadata: {name: pro}\nspec:\n  summary: pros\n  match: |\n    has(contact.plan)\n      && contact.plann == 'pro'\n---\n"+
		head+"metadata: {name: both}\nspec: {match: \"in_segment('pro') && contact.first_name == \\\"Ana\\\"\"}\n")
	_, _, err = s.run("segment", "diff", wrong, "--kubeconfig", s.kubeconfig)
	want := wrong + `:5:3: unknown field "spec.summary"` + "\n" +
		wrong + `:8:18: spec.match: contact has no attribute "plann": did you mean "plan"?` + "\n" +
		wrong + `:13:45: spec.match: contact.first_name is personal and must not single out a person: ask only whether it is known, by has(contact.first_name)`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if _, _, err = s.run("segment", "diff", s.file("none.yaml", "kind: Campaign\n"), "--kubeconfig", s.kubeconfig); err == nil || !strings.Contains(err.Error(), "has no Segment") {
		t.Errorf("without a Segment: %v", err)
	}
	var n int
	if err := s.db.Pool.QueryRow(context.Background(), "select count(*) from segment where name <> 'pro' or match <> 'contact.plan == \"pro\"'").Scan(&n); err != nil || n != 0 {
		t.Errorf("%d segments were written, %v", n, err)
	}
}
