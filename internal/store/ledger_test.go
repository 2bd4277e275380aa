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

func TestSendToTheEnd(t *testing.T) {
	s := newSending(t, 3)
	ctx := context.Background()
	id := s.begin()
	s.wantCounts("planned 3 sent 0 failed 0 ambiguous 0 pending 3")

	l := s.lease(id, "w1")
	first := s.commit(l, 2)
	if !first.Held || !first.Runs || len(first.Recipients) != 2 {
		t.Fatalf("the first batch should hold two of three: %+v", first)
	}
	got := first.Recipients[0]
	if got.Address != "c1@people.example" || got.Locale != "es" || got.Number != 1 || got.Attributes[0] != "Name 1" {
		t.Errorf("unexpected recipient: %+v", got)
	}
	s.wantCounts("planned 3 sent 0 failed 0 ambiguous 0 pending 3")
	second := s.commit(l, 2, settle(campaign.RowSent, first.Attempts()...)...)
	if len(second.Recipients) != 1 {
		t.Fatalf("the second batch should hold the third: %+v", second)
	}
	s.wantCounts("planned 3 sent 2 failed 0 ambiguous 0 pending 1")
	s.finish(l, settle(campaign.RowFailed, second.Attempts()...)...)
	s.wantCounts("planned 3 sent 2 failed 1 ambiguous 0 pending 0")

	if _, err := s.LeaseChunk(ctx, id, "w1", time.Minute); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a chunk without open rows is leased: %v", err)
	}
	if open := s.open(); campaign.Next(open.State, open.Facts, noon) != campaign.Completed {
		t.Errorf("the send should be completed: %+v", open)
	}
	s.move(campaign.Completed)
	status, err := s.SendStatus(ctx, "spring")
	if err != nil || status.State != campaign.Completed || status.FinishedAt == nil {
		t.Errorf("status: %+v, %v", status, err)
	}
}

func TestSettlements(t *testing.T) {
	cases := map[string]struct {
		why  string
		play func(s sending, id int64)
		want string
	}{
		"Twice": {
			why: "an outcome whose commit was in doubt is written again, and counts once",
			play: func(s sending, id int64) {
				l := s.lease(id, "w1")
				b := s.commit(l, 2)
				sent := settle(campaign.RowSent, b.Attempts()...)
				s.commit(l, 0, sent...)
				s.finish(l, sent...)
				s.finish(l, sent...)
			},
			want: "planned 2 sent 2 failed 0 ambiguous 0 pending 0",
		},
		"Deferred": {
			why: "a deferred message is pending, and its chunk waits for it",
			play: func(s sending, id int64) {
				l := s.lease(id, "w1")
				b := s.commit(l, 2)
				s.finish(l,
					store.Settlement{Attempt: b.Recipients[0].Attempt, State: campaign.RowSent},
					store.Settlement{Attempt: b.Recipients[1].Attempt, State: campaign.RowPending, RetryIn: time.Hour, Reply: "4.2.0 later\x00\xff"})
				s.wantPutOff(true, "4.2.0")
				if _, err := s.LeaseChunk(context.Background(), id, "w1", time.Minute); !errors.Is(err, store.ErrNotFound) {
					s.t.Errorf("the chunk is leased before its time: %v", err)
				}
				s.exec("update ledger set not_before = now() where state = 'pending'")
				s.exec("update send_chunk set next_at = now()")
				s.wantPutOff(false, "")
				l = s.lease(id, "w1")
				again := s.commit(l, 2)
				if len(again.Recipients) != 1 || again.Recipients[0].Number != 2 {
					s.t.Errorf("the deferred one should be tried a second time: %+v", again)
				}
				// The first attempt's outcome, once more, is not the second's.
				s.finish(l, settle(campaign.RowFailed, b.Recipients[1].Attempt)...)
			},
			want: "planned 2 sent 1 failed 0 ambiguous 0 pending 1",
		},
		"Undone": {
			why: "an intent that was never handed over goes back, and can be tried at once",
			play: func(s sending, id int64) {
				l := s.lease(id, "w1")
				b := s.commit(l, 1)
				again := s.commit(l, 2, b.Recipients[0].Undone())
				if len(again.Recipients) != 2 || again.Recipients[0].Number != 2 {
					s.t.Errorf("both should be intents: %+v", again)
				}
				s.finish(l, settle(campaign.RowSent, again.Attempts()...)...)
			},
			want: "planned 2 sent 2 failed 0 ambiguous 0 pending 0",
		},
		"Lost": {
			why: "a dead worker's intents become ambiguous after their time, and what was pending goes on at once",
			play: func(s sending, id int64) {
				s.commit(s.lease(id, "w1"), 1)
				s.exec("update send_chunk set leased_until = now() - interval '1 second'")
				l := s.lease(id, "w2")
				b := s.commit(l, 2)
				if len(b.Recipients) != 1 || b.Recipients[0].Seq != 2 {
					s.t.Errorf("only the pending row should be taken over: %+v", b)
				}
				s.finish(l, settle(campaign.RowSent, b.Attempts()...)...)
				s.wantCounts("planned 2 sent 1 failed 0 ambiguous 0 pending 1")
				s.sweep(time.Hour)
				s.wantCounts("planned 2 sent 1 failed 0 ambiguous 0 pending 1")
				s.sweep(0)
			},
			want: "planned 2 sent 1 failed 0 ambiguous 1 pending 0",
		},
		"Late": {
			why: "an outcome that comes after the sweep settles its row",
			play: func(s sending, id int64) {
				l := s.lease(id, "w1")
				b := s.commit(l, 2)
				s.exec("update send_chunk set leased_until = now() - interval '1 second'")
				s.sweep(0)
				s.wantCounts("planned 2 sent 0 failed 0 ambiguous 2 pending 0")
				s.finish(l, settle(campaign.RowSent, b.Recipients[0].Attempt)...)
			},
			want: "planned 2 sent 1 failed 0 ambiguous 1 pending 0",
		},
		"LateAndNotTaken": {
			why: "a message that was taken for ambiguous and was not taken by the relay is sent after all",
			play: func(s sending, id int64) {
				l := s.lease(id, "w1")
				b := s.commit(l, 2)
				s.exec("update send_chunk set leased_until = now() - interval '1 second'")
				s.sweep(0)
				s.move(campaign.Completed)
				s.finish(l, b.Recipients[0].Undone(), settle(campaign.RowSent, b.Recipients[1].Attempt)[0])
				open := s.open()
				if next := campaign.Next(open.State, open.Facts, noon); next != campaign.Sending {
					s.t.Errorf("the send should go on, not be %s", next)
				}
				s.move(campaign.Sending)
				l = s.lease(id, "w2")
				b = s.commit(l, 2)
				s.finish(l, settle(campaign.RowSent, b.Attempts()...)...)
			},
			want: "planned 2 sent 2 failed 0 ambiguous 0 pending 0",
		},
		"LateDeferral": {
			why: "a worker that lost its lease learns that a message was deferred: it is tried again",
			play: func(s sending, id int64) {
				old := s.lease(id, "w1")
				b := s.commit(old, 1)
				s.exec("update send_chunk set leased_until = now() - interval '1 second'")
				l := s.lease(id, "w2")
				rest := s.commit(l, 2)
				s.finish(l, settle(campaign.RowSent, rest.Attempts()...)...)
				s.finish(old, b.Recipients[0].Undone())
				l = s.lease(id, "w3")
				rest = s.commit(l, 2)
				s.finish(l, settle(campaign.RowSent, rest.Attempts()...)...)
			},
			want: "planned 2 sent 2 failed 0 ambiguous 0 pending 0",
		},
		"AbandonedWithoutIntents": {
			why: "a dead worker's chunk without intents is free again",
			play: func(s sending, id int64) {
				s.lease(id, "w1")
				s.exec("update send_chunk set leased_until = now() - interval '1 second'")
				s.sweep(time.Hour)
				l := s.lease(id, "w2")
				s.finish(l, settle(campaign.RowSent, s.commit(l, 2).Attempts()...)...)
			},
			want: "planned 2 sent 2 failed 0 ambiguous 0 pending 0",
		},
		"Usurped": {
			why: "a worker whose lease was taken over commits nothing more, and still settles what it handed over",
			play: func(s sending, id int64) {
				old := s.lease(id, "w1")
				b := s.commit(old, 1)
				s.exec("update send_chunk set leased_until = now() - interval '1 second'")
				l := s.lease(id, "w2")
				late := s.commit(old, 1, settle(campaign.RowSent, b.Attempts()...)...)
				if late.Held || len(late.Recipients) != 0 {
					s.t.Errorf("the lease should be void: %+v", late)
				}
				s.finish(old)
				rest := s.commit(l, 2)
				s.finish(l, settle(campaign.RowSent, rest.Attempts()...)...)
			},
			want: "planned 2 sent 2 failed 0 ambiguous 0 pending 0",
		},
		"LiveIsNotSwept": {
			why: "while a worker keeps its lease its intents are its own, however long the relay takes",
			play: func(s sending, id int64) {
				l := s.lease(id, "w1")
				b := s.commit(l, 2)
				s.sweep(0)
				s.wantCounts("planned 2 sent 0 failed 0 ambiguous 0 pending 2")
				s.finish(l, settle(campaign.RowSent, b.Attempts()...)...)
			},
			want: "planned 2 sent 2 failed 0 ambiguous 0 pending 0",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSending(t, 2)
			tc.play(s, s.begin())
			t.Log(tc.why)
			s.wantCounts(tc.want)
		})
	}
}

func (s sending) sweep(age time.Duration) {
	s.t.Helper()
	if _, err := s.SweepIntents(context.Background(), age); err != nil {
		s.t.Fatalf("sweep: %v", err)
	}
}

func TestIntentChecksAgain(t *testing.T) {
	cases := map[string]struct {
		why    string
		change string // after the freeze
		want   string
		to     []string
	}{
		"Nothing": {
			why: "nobody changed", change: "select 1",
			want: "planned 3 sent 3 failed 0 ambiguous 0 pending 0", to: []string{"c1@people.example", "c2@people.example", "c3@people.example"},
		},
		"Unsubscribed": {
			why:    "consent was taken back after the freeze",
			change: "update consent set granted = false where contact_id = 2",
			want:   "planned 3 sent 2 failed 0 ambiguous 0 pending 0 NoConsent 1", to: []string{"c1@people.example", "c3@people.example"},
		},
		"Suppressed": {
			why:    "the address bounced in another campaign after the freeze",
			change: "insert into suppression (address_hash, reason, source) select keyed_hash(key, 'c2@people.example'), 'bounced', 'test' from secret_key where purpose = 'address'",
			want:   "planned 3 sent 2 failed 0 ambiguous 0 pending 0 Suppressed 1", to: []string{"c1@people.example", "c3@people.example"},
		},
		"Refused": {
			why:    "the address said no in another campaign's mail to another contact",
			change: "insert into refusal (address_hash, purpose, source) select keyed_hash(key, 'c2@people.example'), 'newsletter', 'unsubscribe' from secret_key where purpose = 'address'",
			want:   "planned 3 sent 2 failed 0 ambiguous 0 pending 0 NoConsent 1", to: []string{"c1@people.example", "c3@people.example"},
		},
		"AddressGone": {
			why:    "the address was removed",
			change: "delete from identifier_link where contact_id = 2",
			want:   "planned 3 sent 2 failed 0 ambiguous 0 pending 0 NoAddress 1", to: []string{"c1@people.example", "c3@people.example"},
		},
		"Moved": {
			why:    "the message goes to the address of this moment",
			change: "update identifier set value = 'new@people.example' where value = 'c2@people.example'",
			want:   "planned 3 sent 3 failed 0 ambiguous 0 pending 0", to: []string{"c1@people.example", "c3@people.example", "new@people.example"},
		},
		"MovedOntoAnother": {
			why: "an address that went from one recipient to another gets the message once",
			change: `with gone as (delete from identifier_link where contact_id in (1, 2))
				insert into identifier_link (identifier_id, contact_id, verified, source) select i.id, c.id, false, 'test' from identifier i, contact c
				where i.value = 'c1@people.example' and c.id = 2`,
			want: "planned 3 sent 2 failed 0 ambiguous 0 pending 0 NoAddress 1", to: []string{"c1@people.example", "c3@people.example"},
		},
		"MovedToUnsubscribed": {
			why: "a contact who took consent back does not stand in the way of one with the same address",
			change: `with no as (update consent set granted = false where contact_id = 1), shared as (update identifier_link set verified = false where contact_id = 1)
				update identifier_link set verified = false, identifier_id = (select identifier_id from identifier_link where contact_id = 1) where contact_id = 2`,
			want: "planned 3 sent 2 failed 0 ambiguous 0 pending 0 NoConsent 1", to: []string{"c1@people.example", "c3@people.example"},
		},
		"MovedToMailed": {
			why: "the new address has had its message: it gets no second one",
			change: `with gone as (delete from identifier_link where contact_id = 2), mailed as (update ledger set state = 'sent', settled_at = now() where contact_id = 1 and state = 'pending'),
				tally as (insert into send_tally select send_id, 0, 'sent', 1 from send_chunk)
				insert into identifier_link (identifier_id, contact_id, verified, source) select i.id, 2, false, 'test' from identifier i where i.value = 'c1@people.example'`,
			want: "planned 3 sent 2 failed 0 ambiguous 0 pending 0 DuplicateAddress 1", to: []string{"c3@people.example"},
		},
		"Swapped": {
			why:    "two contacts swapped their addresses: neither address gets two messages",
			change: `update identifier_link set contact_id = 3 - contact_id where contact_id in (1, 2)`,
			want:   "planned 3 sent 2 failed 0 ambiguous 0 pending 0 DuplicateAddress 1", to: []string{"c1@people.example", "c3@people.example"},
		},
		"SuspendedChannel": {
			why: "a channel that is suspended takes nothing, and nothing is lost", change: "update channel set suspended = true",
			want: "planned 3 sent 0 failed 0 ambiguous 0 pending 3",
		},
		"SuspendedTemplate": {
			why: "so does a template", change: "update template set suspended = true",
			want: "planned 3 sent 0 failed 0 ambiguous 0 pending 3",
		},
		"SuspendedTenant": {
			why: "so does a tenant", change: "update tenant set suspended = true",
			want: "planned 3 sent 0 failed 0 ambiguous 0 pending 3",
		},
		"Deleted": {
			why: "so does the campaign itself", change: "update send set dormant_since = now()",
			want: "planned 3 sent 0 failed 0 ambiguous 0 pending 3",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSending(t, 3)
			l := s.lease(s.begin(), "w1")
			s.exec(tc.change)
			b := s.commit(l, 10)
			s.finish(l, settle(campaign.RowSent, b.Attempts()...)...)
			s.wantCounts(tc.want)
			var to []string
			for _, r := range b.Recipients {
				to = append(to, r.Address)
			}
			if diff := cmp.Diff(tc.to, to, sorted); diff != "" {
				t.Errorf("%s: addresses differ (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

var sorted = cmp.Transformer("sorted", func(list []string) map[string]int {
	counts := map[string]int{}
	for _, s := range list {
		counts[s]++
	}
	return counts
})
