package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

// newSegmentWorld makes a small tenant in a test's database.
func newSegmentWorld(t *testing.T, contacts int) *segmentWorld {
	t.Helper()
	w := &segmentWorld{DB: storetest.New(t), now: time.Now(), owned: true, report: t.Logf}
	if err := w.prepareSegments(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.invent(t.Context(), 0, contacts); err != nil {
		t.Fatal(err)
	}
	return w
}

// TestSegmentsSayWhatTheirSQLSays builds every segment of the benchmark and compares its membership with the statement written by hand.
func TestSegmentsSayWhatTheirSQLSays(t *testing.T) {
	const contacts = 4 * peopleUnit
	w := newSegmentWorld(t, contacts)
	names := map[string]bool{}
	kinds := map[string]int{}
	for _, c := range w.cases {
		names[c.name] = true
		kinds[c.kind]++
	}
	if len(names) != 100 || len(kinds) != len(segmentKinds) {
		t.Errorf("there are %d segments of %d kinds, want 100 of %d", len(names), len(kinds), len(segmentKinds))
	}
	builds, err := w.firstBuilds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	few := 0
	for _, b := range builds {
		if slices.Contains([]string{"birthday", "jubilee"}, b.name) && slices.Contains([]string{"02-28", "02-29", "03-01"}, w.now.UTC().Format("01-02")) {
			continue // nobody is invented who has one on these days
		}
		if b.members == 0 || b.members == contacts {
			t.Errorf("%s has %d members: it tells nobody from anybody", b.name, b.members)
		}
		if b.members < contacts/1000 {
			few++
		}
		t.Logf("%-26s %5d members", b.name, b.members)
	}
	if few > 5 {
		t.Errorf("%d segments have hardly any members", few)
	}
}

// TestADifferenceIsFound writes a statement that asks for something else.
func TestADifferenceIsFound(t *testing.T) {
	w := newSegmentWorld(t, peopleUnit)
	w.cases = []segmentCase{{
		ofAttributes, "pro", `contact.plan == "pro"`,
		"select id from contact where attr_plan = 'pro' and id <> (select max(id) from contact where attr_plan = 'pro')",
	}}
	if _, err := w.firstBuilds(t.Context()); err == nil {
		t.Error("a statement that leaves somebody out is taken for the segment's")
	}
}

// TestPeopleGrow makes the same sorts of people however many there are already.
func TestPeopleGrow(t *testing.T) {
	w := newSegmentWorld(t, 2*peopleUnit)
	before := countPeople(t, w.DB)
	if err := w.invent(t.Context(), 2*peopleUnit, 4*peopleUnit); err != nil {
		t.Fatal(err)
	}
	after := countPeople(t, w.DB)
	for what, n := range before {
		if ratio := float64(after[what]) / float64(n); ratio < 1.8 || ratio > 2.2 {
			t.Errorf("%s: %d of twice as many people and %d before", what, after[what], n)
		}
	}
	var indexes []string
	if err := w.Pool.QueryRow(t.Context(), "select array_agg(indexname::text order by 1) from pg_indexes where tablename = 'event'").Scan(&indexes); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"event_contact", "event_identifier"}, indexes); diff != "" {
		t.Errorf("the indexes of events (-want +got):\n%s", diff)
	}
}

func countPeople(t *testing.T, db *store.DB) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	for _, table := range []string{"contact", "identifier", "identifier_link", "consent", "ledger", "engaged", "event"} {
		var n int64
		if err := db.Pool.QueryRow(t.Context(), fmt.Sprintf("select count(*) from %s", table)).Scan(&n); err != nil {
			t.Fatal(err)
		}
		found[table] = n
	}
	for name, where := range map[string]string{
		"of the busiest": "(contact_id - 1) % 1000 = 0", "of the busy": "(contact_id - 1) % 10 = 0", "of the rest": "(contact_id - 1) % 10 > 4",
	} {
		var n int64
		if err := db.Pool.QueryRow(t.Context(), "select count(*) from event where "+where).Scan(&n); err != nil {
			t.Fatal(err)
		}
		found["events "+name] = n
	}
	return found
}
