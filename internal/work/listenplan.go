package work

import (
	"context"
	"errors"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// personRest is how long a source rests of which only a person can mend what is in the way. New settings and new credentials end it.
	personRest = 15 * time.Minute
	// throttledRest is how long a network is left alone that asks for it and does not say for how long.
	throttledRest = time.Minute
	// hookedRest is how long a source rests that its network writes to: there is nothing to read.
	hookedRest = time.Hour
	// streamPatience is how often in a row a stream breaks before that counts as trouble, where polling works.
	streamPatience = 3
)

// ending is how a session went.
type ending struct {
	err     error         // of the connector; nil: all is read
	failed  error         // of the database
	why     error         // it was ended from outside; nil: by itself
	wait    time.Duration // for how long the network wants to be left alone
	more    bool          // there is more to be read after that
	moved   *string       // where what is read has moved to for ever; nil: nobody was asked
	streams bool
	hooked  bool // its network writes to it, and there is nothing to read
	polled  bool // polling works, whatever the stream does
	steady  bool // the stream lasted
	heard   bool // something came in
}

// trouble is what keeps the network from being read; nil where nothing does, or where it is not the network's fault.
func (e *ending) trouble() *listen.Trouble {
	var trouble *listen.Trouble
	switch {
	case e.err == nil || e.failed != nil || e.why != nil:
		return nil
	case errors.As(e.err, &trouble):
		return trouble
	}
	return &listen.Trouble{Reason: listen.Unreachable, Message: "The source cannot be read, for a reason that its connector does not tell.", Err: e.err}
}

// planRest decides when a source is read next and what is told of it. It is false where the lease is not given back.
func planRest(l store.SourceLease, e ending, backoff campaign.Backoff) (rest store.SourceRest, ok bool) {
	switch trouble := e.trouble(); {
	case errors.Is(e.why, store.ErrSourceLost) || errors.Is(e.failed, store.ErrSourceLost):
		return rest, false
	case errors.Is(e.why, errStopped):
		// Another worker goes on. What was in the way may still be.
		return store.SourceRest{Behind: true}, !l.Troubled || e.heard
	case e.failed != nil:
		// It is not the network's fault, and goes on by itself.
		failures := l.Failures + 1
		rest = store.SourceRest{Behind: true, Failures: failures, Next: backoff.Delay(failures, sourceSeed(l.Name))}
		return rest, !l.Troubled || e.heard
	case e.why != nil: // with other credentials at once
		return store.SourceRest{Behind: true}, true
	case trouble == nil:
		return planRead(l, e), true
	case trouble.Reason != listen.Throttled && (e.polled || e.streams && e.heard && !trouble.Reason.NeedsPerson()):
		return planStream(l, e, trouble, backoff), true
	default:
		return planTrouble(l, trouble, backoff), true
	}
}

// planRead is for a network that was read without trouble.
func planRead(l store.SourceLease, e ending) store.SourceRest {
	switch {
	case e.hooked:
		return store.SourceRest{Next: max(l.Interval, hookedRest)}
	case e.more:
		return store.SourceRest{Next: e.wait, Behind: true, Moved: e.moved}
	}
	return store.SourceRest{Next: max(l.Interval, e.wait), Moved: e.moved}
}

// planTrouble is for a network that cannot be read.
func planTrouble(l store.SourceLease, trouble *listen.Trouble, backoff campaign.Backoff) store.SourceRest {
	failures := l.Failures + 1
	rest := store.SourceRest{Reason: trouble.Reason, Message: trouble.Message, Failures: failures}
	rest.Next = max(backoff.Delay(failures, sourceSeed(l.Name)), trouble.Wait)
	switch {
	case trouble.Reason.NeedsPerson():
		rest.Next = max(rest.Next, personRest)
	case trouble.Reason == listen.Throttled && trouble.Wait == 0:
		rest.Next = max(rest.Next, throttledRest)
	}
	return rest
}

// planStream is for a stream that broke after it had worked, or beside which polling works: the source is polled at its own rhythm at the
// least until the stream holds again.
func planStream(l store.SourceLease, e ending, trouble *listen.Trouble, backoff campaign.Backoff) store.SourceRest {
	failures := l.Failures + 1
	if e.steady || e.heard && !e.polled {
		failures = 1
	}
	rest := store.SourceRest{Failures: failures, Next: max(backoff.Delay(failures, sourceSeed(l.Name)), trouble.Wait, e.wait)}
	if e.polled {
		rest.Next = max(min(rest.Next, l.Interval), trouble.Wait, e.wait)
	}
	if failures >= streamPatience {
		rest.Reason, rest.Message = trouble.Reason, trouble.Message
		if e.polled {
			rest.Message += " The source is polled meanwhile."
		}
	}
	return rest
}

// sourceSeed spreads what failed together.
func sourceSeed(name string) uint64 {
	seed := uint64(14695981039346656037) // FNV-1a
	for _, b := range []byte(name) {
		seed = (seed ^ uint64(b)) * 1099511628211
	}
	return seed
}

// told is the trouble that is told of a source; nil for none.
func (e *ending) told(rest store.SourceRest) *listen.Trouble {
	if rest.Reason == "" {
		return nil
	}
	return e.trouble()
}

// tell tells the log once of a trouble and once that it is over.
func (l *listenLoop) tell(ctx context.Context, source string, trouble *listen.Trouble) {
	words := ""
	if trouble != nil {
		words = string(trouble.Reason) + ": " + trouble.Message
	}
	log := logr.FromContextOrDiscard(ctx)
	switch {
	case !l.news(source, words):
	case words == "":
		log.Info("the source is read again")
	default:
		log.Info("the source cannot be read", "reason", trouble.Reason, "trouble", trouble.Message)
	}
}

// news tells whether something else is in the way of a source than the log knows of; "" is nothing.
func (l *listenLoop) news(source, words string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.told[source]
	if words == "" {
		delete(l.told, source)
	} else {
		l.told[source] = words
	}
	return words != before
}
