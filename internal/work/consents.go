package work

import (
	"context"
	"time"

	"github.com/tertulia-crm/tertulia/internal/health"
)

const (
	// requestsAtOnce bounds how many requests for consent are looked at in one transaction.
	requestsAtOnce = 200
	// purgedAtOnce bounds how many rows of each kind are deleted in one statement.
	purgedAtOnce = 1000
	// purgeEvery is how often it is looked for what policies do not keep any longer.
	purgeEvery = 10 * time.Minute
)

// answerRequests looks at the requests for consent that wait: mails ask the holders of the addresses.
func (t *tenant) answerRequests(ctx context.Context) error {
	return whileFull(ctx, requestsAtOnce, func(ctx context.Context) (int64, error) {
		n, err := t.db.AnswerRequests(ctx, t.o.Now(), requestsAtOnce)
		return int64(n), err
	}, t.o.StatementLimit)
}

// purgeConsents deletes what policies do not keep any longer.
func (t *tenant) purgeConsents(ctx context.Context) error {
	return whileFull(ctx, purgedAtOnce, func(ctx context.Context) (int64, error) {
		return t.db.PurgeConsents(ctx, purgedAtOnce)
	}, t.o.StatementLimit)
}

// whileFull repeats a step, each within a limit, until it does less than it could have.
func whileFull(ctx context.Context, most int64, step func(context.Context) (int64, error), limit time.Duration) error {
	for {
		bounded, cancel := health.Step(ctx, limit)
		n, err := step(bounded)
		cancel()
		if err != nil || n < most {
			return err
		}
	}
}
