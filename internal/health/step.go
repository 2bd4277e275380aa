package health

import (
	"context"
	"time"
)

type loopKey struct{}

// NewContext carries a loop to what it does, for Step and Wait.
func NewContext(ctx context.Context, l *Loop) context.Context {
	return context.WithValue(ctx, loopKey{}, l)
}

// Step begins a step that takes at most so long: the context ends then, and the loop of ctx counts as stuck when it does
// not go on in spite of that. Call the function when the step is over.
func Step(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	Wait(ctx, limit)
	return context.WithTimeout(ctx, limit)
}

// Wait says that the loop of ctx waits for something that comes within this time, whatever happens.
func Wait(ctx context.Context, limit time.Duration) {
	if l, ok := ctx.Value(loopKey{}).(*Loop); ok {
		l.Beat(limit)
	}
}

// Within makes every call of f a step.
func Within(limit time.Duration, f func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := Step(ctx, limit)
		defer cancel()
		return f(ctx)
	}
}
