package bluesky

import (
	"context"
	"errors"
	"time"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// letters are what was found among our notifications while the stream is read.
type letters struct {
	batch listen.Batch
	inbox *inbox
	err   error // why there are none
}

// lookForLetters looks at our notifications now and then. The stream brings what is said to us sooner, but not from before it began, and
// not what its server missed.
func (h *hearing) lookForLetters(ctx context.Context, box *inbox) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		page, next, err := h.look(ctx, box)
		wait := max(h.rhythm.inbox, waitOf(err), page.Wait)
		if err == nil {
			box = next
			if page.More {
				wait = max(h.rhythm.rest, page.Wait)
			}
		}
		select {
		case h.letters <- letters{batch: page.Batch, inbox: next.clone(), err: err}:
		case <-ctx.Done():
			return
		}
		timer.Reset(wait)
	}
}

// handOverLetters has them stored, with the stream's own part of the cursor where it was. While the server of our account is away the keywords are heard
// all the same, and our part of the cursor stays where it was.
func (h *hearing) handOverLetters(ctx context.Context, l letters) error {
	h.away = awayFor(l.err)
	switch {
	case l.err == nil:
		h.at.Inbox = l.inbox
	case h.away == nil:
		return l.err
	case h.told == h.away.Message:
		return nil
	}
	return h.handOver(ctx, l.batch)
}

// awayFor is the trouble that keeps notifications from being read, and passes by itself; nil for none.
func awayFor(err error) *listen.Trouble {
	var trouble *listen.Trouble
	if !errors.As(err, &trouble) || trouble.Reason.NeedsPerson() {
		return nil
	}
	return &listen.Trouble{
		Reason: trouble.Reason, Wait: trouble.Wait, Err: err,
		Message: trouble.Message + " What is said to the account is not read, and keywords are heard meanwhile.",
	}
}

// waitOf is for how long a network wants to be left alone that refused.
func waitOf(err error) time.Duration {
	var trouble *listen.Trouble
	if errors.As(err, &trouble) {
		return trouble.Wait
	}
	return 0
}
