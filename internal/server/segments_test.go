package server_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// segment brings a segment into force, as the operator does, and builds it.
func (f *fixture) segment(name, match string) {
	f.t.Helper()
	ctx := context.Background()
	schema, err := f.db.LoadExpressionSchema(ctx)
	if err != nil {
		f.t.Fatal(err)
	}
	compiled, err := expr.Compile(schema, match)
	if err != nil {
		f.t.Fatal(err)
	}
	_, _, err = f.db.SaveSegment(ctx, store.SegmentDefinition{
		Name: name, Match: match, Digest: compiled.Digest, Predicate: compiled.Predicate, Arguments: compiled.Arguments, Dependencies: &compiled.Dependencies,
	})
	if err == nil {
		_, err = f.db.EvaluateSegment(ctx, name)
	}
	if err == nil {
		err = f.db.TellMembers(ctx)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// people100 are: 60 of club, 30 of pro, 7 of free and 3 of none.
const people100 = `insert into contact (locale, tags, attr_plan, attr_orders, attr_first_name, attr_member)
	select case when i <= 55 then 'es' when i <= 97 then 'en' else 'rm' end, case when i <= 95 then '{vip}'::text[] else '{}' end,
		case when i <= 60 then 'club' when i <= 90 then 'pro' when i <= 97 then 'free' end, i, 'Ana' || i, i % 2 = 0 from generate_series(1, 100) i`

func TestSegmentsAreLookedAt(t *testing.T) {
	f := newFixture(t)
	f.exec(people100)
	f.segment("pro", `contact.plan == "pro"`)
	f.segment("buyers", `in_segment("pro") && events("purchase").within("90d").where(e, e.amount > 50.0) && age("birthday") >= 18`)
	f.declareSend("spring", time.Hour)
	f.exec("update send set segments = '{pro}'")
	f.exec("update contact set attr_orders = 0, attr_plan = 'pro' where attr_orders = 1")

	type body struct {
		Name, State string
		Members     *int64
		Waiting     int64
		Lag         float64 `json:"lag_seconds"`
		Build       struct {
			At      *time.Time
			Seconds *float64
		}
		Verification struct {
			UnderWay bool `json:"under_way"`
			Repaired int64
		}
	}
	var list struct{ Segments []body }
	f.request(http.MethodGet, "/v1/segments", "").json(t, &list)
	if len(list.Segments) != 2 || list.Segments[1].Name != "pro" {
		t.Fatalf("the list: %+v", list)
	}
	pro := list.Segments[1]
	if pro.State != "Current" || pro.Members == nil || *pro.Members != 30 || pro.Waiting != 1 || pro.Lag <= 0 || pro.Build.At == nil || pro.Build.Seconds == nil || *pro.Build.Seconds <= 0 {
		t.Errorf("pro: %+v", pro)
	}
	var details struct {
		Segment      body
		Match        string
		Dependencies struct {
			Attributes, Segments []string
			Events               []map[string]string
			Calendar             []struct {
				Function string
				Steps    []int64
			}
		}
		UsedBy struct{ Segments, Campaigns []string } `json:"used_by"`
	}
	f.request(http.MethodGet, "/v1/segments/buyers", "").json(t, &details)
	if diff := cmp.Diff([]map[string]string{{"name": "purchase", "within": "90d"}}, details.Dependencies.Events); diff != "" ||
		!slices.Equal(details.Dependencies.Segments, []string{"pro"}) || len(details.Dependencies.Calendar) != 1 {
		t.Errorf("what buyers depends on: %+v\n%s", details.Dependencies, diff)
	}
	f.request(http.MethodGet, "/v1/segments/pro", "").json(t, &details)
	if !slices.Equal(details.UsedBy.Segments, []string{"buyers"}) || !slices.Equal(details.UsedBy.Campaigns, []string{"spring"}) || details.Match != `contact.plan == "pro"` {
		t.Errorf("who needs pro: %+v", details)
	}
	var sample struct{ IDs []string }
	f.request(http.MethodGet, "/v1/segments/pro/sample?n=7", "").json(t, &sample)
	if members := f.rows("select c.public_id::text from contact c join segment_member m on m.contact_id = c.id where c.public_id::text = any ($1)", sample.IDs); len(sample.IDs) != 7 || len(members) != 7 {
		t.Errorf("the sample has %v, of whom %d are members", sample.IDs, len(members))
	}
	got := f.request(http.MethodGet, "/v1/segments/pro/sample?n=7", "")
	if strings.Contains(got.body, "Ana") {
		t.Errorf("the sample tells more than ids: %s", got.body)
	}
}

func TestASegmentIsExplained(t *testing.T) {
	f := newFixture(t)
	f.exec(people100)
	f.segment("pro", `contact.plan == "pro" && events("purchase").within("90d").where(e, e.amount > 50.0) && contact.orders in [7, 8]`)
	var e struct {
		Predicate, Trouble string
		Arguments          []string
		Everyone, Changed  struct {
			SQL, Plan string
			Cost      float64
		}
		Cost struct {
			Expression, Limit int
			Seconds           *float64 `json:"build_seconds"`
			Members           *int64
		}
		Crossings []struct {
			Of, Name, After string
			At              *time.Time
		}
	}
	f.request(http.MethodGet, "/v1/segments/pro/explain", "").json(t, &e)
	for _, sql := range []string{e.Predicate, e.Everyone.SQL, e.Changed.SQL} {
		if strings.Contains(sql, "purchase") || strings.Contains(sql, "'pro'") || !strings.Contains(sql, "$1::") {
			t.Errorf("not by placeholders: %s", sql)
		}
	}
	if !slices.Contains(e.Arguments, "purchase") || !strings.Contains(e.Everyone.Plan, "CTE belongs") || !strings.Contains(e.Changed.Plan, "CTE differs") || e.Everyone.Cost <= 0 {
		t.Errorf("arguments %q, plans\n%s\n%s", e.Arguments, e.Everyone.Plan, e.Changed.Plan)
	}
	if e.Cost.Expression < 40 || e.Cost.Limit != 1000 || e.Cost.Members == nil || e.Cost.Seconds == nil || len(e.Crossings) != 2 || e.Trouble != "" {
		t.Errorf("cost %+v, crossings %+v, trouble %q", e.Cost, e.Crossings, e.Trouble)
	}
	f.exec("update attribute set declared = false where name = 'orders'")
	f.request(http.MethodGet, "/v1/segments/pro/explain", "").json(t, &e)
	if !strings.Contains(e.Trouble, `contact has no attribute "orders"`) {
		t.Errorf("with an attribute that nobody declares any more: %q", e.Trouble)
	}
	for _, path := range []string{"", "/explain", "/sample"} {
		if got := f.request(http.MethodGet, "/v1/segments/nothing"+path, ""); got.status != http.StatusNotFound || !strings.Contains(got.body, "kubectl describe segment nothing") {
			t.Errorf("%q of what is not there: %d %s", path, got.status, got.body)
		}
	}
}

// told is a count as the API tells it.
type told struct {
	Count  *int64
	Hidden string
}

func (c told) String() string {
	if c.Count == nil {
		return c.Hidden
	}
	return fmt.Sprint(*c.Count)
}

type difference struct {
	IsNew     bool `json:"is_new"`
	Unchanged bool
	Suspended bool
	Then      told `json:"members_then"`
	Enter     told
	Leave     told
	Omitted   []string
	By        []struct {
		Attribute string
		Values    []struct {
			Value, Which string
			Enter, Leave told
		}
	}
}

// String is the difference in few words: enter, leave and then, and by each attribute the same of each value.
func (d difference) String() string {
	text := fmt.Sprintf("+%s -%s =%s", d.Enter, d.Leave, d.Then)
	for _, by := range d.By {
		text += "\n" + by.Attribute
		for _, v := range by.Values {
			text += fmt.Sprintf(" %s%s +%s -%s", v.Value, v.Which, v.Enter, v.Leave)
		}
	}
	return text
}

func (f *fixture) diff(name string, manifests ...string) (d difference) {
	f.t.Helper()
	got := f.request(http.MethodPost, "/v1/segments:diff", `{"name": "`+name+`", "segments": [`+strings.Join(manifests, ", ")+`]}`)
	if got.status != http.StatusOK {
		f.t.Fatalf("status %d: %s", got.status, got.body)
	}
	got.json(f.t, &d)
	return d
}

func TestADifferenceHidesFewPeople(t *testing.T) {
	f := newFixture(t)
	f.exec(people100)
	f.segment("active", `contact.orders > 40`) // 60 of them
	before := f.versions()
	for name, tc := range map[string]struct {
		manifest, want string
	}{
		"new": {`{"name": "all", "match": "true"}`, `+100 -0 =100
member false +50 -0 true +50 -0
plan club +60 -0 pro +30 -0 free +<10 -0 unknown +<10 -0
locale es +55 -0 en +withheld -0 others +<10 -0`},
		"nobody":     {`{"name": "x", "match": "contact.orders > 1000"}`, "+<10 -0 =<10"},
		"one":        {`{"name": "x", "match": "contact.orders == 7"}`, "+<10 -0 =<10"},
		"unchanged":  {`{"name": "active", "match": "contact.orders   > 40 // as before"}`, "+0 -0 =60"},
		"suspended":  {`{"name": "active", "match": "true", "suspend": true}`, "+0 -0 =60"},
		"one enters": {`{"name": "active", "match": "contact.orders >= 40"}`, "+<10 -<10 =withheld"},
		"ten leave": {`{"name": "active", "match": "contact.orders > 50"}`, `+<10 -10 =withheld
plan club +<10 -10
locale es +<10 -10
tags vip +<10 -10`},
		"forty enter, sixty leave": {`{"name": "active", "match": "contact.orders <= 40"}`, `+40 -60 =40
member false +20 -30 true +20 -30
plan club +40 -20 pro +0 -30 free +0 -<10 unknown +0 -<10
locale es +40 -withheld en +0 -42 others +0 -<10
tags vip +40 -withheld`},
	} {
		t.Run(name, func(t *testing.T) {
			target, _, _ := strings.Cut(strings.TrimPrefix(tc.manifest, `{"name": "`), `"`)
			if diff := cmp.Diff(tc.want, f.diff(target, tc.manifest).String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	if d := f.diff("active", `{"name": "active", "match": "contact.orders > 40"}`); !d.Unchanged || d.IsNew {
		t.Errorf("the definition in force: %+v", d)
	}
	if diff := cmp.Diff(before, f.versions()); diff != "" {
		t.Errorf("looking wrote: %s", diff)
	}
	if n := f.rows("select count(*) from segment where name <> 'active'"); n[0] != "0" {
		t.Errorf("%s segments came into being", n[0])
	}
}

func TestADifferenceIsRefusedAsTheOperatorWould(t *testing.T) {
	f := newFixture(t)
	f.segment("pro", `contact.plan == "pro"`)
	f.segment("over", `in_segment("pro")`)
	for name, tc := range map[string]struct{ body, location, want string }{
		"a name":     {`{"name": "x", "segments": [{"name": "x", "match": "true &&\n contact.plann == \"pro\""}]}`, "body.segments[0].match", `2:10: contact has no attribute \"plann\": did you mean \"plan\"?`},
		"a person":   {`{"name": "x", "segments": [{"name": "x", "match": "contact.first_name == \"Ana\""}]}`, "body.segments[0].match", "1:9: contact.first_name is personal and must not single out a person"},
		"an address": {`{"name": "x", "segments": [{"name": "x", "match": "\"ana@velo.example\" in contact.tags"}]}`, "body.segments[0].match", "1:1: an address or a number of a person"},
		"matches":    {`{"name": "x", "segments": [{"name": "x", "match": "contact.plan.matches(\"a\")"}]}`, "body.segments[0].match", "1:14: regular expressions are not part of the language"},
		"no segment": {`{"name": "x", "segments": [{"name": "x", "match": "in_segment(\"prou\")"}]}`, "body.segments[0].match", `1:12: there is no Segment \"prou\": did you mean \"pro\"?`},
		"a circle":   {`{"name": "pro", "segments": [{"name": "pro", "match": "in_segment(\"over\")"}]}`, "body.segments[0].match", "1:12: in_segment leads back to this segment: pro → over → pro"},
		"of another": {`{"name": "x", "segments": [{"name": "y", "match": "contact.nothing == 1"}, {"name": "x", "match": "in_segment(\"y\")"}]}`, "body.segments[0].match", `1:9: contact has no attribute \"nothing\"`},
		"costly":     {`{"name": "x", "segments": [{"name": "x", "match": "` + strings.Repeat(`events(\"purchase\") || `, 30) + `true"}]}`, "body.segments[0].match", "1:1: the expression costs 1200, and at most 1000 is allowed"},
		"not there":  {`{"name": "z", "segments": [{"name": "x", "match": "true"}]}`, "", "it is none of segments"},
		"twice":      {`{"name": "x", "segments": [{"name": "x", "match": "true"}, {"name": "x", "match": "true"}]}`, "", "stands there twice"},
		"too long":   {`{"name": "x", "segments": [{"name": "x", "match": "` + strings.Repeat("a", 8193) + `"}]}`, "body.segments[0].match", "8192"},
	} {
		t.Run(name, func(t *testing.T) {
			got := f.request(http.MethodPost, "/v1/segments:diff", tc.body)
			if got.status != http.StatusUnprocessableEntity || !strings.Contains(got.body, tc.want) || !strings.Contains(got.body, tc.location) {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

func TestScopesOfSegments(t *testing.T) {
	f := newFixture(t)
	f.segment("pro", `contact.plan == "pro"`)
	tokens := map[string]string{}
	for _, scope := range []string{"segments:read", "contacts:read", "events:write"} {
		tokens[scope] = store.NewToken()
		if _, err := f.db.CreateToken(t.Context(), store.Token{Name: strings.ReplaceAll(scope, ":", "-"), Scopes: []string{scope}}, store.HashToken(tokens[scope])); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct{ method, path, body, scope string }{
		{http.MethodGet, "/v1/segments", "", "segments:read"},
		{http.MethodGet, "/v1/segments/pro", "", "segments:read"},
		{http.MethodGet, "/v1/segments/pro/explain", "", "segments:read"},
		{http.MethodPost, "/v1/segments:diff", `{"name": "x", "segments": [{"name": "x", "match": "true"}]}`, "segments:read"},
		{http.MethodGet, "/v1/segments/pro/sample", "", "contacts:read"},
	} {
		for scope, token := range tokens {
			want := http.StatusForbidden
			if scope == tc.scope {
				want = http.StatusOK
			}
			if got := f.requestAs(token, tc.method, f.base+tc.path, tc.body); got.status != want {
				t.Errorf("%s %s with %s: %d, want %d", tc.method, tc.path, scope, got.status, want)
			}
		}
	}
}

// TestEventsThatComeTwiceOrTooEarly counts what was sent twice once, and what is dated ahead when it happens.
func TestEventsThatComeTwiceOrTooEarly(t *testing.T) {
	f := newFixture(t)
	f.putContacts(`{"source": "shop", "contacts": [{"external_id": "C1"}, {"external_id": "C2"}, {"external_id": "C3"}]}`)
	f.segment("once", `events("purchase").count() == 1 && events("purchase").sum("amount") == 34.5`)
	event := func(id, who string, at time.Time) string {
		return fmt.Sprintf(`{"id": %q, "source": "shop", "name": "purchase", "occurred_at": %q, "contact": {"external_id": %q}, "properties": {"amount": "34.50"}}`, id, at.Format(time.RFC3339), who)
	}
	now := time.Now()
	events := `{"events": [` + strings.Join([]string{
		event("a", "C1", now.Add(-time.Hour)), event("a", "C1", now.Add(-time.Hour)), event("b", "C2", now.Add(time.Hour)), event("c", "C3", now.AddDate(3, 0, 0)),
	}, ", ") + `]}`
	for range 2 { // a client that got no answer sends all of it again
		f.putEvents(events)
		if err := f.db.SettleSegments(t.Context(), []string{"once"}); err != nil {
			t.Fatal(err)
		}
		members := f.rows(`select i.value from segment_member m join identifier_link l on l.contact_id = m.contact_id join identifier i on i.id = l.identifier_id order by 1`)
		if diff := cmp.Diff([]string{"C1"}, members); diff != "" {
			t.Errorf("who bought once: -want +got:\n%s", diff)
		}
	}
	if d := f.diff("later", `{"name": "later", "match": "events(\"purchase\")"}`); d.Enter.Hidden != "<10" {
		t.Errorf("the difference: %s", d)
	}
}
