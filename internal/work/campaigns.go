package work

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/tracing"
)

// freezeBackoff is how long a send whose audience cannot be frozen waits before its segments are evaluated again.
var freezeBackoff = campaign.Backoff{First: time.Second, Max: 30 * time.Second}

// campaignLoop takes the sends of a tenant from state to state.
type campaignLoop struct {
	*tenant
	// counted is when the segments of a held send had last changed when its audience was counted.
	counted map[int64]time.Time
	waiting map[int64]*waitingSend
	zones   map[int64]lookedAt
	rolled  map[int64]time.Time // when the segments of a rolling send had last changed when it took in who had entered
	rests   map[int64]time.Time // until when nobody looks again who has entered a rolling send
	decided map[int64]time.Time // when it was last looked whether a test can be decided
}

// waitingSend is a send that could not be frozen.
type waitingSend struct {
	attempts int
	until    time.Time
}

func newCampaignLoop(t *tenant) *campaignLoop {
	return &campaignLoop{
		tenant: t, counted: map[int64]time.Time{}, waiting: map[int64]*waitingSend{},
		zones: map[int64]lookedAt{}, rolled: map[int64]time.Time{}, rests: map[int64]time.Time{}, decided: map[int64]time.Time{},
	}
}

// round judges every open send. One that fails does not keep the others waiting.
func (l *campaignLoop) round(ctx context.Context) error {
	failed := errors.Join(l.advance(ctx), l.end(ctx))
	sends, err := l.openSends(ctx)
	if err != nil {
		return errors.Join(failed, err)
	}
	l.forget(sends)
	for _, s := range sends {
		if err := errors.Join(l.judge(ctx, s), l.tend(ctx, s)); err != nil {
			failed = errors.Join(failed, err)
			if store.IsUnavailable(err) || ctx.Err() != nil {
				return failed
			}
		}
	}
	return errors.Join(failed, l.followCommands(ctx))
}

func (l *campaignLoop) openSends(ctx context.Context) ([]store.OpenSend, error) {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	return l.db.OpenSends(ctx)
}

func (l *campaignLoop) judge(ctx context.Context, s store.OpenSend) error {
	if s.State == campaign.Held {
		if err := l.recount(ctx, &s); err != nil {
			return err
		}
	} else {
		delete(l.counted, s.ID)
	}
	if err := l.awaitFirstZone(ctx, &s); err != nil {
		return err
	}
	next := campaign.Next(s.State, s.Facts, l.o.Now())
	switch {
	case next == campaign.Freezing && !s.Facts.Stopped:
		return l.freeze(ctx, s)
	case next == s.State:
		return nil
	case next == campaign.Expired:
		return l.move(ctx, s, next, expiredMessage(s, l.o.Now()))
	default:
		return l.move(ctx, s, next, "")
	}
}

// recount counts the audience of a held send anew when one of its segments has changed since it was last counted.
func (l *campaignLoop) recount(ctx context.Context, s *store.OpenSend) error {
	if at, ok := l.counted[s.ID]; ok && s.SegmentsChangedAt.Equal(at) {
		return nil
	}
	ctx, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	audience, err := l.db.CountAudience(ctx, s.ID)
	if err != nil {
		return err
	}
	l.counted[s.ID] = s.SegmentsChangedAt
	s.Facts.Counted, s.Facts.Audience = true, audience
	return nil
}

func (l *campaignLoop) move(ctx context.Context, s store.OpenSend, next campaign.State, message string) error {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	moved, err := l.db.MoveSend(ctx, s, next, message)
	if err != nil {
		return err
	}
	if moved && next != s.State {
		logr.FromContextOrDiscard(ctx).Info("campaign moves on", "campaign", s.Campaign, "sendKey", s.SendKey, "from", s.State, "to", next)
	}
	return nil
}

// freeze freezes a send that is due, unless another worker does.
func (l *campaignLoop) freeze(ctx context.Context, s store.OpenSend) error {
	wait := l.waiting[s.ID]
	if wait != nil && l.o.Now().Before(wait.until) {
		return nil
	}
	begin := l.freezeLocked
	if s.Publishes {
		begin = l.publishLocked
	}
	_, err := l.db.WithSendLock(ctx, s.ID, l.o.Lease/3, func(ctx context.Context) error { return begin(ctx, s) })
	var notReady *store.SegmentNotReadyError
	if !errors.As(err, &notReady) {
		delete(l.waiting, s.ID)
		return err
	}
	if wait == nil {
		wait = &waitingSend{}
		l.waiting[s.ID] = wait
	}
	wait.attempts++
	wait.until = l.o.Now().Add(freezeBackoff.Delay(wait.attempts, uint64(s.ID))) //nolint:gosec // ids are positive
	s.State = campaign.Freezing
	return l.move(ctx, s, campaign.Freezing, notReady.Error())
}

// settleSegments brings the segments of a send up to what was committed until now, so that who changed a second ago counts.
func (l *campaignLoop) settleSegments(ctx context.Context, names []string) error {
	step, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	return l.db.SettleSegments(step, names)
}

// freezeLocked brings the segments of a send up to date and writes its audience into the ledger.
func (l *campaignLoop) freezeLocked(ctx context.Context, s store.OpenSend) (err error) {
	ctx, span := tracing.Start(tracing.Under(ctx, s.Traceparent), "freeze", tracing.Tenant(l.id), tracing.Campaign(s.Campaign))
	defer func() { endSpan(span, err) }()
	if s.State != campaign.Freezing {
		if err := l.move(ctx, s, campaign.Freezing, ""); err != nil {
			return err
		}
		s.State = campaign.Freezing
	}
	began := l.o.Now()
	if err := l.settleSegments(ctx, s.Segments); err != nil {
		return err
	}
	step, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	next, err := l.db.FreezeSend(step, s, l.o.Now())
	if err != nil {
		return err
	}
	l.o.Metrics.FreezeSeconds.WithLabelValues(l.id).Observe(l.o.Now().Sub(began).Seconds())
	logr.FromContextOrDiscard(ctx).Info("audience judged", "campaign", s.Campaign, "sendKey", s.SendKey, "state", next)
	return nil
}
