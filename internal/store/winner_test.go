package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// tested begins a send of two variants, of which a share of the audience is out to find the better one.
func tested(t *testing.T, people int, change func(*store.SendConfig)) (sending, int64) {
	t.Helper()
	s := newSending(t, people).permitted()
	c := s.config()
	c.Variants = []store.SendVariant{{Name: "a", Template: "spring", Weight: 1}, {Name: "b", Template: "spring", Weight: 1}}
	c.Test = &campaign.Test{Metric: campaign.Opened, AfterSeconds: 3600, Share: 20}
	if change != nil {
		change(&c)
	}
	id := s.upsert(c).ID
	s.freeze()
	return s, id
}

// sendAll hands everything over that can be leased, and returns how many recipients had which variant.
func (s sending) sendAll(id int64) map[int]int {
	s.t.Helper()
	variants := map[int]int{}
	for {
		l, err := s.LeaseChunk(context.Background(), id, "w1", time.Minute)
		if errors.Is(err, store.ErrNotFound) {
			return variants
		}
		if err != nil {
			s.t.Fatal(err)
		}
		b := s.commit(l, 500)
		for _, r := range b.Recipients {
			variants[r.Variant]++
		}
		s.finish(l, settle(campaign.RowSent, b.Attempts()...)...)
	}
}

func (s sending) decide(id int64, now time.Time) *campaign.Decision {
	s.t.Helper()
	d, err := s.DecideWinner(context.Background(), id, now)
	if err != nil {
		s.t.Fatalf("decide: %v", err)
	}
	return d
}

func TestTheRestGetsTheWinner(t *testing.T) {
	s, id := tested(t, 1000, nil)
	if d := s.decide(id, time.Now().Add(48*time.Hour)); d != nil {
		t.Errorf("nothing is decided before the test share was sent: %+v", d)
	}
	share := s.sendAll(id)
	if share[0]+share[1] < 150 || share[0]+share[1] > 250 || share[0] == 0 || share[1] == 0 {
		t.Fatalf("a fifth of the audience is the test share: %v", share)
	}
	s.exec("insert into engagement_tally (send_id, variant, what, people, total) values ($1, 0, 'opened', 3, 3), ($1, 1, 'opened', 40, 50), ($1, 0, 'clicked', 90, 90)", id)
	if d := s.decide(id, time.Now().Add(59*time.Minute)); d != nil {
		t.Errorf("nothing is decided before its time: %+v", d)
	}
	later := time.Now().Add(2 * time.Hour)
	d := s.decide(id, later)
	if d == nil || d.Winner != 1 || !d.Significant || d.Responses[1].Answers != 40 || d.Responses[0].Sent != int64(share[0]) {
		t.Fatalf("b did better: %+v", d)
	}
	if again := s.decide(id, later); again != nil {
		t.Errorf("it is decided once: %+v", again)
	}
	if rest := s.sendAll(id); rest[1] != 1000-share[0]-share[1] || len(rest) != 1 {
		t.Errorf("the rest gets b: %v", rest)
	}
	s.wantCounts("planned 1000 sent 1000 failed 0 ambiguous 0 pending 0")
	status, err := s.SendStatus(context.Background(), "spring")
	if err != nil || status.Decision == nil || status.Decision.Winner != 1 {
		t.Errorf("the status shows the numbers: %+v, %v", status.Decision, err)
	}
}

func TestWithoutAnyAnswerTheFirstVariantWins(t *testing.T) {
	s, id := tested(t, 200, nil)
	s.sendAll(id)
	if d := s.decide(id, time.Now().Add(2*time.Hour)); d == nil || d.Winner != 0 || d.Significant {
		t.Errorf("nothing speaks for b: %+v", d)
	}
}

// Who gets what is decided by the send and the contact alone.
func TestHoldOut(t *testing.T) {
	s, _ := tested(t, 1000, func(c *store.SendConfig) { c.HoldOut, c.Test = 10, nil })
	rows, err := s.Pool.Query(context.Background(), "select contact_id, variant, coalesce(reason, '') from ledger")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	held := 0
	for rows.Next() {
		var contact int64
		var variant int
		var reason campaign.SkipReason
		if err := rows.Scan(&contact, &variant, &reason); err != nil {
			t.Fatal(err)
		}
		out := int64(campaign.HoldOutDraw.Of("spring-2027", contact)) < campaign.ShareBound(10)
		if out != (reason == campaign.HoldOut) {
			t.Errorf("contact %d: SQL and Go hold out different people", contact)
		}
		if want := campaign.ChooseVariant(campaign.VariantDraw.Of("spring-2027", contact), []int{1, 1}); variant != want {
			t.Errorf("contact %d has variant %d, not %d", contact, variant, want)
		}
		if out {
			held++
		}
	}
	if held < 60 || held > 140 {
		t.Errorf("a tenth is held out: %d of 1000", held)
	}
}
