// Package crash proves that a campaign reaches nobody twice and forgets nobody, whatever happens to the processes that send it.
// Each scenario sends one campaign with real processes, a worker or several, a PostgreSQL of its own that keeps what it has
// acknowledged, and a mail server (package sink) that writes down what it received; in the middle of it something is killed, stopped,
// cut off or changed. Then what the mail server has is compared with what the ledger says.
//
// The processes are those of the program, but for the times of a worker (hasten), which are shorter: a lease of thirty seconds and
// the eleven minutes after which an intent counts as lost would prove the same more slowly.
package crash

import (
	"context"
	"errors"
	"time"
)

// Parameters of a run.
type Parameters struct {
	Size int    // recipients
	Seed uint64 // decides about all that happens at random
}

// Scenario is something that happens to a campaign while it is sent.
type Scenario struct {
	Name string
	Done string // what is done, in a few words
	// Allows bounds what may be ambiguous in the end.
	Allows Allowance
	// Cluster tells that it needs an API server and an operator, which scenarios share: they cannot run at the same time.
	Cluster bool
	// Posted tells that messages are posted to an endpoint rather than mailed.
	Posted bool
	// Silent tells that somebody takes messages and says nothing: workers do not wait for long.
	Silent bool
	// Recurs tells that the campaign is sent on each day, by a clock that the scenario sets.
	Recurs bool
	// Rolls tells that half of the audience enters while the campaign is sent.
	Rolls bool

	run func(context.Context, *world) error
}

// Allowance is what a scenario does that can leave messages without a known outcome.
type Allowance struct {
	// WorkerDeaths is how often a worker ends without a word, or is taken for dead: each may leave two micro-batches open, of at
	// most four intents for each connection.
	WorkerDeaths int
	// Dots is how many final dots the mail server leaves without an answer at most.
	Dots int
}

// connections is how many the channel of a scenario has.
const connections = 4

// Most is how many messages may be ambiguous.
func (a Allowance) Most() int { return a.WorkerDeaths*2*4*connections + a.Dots }

// Scenarios are all there are, those first that a worker's death makes slow.
func Scenarios() []Scenario {
	var all []Scenario
	for _, some := range [][]Scenario{
		workerScenarios, freezeScenarios, databaseScenarios, relayScenarios, endpointScenarios, paceScenarios, rollingScenarios, peopleScenarios,
		listeningScenarios, ruleScenarios, ticketScenarios, answerScenarios, messageScenarios, clusterScenarios,
	} {
		all = append(all, some...)
	}
	return all
}

// end waits until everybody has an outcome. A campaign that recurs does not end, and its scenario waits for its occurrences.
func (s Scenario) end(ctx context.Context, w *world) error {
	if s.Recurs {
		return nil
	}
	return w.awaitEnd(ctx)
}

// Result is what a run showed. Its numbers are messages: Received and Duplicates are the mail server's, the others the ledger's.
type Result struct {
	Scenario   string   `json:"scenario"`
	Done       string   `json:"done"`
	Size       int      `json:"size"`
	Seed       uint64   `json:"seed"`
	Disturbed  string   `json:"disturbed"` // at which messages
	Planned    int      `json:"planned"`
	Received   int      `json:"received"`
	Sent       int      `json:"sent"`
	Failed     int      `json:"failed"`
	Ambiguous  int      `json:"ambiguous"`
	Bound      int      `json:"bound"` // of Ambiguous
	Skipped    int      `json:"skipped"`
	Pending    int      `json:"pending"`
	Duplicates int      `json:"duplicates"`
	Seconds    float64  `json:"seconds"`
	Trouble    []string `json:"trouble,omitempty"` // why it did not hold
}

// Held tells whether all that is promised was kept.
func (r *Result) Held() bool { return len(r.Trouble) == 0 }

// Run runs a scenario once. What did not hold is in the result, and so is what kept it from being run.
func (s *Suite) Run(ctx context.Context, scenario Scenario, p Parameters) *Result {
	began := time.Now()
	r := &Result{Scenario: scenario.Name, Done: scenario.Done, Size: p.Size, Seed: p.Seed, Bound: scenario.Allows.Most()}
	if err := s.run(ctx, scenario, p, r); err != nil {
		r.Trouble = append(r.Trouble, err.Error())
	}
	r.Seconds = time.Since(began).Seconds()
	return r
}

func (s *Suite) run(ctx context.Context, scenario Scenario, p Parameters, r *Result) (err error) {
	w, err := s.open(ctx, scenario, p, r)
	defer func() {
		if err != nil {
			r.Trouble = append(r.Trouble, err.Error())
		}
		err = w.close()
		if scenario.Cluster && !r.Held() {
			err = errors.Join(err, s.leaveCluster())
		}
	}()
	if err != nil {
		return err
	}
	// What was found is told of a scenario that ended early, too.
	played := scenario.run(ctx, w)
	if played == nil {
		played = scenario.end(ctx, w)
	}
	played = errors.Join(played, w.stopWorkers(ctx))
	found, err := w.gather(ctx)
	if err != nil {
		return errors.Join(played, err)
	}
	r.count(found)
	r.Trouble = append(r.Trouble, findings(found, r.Bound)...)
	return played
}
