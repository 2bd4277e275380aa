package crash

import (
	"context"
	"strings"
	"testing"
	"time"
)

// small is how many recipients a scenario has here: enough for what is done to fall into the middle. hack/soak runs them at
// full size.
const small = 2000

// TestScenarios runs every scenario once. Those with a cluster share it and run one after the other; all others run beside them.
func TestScenarios(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 18*time.Minute) // of the twenty that a package has
	suite, err := NewSuite(ctx)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := suite.Close(); err != nil {
			t.Error(err)
		}
	})
	seed := uint64(time.Now().UnixNano())
	try := func(t *testing.T, scenario Scenario) {
		t.Helper()
		r := suite.Run(ctx, scenario, Parameters{Size: small, Seed: seed})
		t.Logf("seed %d, disturbed at %s of %d: received %d, sent %d, failed %d, ambiguous %d of at most %d, skipped %d, in %.1f s",
			r.Seed, r.Disturbed, r.Planned, r.Received, r.Sent, r.Failed, r.Ambiguous, r.Bound, r.Skipped, r.Seconds)
		if !r.Held() {
			t.Errorf("%s: %s\n%s", scenario.Name, scenario.Done, strings.Join(r.Trouble, "\n"))
		}
	}
	for _, scenario := range Scenarios() {
		if !scenario.Cluster {
			t.Run(scenario.Name, func(t *testing.T) {
				t.Parallel()
				try(t, scenario)
			})
		}
	}
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		for _, scenario := range Scenarios() {
			if scenario.Cluster {
				t.Run(scenario.Name, func(t *testing.T) { try(t, scenario) })
			}
		}
	})
}
