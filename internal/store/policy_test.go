package store_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/policy"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func (s sending) saveSendPolicy(p policy.SendPolicy) {
	s.t.Helper()
	if changed, err := s.SaveSendPolicy(context.Background(), p); err != nil || !changed {
		s.t.Fatalf("save policy %q: changed %v, %v", p.Name, changed, err)
	}
}

// atMost is a policy that allows so many newsletters in a week.
func atMost(n int64) policy.SendPolicy {
	return policy.SendPolicy{
		Name: "calm", Caps: []policy.Cap{{Name: "weekly", Purposes: []string{"newsletter"}, Max: n, Seconds: 7 * 24 * 3600}},
	}
}

// earlier makes a send of a purpose that has written to the first n people some days ago, with one outcome for all.
func (s sending) earlier(key, purpose string, n, days int, state string) {
	s.t.Helper()
	s.exec(`insert into send (send_key, campaign, purpose, channel, segments, max_recipients, variants, starts_at, deadline, state, frozen_at, finished_at)
		values ($1, $1, $2, 'newsletter', '{}', 1, '[]', now(), now(), 'Completed', now() - $3 * interval '1 day', now() - $3 * interval '1 day')`, key, purpose, days)
	s.exec(`insert into ledger (send_id, seq, contact_id, state, epoch, attempts, intent_at, settled_at)
		select (select id from send where send_key = $1), id, id, $2, 1, 1, now() - $3 * interval '1 day', now() from contact where id <= $4`, key, state, days, n)
	s.exec(`insert into send_chunk (send_id, chunk, first_seq, last_seq, open, intents) select id, 0, 1, $2, false, $2 from send where send_key = $1`, key, n)
	s.exec(`insert into send_tally (send_id, chunk, outcome, n) select id, 0, o, $2 from send, unnest(array['planned', $3]) o where send_key = $1`, key, n, state)
}

func TestFrequencyCapAtTheFreeze(t *testing.T) {
	cases := map[string]struct {
		why     string
		policy  policy.SendPolicy
		prepare func(s sending)
		want    string
	}{
		"Reached": {
			"who had as many as the cap allows gets no more", atMost(1),
			func(s sending) { s.earlier("a", "newsletter", 2, 3, "sent") },
			"planned 5 sent 0 failed 0 ambiguous 0 pending 3 FrequencyCap 2",
		},
		"NotReached": {
			"one less than the cap is no reason", atMost(2),
			func(s sending) { s.earlier("a", "newsletter", 2, 3, "sent") },
			"planned 5 sent 0 failed 0 ambiguous 0 pending 5",
		},
		"TwoSends": {
			"messages of several sends count together", atMost(2),
			func(s sending) {
				s.earlier("a", "newsletter", 3, 3, "sent")
				s.earlier("b", "newsletter", 2, 6, "ambiguous")
			},
			"planned 5 sent 0 failed 0 ambiguous 0 pending 3 FrequencyCap 2",
		},
		"LongAgo": {
			"what left before the window does not count", atMost(1),
			func(s sending) { s.earlier("a", "newsletter", 2, 8, "sent") },
			"planned 5 sent 0 failed 0 ambiguous 0 pending 5",
		},
		"Failed": {
			"what did not arrive does not count", atMost(1),
			func(s sending) { s.earlier("a", "newsletter", 2, 3, "failed") },
			"planned 5 sent 0 failed 0 ambiguous 0 pending 5",
		},
		"OtherPurpose": {
			"what another purpose sent does not count", atMost(1),
			func(s sending) { s.earlier("a", "offers", 2, 3, "sent") },
			"planned 5 sent 0 failed 0 ambiguous 0 pending 5",
		},
		"EveryPurpose": {
			"a cap that names no purpose counts all but the exempt",
			policy.SendPolicy{
				Name: "calm", Exempt: []string{"receipts"}, Caps: []policy.Cap{{Name: "weekly", Max: 1, Seconds: 7 * 24 * 3600}},
			},
			func(s sending) {
				s.earlier("a", "offers", 1, 3, "sent")
				s.earlier("b", "receipts", 3, 3, "sent")
				s.earlier("c", "consent-policy/people", 3, 3, "sent")
			},
			"planned 5 sent 0 failed 0 ambiguous 0 pending 4 FrequencyCap 1",
		},
		"Exempt": {
			"an exempt purpose is not bounded",
			policy.SendPolicy{
				Name: "calm", Exempt: []string{"newsletter"}, Caps: []policy.Cap{{Name: "weekly", Max: 1, Seconds: 7 * 24 * 3600}},
			},
			func(s sending) { s.earlier("a", "newsletter", 2, 3, "sent") },
			"planned 5 sent 0 failed 0 ambiguous 0 pending 5",
		},
		"Suspended": {
			"a suspended policy is not in force", func() policy.SendPolicy { p := atMost(1); p.Suspended = true; return p }(),
			func(s sending) { s.earlier("a", "newsletter", 2, 3, "sent") },
			"planned 5 sent 0 failed 0 ambiguous 0 pending 5",
		},
		"Unsubscribed": {
			"the first reason is the one that is recorded", atMost(1),
			func(s sending) {
				s.earlier("a", "newsletter", 2, 3, "sent")
				s.exec("update consent set granted = false where contact_id = 1")
			},
			"planned 5 sent 0 failed 0 ambiguous 0 pending 3 FrequencyCap 1 NoConsent 1",
		},
		"Held": {
			"an audience over a policy's bound is held",
			policy.SendPolicy{Name: "small", MaxAudience: 4},
			func(sending) {},
			"planned 0 sent 0 failed 0 ambiguous 0 pending 0",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSending(t, 5)
			tc.prepare(s)
			s.saveSendPolicy(tc.policy)
			s.upsert(s.config())
			s.freeze()
			s.wantCounts(tc.want)
		})
	}
}

// commitAs commits intents for all pending rows of a chunk under what the policies say now.
func (s sending) commitAs(l store.Lease) store.Batch {
	s.t.Helper()
	ctx := context.Background()
	terms, err := s.LoadTerms(ctx, "newsletter")
	if err != nil {
		s.t.Fatal(err)
	}
	rows, err := s.PendingRows(ctx, l)
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := s.CommitBatch(ctx, store.BatchRequest{Lease: l, Rows: rows, Terms: terms})
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// declare declares another campaign and freezes it.
func (s sending) declare(name string) int64 {
	s.t.Helper()
	c := s.config()
	c.SendKey, c.Campaign = name, name
	applied := s.upsert(c)
	ctx := context.Background()
	open := func() store.OpenSend {
		sends, err := s.OpenSends(ctx)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, o := range sends {
			if o.ID == applied.ID {
				return o
			}
		}
		s.t.Fatalf("%s is not open", name)
		return store.OpenSend{}
	}
	if _, err := s.EvaluateSegment(ctx, "everybody"); err != nil {
		s.t.Fatal(err)
	}
	if moved, err := s.MoveSend(ctx, open(), campaign.Freezing, ""); err != nil || !moved {
		s.t.Fatal(moved, err)
	}
	if state, err := s.FreezeSend(ctx, open(), noon); err != nil || state != campaign.Sending {
		s.t.Fatal(state, err)
	}
	return applied.ID
}

func TestFrequencyCapAtTheIntent(t *testing.T) {
	s := newSending(t, 5)
	first, second := s.declare("spring"), s.declare("summer")
	l1, l2 := s.lease(first, "w1"), s.lease(second, "w2")
	s.saveSendPolicy(atMost(1))
	if b := s.commit(l1, 5); b.Runs || len(b.Recipients)+b.Skipped > 0 {
		t.Fatalf("intents were committed by terms that are not in force any more: %+v", b)
	}
	s.exec("update send_chunk set leased_until = now() + interval '1 minute'")
	if b := s.commitAs(l1); len(b.Recipients) != 5 {
		t.Fatalf("the first send: %+v", b)
	}
	if b := s.commitAs(l2); b.Skipped != 5 || len(b.Recipients) != 0 {
		t.Fatalf("the second send went past the cap: %+v", b)
	}
	got := fmt.Sprint(s.one("select string_agg(distinct reason, ',') from ledger where send_id = $1", second))
	if diff := cmp.Diff("FrequencyCap", got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func (s sending) one(sql string, arguments ...any) any {
	s.t.Helper()
	var v any
	if err := s.Pool.QueryRow(context.Background(), sql, arguments...).Scan(&v); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// TestFrequencyCapOfTwoAtOnce has many campaigns write to the same people at the same moment.
func TestFrequencyCapOfTwoAtOnce(t *testing.T) {
	const people, sends, most = 60, 6, 2
	s := newSending(t, people)
	s.saveSendPolicy(atMost(most))
	leases := make([]store.Lease, sends)
	for i := range leases {
		leases[i] = s.lease(s.declare(fmt.Sprintf("at-once-%d", i)), fmt.Sprintf("w%d", i))
	}
	var workers sync.WaitGroup
	start := make(chan struct{})
	for _, l := range leases {
		workers.Go(func() {
			<-start
			s.commitAs(l)
		})
	}
	close(start)
	workers.Wait()
	got := fmt.Sprintln(s.one("select count(*) from (select from ledger where state = 'intent' group by contact_id having count(*) = $1) n", most),
		s.one("select count(*) from ledger where state = 'intent'"), s.one("select count(*) from ledger where reason = 'FrequencyCap'"))
	if diff := cmp.Diff(fmt.Sprintln(people, people*most, people*(sends-most)), got); diff != "" {
		t.Errorf("people with as many as the cap, intents, left out: -want +got:\n%s", diff)
	}
}

func TestTermsFollowThePolicies(t *testing.T) {
	s := newSending(t, 0)
	load := func(purpose string) policy.Terms {
		t.Helper()
		terms, err := s.LoadTerms(context.Background(), purpose)
		if err != nil {
			t.Fatal(err)
		}
		return terms
	}
	night := campaign.Window{From: "22:00", To: "08:00"}
	if diff := cmp.Diff(policy.Terms{Basis: policy.Consent}, load("newsletter")); diff != "" {
		t.Errorf("without policies: -want +got:\n%s", diff)
	}
	calm := atMost(3)
	calm.Purposes, calm.Quiet, calm.MaxAudience = []string{"newsletter", "offers"}, []campaign.Window{night}, 1000
	s.saveSendPolicy(calm)
	s.saveSendPolicy(policy.SendPolicy{Name: "small", MaxAudience: 100})
	want := policy.Terms{Revision: 2, Basis: policy.Consent, Capped: true, Quiet: []campaign.Window{night}, MaxAudience: 100}
	if diff := cmp.Diff(want, load("newsletter")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	want.Capped = false
	if diff := cmp.Diff(want, load("offers")); diff != "" {
		t.Errorf("a cap on newsletters does not bound offers: -want +got:\n%s", diff)
	}
	if changed, err := s.SaveSendPolicy(context.Background(), calm); err != nil || changed {
		t.Errorf("saved again: changed %v, %v", changed, err)
	}
	if err := s.DormantSendPolicy(context.Background(), "calm"); err != nil {
		t.Fatal(err)
	}
	want = policy.Terms{Revision: 3, Basis: policy.Consent, MaxAudience: 100}
	if diff := cmp.Diff(want, load("newsletter")); diff != "" {
		t.Errorf("after its end: -want +got:\n%s", diff)
	}
	policies, err := s.SendPolicies(context.Background())
	if err != nil || len(policies) != 1 || policies[0].Name != "small" {
		t.Errorf("in force: %+v, %v", policies, err)
	}
}

// TestIntentsCostNothingWithoutPolicies keeps what a tenant without policies does not ask for out of the statement that is run
// for every message.
func TestIntentsCostNothingWithoutPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		terms policy.Terms
		caps  bool
	}{
		"no policies": {policy.Terms{Basis: policy.Consent}, false},
		"a cap":       {policy.Terms{Basis: policy.Consent, Capped: true}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strings.Contains(store.IntentSQL(c.terms), "capped"); got != c.caps {
				t.Errorf("caps are looked up: %v, want %v", got, c.caps)
			}
		})
	}
}
