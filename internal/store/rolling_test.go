package store_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// rolling begins a rolling send to three people, of whom the segment vip, which is excluded, holds none.
func rolling(t *testing.T, change func(*store.SendConfig)) (sending, int64) {
	t.Helper()
	s := newSending(t, 3)
	s.exec("insert into segment (name, match, digest, predicate, arguments) values ('vip', '', 'v1', 'c.locale = ''vip''', '[]')")
	c := s.config()
	c.Rolling, c.Exclude, c.MaxRecipients = true, []string{"vip"}, 6
	if change != nil {
		change(&c)
	}
	id := s.upsert(c).ID
	s.freeze()
	return s, id
}

func (s sending) evaluate(names ...string) {
	s.t.Helper()
	for _, name := range names {
		if _, err := s.EvaluateSegment(context.Background(), name); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s sending) roll(id int64) store.Rolled {
	s.t.Helper()
	rolled, err := s.RollSend(context.Background(), id, noon)
	if err != nil {
		s.t.Fatalf("roll: %v", err)
	}
	return rolled
}

func TestRolling(t *testing.T) {
	const edited = "update segment set digest = 'd2', predicate = 'c.id > 0' where name = 'everybody'"
	cases := map[string]struct {
		why    string
		change func(*store.SendConfig)
		happen func(s sending)
		want   store.Rolled
		counts string
	}{
		"Nobody": {
			"who is in the ledger already is passed over", nil, func(sending) {},
			store.Rolled{},
			"planned 3 sent 0 failed 0 ambiguous 0 pending 3",
		},
		"Entered": {
			"who enters is written to", nil, func(s sending) { s.arrivals(2) },
			store.Rolled{Appended: store.Appended{Pending: 2}},
			"planned 5 sent 0 failed 0 ambiguous 0 pending 5",
		},
		"Excluded": {
			"the exclusion holds for those who enter too", nil, func(s sending) {
				s.exec("update contact set locale = 'vip' where id = $1", s.arrivals(2)[0])
			},
			store.Rolled{Appended: store.Appended{Pending: 1}},
			"planned 4 sent 0 failed 0 ambiguous 0 pending 4",
		},
		"Bound": {
			"additions count towards the bound", nil, func(s sending) { s.arrivals(5) },
			store.Rolled{Appended: store.Appended{Pending: 3, OverBound: 2}},
			"planned 6 sent 0 failed 0 ambiguous 0 pending 6",
		},
		"EditedSegment": {
			"an edit of a segment mails nobody", nil, func(s sending) { s.arrivals(2); s.exec(edited) },
			store.Rolled{},
			"planned 3 sent 0 failed 0 ambiguous 0 pending 3",
		},
		"EditedExclusion": {
			"an edit of an exclusion mails nobody either", nil, func(s sending) {
				s.arrivals(2)
				s.exec("update segment set digest = 'v2' where name = 'vip'")
			},
			store.Rolled{},
			"planned 3 sent 0 failed 0 ambiguous 0 pending 3",
		},
		"EditedAndTold": {
			"unless the campaign says so", func(c *store.SendConfig) { c.AddsOnEdit = true }, func(s sending) { s.arrivals(2); s.exec(edited) },
			store.Rolled{Appended: store.Appended{Pending: 2}},
			"planned 5 sent 0 failed 0 ambiguous 0 pending 5",
		},
		"EditedThenEntered": {
			"who enters after the edit by what happens to them is written to", nil, func(s sending) {
				s.arrivals(1)
				s.exec(edited)
				s.evaluate("everybody", "vip")
				s.roll(s.open().ID)
				s.arrivals(2)
			},
			store.Rolled{Appended: store.Appended{Pending: 2}},
			"planned 5 sent 0 failed 0 ambiguous 0 pending 5",
		},
		"Repaired": {
			"who becomes a member because the membership was mended is not written to", nil, func(s sending) {
				s.arrivals(2)
				s.evaluate("everybody")
				s.exec("update segment_member set reason = 'Repair' where contact_id = (select max(id) from contact)")
			},
			store.Rolled{Appended: store.Appended{Pending: 1}},
			"planned 4 sent 0 failed 0 ambiguous 0 pending 4",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s, id := rolling(t, tc.change)
			tc.happen(s)
			s.evaluate("everybody", "vip")
			if diff := cmp.Diff(tc.want, s.roll(id)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
			s.wantCounts(tc.counts)
		})
	}
}

// While a segment is rebuilt its membership says nothing.
func TestRollingWaitsForSegments(t *testing.T) {
	s, id := rolling(t, nil)
	s.arrivals(1)
	s.evaluate("everybody")
	s.exec("update segment set digest = 'v2' where name = 'vip'")
	s.roll(id)
	s.wantCounts("planned 3 sent 0 failed 0 ambiguous 0 pending 3")
}

func TestTheBoundOfARollingSendCanBeRaised(t *testing.T) {
	s, id := rolling(t, func(c *store.SendConfig) { c.MaxRecipients = 3 })
	s.arrivals(1)
	s.evaluate("everybody")
	if rolled := s.roll(id); rolled.OverBound != 1 {
		t.Errorf("the audience is full: %+v", rolled)
	}
	c := s.config()
	c.Rolling, c.Exclude, c.MaxRecipients = true, []string{"vip"}, 4
	if applied := s.upsert(c); applied.Ignored != nil {
		t.Errorf("the bound of a rolling audience has an effect at any time: %v", applied.Ignored)
	}
	if rolled := s.roll(id); rolled.Pending != 1 {
		t.Errorf("the bound was raised: %+v", rolled)
	}
}
