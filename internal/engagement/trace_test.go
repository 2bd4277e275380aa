package engagement_test

import (
	"strings"
	"testing"

	"github.com/tertulia-crm/tertulia/hack/engagement/trace"
)

// TestTrace: machines are told from people in a campaign that is invented from how scanners are known to behave. To take a person for
// a machine is worse than the other way around, because it hides what people did.
func TestTrace(t *testing.T) {
	for seed := range uint64(3) {
		score := trace.Judge(trace.Make(seed, 20_000))
		var table strings.Builder
		if err := score.Print(&table); err != nil {
			t.Fatal(err)
		}
		t.Logf("seed %d\n%s", seed, table.String())
		for name, floor := range map[string]struct{ got, least float64 }{
			"opens: precision":           {score.Opens.Precision(), 0.999},
			"opens: recall":              {score.Opens.Recall(), 0.97},
			"opens: people's precision":  {score.Opens.PeoplePrecision(), 0.98},
			"opens: people's recall":     {score.Opens.PeopleRecall(), 0.999},
			"clicks: precision":          {score.Clicks.Precision(), 0.998},
			"clicks: recall":             {score.Clicks.Recall(), 0.96},
			"clicks: people's precision": {score.Clicks.PeoplePrecision(), 0.85},
			"clicks: people's recall":    {score.Clicks.PeopleRecall(), 0.99},
		} {
			if floor.got < floor.least {
				t.Errorf("seed %d, %s: %.4f is below %.4f", seed, name, floor.got, floor.least)
			}
		}
	}
}

func TestTraceDependsOnItsSeedAlone(t *testing.T) {
	print := func(seed uint64) string {
		var table strings.Builder
		if err := trace.Judge(trace.Make(seed, 2000)).Print(&table); err != nil {
			t.Fatal(err)
		}
		return table.String()
	}
	first := print(7)
	if print(7) != first {
		t.Error("the same seed gave another trace")
	}
	if print(8) == first {
		t.Error("another seed gave the same trace")
	}
}
