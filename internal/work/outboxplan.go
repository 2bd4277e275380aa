package work

import (
	"context"
	"errors"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// lookAfter is when a network is first asked for a post of which nobody knows whether it took it, where the publisher does not say.
const lookAfter = time.Minute

// backoffOf is how long a posting waits that did not arrive.
func backoffOf(p store.Posting) time.Duration {
	return postingBackoff.Delay(p.Attempts, uint64(p.ID)) //nolint:gosec // any bits will do
}

// planPublished decides what becomes of a post that was handed over.
func planPublished(p store.Posting, r post.Result, err error) store.Posted {
	s := store.Posted{Posting: p, Reply: r.Reply}
	s.Parts = partsOf(r.Posted)
	backoff := backoffOf(p)
	switch r.Outcome {
	case deliver.Accepted:
		s.State = store.PostingSent
	case deliver.Refused:
		s.State = store.PostingFailed
	case deliver.Unknown:
		s.State, s.Retry = store.PostingIntent, max(r.RetryIn, lookAfter)
	case deliver.Deferred:
		s.State, s.Retry = store.PostingPending, max(r.RetryIn, backoff)
	default: // Untouched: the channel's trouble, which its circuit waits for
		s.State, s.Untried = store.PostingPending, true
		if err != nil && !isStop(err) {
			s.Reply, s.Retry = err.Error(), time.Second
		}
	}
	return s
}

// planFound decides what becomes of a post that was looked for. Nothing is handed over before the network was asked, and nothing again that it may
// have.
func planFound(p store.Posting, r post.Result, err error) store.Posted {
	s := store.Posted{Posting: p, Reply: r.Reply}
	s.Parts = partsOf(r.Posted)
	backoff := backoffOf(p)
	switch {
	case r.Outcome == deliver.Accepted:
		s.State = store.PostingSent
	case r.Outcome == deliver.Refused:
		s.State = store.PostingFailed
	case err != nil && isStop(err):
		s.State, s.Untried = store.PostingIntent, true
	case err != nil:
		s.State, s.Untried, s.Reply, s.Retry = store.PostingIntent, true, err.Error(), max(r.RetryIn, time.Second)
	case r.Outcome == deliver.Untouched:
		s.State, s.Reply = store.PostingPending, ""
	case r.RetryIn > 0:
		s.State, s.Retry = store.PostingIntent, max(r.RetryIn, min(backoff, lookAfter))
	default:
		s.State = store.PostingAmbiguous
	}
	return s
}

// isStop tells whether a call ended because we ended it.
func isStop(err error) bool {
	var trouble *deliver.Trouble
	return !errors.As(err, &trouble) && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, store.ErrPostingLost))
}

func partsOf(references []post.Reference) []store.PostedPart {
	parts := make([]store.PostedPart, len(references))
	for i, r := range references {
		parts[i] = store.PostedPart{ID: r.ID, CID: r.CID, URL: r.URL}
	}
	return parts
}

func referencesOf(parts []store.PostedPart) []post.Reference {
	references := make([]post.Reference, len(parts))
	for i, p := range parts {
		references[i] = post.Reference{ID: p.ID, CID: p.CID, URL: p.URL}
	}
	return references
}

// planMailed decides what becomes of a mail that was handed over: nobody can be asked for it.
func planMailed(p store.Posting, r deliver.Result) store.Posted {
	s := store.Posted{Posting: p, Reply: r.Reply}
	switch r.Outcome {
	case deliver.Accepted:
		s.State = store.PostingSent
	case deliver.Refused:
		s.State = store.PostingFailed
	case deliver.Unknown:
		s.State, s.Reply = store.PostingAmbiguous, "The server took it and did not answer: whether it arrived cannot be looked up."
	case deliver.Deferred:
		s.State, s.Retry = store.PostingPending, max(min(r.RetryIn, maxRetryIn), backoffOf(p))
	default:
		s.State, s.Untried = store.PostingPending, true
	}
	return s
}

// planNotified decides what becomes of a document that was posted to an endpoint, which knows it by its id: it is posted again until it is known to
// have arrived.
func planNotified(p store.Posting, r deliver.Result, err error, stopped bool) store.Posted {
	backoff := backoffOf(p)
	s := store.Posted{Posting: p, State: store.PostingPending, Retry: backoff, Reply: r.Reply}
	if s.Reply == "" {
		s.Reply = r.Outcome.String()
	}
	switch r.Outcome {
	case deliver.Accepted:
		s.State, s.Retry = store.PostingSent, 0
	case deliver.Refused:
		s.State, s.Retry = store.PostingFailed, 0
	case deliver.Untouched:
		s.Untried = stopped
		if err != nil {
			s.Reply = err.Error()
		}
	default:
		s.Retry = max(backoff, r.RetryIn)
	}
	return s
}

// The outcomes by which postings are counted.
const (
	postingDeferred = "deferred" // it is tried again
	postingLooked   = "unknown"  // it is looked for
)

var postingOutcomes = []string{
	string(store.PostingSent), string(store.PostingFailed), string(store.PostingAmbiguous), postingDeferred, postingLooked,
}

func postingOutcome(s store.Posted) string {
	switch s.State {
	case store.PostingPending:
		return postingDeferred
	case store.PostingIntent:
		return postingLooked
	}
	return string(s.State)
}
