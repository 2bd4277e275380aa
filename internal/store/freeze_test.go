package store_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
	"github.com/tertulia-crm/tertulia/internal/store/storetest"
)

func TestFreeze(t *testing.T) {
	cases := map[string]struct {
		why     string
		people  int
		prepare string
		config  func(*store.SendConfig)
		state   campaign.State
		want    string
	}{
		"Everybody": {
			why: "all of the segment are planned", people: 1001,
			state: campaign.Sending, want: "planned 1001 sent 0 failed 0 ambiguous 0 pending 1001",
		},
		"Nobody": {
			why: "an empty audience is a send that is done", people: 0,
			state: campaign.Completed, want: "planned 0 sent 0 failed 0 ambiguous 0 pending 0",
		},
		"NoConsent": {
			why: "consent withheld and consent never asked for are the same", people: 4,
			prepare: "with asked as (delete from consent where contact_id = 1) update consent set granted = false where contact_id = 2",
			state:   campaign.Sending, want: "planned 4 sent 0 failed 0 ambiguous 0 pending 2 NoConsent 2",
		},
		"OtherPurpose": {
			why: "consent to something else is no consent", people: 2,
			prepare: "update consent set purpose = 'offers'",
			state:   campaign.Completed, want: "planned 2 sent 0 failed 0 ambiguous 0 pending 0 NoConsent 2",
		},
		"NoAddress": {
			why: "a telephone is no address", people: 2,
			prepare: "update identifier set type = 'phone' where value = 'c1@people.example'",
			state:   campaign.Sending, want: "planned 2 sent 0 failed 0 ambiguous 0 pending 1 NoAddress 1",
		},
		"Suppressed": {
			why: "a suppressed address is never written to", people: 2,
			prepare: "insert into suppression (address_hash, reason, source) select keyed_hash(key, 'c1@people.example'), 'bounced', 'test' from secret_key where purpose = 'address'",
			state:   campaign.Sending, want: "planned 2 sent 0 failed 0 ambiguous 0 pending 1 Suppressed 1",
		},
		"RefusedAddress": {
			why: "who said no in a mail to their address is not written to on account of another contact", people: 3,
			prepare: "insert into refusal (address_hash, purpose, source) select keyed_hash(key, i.value), p, 'unsubscribe' from secret_key, identifier i," +
				" unnest(array['newsletter', 'offers']) p where secret_key.purpose = 'address' and (i.value, p) in (('c1@people.example', 'newsletter'), ('c2@people.example', 'offers'))",
			state: campaign.Sending, want: "planned 3 sent 0 failed 0 ambiguous 0 pending 2 NoConsent 1",
		},
		"SharedAddress": {
			why: "two contacts that share an address get one message", people: 3,
			prepare: "update identifier_link set verified = false, identifier_id = (select identifier_id from identifier_link where contact_id = 1) where contact_id <= 2",
			state:   campaign.Sending, want: "planned 3 sent 0 failed 0 ambiguous 0 pending 2 DuplicateAddress 1",
		},
		"SharedWithWhoVerifiedIt": {
			why: "an address that one contact has verified and another only named is written to once", people: 3,
			prepare: "update identifier_link set verified = false, identifier_id = (select identifier_id from identifier_link where contact_id = 1) where contact_id = 2",
			state:   campaign.Sending, want: "planned 3 sent 0 failed 0 ambiguous 0 pending 2 DuplicateAddress 1",
		},
		"SharedAddressWithoutConsent": {
			why: "a contact without consent does not stand in the way of one with the same address", people: 2,
			prepare: `with unverified as (update identifier_link set verified = false, identifier_id = (select identifier_id from identifier_link where contact_id = 1))
				update consent set granted = false where contact_id = 1`,
			state: campaign.Sending, want: "planned 2 sent 0 failed 0 ambiguous 0 pending 1 NoConsent 1",
		},
		"Excluded": {
			why: "members of an excluded segment are no part of the audience", people: 5,
			prepare: "insert into segment (name, match, digest, predicate, arguments) values ('some', '', 'd', 'c.id <= $1::bigint', '[\"2\"]')",
			config:  func(c *store.SendConfig) { c.Exclude = []string{"some"} },
			state:   campaign.Sending, want: "planned 3 sent 0 failed 0 ambiguous 0 pending 3",
		},
		"Union": {
			why: "who is in two segments is planned once", people: 5,
			prepare: "insert into segment (name, match, digest, predicate, arguments) values ('some', '', 'd', 'c.id <= $1::bigint', '[\"2\"]')",
			config:  func(c *store.SendConfig) { c.Segments = []string{"everybody", "some"} },
			state:   campaign.Sending, want: "planned 5 sent 0 failed 0 ambiguous 0 pending 5",
		},
		"Held": {
			why: "an audience over the bound is held, and nothing is written", people: 5,
			config: func(c *store.SendConfig) { c.MaxRecipients = 4 },
			state:  campaign.Held, want: "planned 0 sent 0 failed 0 ambiguous 0 pending 0",
		},
		"AtTheBound": {
			why: "the bound itself is allowed", people: 5,
			config: func(c *store.SendConfig) { c.MaxRecipients = 5 },
			state:  campaign.Sending, want: "planned 5 sent 0 failed 0 ambiguous 0 pending 5",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSending(t, tc.people)
			if tc.prepare != "" {
				s.exec(tc.prepare)
			}
			c := s.config()
			if tc.config != nil {
				tc.config(&c)
			}
			s.upsert(c)
			if state := s.freeze(); state != tc.state {
				t.Errorf("%s: the send is %s, not %s", tc.why, state, tc.state)
			}
			s.wantCounts(tc.want)
		})
	}
}

func TestHeldGoesOnWhenTheBoundIsRaised(t *testing.T) {
	s := newSending(t, 5)
	c := s.config()
	c.MaxRecipients = 4
	s.upsert(c)
	if state := s.freeze(); state != campaign.Held {
		t.Fatalf("the send is %s, not Held", state)
	}
	status, err := s.SendStatus(context.Background(), "spring")
	if err != nil || !strings.Contains(status.Message, "holds 5 contacts") || !strings.Contains(status.Message, "allows 4:") {
		t.Errorf("the message should give both numbers: %q, %v", status.Message, err)
	}
	if applied := s.upsert(c); applied.Changed {
		t.Error("the same declaration wrote something")
	}
	if s.open().State != campaign.Held {
		t.Error("the same declaration released the send")
	}
	c.MaxRecipients = 5
	s.upsert(c)
	if state := s.freeze(); state != campaign.Sending {
		t.Errorf("the send is %s, not Sending", state)
	}
}

func TestFreezeTwice(t *testing.T) {
	s := newSending(t, 3)
	s.upsert(s.config())
	s.freeze()
	frozen := s.open()
	frozen.State = campaign.Freezing
	if _, err := s.FreezeSend(context.Background(), frozen, noon); err != nil {
		t.Errorf("a second freeze should do nothing: %v", err)
	}
	s.wantCounts("planned 3 sent 0 failed 0 ambiguous 0 pending 3")
}

func TestFreezeWaitsForSegments(t *testing.T) {
	cases := map[string]struct{ why, prepare string }{
		"MissingExclusion": {"without the exclusion the wrong people would be written to", "update send set exclude = '{nobody}'"},
		"MissingSegment":   {"an audience that is not there is not an empty one", "update send set segments = '{nobody}'"},
		"Deleted":          {"nobody keeps a deleted segment current", "update segment set dormant_since = now()"},
		"NotBuilt":         {"the membership is that of an older definition", "update segment set digest = 'd2'"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSending(t, 3)
			s.upsert(s.config())
			if _, err := s.EvaluateSegment(context.Background(), "everybody"); err != nil {
				t.Fatal(err)
			}
			s.exec(tc.prepare)
			s.move(campaign.Freezing)
			_, err := s.FreezeSend(context.Background(), s.open(), noon)
			var notReady *store.SegmentNotReadyError
			if !errors.As(err, &notReady) {
				t.Errorf("%s: %v", tc.why, err)
			}
			s.wantCounts("planned 0 sent 0 failed 0 ambiguous 0 pending 0")
		})
	}
}

// Evaluating the segments takes time, in which the campaign may be edited.
func TestFreezeTakesTheDeclarationOfItsMoment(t *testing.T) {
	cases := map[string]struct {
		why   string
		edit  func(*store.SendConfig)
		state campaign.State
		want  string
	}{
		"Variants": {
			why:   "a row must not hold a variant that the send no longer has",
			edit:  func(c *store.SendConfig) { c.Variants = c.Variants[:1] },
			state: campaign.Sending, want: "planned 100 sent 0 failed 0 ambiguous 0 pending 100",
		},
		"Later": {
			why:   "it is to begin tomorrow now",
			edit:  func(c *store.SendConfig) { c.StartsAt, c.Deadline = noon.Add(24*time.Hour), noon.Add(30*time.Hour) },
			state: campaign.Freezing, want: "planned 0 sent 0 failed 0 ambiguous 0 pending 0",
		},
		"TooLate": {
			why:   "its deadline has passed: who judges it next says so",
			edit:  func(c *store.SendConfig) { c.Deadline = noon.Add(-time.Second) },
			state: campaign.Freezing, want: "planned 0 sent 0 failed 0 ambiguous 0 pending 0",
		},
		"Suspended": {
			why:   "nothing begins while it is suspended",
			edit:  func(c *store.SendConfig) { c.Suspended = true },
			state: campaign.Freezing, want: "planned 0 sent 0 failed 0 ambiguous 0 pending 0",
		},
		"Bound": {
			why:   "the audience is over the bound of now",
			edit:  func(c *store.SendConfig) { c.MaxRecipients = 99 },
			state: campaign.Held, want: "planned 0 sent 0 failed 0 ambiguous 0 pending 0",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newSending(t, 100)
			c := s.config()
			c.Variants = []store.SendVariant{{Name: "a", Template: "spring", Weight: 50}, {Name: "b", Template: "spring", Weight: 50}}
			s.upsert(c)
			if _, err := s.EvaluateSegment(context.Background(), "everybody"); err != nil {
				t.Fatal(err)
			}
			s.move(campaign.Freezing)
			before := s.open()
			tc.edit(&c)
			s.upsert(c)
			if _, err := s.FreezeSend(context.Background(), before, noon); err != nil {
				t.Fatal(err)
			}
			if state := s.open().State; state != tc.state {
				t.Errorf("%s: the send is %s, not %s", tc.why, state, tc.state)
			}
			s.wantCounts(tc.want)
			var unknown int
			err := s.Pool.QueryRow(context.Background(),
				"select count(*) from ledger l join send s on s.id = l.send_id where l.variant >= jsonb_array_length(s.variants)").Scan(&unknown)
			if err != nil || unknown > 0 {
				t.Errorf("%s: %d rows hold a variant that does not exist, %v", tc.why, unknown, err)
			}
		})
	}
}

func TestVariantsAreDrawnAsInGo(t *testing.T) {
	s := newSending(t, 300)
	c := s.config()
	c.Variants = []store.SendVariant{{Name: "a", Template: "spring", Weight: 50}, {Name: "b", Template: "spring", Weight: 30}, {Name: "c", Template: "spring", Weight: 20}}
	s.upsert(c)
	s.freeze()
	rows, err := s.Pool.Query(context.Background(), "select contact_id, variant from ledger order by contact_id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	got, want := map[int64]int{}, map[int64]int{}
	for rows.Next() {
		var contact int64
		var variant int
		if err := rows.Scan(&contact, &variant); err != nil {
			t.Fatal(err)
		}
		got[contact] = variant
		want[contact] = campaign.ChooseVariant(campaign.VariantDraw.Of(c.SendKey, contact), []int{50, 30, 20})
	}
	if rows.Err() != nil || len(got) != 300 {
		t.Fatalf("read the ledger: %v, %d rows", rows.Err(), len(got))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("SQL and Go choose different variants (-go +sql):\n%s", diff)
	}
}

func TestSendLock(t *testing.T) {
	s := newSending(t, 0)
	ctx := context.Background()
	broken := errors.New("broken")
	ran, err := s.WithSendLock(ctx, 1, time.Millisecond, func(ctx context.Context) error {
		inner, err := s.WithSendLock(ctx, 1, time.Hour, func(context.Context) error { return nil })
		if inner || err != nil {
			t.Errorf("two hold the lock at once: %v, %v", inner, err)
		}
		other, err := s.WithSendLock(ctx, 2, time.Hour, func(context.Context) error { return nil })
		if !other || err != nil {
			t.Errorf("another send has a lock of its own: %v, %v", other, err)
		}
		return broken
	})
	if !ran || !errors.Is(err, broken) {
		t.Errorf("what went wrong under the lock is not told: %v, %v", ran, err)
	}
	if ran, err := s.WithSendLock(ctx, 1, time.Hour, func(context.Context) error { return nil }); !ran || err != nil {
		t.Errorf("the lock was not given back: %v, %v", ran, err)
	}
}

// A worker that is stopped in the middle of a transaction must not hold a send up for ever.
func TestAnIdleTransactionIsEnded(t *testing.T) {
	s := newSending(t, 1)
	ctx := context.Background()
	l := s.lease(s.begin(), "w1")
	stopped, err := store.Open(ctx, storetest.URL(t, s.DB), store.Options{IdleInTransaction: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer stopped.Close()
	conn, err := stopped.Pool.Acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	// At once: between two statements it might be ended already.
	if _, err := conn.Conn().PgConn().Exec(ctx, "begin; select from send_chunk for update").ReadAll(); err != nil {
		t.Fatal(err)
	}
	s.finish(l) // waits until the other's lock is gone
}
