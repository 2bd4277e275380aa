package identity

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// known is what a record is known by: an id of a source, then verified identifiers, those that begin with ? not verified.
func known(record int64, names ...string) []Claim {
	var claims []Claim
	for _, name := range names {
		c := Claim{Record: record, Verified: true, Evidence: Stated, Source: "test", At: noon.Add(time.Duration(record) * time.Minute)}
		if name[0] == '?' {
			c.Verified, name = false, name[1:]
		}
		if name[0] == '!' {
			c.Evidence, name = Confirmed, name[1:]
		}
		var n int64
		for _, b := range []byte(name) {
			n = n*131 + int64(b)
		}
		c.Identifier, c.Value = n, name
		c.Type = map[byte]string{'s': "external:shop", 'w': "external:web", 'c': "external:crm", 'e': "email", 'p': "phone", 'h': Handle, 'd': Bluesky}[name[0]]
		claims = append(claims, c)
	}
	return claims
}

// told writes people as their records, and behind each what is verified as theirs.
func told(people []Person, claims []Claim) []string {
	names := map[int64]string{}
	for _, c := range claims {
		names[c.Identifier] = c.Value
	}
	var list []string
	for _, p := range people {
		var verified []string
		for _, l := range p.Links {
			if l.Verified {
				verified = append(verified, names[l.Identifier])
			}
		}
		slices.Sort(verified)
		list = append(list, fmt.Sprint(p.Records, verified))
	}
	return list
}

func TestResolve(t *testing.T) {
	for name, c := range map[string]struct {
		reason    string
		claims    [][]Claim
		decisions []Decision
		want      []string
	}{
		"two sources, one address": {
			reason: "the address is verified by both", claims: [][]Claim{known(1, "s1", "e1"), known(2, "w1", "e1")},
			want: []string{"[1 2] [e1 s1 w1]"},
		},
		"not verified": {
			reason: "anybody can type anybody's address", claims: [][]Claim{known(1, "s1", "e1"), known(2, "w1", "?e1")},
			want: []string{"[1] [e1 s1]", "[2] [w1]"},
		},
		"a handle": {
			reason: "a handle changes hands", claims: [][]Claim{known(1, "s1", "h1"), known(2, "w1", "h1")},
			want: []string{"[1] [h1 s1]", "[2] [w1]"},
		},
		"two customers of one source": {
			reason: "the source tells them apart; the address is the first's", claims: [][]Claim{known(1, "s2", "e1"), known(2, "s1", "e1")},
			want: []string{"[1] [s2]", "[2] [e1 s1]"},
		},
		"the better evidence": {
			reason: "who has answered from the address has it", claims: [][]Claim{known(1, "s1", "e1"), known(2, "s2", "!e1")},
			want: []string{"[1] [s1]", "[2] [e1 s2]"},
		},
		"a chain": {
			reason: "of one by the address, of the other by the number", claims: [][]Claim{known(1, "s1", "e1"), known(2, "w1", "e1", "p1"), known(3, "c1", "p1")},
			want: []string{"[1 2 3] [c1 e1 p1 s1 w1]"},
		},
		"a chain that would join two customers": {
			reason: "an address says more than a number", claims: [][]Claim{known(1, "s1", "p1"), known(2, "w1", "e1", "p1"), known(3, "s2", "e1")},
			want: []string{"[1] [p1 s1]", "[2 3] [e1 s2 w1]"},
		},
		"parted by a person": {
			reason: "a decision is stronger than what sources say", claims: [][]Claim{known(1, "s1", "e1"), known(2, "w1", "e1")},
			decisions: []Decision{{1, 2, false}}, want: []string{"[1] [e1 s1]", "[2] [w1]"},
		},
		"parted, and joined over a third": {
			reason: "who was parted does not come together behind anybody's back", claims: [][]Claim{known(1, "s1", "e1"), known(2, "w1", "e1"), known(3, "c1", "e1")},
			decisions: []Decision{{1, 2, false}}, want: []string{"[1 3] [c1 e1 s1]", "[2] [w1]"},
		},
		"joined by a person": {
			reason: "nothing in common, and two customers of one source", claims: [][]Claim{known(1, "s1"), known(2, "s2")},
			decisions: []Decision{{2, 1, true}}, want: []string{"[1 2] [s1 s2]"},
		},
		"the last decision": {
			reason: "people change their minds", claims: [][]Claim{known(1, "s1"), known(2, "s2")},
			decisions: []Decision{{1, 2, true}, {2, 1, false}}, want: []string{"[1] [s1]", "[2] [s2]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			claims := slices.Concat(c.claims...)
			got := told(Resolve([]int64{1, 2, 3}[:len(c.claims)], claims, c.decisions), claims)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s: -want +got:\n%s", c.reason, diff)
			}
		})
	}
}

func TestResolveLeavesASharedAddressToNobody(t *testing.T) {
	for name, c := range map[string]struct {
		claimants int64
		people    int
	}{"as many as may": {MaxClaimants, 1}, "one more": {MaxClaimants + 1, MaxClaimants + 1}} {
		var records []int64
		var claims []Claim
		for i := int64(1); i <= c.claimants; i++ {
			records = append(records, i)
			claims = append(claims, known(i, "e1", fmt.Sprintf("?d%d", i))...)
		}
		if got := Resolve(records, claims, nil); len(got) != c.people {
			t.Errorf("%s: %d people, want %d", name, len(got), c.people)
		}
	}
}

// drawClaims makes records of three sources that share addresses, numbers and accounts.
func drawClaims(t *rapid.T) (records []int64, claims []Claim) {
	n := rapid.IntRange(1, 8).Draw(t, "records")
	for i := range n {
		record := int64(i + 1)
		names := []string{fmt.Sprintf("%s%d", rapid.SampledFrom([]string{"s", "w", "c"}).Draw(t, "source"), i)}
		for _, kind := range []string{"e", "p", "d", "h"} {
			if k := rapid.IntRange(0, 3).Draw(t, kind); k > 0 {
				names = append(names, rapid.SampledFrom([]string{"", "?", "!"}).Draw(t, "how")+fmt.Sprintf("%s%d", kind, k))
			}
		}
		records, claims = append(records, record), append(claims, known(record, names...)...)
	}
	return records, claims
}

func drawDecisions(t *rapid.T, records []int64) []Decision {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Decision {
		return Decision{A: rapid.SampledFrom(records).Draw(t, "a"), B: rapid.SampledFrom(records).Draw(t, "b"), Same: rapid.Bool().Draw(t, "same")}
	}), 0, 4).Draw(t, "decisions")
}

// TestResolveProperties: the order in which things are known makes no difference, no limit is passed but by decision, nobody who was
// parted is together, and no identifier is verified to two.
func TestResolveProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records, claims := drawClaims(t)
		decisions := drawDecisions(t, records)
		people := Resolve(records, claims, decisions)
		again := Resolve(rapid.Permutation(records).Draw(t, "order of records"), rapid.Permutation(claims).Draw(t, "order of claims"), decisions)
		if diff := cmp.Diff(people, again); diff != "" {
			t.Fatalf("in another order: -first +second:\n%s", diff)
		}
		checkPeople(t, records, claims, decisions, people)
	})
}

func checkPeople(t *rapid.T, records []int64, claims []Claim, decisions []Decision, people []Person) {
	t.Helper()
	person, owner := map[int64]int{}, map[int64]int{}
	for i, p := range people {
		for _, r := range p.Records {
			person[r] = i
		}
		for _, l := range p.Links {
			if _, taken := owner[l.Identifier]; taken && l.Verified {
				t.Fatalf("identifier %d is verified to two", l.Identifier)
			}
			if l.Verified {
				owner[l.Identifier] = i
			}
		}
	}
	if len(person) != len(records) {
		t.Fatalf("%d of %d records are somebody", len(person), len(records))
	}
	last := map[[2]int64]bool{}
	joined := false
	for _, d := range decisions {
		last[[2]int64{min(d.A, d.B), max(d.A, d.B)}] = d.Same
	}
	for pair, same := range last {
		joined = joined || same
		if !same && pair[0] != pair[1] && person[pair[0]] == person[pair[1]] {
			t.Fatalf("%v were parted and are one", pair)
		}
	}
	sources := map[string]bool{}
	for _, c := range claims {
		key := fmt.Sprint(person[c.Record], c.Type)
		if isExternal(c.Type) && sources[key] && !joined {
			t.Fatalf("person %d has two ids of %s", person[c.Record], c.Type)
		}
		sources[key] = sources[key] || isExternal(c.Type)
	}
}

// TestResolveWithoutADecision: to take a decision back leaves no trace of it.
func TestResolveWithoutADecision(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records, claims := drawClaims(t)
		a, b := rapid.SampledFrom(records).Draw(t, "a"), rapid.SampledFrom(records).Draw(t, "b")
		parted := []Decision{{A: a, B: b, Same: false}}
		before := Resolve(records, claims, parted)
		after := Resolve(records, claims, append([]Decision{{a, b, true}}, parted...))
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("-without +with a merge that was undone:\n%s", diff)
		}
	})
}
