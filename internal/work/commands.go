package work

import (
	"context"
	"errors"

	"github.com/tertulia-crm/tertulia/internal/health"
)

// followCommands does what people's decisions leave to workers: it ends pauses that have come to their end, and skips what is
// pending of aborted sends. What of a publication was skipped does not leave any more.
func (l *campaignLoop) followCommands(ctx context.Context) error {
	ended := health.Within(l.o.StatementLimit, l.db.EndPauses)(ctx)
	step, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	campaigns, err := l.db.EndAbortedSends(step)
	for _, name := range campaigns {
		l.notes.touch(name)
	}
	return errors.Join(ended, err, l.db.SweepPublications(step))
}
