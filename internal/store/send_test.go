package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestSendKeyIsTaken(t *testing.T) {
	s := newSending(t, 0)
	ctx := context.Background()
	s.upsert(s.config())
	other := s.config()
	other.Campaign = "autumn"
	_, err := s.UpsertSend(ctx, other)
	var taken *store.SendKeyTakenError
	if !errors.Is(err, store.ErrSendKeyTaken) || !errors.As(err, &taken) || taken.Campaign != "spring" {
		t.Errorf("a second campaign with the key should be refused, naming the first: %v", err)
	}
	if err := s.DormantSend(ctx, "spring"); err != nil {
		t.Fatal(err)
	}
	s.upsert(other)
	status, err := s.SendStatus(ctx, "autumn")
	if err != nil || status.Dormant {
		t.Errorf("a deleted campaign's send should be adopted: %+v, %v", status, err)
	}
	if _, err := s.SendStatus(ctx, "spring"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the first campaign has no send any more: %v", err)
	}
}

func TestFieldsAfterTheFreeze(t *testing.T) {
	s := newSending(t, 2)
	s.begin()
	c := s.config()
	c.MaxRecipients, c.Purpose, c.Segments = 1, "offers", []string{"others"}
	applied := s.upsert(c)
	if diff := cmp.Diff([]string{"purpose", "audience.segments", "audience.maxRecipients"}, applied.Ignored); diff != "" || applied.Changed {
		t.Errorf("what was frozen should not change: %+v\n%s", applied, diff)
	}
	c = s.config()
	c.Suspended = true
	if applied := s.upsert(c); !applied.Changed || applied.Ignored != nil {
		t.Errorf("suspension has an effect at any time: %+v", applied)
	}
	status, err := s.SendStatus(context.Background(), "spring")
	if err != nil || !status.Suspended || !status.Stopped {
		t.Errorf("the send should be suspended: %+v, %v", status, err)
	}
}

func TestExpiredIsJudgedAnew(t *testing.T) {
	s := newSending(t, 2)
	s.upsert(s.config())
	s.move(campaign.Expired)
	if s.upsert(s.config()).Changed {
		t.Error("the same schedule should change nothing")
	}
	c := s.config()
	c.StartsAt, c.Deadline = c.StartsAt.Add(24*time.Hour), c.Deadline.Add(24*time.Hour)
	s.upsert(c)
	if s.open().State != campaign.Scheduled {
		t.Error("a send that expired before anybody was written to can be scheduled anew")
	}
}

func TestDeletedAndAppliedAgain(t *testing.T) {
	cases := map[string]struct {
		why   string
		away  string // how long it was deleted
		sent  int
		state campaign.State
		want  string
	}{
		"HalfSent": {
			why: "a half-sent campaign that comes back sends the rest", away: "29 days", sent: 2,
			state: campaign.Sending, want: "planned 4 sent 2 failed 0 ambiguous 0 pending 2",
		},
		"Finished": {
			why: "a finished campaign that comes back sends nothing", away: "1 day", sent: 4,
			state: campaign.Completed, want: "planned 4 sent 4 failed 0 ambiguous 0 pending 0",
		},
		"TooLate": {
			why: "what is pending after thirty days is skipped", away: "31 days", sent: 1,
			state: campaign.Completed, want: "planned 4 sent 1 failed 0 ambiguous 0 pending 0 Dormant 3",
		},
	}
	for name, tc := range cases {
		for _, sweep := range []string{"Swept", "AdoptedBeforeTheSweep"} {
			t.Run(name+"/"+sweep, func(t *testing.T) {
				s := newSending(t, 4)
				ctx := context.Background()
				l := s.lease(s.begin(), "w1")
				b := s.commit(l, tc.sent)
				s.finish(l, settle(campaign.RowSent, b.Attempts()...)...)
				if err := s.DormantSend(ctx, "spring"); err != nil {
					t.Fatal(err)
				}
				s.exec("update send set dormant_since = now() - $1::interval", tc.away)
				if sweep == "Swept" {
					if err := s.EndDormantSends(ctx); err != nil {
						t.Fatal(err)
					}
				}
				s.upsert(s.config())
				if open := s.open(); open.State != tc.state {
					if _, err := s.MoveSend(ctx, open, campaign.Next(open.State, open.Facts, noon), ""); err != nil {
						t.Fatal(err)
					}
				}
				status, err := s.SendStatus(ctx, "spring")
				if err != nil || status.State != tc.state || status.Dormant {
					t.Errorf("%s: %+v, %v", tc.why, status, err)
				}
				s.wantCounts(tc.want)
			})
		}
	}
}

func TestSuspendSend(t *testing.T) {
	s := newSending(t, 1)
	ctx := context.Background()
	id := s.begin()
	if err := s.SuspendSend(ctx, "spring"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.LeaseChunk(ctx, id, "w1", time.Minute); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a suspended send is leased: %v", err)
	}
	s.upsert(s.config())
	s.finish(s.lease(id, "w1"))
}
