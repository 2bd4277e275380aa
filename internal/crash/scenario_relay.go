package crash

import (
	"context"
	"fmt"

	"github.com/tertulia-crm/tertulia/internal/crash/sink"
)

// swallowed is how many messages a mail server takes without a word, where it does so again and again.
const swallowed = 12

var relayScenarios = []Scenario{
	{
		Name: "relay-killed", Done: "kill -9 of the mail server while it answers final dots, twice at random; it comes back",
		Allows: Allowance{Dots: 2 * connections}, run: killRelay,
	},
	{
		Name: "relay-killed-before-dot", Done: "kill -9 of the mail server when every connection waits for its answer to DATA",
		run: killRelayBeforeDot,
	},
	{
		Name: "relay-hangs-at-data", Silent: true, Done: "the mail server falls silent instead of answering DATA, on every connection",
		run: hang(sink.Data, 2*connections),
	},
	{
		Name: "relay-hangs-in-data", Silent: true, Done: "the mail server falls silent in the middle of messages, whose final dot has left by then",
		Allows: Allowance{Dots: swallowed}, run: hang(sink.Body, swallowed),
	},
	{
		Name: "relay-closes-after-dot", Done: "the mail server takes messages and ends the connection without an answer to their final dot",
		Allows: Allowance{Dots: swallowed}, run: closeAfterDot,
	},
	{
		Name: "relay-busy", Done: "the mail server answers 421, at its greeting and in the middle of sessions, and ends the connection",
		run: beBusy,
	},
	{
		Name: "recipients-refused", Done: "some recipients are refused (550 at RCPT, 554 at the dot), others put off twice (450, 452) and then taken",
		run: refuseSome,
	},
}

func killRelay(ctx context.Context, w *world) error {
	if _, err := w.begin(ctx, 1); err != nil {
		return err
	}
	for _, share := range w.shares(2) {
		err := w.disturb(ctx, share, func() error {
			if err := w.relay.kill(); err != nil {
				return err
			}
			return w.relay.start(ctx)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// with is the scenario's pace with rules.
func (w *world) with(rules ...sink.Rule) sink.Script {
	script := w.paced()
	script.Rules = rules
	return script
}

func killRelayBeforeDot(ctx context.Context, w *world) error {
	if _, err := w.begin(ctx, 1); err != nil {
		return err
	}
	return w.disturb(ctx, w.shares(1)[0], func() error {
		if err := w.relay.follow(ctx, w.with(sink.Rule{Stage: sink.Data, Hang: true})); err != nil {
			return err
		}
		err := w.await(ctx, "every connection waits for the answer to DATA", func() (bool, string, error) {
			counts, err := w.relay.record.Counts()
			return counts.Hanging >= connections && counts.Open == 0, fmt.Sprintf("%d hang, %d dots are open", counts.Hanging, counts.Open), err
		})
		if err != nil {
			return err
		}
		if err := w.relay.kill(); err != nil {
			return err
		}
		w.relay.options.Script = w.paced()
		return w.relay.start(ctx)
	})
}

// hang makes the mail server fall silent at a stage, for so many messages.
func hang(stage sink.Stage, most int) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		if _, err := w.begin(ctx, 1); err != nil {
			return err
		}
		return w.misbehave(ctx, sink.Rule{Stage: stage, Most: most, Hang: true})
	}
}

// misbehave makes the mail server follow rules from somewhere in the send on, until they are used up.
func (w *world) misbehave(ctx context.Context, rules ...sink.Rule) error {
	return w.disturb(ctx, w.shares(1)[0], func() error { return w.relay.follow(ctx, w.with(rules...)) })
}

func closeAfterDot(ctx context.Context, w *world) error {
	if _, err := w.begin(ctx, 1); err != nil {
		return err
	}
	every := max(2, w.parameters.Size/5/swallowed)
	return w.misbehave(ctx, sink.Rule{Stage: sink.Dot, Every: every, Most: swallowed, Close: true})
}

func beBusy(ctx context.Context, w *world) error {
	if _, err := w.begin(ctx, 1); err != nil {
		return err
	}
	busy := "421 4.3.2 too busy"
	return w.misbehave(
		ctx,
		sink.Rule{Stage: sink.Mail, Every: 20, Most: 8, Reply: busy, Close: true},
		// Each of these halves the pace of a receiver, which takes minutes to grow again.
		sink.Rule{Stage: sink.Rcpt, Every: 17, Rest: 3, Times: 1, Most: 2, Reply: busy, Close: true},
		sink.Rule{Stage: sink.Dot, Every: 19, Rest: 5, Times: 1, Most: 2, Reply: busy, Close: true},
		sink.Rule{Stage: sink.Greeting, Every: 2, Most: 12, Reply: busy, Close: true},
	)
}

// The recipients whom a mail server refuses, by what their numbers leave when they are divided.
const (
	refusedEvery = 40
	atRcpt       = 7
	atDot        = 23
)

func refuseSome(ctx context.Context, w *world) error {
	w.refused = func(person int) bool { return person%refusedEvery == atRcpt || person%refusedEvery == atDot }
	err := w.relay.follow(ctx, w.with(
		sink.Rule{Stage: sink.Rcpt, Every: refusedEvery, Rest: atRcpt, Reply: "550 5.1.1 no such user"},
		sink.Rule{Stage: sink.Dot, Every: refusedEvery, Rest: atDot, Reply: "554 5.7.1 not wanted"},
		sink.Rule{Stage: sink.Rcpt, Every: 25, Rest: 4, Times: 2, Reply: "450 4.2.1 come back later"},
		sink.Rule{Stage: sink.Dot, Every: 25, Rest: 9, Times: 2, Reply: "452 4.2.2 no room now"},
	))
	if err != nil {
		return err
	}
	if _, err := w.begin(ctx, 2); err != nil {
		return err
	}
	return w.disturb(ctx, w.shares(1)[0], func() error { return nil })
}
