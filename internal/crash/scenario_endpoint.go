package crash

import (
	"context"
	"fmt"

	"github.com/tertulia-crm/tertulia/internal/crash/sink"
)

var endpointScenarios = []Scenario{
	{
		Name: "endpoint-worker-killed", Posted: true, run: killAgainAndAgain, Allows: Allowance{WorkerDeaths: kills},
		Done: "messages are posted to a webhook's endpoint; kill -9 of the only worker, three times at random",
	},
	{
		Name: "endpoint-silent", Posted: true, Silent: true, run: silentEndpoint, Allows: Allowance{Dots: swallowed},
		Done: "a webhook's endpoint takes messages and never answers, or ends the connection without an answer",
	},
	{
		Name: "endpoint-busy", Posted: true, run: busyEndpoint,
		Done:   "a webhook's endpoint answers 429 and 503, again and again, some of it with the end of the connection; one of two workers is killed after it",
		Allows: Allowance{WorkerDeaths: 1},
	},
}

func silentEndpoint(ctx context.Context, w *world) error {
	if _, err := w.begin(ctx, 1); err != nil {
		return err
	}
	every := max(4, w.parameters.Size/5/swallowed)
	return w.misbehave(
		ctx,
		sink.Rule{Stage: sink.Dot, Every: every, Rest: 1, Most: swallowed / 2, Hang: true},
		sink.Rule{Stage: sink.Dot, Every: every, Rest: 2, Most: swallowed - swallowed/2, Close: true},
	)
}

func busyEndpoint(ctx context.Context, w *world) error {
	workers, err := w.begin(ctx, 2)
	if err != nil {
		return err
	}
	shares := w.shares(2)
	rules := []sink.Rule{
		{Stage: sink.Dot, Every: 9, Rest: 1, Times: 2, Reply: "429"},
		{Stage: sink.Dot, Every: 9, Rest: 4, Times: 3, Reply: "503"},
		{Stage: sink.Dot, Every: 9, Rest: 7, Times: 1, Reply: "503", Close: true},
	}
	if err := w.disturb(ctx, shares[0], func() error { return w.relay.follow(ctx, w.with(rules...)) }); err != nil {
		return err
	}
	err = w.disturb(ctx, shares[1], func() error { return w.killOne(ctx, workers...) })
	if err != nil {
		return err
	}
	if err := w.awaitEnd(ctx); err != nil {
		return err
	}
	return w.someAnswered(429, 503)
}

// someAnswered wants that each of these answers was given: without it the rest proves nothing.
func (w *world) someAnswered(codes ...int) error {
	entries, err := w.relay.record.Entries()
	if err != nil {
		return err
	}
	given := map[int]int{}
	for _, e := range entries {
		given[e.Answer]++
	}
	for _, code := range codes {
		if given[code] == 0 {
			return fmt.Errorf("nobody was answered %d, which proves nothing", code)
		}
	}
	return nil
}
