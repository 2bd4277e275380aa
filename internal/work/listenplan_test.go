package work

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestPlanRest(t *testing.T) {
	backoff := campaign.Backoff{First: 10 * time.Second, Max: 10 * time.Minute}
	const interval = time.Minute
	lost := errors.Join(store.ErrSourceLost)
	throttled := func(wait time.Duration) error {
		return &listen.Trouble{Reason: listen.Throttled, Message: "asked too often.", Wait: wait}
	}
	elsewhere := "https://elsewhere.example/feed"
	unreachable := listen.Troublef(listen.Unreachable, "does not answer.")
	for name, tc := range map[string]struct {
		failures int
		troubled bool
		e        ending
		want     store.SourceRest
		least    time.Duration // of Next, where that is spread
		most     time.Duration
		kept     bool // the lease is not given back
	}{
		"all is read":               {e: ending{heard: true}, want: store.SourceRest{Next: interval}},
		"its network wants to rest": {e: ending{wait: time.Hour}, want: store.SourceRest{Next: time.Hour}},
		"it rests, and there is more": {
			e: ending{wait: 5 * time.Second, more: true}, want: store.SourceRest{Next: 5 * time.Second, Behind: true},
		},
		"it has moved":             {e: ending{moved: &elsewhere}, want: store.SourceRest{Next: interval, Moved: &elsewhere}},
		"it moved, with more":      {e: ending{moved: &elsewhere, more: true}, want: store.SourceRest{Behind: true, Moved: &elsewhere}},
		"there is nothing to read": {e: ending{hooked: true}, want: store.SourceRest{Next: time.Hour}},
		"the lease is lost":        {e: ending{why: lost, err: unreachable}, kept: true},
		"it was lost as a batch was stored": {
			e: ending{failed: lost, err: lost}, kept: true,
		},
		"told to stop": {e: ending{why: errStopped, err: errors.New("canceled"), heard: true}, want: store.SourceRest{Behind: true}},
		"told to stop while something was in the way": {
			troubled: true, failures: 3, e: ending{why: errStopped}, kept: true,
		},
		"told to stop after that was over": {
			troubled: true, failures: 3, e: ending{why: errStopped, heard: true}, want: store.SourceRest{Behind: true},
		},
		"other credentials": {troubled: true, failures: 3, e: ending{why: errRotated, err: unreachable}, want: store.SourceRest{Behind: true}},
		"the database is to blame": {
			e: ending{failed: errors.New("away"), err: errors.New("away")}, least: 8 * time.Second, most: 10 * time.Second,
			want: store.SourceRest{Behind: true, Failures: 1},
		},
		"unreachable": {
			e: ending{err: unreachable}, least: 8 * time.Second, most: 10 * time.Second,
			want: store.SourceRest{Reason: listen.Unreachable, Message: "does not answer.", Failures: 1},
		},
		"unreachable for the fourth time": {
			failures: 3, e: ending{err: unreachable}, least: 64 * time.Second, most: 80 * time.Second,
			want: store.SourceRest{Reason: listen.Unreachable, Message: "does not answer.", Failures: 4},
		},
		"unreachable for a day": {
			failures: 1000, e: ending{err: unreachable}, least: 8 * time.Minute, most: 10 * time.Minute,
			want: store.SourceRest{Reason: listen.Unreachable, Message: "does not answer.", Failures: 1001},
		},
		"throttled for so long": {
			e: ending{err: throttled(time.Hour)}, want: store.SourceRest{Reason: listen.Throttled, Message: "asked too often.", Failures: 1, Next: time.Hour},
		},
		"throttled": {
			e: ending{err: throttled(0)}, want: store.SourceRest{Reason: listen.Throttled, Message: "asked too often.", Failures: 1, Next: time.Minute},
		},
		"a person has to act": {
			e:    ending{err: listen.Troublef(listen.Unauthorized, "revoked.")},
			want: store.SourceRest{Reason: listen.Unauthorized, Message: "revoked.", Failures: 1, Next: 15 * time.Minute},
		},
		"an error without a reason": {
			e: ending{err: errors.New("ana@people.example: syntax")}, least: 8 * time.Second, most: 10 * time.Second,
			want: store.SourceRest{Reason: listen.Unreachable, Message: "The source cannot be read, for a reason that its connector does not tell.", Failures: 1},
		},
		"a stream that had lasted breaks": {
			failures: 2, e: ending{streams: true, steady: true, heard: true, err: unreachable}, least: 8 * time.Second, most: 10 * time.Second,
			want: store.SourceRest{Failures: 1},
		},
		"a stream that cannot be begun": {
			e: ending{streams: true, err: unreachable}, least: 8 * time.Second, most: 10 * time.Second,
			want: store.SourceRest{Reason: listen.Unreachable, Message: "does not answer.", Failures: 1},
		},
		"polling works beside it": {
			e: ending{streams: true, polled: true, heard: true, err: unreachable}, least: 8 * time.Second, most: 10 * time.Second,
			want: store.SourceRest{Failures: 1},
		},
		"polling works, and the stream does not for long": {
			failures: 20, e: ending{streams: true, polled: true, heard: true, err: unreachable},
			want: store.SourceRest{Reason: listen.Unreachable, Message: "does not answer. The source is polled meanwhile.", Failures: 21, Next: interval},
		},
		"polling works, and the stream is not allowed": {
			failures: 5, e: ending{streams: true, polled: true, heard: true, err: listen.Troublef(listen.Forbidden, "not allowed.")},
			want: store.SourceRest{Reason: listen.Forbidden, Message: "not allowed. The source is polled meanwhile.", Failures: 6, Next: interval},
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := store.SourceLease{Source: store.Source{Name: "square", Interval: interval}, Failures: tc.failures, Troubled: tc.troubled}
			rest, ok := planRest(l, tc.e, backoff)
			if ok == tc.kept {
				t.Errorf("given back: %t", ok)
			}
			if !ok {
				return
			}
			if tc.most > 0 {
				if rest.Next < tc.least || rest.Next > tc.most {
					t.Errorf("it rests for %s, and should from %s to %s", rest.Next, tc.least, tc.most)
				}
				rest.Next = 0
			}
			if diff := cmp.Diff(tc.want, rest); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
