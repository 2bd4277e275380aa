package identity

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestWeigh(t *testing.T) {
	name := func(words, restA, restB, holders int, likeness float64) NameComparison {
		return NameComparison{Known: true, Words: words, RestA: restA, RestB: restB, Holders: holders, Likeness: likeness}
	}
	for what, c := range map[string]struct {
		why        string
		comparison Comparison
		score      float64
		reasons    []Reason
	}{
		"nothing":     {"what is known of neither speaks neither way", Comparison{}, 0.03, nil},
		"a rare name": {"two have it, and they are the two", Comparison{Name: name(2, 0, 0, 2, 0)}, 0.5, []Reason{{"name", "same", 5}}},
		"a rare name and the place": {
			"", Comparison{Name: name(2, 0, 0, 2, 0), PlacesKnown: 1, PlacesSame: 1}, 0.8, []Reason{{"name", "same", 5}, {"place", "same", 2}},
		},
		"a common name": {"33 have it", Comparison{Name: name(2, 0, 0, 33, 0), PlacesKnown: 1, PlacesSame: 1}, 0.111, []Reason{{"place", "same", 2}, {"name", "same", 0}}},
		"misspelt":      {"", Comparison{Name: name(1, 1, 1, 1, 0.5)}, 0.2, []Reason{{"name", "alike", 3}}},
		"not misspelt": {
			"both words are names of their own",
			Comparison{Name: NameComparison{Known: true, Words: 1, RestA: 1, RestB: 1, Likeness: 0.5, Common: true}},
			0.001,
			[]Reason{{"name", "family", -5}},
		},
		"a household": {
			"one address, another name",
			Comparison{Name: name(0, 2, 2, 0, 0), Shared: []SharedIdentifier{{"email", 2}}},
			0.03,
			[]Reason{{"email", "shared", 6}, {"name", "other", -6}},
		},
		"an address": {"nobody told a name", Comparison{Shared: []SharedIdentifier{{"email", 2}}}, 0.667, []Reason{{"email", "shared", 6}}},
		"an office's address": {
			"many have it", Comparison{Shared: []SharedIdentifier{{"email", 33}}}, 0.059, []Reason{{"email", "shared", 1}},
		},
		"a name of an address": {
			"it says no more than the name",
			Comparison{Name: name(2, 0, 0, 2, 0), Called: CalledAlike{Kind: "addresses", Holders: 2, Named: true}},
			0.85,
			[]Reason{{"name", "same", 5}, {"called", "addresses", 2.5}},
		},
		"a birthday": {
			"",
			Comparison{Name: name(1, 1, 1, 2, 0.1), Birthday: Differs, Language: Differs, OneSource: true},
			0,
			[]Reason{{"birthday", "other", -7}, {"name", "family", -5}, {"language", "other", -1}, {"source", "two ids of one", -1}},
		},
	} {
		t.Run(what, func(t *testing.T) {
			score, reasons := Weigh(c.comparison)
			if score != c.score {
				t.Errorf("%s: %v, want %v", c.why, score, c.score)
			}
			if diff := cmp.Diff(c.reasons, reasons); diff != "" {
				t.Errorf("%s: -want +got:\n%s", c.why, diff)
			}
		})
	}
}

// TestWeighIsAProbability: it is one whatever goes in, says all that it is made of, does not care who comes first, and what others have too
// never counts for more.
func TestWeighIsAProbability(t *testing.T) {
	holders := rapid.IntRange(0, MostHolders+1)
	agreement := rapid.SampledFrom([]Agreement{NotKnown, Agrees, Differs})
	comparison := rapid.Custom(func(t *rapid.T) Comparison {
		n := rapid.IntRange(0, 6)
		known := n.Draw(t, "places")
		return Comparison{
			Name: NameComparison{
				Words: n.Draw(t, "words"), RestA: n.Draw(t, "rest"), RestB: n.Draw(t, "rest"), Known: rapid.Bool().Draw(t, "known"),
				Likeness: rapid.Float64Range(0, 1).Draw(t, "likeness"), Initial: rapid.Bool().Draw(t, "initial"), Common: rapid.Bool().Draw(t, "common"),
				Holders: holders.Draw(t, "holders"),
			},
			Shared: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) SharedIdentifier {
				return SharedIdentifier{rapid.SampledFrom([]string{"email", "phone", "handle", "mastodon", "bluesky"}).Draw(t, "type"), holders.Draw(t, "holders")}
			}), 0, 3).Draw(t, "shared"),
			Called:      CalledAlike{Kind: rapid.SampledFrom([]string{"", "addresses", "accounts", "both"}).Draw(t, "kind"), Holders: holders.Draw(t, "holders"), Named: rapid.Bool().Draw(t, "named")},
			PlacesKnown: known, PlacesSame: min(known, n.Draw(t, "same places")),
			Birthday: agreement.Draw(t, "birthday"), Language: agreement.Draw(t, "language"), OneSource: rapid.Bool().Draw(t, "one source"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		c := comparison.Draw(t, "comparison")
		score, reasons := Weigh(c)
		total := prior
		for _, r := range reasons {
			total += r.Bits
		}
		if want := 1 / (1 + math.Exp2(-total)); score < 0 || score > 1 || math.Abs(score-want) > 0.001 {
			t.Fatalf("%v is not what %v add up to: %v", score, reasons, want)
		}
		other := c
		other.Name.RestA, other.Name.RestB = c.Name.RestB, c.Name.RestA
		if again, _ := Weigh(other); again != score {
			t.Fatalf("%v one way and %v the other", score, again)
		}
		other = c
		other.Name.Holders++
		other.Called.Holders++
		if more, _ := Weigh(other); more > score {
			t.Fatalf("%v, and %v where one more has the same", score, more)
		}
	})
}
