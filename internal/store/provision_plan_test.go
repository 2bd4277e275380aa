package store

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

func TestPlanGrants(t *testing.T) {
	want := map[string]access{"tenant": readOnly, "send": {privileges: []string{"SELECT"}, update: []string{"state"}}, "newer": data}
	have := []grant{{"tenant", "SELECT", ""}, {"tenant", "DELETE", ""}, {"send", "UPDATE", "campaign"}}
	give, take := planGrants(want, []string{"tenant", "send", "unheard_of"}, have)
	if diff := cmp.Diff([]grant{{"send", "SELECT", ""}, {"send", "UPDATE", "state"}}, give, cmp.AllowUnexported(grant{})); diff != "" {
		t.Errorf("to give: -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]grant{{"send", "UPDATE", "campaign"}, {"tenant", "DELETE", ""}}, take, cmp.AllowUnexported(grant{})); diff != "" {
		t.Errorf("to take: -want +got:\n%s", diff)
	}
}

func TestPlannedGrantsAreReachedInOneStep(t *testing.T) {
	relation, privilege := rapid.SampledFrom([]string{"tenant", "send", "ledger"}), rapid.SampledFrom([]string{"SELECT", "INSERT", "DELETE"})
	rapid.Check(t, func(t *rapid.T) {
		held := map[grant]bool{}
		for range rapid.IntRange(0, 8).Draw(t, "held") {
			held[grant{relation: relation.Draw(t, "relation"), privilege: privilege.Draw(t, "privilege")}] = true
		}
		list := func() []grant {
			var have []grant
			for g := range held {
				have = append(have, g)
			}
			return have
		}
		relations := []string{"tenant", "send", "ledger"}
		give, take := planGrants(runtimeAccess, relations, list())
		for _, g := range give {
			held[g] = true
		}
		for _, g := range take {
			delete(held, g)
		}
		if give, take := planGrants(runtimeAccess, relations, list()); len(give)+len(take) > 0 {
			t.Errorf("after one step: give %v, take %v", give, take)
		}
	})
}

func TestPlanPartitionsCrossesTheYear(t *testing.T) {
	// 23:30 in New York is the next month in UTC, which is what partitions are bounded by.
	now := time.Date(2026, 11, 30, 23, 30, 0, 0, time.FixedZone("", -5*3600))
	var got []string
	for _, month := range planPartitions(eventMonths, []string{"event_2026_12"}, now) {
		got = append(got, eventMonths.partition(month))
	}
	if diff := cmp.Diff([]string{"event_2026_11", "event_2027_01", "event_2027_02", "event_2027_03"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPlanAttributes(t *testing.T) {
	text := crm.Attribute{Name: "plan", Type: crm.String}
	enum := crm.Attribute{Name: "plan", Type: crm.String, Enum: []string{"free", "club"}}
	inForce := column{Attribute: enum, Declared: true, SQLType: "text", Check: true, Validated: true}
	with := func(change func(*column)) []column {
		c := inForce
		change(&c)
		return []column{c}
	}
	tests := map[string]struct {
		reason string
		wanted []crm.Attribute
		have   []column
		want   attributePlan
	}{
		"nothing":            {"it is as it should be", []crm.Attribute{enum}, []column{inForce}, attributePlan{}},
		"another order":      {"an enumeration is a set", []crm.Attribute{{Name: "plan", Type: crm.String, Enum: []string{"club", "free"}}}, []column{inForce}, attributePlan{}},
		"not validated":      {"the operator was stopped in between", []crm.Attribute{enum}, with(func(c *column) { c.Validated = false }), attributePlan{validate: []crm.Attribute{enum}}},
		"constraint is gone": {"rows may have come that it refuses", []crm.Attribute{enum}, with(func(c *column) { c.Check, c.Validated = false, false }), attributePlan{constrain: []crm.Attribute{enum}, validate: []crm.Attribute{enum}}},
		"fewer values in db": {"no row can be outside", []crm.Attribute{enum}, with(func(c *column) { c.Enum = []string{"free"} }), attributePlan{widen: []crm.Attribute{enum}, validate: []crm.Attribute{enum}, record: []crm.Attribute{enum}}},
		"free text again":    {"the constraint goes", []crm.Attribute{text}, []column{inForce}, attributePlan{widen: []crm.Attribute{text}, record: []crm.Attribute{text}}},
		"no longer wanted":   {"the column stays", nil, []column{inForce}, attributePlan{undeclare: []string{"plan"}}},
		"forgotten before":   {"nothing is done twice", nil, with(func(c *column) { c.Declared = false }), attributePlan{}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := planAttributes(tc.wanted, tc.have)
			if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(attributePlan{}, retyping{})); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
		})
	}
}

func TestCheckBroughtURL(t *testing.T) {
	for url, sound := range map[string]bool{
		"postgresql://app:p@velo-db-rw.velo:5432/app":             true,
		"postgres://app:p@db.example/app?sslmode=require":         true,
		"postgres://app@db.example/app":                           false, // PGPASSWORD and ~/.pgpass are ours
		"postgres://app:@db.example/app":                          false,
		"postgres://:p@db.example/app":                            false,
		"postgres://app:p@db.example/app?passfile=/root/.pgpass":  false,
		"postgres://app:p@db.example/app?sslkey=/etc/key.pem":     false,
		"postgres://app:p@db.example/app?service=ours":            false,
		"postgres://app:p@db.example/app?host=/run/postgresql":    false,
		"postgres://app:p@%2Frun%2Fpostgresql/app":                false,
		"postgres://app:p@/app":                                   false,
		"postgres://app:p@db.example/app?sslmode=require&host=%a": false,
		"host=db.example user=app password=p dbname=app":          false,
	} {
		if err := CheckBroughtURL(url); (err == nil) != sound {
			t.Errorf("%s: got %v, sound: %t", url, err, sound)
		} else if err != nil && strings.Contains(err.Error(), "example") {
			t.Errorf("the error repeats the URL: %v", err)
		}
	}
}
