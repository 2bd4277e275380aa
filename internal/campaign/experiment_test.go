package campaign_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

func TestDecide(t *testing.T) {
	of := func(pairs ...int64) []campaign.Response {
		var list []campaign.Response
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, campaign.Response{Variant: string(rune('a' + i/2)), Sent: pairs[i], Answers: pairs[i+1]})
		}
		return list
	}
	cases := map[string]struct {
		why         string
		responses   []campaign.Response
		winner      int
		significant bool
	}{
		"Clear":      {"twice the rate of a thousand", of(1000, 100, 1000, 200), 1, true},
		"Chance":     {"two more of a thousand are chance", of(1000, 100, 1000, 102), 1, false},
		"Equal":      {"the first of those that are equal", of(1000, 100, 1000, 100), 0, false},
		"Nothing":    {"nobody did anything: the first", of(1000, 0, 1000, 0), 0, false},
		"Unsent":     {"nothing was sent", of(0, 0, 0, 0), 0, false},
		"Few":        {"too few for the test to hold", of(10, 0, 10, 8), 1, false},
		"Everybody":  {"all of all did: nothing differs", of(100, 100, 100, 100), 0, false},
		"Three":      {"better than each of the others", of(2000, 200, 2000, 210, 2000, 300), 2, true},
		"TwoLeaders": {"better than one, but not than the other", of(2000, 200, 2000, 290, 2000, 300), 2, false},
		"Shares":     {"rates are compared, not counts", of(3000, 150, 1000, 100), 1, true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			d := campaign.Decide(campaign.Opened, tc.responses)
			if d.Winner != tc.winner || d.Significant != tc.significant {
				t.Errorf("%s: got variant %d, significant %v, p %g against %v", tc.why, d.Winner, d.Significant, d.P, d.Against)
			}
		})
	}
}

// The statistic and its P value for a table that can be worked out by hand: 100 and 130 of 1000 each give 230*1770/2000 expected
// in each margin, and chi-squared 2000*(100*870-130*900)²/(1000*1000*230*1770).
func TestDecideNumbers(t *testing.T) {
	d := campaign.Decide(campaign.Clicked, []campaign.Response{{Sent: 1000, Answers: 100}, {Sent: 1000, Answers: 130}})
	want := 2000. * (100*870 - 130*900) * (100*870 - 130*900) / (1000. * 1000 * 230 * 1770)
	if math.Abs(d.ChiSquared-want) > 1e-9 || math.Abs(d.P-math.Erfc(math.Sqrt(want/2))) > 1e-9 {
		t.Errorf("chi-squared %g and p %g, want %g and %g", d.ChiSquared, d.P, want, math.Erfc(math.Sqrt(want/2)))
	}
}

// Where all variants do equally well, no more than one in twenty tests finds a winner.
func TestDecideFindsNothingWhereThereIsNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	const tests = 2000
	found := 0
	for range tests {
		responses := make([]campaign.Response, 4)
		for i := range responses {
			responses[i].Sent = 500
			for range responses[i].Sent {
				if random.Float64() < 0.2 {
					responses[i].Answers++
				}
			}
		}
		if campaign.Decide(campaign.Opened, responses).Significant {
			found++
		}
	}
	if found > tests*campaign.Significance*1.3 {
		t.Errorf("%d of %d tests found a winner among equals", found, tests)
	}
}

// The winner has the highest rate, numbers are numbers, and the order of the variants changes nothing but ties.
func TestDecideProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		responses := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) campaign.Response {
			sent := rapid.Int64Range(0, 5000).Draw(t, "sent")
			return campaign.Response{Sent: sent, Answers: rapid.Int64Range(0, sent).Draw(t, "answers")}
		}), 1, 6).Draw(t, "responses")
		d := campaign.Decide(campaign.Opened, responses)
		best := responses[d.Winner]
		for i, r := range responses {
			if r.Answers*max(best.Sent, 1) > best.Answers*max(r.Sent, 1) && best.Sent > 0 {
				t.Fatalf("variant %d did better than the winner: %+v", i, responses)
			}
			if p := d.Against[i]; math.IsNaN(p) || p < 0 || p > 1 {
				t.Fatalf("p is %g", p)
			}
		}
		if math.IsNaN(d.P) || d.Significant && d.P >= campaign.Significance {
			t.Fatalf("%+v", d)
		}
	})
}
