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
	done: "all campaigns again: none was sent anew, and what killed workers left open became ambiguous",
	run:  runSwept,
}

// runSwept looks again at every campaign, of which some have been deleted and applied again since, and at those that ended
// with intents. The numbers in the report are then their last ones.
func runSwept(ctx context.Context, s *stage, r *result) error {
	var errs []error
	for _, earlier := range s.sends {
		err := await(ctx, sweepTimeout, func(ctx context.Context) (string, error) {
			l, err := s.ledger(ctx, earlier.Drill)
			if err == nil && l.Intents > 0 {
				return fmt.Sprintf("%d intents are left", l.Intents), nil
			}
			return "", err
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("wait for the sweep of %s: %w", earlier.Drill, err))
			continue
		}
		if err := s.note(ctx, earlier); err != nil {
			return err
		}
		if err := errors.Join(earlier.compare(s.received(earlier.Drill), s.consenting(), earlier.mayLose), s.awaitStatus(ctx, earlier)); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", earlier.Drill, err))
		}
		r.add(earlier)
	}
	if s.example != nil {
		found, err := s.exampleMail()
		if err == nil && found.mails != s.example.Received {
			err = fmt.Errorf("%s: %d mails had come, and now there are %d", s.example.Drill, s.example.Received, found.mails)
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, s.audit(ctx))...)
}

// add sums up.
func (r *result) add(other *result) {
	r.Planned, r.Received, r.Sent = r.Planned+other.Planned, r.Received+other.Received, r.Sent+other.Sent
	r.Failed, r.Ambiguous, r.Skipped = r.Failed+other.Failed, r.Ambiguous+other.Ambiguous, r.Skipped+other.Skipped
	r.Pending, r.Duplicates = r.Pending+other.Pending, r.Duplicates+other.Duplicates
}
