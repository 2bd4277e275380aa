package work

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/health"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// zonesEvery is how often the zones of an audience are read while the first of them is waited for, and decideEvery how often
	// it is looked whether a test can be decided.
	zonesEvery  = time.Minute
	decideEvery = 10 * time.Second
)

// lookedAt is what was found out about a send, and when.
type lookedAt struct {
	at     time.Time
	begins time.Time // in the first zone of the audience
}

// advance makes the occurrences that campaigns have come to.
func (l *campaignLoop) advance(ctx context.Context) error {
	ctx, cancel := health.Step(ctx, l.o.StatementLimit)
	defer cancel()
	now := l.o.Now()
	due, err := l.db.DueDeclarations(ctx, now)
	for _, id := range due {
		err = errors.Join(err, l.db.AdvanceDeclaration(ctx, id, now))
	}
	return err
}

// end settles what is pending of sends whose end has come.
func (l *campaignLoop) end(ctx context.Context) error {
	ctx, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	campaigns, err := l.db.EndSends(ctx)
	for _, name := range campaigns {
		l.notes.touch(name)
	}
	return err
}

// awaitFirstZone sets when a send begins to the moment at which the hour comes in the first zone that somebody of its audience
// lives in. Until then, by what was declared, it may be the hour in a zone where nobody does.
func (l *campaignLoop) awaitFirstZone(ctx context.Context, s *store.OpenSend) error {
	now := l.o.Now()
	if !s.Timing.PerRecipient || s.State.Frozen() || s.State.Final() || now.Before(s.Facts.StartsAt) {
		return nil
	}
	known, ok := l.zones[s.ID]
	if !ok || now.Sub(known.at) >= zonesEvery {
		var err error
		if known.begins, err = l.firstBegin(ctx, s); err != nil {
			return err
		}
		known.at = now
		l.zones[s.ID] = known
	}
	s.Facts.StartsAt = known.begins
	return nil
}

func (l *campaignLoop) firstBegin(ctx context.Context, s *store.OpenSend) (time.Time, error) {
	schedule, err := s.Timing.Parse()
	if err != nil {
		return time.Time{}, err
	}
	ctx, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	names, err := l.db.ZonesOfAudience(ctx, s.ID)
	if err != nil {
		return time.Time{}, err
	}
	begins, err := schedule.Begins(names, s.Occurrence)
	if err != nil {
		return time.Time{}, err
	}
	var first time.Time
	for _, b := range begins {
		if first.IsZero() || b.StartsAt.Before(first) {
			first = b.StartsAt
		}
	}
	return first, nil
}

// tend does what a send needs while it is out: it takes in who enters a rolling audience, and decides a test.
func (l *campaignLoop) tend(ctx context.Context, s store.OpenSend) error {
	if s.State != campaign.Sending || s.Facts.Stopped {
		return nil
	}
	return errors.Join(l.roll(ctx, s), l.decide(ctx, s))
}

// roll takes in who has entered a rolling audience since it was looked at.
func (l *campaignLoop) roll(ctx context.Context, s store.OpenSend) error {
	if !s.Facts.Rolling || l.rolled[s.ID].Equal(s.SegmentsChangedAt) || !s.Facts.EndsAt.IsZero() && !l.o.Now().Before(s.Facts.EndsAt) {
		return nil
	}
	began := time.Now()
	if began.Before(l.rests[s.ID]) {
		return nil
	}
	ctx, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	rolled, err := l.db.RollSend(ctx, s.ID, l.o.Now())
	if err != nil {
		return err
	}
	if rolled.Pending+rolled.Skipped > 0 {
		l.notes.touch(s.Campaign)
	}
	if !rolled.More {
		// Members are compared with the ledger as a whole, however few have entered: a tenth of the time at most goes into that.
		l.rests[s.ID] = time.Now().Add(9 * time.Since(began))
	}
	message := ""
	if rolled.OverBound > 0 {
		message = "The audience has reached maxRecipients, and who enters it now is not written to: raise the bound to go on."
	} else if !rolled.More {
		l.rolled[s.ID] = s.SegmentsChangedAt
	}
	if message == s.Message {
		return nil
	}
	return l.move(ctx, s, s.State, message)
}

// decide decides a test whose time is over.
func (l *campaignLoop) decide(ctx context.Context, s store.OpenSend) error {
	now := l.o.Now()
	if !s.Undecided || now.Sub(l.decided[s.ID]) < decideEvery {
		return nil
	}
	ctx, cancel := health.Step(ctx, l.o.EvaluationLimit)
	defer cancel()
	decision, err := l.db.DecideWinner(ctx, s.ID, now)
	if err != nil {
		return err
	}
	l.decided[s.ID] = now
	if decision != nil {
		logr.FromContextOrDiscard(ctx).Info("variant chosen", "campaign", s.Campaign, "sendKey", s.SendKey,
			"variant", decision.Responses[decision.Winner].Variant, "significant", decision.Significant)
	}
	return nil
}

// expiredMessage says why a send that never began will not.
func expiredMessage(s store.OpenSend, now time.Time) string {
	switch {
	case !s.Facts.EndsAt.IsZero() && !now.Before(s.Facts.EndsAt):
		return "The schedule's endsAt passed before the send began, and nothing was sent: give it another schedule to send it."
	case s.Facts.Waits:
		return store.OverlappedMessage
	case s.Occurrence != "":
		return store.MissedMessage
	}
	return "The starting deadline passed before the send began, and nothing was sent: give it another schedule to send it."
}

// forget drops what is remembered of sends that are open no more.
func (l *campaignLoop) forget(open []store.OpenSend) {
	still := make(map[int64]bool, len(open))
	for _, s := range open {
		still[s.ID] = true
	}
	for id := range l.zones {
		if !still[id] {
			delete(l.zones, id)
		}
	}
	for _, known := range []map[int64]time.Time{l.rolled, l.rests, l.decided, l.counted} {
		for id := range known {
			if !still[id] {
				delete(known, id)
			}
		}
	}
}
