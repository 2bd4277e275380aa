package store_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/segment"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func (f following) described(name string) store.LookedSegment {
	f.t.Helper()
	s, err := f.DescribeSegment(f.t.Context(), name)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// TestDescribeSegment follows a segment from its declaration to a repair.
func TestDescribeSegment(t *testing.T) {
	f := newFollowing(t, 3)
	if _, err := f.DescribeSegment(t.Context(), "pro"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("a segment that is not there: %v", err)
	}
	f.segment("pro", `contact.plan == "pro"`)
	f.segment("among", `in_segment("pro") && events("purchase").within("90d")`)
	if s := f.described("pro"); s.State() != store.SegmentWaiting || s.Members != nil || s.BuildTook != nil || s.Lag <= 0 {
		t.Errorf("before it is built: %+v", s)
	}
	f.settle()
	s := f.described("pro")
	if s.State() != store.SegmentCurrent || s.Members == nil || *s.Members != 0 || s.BuildTook == nil || *s.BuildTook <= 0 || s.Lag != 0 || s.Waiting != 0 || s.BuiltAt == nil {
		t.Errorf("built: %+v", s)
	}
	f.exec("update contact set attr_plan = 'pro' where id < 3")
	if s = f.described("pro"); s.Waiting != 2 || s.Lag <= 0 || s.State() != store.SegmentCurrent {
		t.Errorf("with changes that wait: %+v", s)
	}
	if s = f.described("among"); s.Waiting != 0 {
		t.Errorf("changes that do not concern it: %+v", s)
	}
	f.settle()
	if s = f.described("pro"); s.Waiting != 0 || s.Lag != 0 || *s.Members != 2 {
		t.Errorf("evaluated: %+v", s)
	}
	f.exec("alter table segment_member disable trigger user; delete from segment_member where contact_id = 1; alter table segment_member enable trigger user")
	if n := f.verify(); n != 1 {
		t.Fatalf("%d were repaired", n)
	}
	if s = f.described("pro"); s.Repaired != 1 || s.RepairedAt == nil || s.VerifiedAt == nil || s.Verifying {
		t.Errorf("repaired: %+v", s)
	}
	if s = f.described("among"); s.Repaired != 0 || s.RepairedAt != nil {
		t.Errorf("another one's repair: %+v", s)
	}
	f.exec("update segment set suspended = true where name = 'pro'")
	f.exec("update contact set attr_plan = 'free'")
	if s = f.described("pro"); s.State() != store.SegmentSuspended || s.Lag != 0 || s.Waiting != 0 {
		t.Errorf("suspended: %+v", s)
	}
	users, err := f.LoadSegmentUsers(t.Context(), "pro")
	if diff := cmp.Diff(store.SegmentUsers{Segments: []string{"among"}, Campaigns: []string{}}, users); err != nil || diff != "" {
		t.Errorf("who needs it, %v: -want +got:\n%s", err, diff)
	}
	f.exec("update segment set dormant_since = now() where name = 'pro'")
	list, err := f.ListSegments(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "among" {
		t.Errorf("after it was deleted: %+v, %v", list, err)
	}
}

// TestExplainSegment reads statements and plans of what is never run.
func TestExplainSegment(t *testing.T) {
	f := newFollowing(t, 2000)
	f.segment("pro", `contact.plan == "it's pro" && events("purchase").within("90d").count() > 2`)
	f.settle()
	f.exec("analyze")
	before := f.described("pro")
	p, err := f.ExplainSegment(t.Context(), "pro")
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{p.Predicate, p.Everyone.SQL, p.Changed.SQL} {
		if strings.Contains(sql, "it's") || strings.Contains(sql, "purchase") || strings.Contains(sql, "90") || !strings.Contains(sql, "$1::") {
			t.Errorf("literals in %s", sql)
		}
	}
	if !slices.Contains(p.Arguments, "it's pro") || !slices.Contains(p.Arguments, "purchase") {
		t.Errorf("arguments: %q", p.Arguments)
	}
	everyone, changed := strings.Join(p.Everyone.Plan, "\n"), strings.Join(p.Changed.Plan, "\n")
	if !strings.Contains(everyone, "CTE belongs") || strings.Contains(everyone, "Nested Loop") || p.Everyone.Cost <= 0 || p.Everyone.Rows <= 0 {
		t.Errorf("for everyone, cost %v of %v: %s", p.Everyone.Cost, p.Everyone.Rows, everyone)
	}
	if !strings.Contains(changed, "CTE differs") || !strings.Contains(changed, "$1") || strings.Contains(changed, "Seq Scan on contact") || p.Changed.Cost <= 0 {
		t.Errorf("for the changed, cost %v: %s", p.Changed.Cost, changed)
	}
	if diff := cmp.Diff(before, f.described("pro"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("looking changed something: -before +after:\n%s", diff)
	}
	// The connection can explain another one.
	f.segment("free", `contact.plan == "free"`)
	for range 10 {
		if _, err := f.ExplainSegment(t.Context(), "free"); err != nil {
			t.Fatal(err)
		}
	}
	// One that was compiled for another schema has no plan.
	f.exec("update segment set predicate = 'c.nothing = $1::text', arguments = '[\"x\"]' where name = 'free'")
	if _, err := f.ExplainSegment(t.Context(), "free"); err == nil {
		t.Error("a plan for a column that is not there")
	}
	if _, err := f.ExplainSegment(t.Context(), "pro"); err != nil {
		t.Errorf("after that: %v", err)
	}
}

// TestNextCrossings puts people before each kind of boundary, and nobody before others.
func TestNextCrossings(t *testing.T) {
	f := newFollowing(t, 3)
	f.segment("all", `events("purchase").within("90d") || events("visit").within("2d") || contact.trial_ends < ahead("7d")
		|| age("born") >= 18 || opened().within("30d") || clicked().within("30d") || received().within("3d") || now > timestamp("2100-01-01T00:00:00Z")
		|| now > timestamp("2001-01-01T00:00:00Z")`)
	f.settle()
	f.event(1, "purchase", 89*24*time.Hour)
	f.event(2, "purchase", 80*24*time.Hour)
	f.event(3, "purchase", 91*24*time.Hour)
	f.exec("update contact set attr_trial_ends = now() + interval '7 days 2 hours' where id = 2")
	f.exec("update contact set attr_trial_ends = 'infinity' where id = 3")
	f.exec("insert into engaged (contact_id, send_id, what, at) values (1, 1, 'opened', now() - interval '29 days'), (2, 1, 'clicked', now() - interval '1 day')")
	f.settle()
	got, err := f.NextCrossings(t.Context(), "all")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	until := func(at time.Time) int { return int(at.Sub(now).Round(time.Hour) / time.Hour) }
	var midnight time.Time    // the next one, from where it was swept
	hours := map[string]int{} // until the next
	for i, c := range got {
		key := string(c.Of) + " " + c.Name + " " + c.After.String()
		hours[key] = -1
		if c.At != nil {
			hours[key] = until(*c.At)
		}
		if c.Of == segment.OfAge {
			midnight = c.SweptUntil.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)
		}
		if i > 0 && c.At != nil && (got[i-1].At == nil || got[i-1].At.After(*c.At)) {
			t.Error("they are not in the order of time")
		}
		if time.Since(c.SweptUntil) > 20*time.Minute || c.Unknown {
			t.Errorf("%s was swept at %s, unknown %v", key, c.SweptUntil, c.Unknown)
		}
		if key == "message clicked 720h0m0s" && c.Within != 7*24*time.Hour {
			t.Errorf("it does not say how far it has looked: %+v", c)
		}
	}
	want := map[string]int{
		"event purchase 0s": -1, "event purchase 2160h0m0s": 24, "event visit 0s": -1, "event visit 48h0m0s": -1,
		"field attr_trial_ends -168h0m0s": 2, "age attr_born 0s": until(midnight),
		"message opened 0s": -1, "message opened 720h0m0s": 24, "message clicked 0s": -1, "message clicked 720h0m0s": -1,
		"message received 0s": -1, "message received 72h0m0s": -1,
		"instant 2100-01-01T00:00:00Z 0s": until(time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)), "instant 2001-01-01T00:00:00Z 0s": -1,
	}
	if diff := cmp.Diff(want, hours); diff != "" {
		t.Errorf("hours until somebody crosses, -want +got:\n%s", diff)
	}
	f.event(2, "purchase", -time.Hour) // dated ahead
	got, err = f.NextCrossings(t.Context(), "all")
	if err != nil {
		t.Fatal(err)
	}
	ahead := slices.IndexFunc(got, func(c store.NextCrossing) bool { return c.Name == "purchase" && c.After == 0 })
	if ahead < 0 || got[ahead].At == nil || time.Until(*got[ahead].At).Round(time.Hour) != time.Hour {
		t.Errorf("of an event that is still to happen: %+v", got)
	}
}

// TestSampleSegment draws members, each with the same chance, of few and of many.
func TestSampleSegment(t *testing.T) {
	f := newFollowing(t, 60_000)
	f.segment("few", `contact.spent <= 40.0`)
	f.segment("many", `contact.spent > 10000.0`)
	f.segment("nobody", `contact.spent < 0.0`)
	f.settle()
	for name, n := range map[string]int{"few": 100, "many": 500} {
		low := 0
		for range 20 {
			ids, err := f.SampleSegment(t.Context(), name, n)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(ids)
			want := min(n, int(*f.described(name).Members))
			if len(slices.Compact(slices.Clone(ids))) != len(ids) || len(ids) != want {
				t.Fatalf("%s: %d ids, want %d different ones", name, len(ids), want)
			}
			var strangers, below int
			err = f.Pool.QueryRow(t.Context(), `select count(*) filter (where not exists (select from segment_member m join segment g on g.id = m.segment_id and g.name = $2
				where m.contact_id = c.id)), count(*) filter (where c.id < 35000) from contact c where c.public_id::text = any ($1)`, ids, name).Scan(&strangers, &below)
			if err != nil || strangers != 0 {
				t.Fatalf("%s: %d are no members, %v", name, strangers, err)
			}
			low += below
		}
		if name == "many" && (low < 4500 || low > 5500) {
			t.Errorf("of 10000 draws %d are of the half of members that came first", low)
		}
	}
	if ids, err := f.SampleSegment(t.Context(), "nobody", 20); err != nil || len(ids) != 0 {
		t.Errorf("of nobody: %v, %v", ids, err)
	}
	if _, err := f.SampleSegment(t.Context(), "nothing", 20); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
}

// propose compiles manifests that would be merged together; the last is compared.
func (f following) propose(manifests ...segment.Manifest) []segment.Proposal {
	f.t.Helper()
	list, err := f.ListSegments(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	inForce := map[string]segment.InForce{}
	for _, s := range list {
		inForce[s.Name] = segment.InForce{Match: s.Match, Built: true}
	}
	proposals, problems, err := segment.Propose(manifests[len(manifests)-1].Name, manifests, inForce, f.schema)
	if err != nil || len(problems) > 0 {
		f.t.Fatal(err, problems)
	}
	return proposals
}

func (f following) compare(schema crm.Schema, manifests ...segment.Manifest) store.SegmentComparison {
	f.t.Helper()
	found, err := f.CompareSegment(f.t.Context(), schema, f.propose(manifests...))
	if err != nil {
		f.t.Fatal(err)
	}
	return found
}

// TestCompareSegment asks what definitions would change, and then brings them into force.
func TestCompareSegment(t *testing.T) {
	f := newFollowing(t, 300)
	f.exec("update contact set attr_plan = case id % 3 when 0 then 'pro' when 1 then 'club' end, locale = case when id <= 200 then 'es' else 'en' end, tags = case when id % 2 = 0 then '{vip,x}'::text[] else '{}' end")
	f.segment("rich", `contact.spent > 250.0`)
	f.segment("over", `in_segment("rich") && contact.plan == "pro"`)
	f.settle()
	for name, tc := range map[string]struct {
		manifests []segment.Manifest
		want      store.Moves
	}{
		"the same":                      {[]segment.Manifest{{Name: "rich", Match: `contact.spent > 250.0`}}, store.Moves{}},
		"wider":                         {[]segment.Manifest{{Name: "rich", Match: `contact.spent > 200.0`}}, store.Moves{Entered: 50}},
		"narrower":                      {[]segment.Manifest{{Name: "rich", Match: `contact.spent > 280.0`}}, store.Moves{Left: 30}},
		"others":                        {[]segment.Manifest{{Name: "rich", Match: `contact.spent <= 20.0`}}, store.Moves{Entered: 20, Left: 50}},
		"new":                           {[]segment.Manifest{{Name: "pros", Match: `contact.plan == "pro"`}}, store.Moves{Entered: 100}},
		"hostile":                       {[]segment.Manifest{{Name: `x'; drop table contact; --`, Match: `contact.plan == "$1'; --"`}}, store.Moves{}},
		"over one in force":             {[]segment.Manifest{{Name: "late", Match: `!in_segment("rich")`}}, store.Moves{Entered: 250}},
		"over one in the file":          {[]segment.Manifest{{Name: "rich", Match: `contact.spent > 200.0`}, {Name: "over", Match: `in_segment("rich") && contact.plan == "pro"`}}, store.Moves{Entered: 17}},
		"over two in the file":          {[]segment.Manifest{{Name: "a", Match: `contact.plan == "pro"`}, {Name: "b", Match: `contact.plan == "club"`}, {Name: "c", Match: `in_segment("a") || in_segment("b")`}}, store.Moves{Entered: 200}},
		"over one over one in the file": {[]segment.Manifest{{Name: "rich", Match: `contact.spent > 200.0`}, {Name: "top", Match: `in_segment("over")`}}, store.Moves{Entered: 34}},
		"beside a suspended one":        {[]segment.Manifest{{Name: "rich", Match: `contact.spent > 200.0`, Suspend: true}, {Name: "over", Match: `in_segment("rich") && contact.plan == "pro"`}}, store.Moves{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := f.compare(f.schema, tc.manifests...); got.Moves != tc.want {
				t.Errorf("got %+v, want %+v", got.Moves, tc.want)
			}
		})
	}
	// What is told holds.
	f.segment("rich", `contact.spent <= 20.0`)
	f.settle()
	var moves store.Moves
	err := f.Pool.QueryRow(t.Context(), `select count(*) filter (where entered), count(*) filter (where not entered) from segment_event e
		join segment g on g.id = e.segment_id and g.name = 'rich' where reason = 'Definition'`).Scan(&moves.Entered, &moves.Left)
	if err != nil || moves.Left != 50 {
		t.Errorf("it became %+v, %v", moves, err)
	}
}

// TestCompareSegmentBy counts by what people have in common, and not by what tells who they are.
func TestCompareSegmentBy(t *testing.T) {
	f := newFollowing(t, 0)
	f.schema.Attributes = []crm.Attribute{
		{Name: "city", Type: crm.String},
		{Name: "code", Type: crm.String},
		{Name: "email", Type: crm.String},
		{Name: "member", Type: crm.Boolean},
		{Name: "name", Type: crm.String, Personal: true},
		{Name: "plan", Type: crm.String, Enum: []string{"club", "pro"}},
		{Name: "spent", Type: crm.Decimal},
	}
	if _, _, err := f.EnsureAttributes(t.Context(), f.schema.Attributes); err != nil {
		t.Fatal(err)
	}
	f.exec(`insert into contact (locale, tags, attr_city, attr_code, attr_email, attr_member, attr_name, attr_plan, attr_spent)
		select 'es', case when i <= 40 then '{vip,vip,rare}'::text[] else '{rare}' end, case when i <= 30 then 'Sevilla' when i <= 60 then 'León' else 'Rota' end,
			'k' || i, 'x', i % 2 = 0, 'Ana', case when i <= 25 then 'pro' when i <= 60 then 'club' end, i from generate_series(1, 63) i`)
	for _, statistics := range []string{"", "analyze"} {
		f.exec(statistics)
		got := f.compare(f.schema, segment.Manifest{Name: "new", Match: `contact.spent > 0.0`})
		value := func(text string, n int64) store.MovesOfValue {
			return store.MovesOfValue{Value: text, Moves: store.Moves{Entered: n}}
		}
		want := store.SegmentComparison{Moves: store.Moves{Entered: 63}, Omitted: []string{"code"}, By: []store.MovesOf{
			{Attribute: "city", Partition: true, Values: []store.MovesOfValue{value("León", 30), value("Sevilla", 30), value("Rota", 3)}},
			{Attribute: "member", Partition: true, Listed: true, Values: []store.MovesOfValue{value("false", 32), value("true", 31)}},
			{Attribute: "plan", Partition: true, Listed: true, Values: []store.MovesOfValue{
				value("club", 35), value("pro", 25), {Unknown: true, Moves: store.Moves{Entered: 3}},
			}},
			{Attribute: "locale", Partition: true, Values: []store.MovesOfValue{value("es", 63)}},
			{Attribute: "tags", Values: []store.MovesOfValue{value("rare", 63), value("vip", 40)}},
		}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: -want +got:\n%s", statistics, diff)
		}
	}
}

// TestLookingWritesNothingAndEnds has a look at a database that is busy, and at an expression that takes for ever.
func TestLookingWritesNothingAndEnds(t *testing.T) {
	f := newFollowing(t, 3)
	compiled, err := expr.Compile(f.schema, `contact.plan == "pro"`)
	if err != nil {
		t.Fatal(err)
	}
	writes := segment.Proposal{Name: "x", Predicate: "setval('contact_id_seq', 7) > 0", Arguments: nil}
	if _, err := f.CompareSegment(t.Context(), f.schema, []segment.Proposal{writes}); err == nil {
		t.Error("a comparison could write")
	}
	locked := f.begin("")
	f.in(locked, "lock table contact in access exclusive mode")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err = f.CompareSegment(ctx, f.schema, []segment.Proposal{{Name: "x", Predicate: compiled.Predicate, Arguments: compiled.Arguments}})
	if !errors.Is(err, store.ErrTooLong) {
		t.Errorf("behind a lock: %v", err)
	}
}
