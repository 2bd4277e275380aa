package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// sweepTimeout is more than the eleven minutes after which no reply to a message can come any more.
const sweepTimeout = 13 * time.Minute

var swept = drill{
	name: "swept",
	done: "what killed workers left without an outcome became ambiguous, once no reply could come any more",
	run:  runSwept,
}

// runSwept looks again at the drills that ended with intents.
func runSwept(ctx context.Context, s *stage, r *result) error {
	var errs []error
	for _, earlier := range s.open {
		err := await(ctx, sweepTimeout, func(ctx context.Context) (string, error) {
			l, err := s.ledger(ctx, earlier.Drill)
			if err != nil {
				return "", err
			}
			if l.Intents > 0 {
				return fmt.Sprintf("%d intents are left", l.Intents), nil
			}
			return "", nil
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("wait for the sweep of %s: %w", earlier.Drill, err))
			continue
		}
		if err := s.note(ctx, earlier); err != nil {
			return err
		}
		errs = append(errs, earlier.compare(s.received(earlier.Drill), s.consenting(), earlier.mayLose), s.awaitStatus(ctx, earlier))
		r.Planned, r.Received, r.Sent = r.Planned+earlier.Planned, r.Received+earlier.Received, r.Sent+earlier.Sent
		r.Failed, r.Ambiguous, r.Skipped = r.Failed+earlier.Failed, r.Ambiguous+earlier.Ambiguous, r.Skipped+earlier.Skipped
		r.Pending, r.Duplicates = r.Pending+earlier.Pending, r.Duplicates+earlier.Duplicates
	}
	return errors.Join(append(errs, s.audit(ctx))...)
}
