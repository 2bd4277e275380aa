package identity

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func after(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

func anything(string, string) bool { return true }

func TestSurvive(t *testing.T) {
	records := []Record{
		{ID: 1, Source: "crm", Values: map[string]Value{"plan": {"free", after(1)}, "city": {"Madrid", after(1)}}, Tags: []string{"a", "b"}},
		{ID: 2, Source: "shop", Values: map[string]Value{"plan": {"club", after(2)}, "city": {"Bilbao", after(3)}, "size": {"M", after(1)}}, Tags: []string{"b", "c"}},
		{ID: 3, Source: "web", Values: map[string]Value{"city": {"Vigo", after(2)}, "size": {"huge", after(9)}}},
	}
	valid := func(attribute, text string) bool { return attribute != "size" || text != "huge" }
	for name, c := range map[string]struct {
		sources []string
		want    map[string]string
	}{
		"the newest":                    {nil, map[string]string{"plan": "club", "city": "Bilbao", "size": "M"}},
		"the highest":                   {[]string{"crm"}, map[string]string{"plan": "free", "city": "Madrid", "size": "M"}},
		"the highest that says it":      {[]string{"web", "crm", "shop"}, map[string]string{"plan": "free", "city": "Vigo", "size": "M"}},
		"a rank that nobody here has":   {[]string{"erp"}, map[string]string{"plan": "club", "city": "Bilbao", "size": "M"}},
		"all ranked, the newest is low": {[]string{"crm", "web", "shop"}, map[string]string{"plan": "free", "city": "Madrid", "size": "M"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Survive(records, c.sources, valid)
			if diff := cmp.Diff(c.want, got.Values); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff([]string{"a", "b", "c"}, got.Tags); diff != "" {
				t.Errorf("tags: -want +got:\n%s", diff)
			}
		})
	}
}

func TestStrictest(t *testing.T) {
	how := "form"
	yes := Consent{Purpose: "news", Granted: true, Source: "shop", RecordedAt: after(1)}
	no := Consent{Purpose: "news", Source: "web", RecordedAt: after(5)}
	own, proven, ownNo := yes, yes, no
	own.ByContact, own.RecordedAt = true, after(9)
	proven.Method, proven.RecordedAt = &how, after(9)
	ownNo.ByContact, ownNo.RecordedAt = true, after(9)
	for name, c := range map[string]struct{ a, b, want Consent }{
		"a no before a yes":                     {yes, no, no},
		"a source's no before the person's yes": {own, no, no},
		"the person's before a source's yes":    {yes, own, own},
		"the person's before a source's no":     {no, ownNo, ownNo},
		"what is proven":                        {yes, proven, proven},
	} {
		for _, records := range [][]Record{{{ID: 1, Consents: []Consent{c.a}}, {ID: 2, Consents: []Consent{c.b}}}, {{ID: 1, Consents: []Consent{c.b}}, {ID: 2, Consents: []Consent{c.a}}}} {
			if diff := cmp.Diff([]Consent{c.want}, Strictest(records)); diff != "" {
				t.Errorf("%s: -want +got:\n%s", name, diff)
			}
		}
	}
}

func TestSay(t *testing.T) {
	how := "form"
	r := Record{Values: map[string]Value{"plan": {"free", after(1)}}, Tags: []string{"a"}, Consents: []Consent{{Purpose: "news", ByContact: true}}}
	for _, c := range []struct {
		reason string
		said   Said
		want   bool
	}{
		{"what was said before is as old as it was", Said{Values: map[string]string{"plan": "free", "city": ""}, Tags: []string{"a"}}, false},
		{"what the person decided stays", Said{Consents: []Consent{{Purpose: "news", Granted: true}}}, false},
		{"another value", Said{Values: map[string]string{"plan": "club"}}, true},
		{"another tag", Said{Tags: []string{"b"}}, true},
		{"another purpose", Said{Consents: []Consent{{Purpose: "offers", Granted: true}}}, true},
		{"the same again", Said{Consents: []Consent{{Purpose: "offers", Granted: true}}}, false},
		{"how it was given", Said{Consents: []Consent{{Purpose: "offers", Granted: true, Method: &how}}}, true},
	} {
		if got := r.Say(c.said, after(7), func(_, a, b string) bool { return a == b }); got != c.want {
			t.Errorf("%s: changed %v, want %v", c.reason, got, c.want)
		}
	}
	want := Record{
		Values: map[string]Value{"plan": {"club", after(7)}}, Tags: []string{"a", "b"},
		Consents: []Consent{{Purpose: "news", ByContact: true}, {Purpose: "offers", Granted: true, Method: &how}},
	}
	if diff := cmp.Diff(want, r, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestSurviveInAnyOrder: which record is looked at first makes no difference to values and consents.
func TestSurviveInAnyOrder(t *testing.T) {
	source := rapid.SampledFrom([]string{"crm", "shop", "web"})
	record := rapid.Custom(func(t *rapid.T) Record {
		r := Record{ID: rapid.Int64Range(1, 99).Draw(t, "id"), Source: source.Draw(t, "source"), Values: map[string]Value{}}
		for _, name := range []string{"plan", "city"} {
			r.Values[name] = Value{rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, name), after(rapid.IntRange(1, 3).Draw(t, "at"))}
		}
		r.Consents = []Consent{{
			Purpose: "news", Granted: rapid.Bool().Draw(t, "granted"), ByContact: rapid.Bool().Draw(t, "by contact"), RecordedAt: after(rapid.IntRange(1, 3).Draw(t, "when")),
		}}
		return r
	})
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOfNDistinct(record, 1, 5, func(r Record) int64 { return r.ID }).Draw(t, "records")
		ranks := rapid.SliceOfNDistinct(source, 0, 2, rapid.ID[string]).Draw(t, "ranks")
		first, second := Survive(records, ranks, anything), Survive(rapid.Permutation(records).Draw(t, "order"), ranks, anything)
		if diff := cmp.Diff(first, second, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("-first +second:\n%s", diff)
		}
	})
}
