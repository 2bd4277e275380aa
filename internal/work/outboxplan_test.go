package work

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// TestWhatBecomesOfAPosting: by what is known of it. Nothing that may be there is handed over again before it was looked for, and nobody is
// asked for ever.
func TestWhatBecomesOfAPosting(t *testing.T) {
	trouble := &deliver.Trouble{Server: "social.example", Stage: "connect", Reason: "it cannot be reached"}
	of := func(o deliver.Outcome, wait time.Duration) deliver.Result {
		return deliver.Result{Outcome: o, RetryIn: wait}
	}
	taken := store.Posting{ID: 7, Attempts: 1}
	for name, tc := range map[string]struct {
		got     store.Posted
		want    store.PostingState
		untried bool
		least   time.Duration
	}{
		"published":                   {planPublished(taken, post.Result{Result: of(deliver.Accepted, 0)}, nil), store.PostingSent, false, 0},
		"refused":                     {planPublished(taken, post.Result{Result: of(deliver.Refused, 0)}, nil), store.PostingFailed, false, 0},
		"put off":                     {planPublished(taken, post.Result{Result: of(deliver.Deferred, time.Hour)}, nil), store.PostingPending, false, time.Hour},
		"not answered":                {planPublished(taken, post.Result{Result: of(deliver.Unknown, 0)}, nil), store.PostingIntent, false, lookAfter},
		"unreachable":                 {planPublished(taken, post.Result{}, trouble), store.PostingPending, true, time.Second},
		"stopped":                     {planPublished(taken, post.Result{}, context.Canceled), store.PostingPending, true, 0},
		"found":                       {planFound(taken, post.Result{Result: of(deliver.Accepted, 0)}, nil), store.PostingSent, false, 0},
		"another stands there":        {planFound(taken, post.Result{Result: of(deliver.Refused, 0)}, nil), store.PostingFailed, false, 0},
		"not there":                   {planFound(taken, post.Result{}, nil), store.PostingPending, false, 0},
		"cannot be asked now":         {planFound(taken, post.Result{Result: of(deliver.Unknown, time.Minute)}, trouble), store.PostingIntent, true, time.Minute},
		"perhaps later":               {planFound(taken, post.Result{Result: of(deliver.Unknown, time.Minute)}, nil), store.PostingIntent, false, time.Minute},
		"nobody knows":                {planFound(taken, post.Result{Result: of(deliver.Unknown, 0)}, nil), store.PostingAmbiguous, false, 0},
		"a look-up that was stopped":  {planFound(taken, post.Result{Result: of(deliver.Unknown, 0)}, context.Canceled), store.PostingIntent, true, 0},
		"a mail":                      {planMailed(taken, of(deliver.Accepted, 0)), store.PostingSent, false, 0},
		"a mail without an answer":    {planMailed(taken, of(deliver.Unknown, 0)), store.PostingAmbiguous, false, 0},
		"a mail that is put off":      {planMailed(taken, of(deliver.Deferred, time.Minute)), store.PostingPending, false, time.Minute},
		"a mail that nobody took":     {planMailed(taken, of(deliver.Untouched, 0)), store.PostingPending, true, 0},
		"a document":                  {planNotified(taken, of(deliver.Accepted, 0), nil, false), store.PostingSent, false, 0},
		"a document without answer":   {planNotified(taken, of(deliver.Unknown, 0), nil, false), store.PostingPending, false, time.Second},
		"a document that was refused": {planNotified(taken, of(deliver.Refused, 0), nil, false), store.PostingFailed, false, 0},
		"an image that is gone":       {unwritten(taken, unpostable("an image of it is not there any more")), store.PostingFailed, false, 0},
		"the same, after it was handed over": {
			unwritten(store.Posting{Look: true}, unpostable("an image of it is not there any more")), store.PostingAmbiguous, false, 0,
		},
		"what it answers is forgotten": {unwritten(taken, store.ErrForgotten), store.PostingFailed, false, 0},
		"the database is away":         {unwritten(taken, errors.New("the database is away")), store.PostingPending, true, time.Second},
	} {
		if tc.got.State != tc.want || tc.got.Untried != tc.untried || tc.got.Retry < tc.least || tc.least == 0 && tc.got.Retry > 0 {
			t.Errorf("%s: it is %s (untried %v), after %s", name, tc.got.State, tc.got.Untried, tc.got.Retry)
		}
	}
}

func TestReplySubject(t *testing.T) {
	for subject, want := range map[string]string{
		"Pedido 7": "Re: Pedido 7", "Re: Pedido 7": "Re: Pedido 7", " RE: Re: Pedido": "Re: Pedido", "": "Re:", "Respuesta": "Re: Respuesta",
	} {
		if got := replySubject(subject); got != want {
			t.Errorf("%q is answered as %q, and not as %q", subject, got, want)
		}
	}
}
