package service_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/service"
)

func TestGive(t *testing.T) {
	round := func(last string, agents ...service.Agent) service.Roster {
		return service.Roster{Mode: service.RouteRoundRobin, StickyFor: hours(48), Last: last, Agents: agents}
	}
	load := func(agents ...service.Agent) service.Roster {
		return service.Roster{Mode: service.RouteByLoad, Capacity: 5, Agents: agents}
	}
	a, b, c := service.Agent{ID: "a"}, service.Agent{ID: "b"}, service.Agent{ID: "c"}
	away, full := service.Agent{ID: "a", Away: true}, service.Agent{ID: "b", Capacity: 2, Open: 2}
	cases := map[string]struct {
		why    string
		roster service.Roster
		knew   []service.Acquaintance
		want   string // the first four, "-" for nobody
	}{
		"Turns":     {"one after the other", round("", c, a, b), nil, "a b c a"},
		"GoesOn":    {"after the last one comes the next", round("b", a, b, c), nil, "c a b c"},
		"Gone":      {"the last one has left", round("b", a, c), nil, "c a c a"},
		"Came":      {"one came in between", round("a", a, service.Agent{ID: "aa"}, b), nil, "aa b a aa"},
		"Away":      {"who is away is skipped", round("", away, b, c), nil, "b c b c"},
		"Full":      {"who is full is skipped", round("", a, full, c), nil, "a c a c"},
		"FillsUp":   {"and so is who becomes so", round("", a, service.Agent{ID: "b", Capacity: 1}), nil, "a b a a"},
		"Nobody":    {"nobody is there", round("", away), nil, "- - - -"},
		"NoAgents":  {"nobody is in the team", round(""), nil, "- - - -"},
		"Manual":    {"agents take what they want", service.Roster{Agents: []service.Agent{a}}, nil, "- - - -"},
		"Known":     {"who knows the customer", round("", a, b, c), []service.Acquaintance{{Agent: "c", At: in(-1)}}, "c c c c"},
		"KnownLast": {"who answered last", round("", a, b, c), []service.Acquaintance{{Agent: "c", At: in(-5)}, {Agent: "b", At: in(-1)}}, "b b b b"},
		"KnownLong": {"who knew the customer long ago does not", round("", a, b, c), []service.Acquaintance{{Agent: "c", At: in(-49)}}, "a b c a"},
		"KnownAway": {"who knows the customer is away", round("", away, b, c), []service.Acquaintance{{Agent: "a", At: in(-1)}}, "b c b c"},
		"Load":      {"who has fewest", load(service.Agent{ID: "a", Open: 2}, service.Agent{ID: "b", Open: 1}), nil, "b a b a"},
		"LoadFull":  {"until all are full", load(service.Agent{ID: "a", Open: 4}, service.Agent{ID: "b", Open: 3}), nil, "b a b -"},
		"LoadTies":  {"of two, who was given none for longer", load(service.Agent{ID: "a", GivenAt: in(-1)}, service.Agent{ID: "b", GivenAt: in(-2)}, c), nil, "c b a a"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			var got []string
			for range 4 {
				agent, ok := tc.roster.Give(tc.knew, noon)
				if !ok {
					agent = "-"
				}
				got = append(got, agent)
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

// However many come and go, those who are there all the time are given as many as each other, give or take one; nobody is who is away or full.
func TestTurnsAreFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roster := service.Roster{Mode: service.RouteRoundRobin}
		given := map[string]int{}
		for range rapid.IntRange(1, 60).Draw(t, "tickets") {
			agents := []service.Agent{{ID: "c"}, {ID: "f"}, {ID: "i"}}
			for _, id := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-j]x`), 0, 5, rapid.ID).Draw(t, "others") {
				agents = append(agents, service.Agent{ID: id, Away: rapid.Bool().Draw(t, "away"), Capacity: 3, Open: rapid.IntRange(0, 3).Draw(t, "open")})
			}
			roster.Agents = slices.Clone(rapid.Permutation(agents).Draw(t, "order"))
			agent, ok := roster.Give(nil, noon)
			if !ok {
				t.Fatal("nobody is given it")
			}
			for _, a := range agents {
				if a.ID == agent && (a.Away || a.Capacity > 0 && a.Open >= a.Capacity) {
					t.Fatalf("%+v is given one", a)
				}
			}
			given[agent]++
			counts := []int{given["c"], given["f"], given["i"]}
			if slices.Max(counts)-slices.Min(counts) > 1 {
				t.Fatalf("not fair: %v", counts)
			}
		}
	})
}

// By load, nobody comes to have more than one ticket more than who has fewest, once they are as many; and the order of the list is of no matter.
func TestLoadIsLevelled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var agents []service.Agent
		for i := range rapid.IntRange(1, 8).Draw(t, "agents") {
			agents = append(agents, service.Agent{ID: fmt.Sprint(i), Open: rapid.IntRange(0, 4).Draw(t, "open"), GivenAt: in(-float64(rapid.IntRange(0, 2).Draw(t, "given")))})
		}
		one := service.Roster{Mode: service.RouteByLoad, Agents: slices.Clone(agents)}
		other := service.Roster{Mode: service.RouteByLoad, Agents: rapid.Permutation(slices.Clone(agents)).Draw(t, "order")}
		for range 5 * len(agents) {
			a, _ := one.Give(nil, noon)
			if b, _ := other.Give(nil, noon); a != b {
				t.Fatalf("%s, and %s in another order", a, b)
			}
		}
		open := func(a, b service.Agent) int { return a.Open - b.Open }
		if most, fewest := slices.MaxFunc(one.Agents, open), slices.MinFunc(one.Agents, open); most.Open-fewest.Open > 1 {
			t.Fatalf("%d and %d", most.Open, fewest.Open)
		}
	})
}
