package work_test

import (
	"sync/atomic"
	"testing"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/deliver/delivertest"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// However far a mass mail has come, and whatever it has leased ahead, who comes later does not wait for its end.
func TestWhoComesLaterHasATurn(t *testing.T) {
	for name, c := range map[string]struct {
		workers     int
		first       int // people that the mass mail goes to
		later       int // people that the other one goes to
		priority    campaign.Priority
		withinFirst int // how many messages may have left when all of the later one have
	}{
		// Within what was under way: less than a chunk of each slot.
		"a transactional one overtakes":   {workers: 1, first: 3000, later: 3, priority: campaign.Transactional, withinFirst: 700},
		"and so it does with two workers": {workers: 2, first: 5000, later: 3, priority: campaign.Transactional, withinFirst: 1200},
		"mass mails take turns":           {workers: 1, first: 6000, later: 1000, withinFirst: 4500},
		"and so they do with two workers": {workers: 2, first: 8000, later: 1000, withinFirst: 7000},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, c.first)
			var dots atomic.Int64
			held, gate := make(chan struct{}), make(chan struct{})
			h.relay.Behave(delivertest.Behaviour{Answer: func(e delivertest.Event) delivertest.Action {
				if e.Stage != delivertest.Dot {
					return delivertest.Action{}
				}
				switch n := dots.Add(1); {
				case n == 100:
					close(held)
					return delivertest.Action{Wait: gate}
				case n > 100:
					return delivertest.Action{Wait: gate}
				}
				return delivertest.Action{}
			}})
			h.campaign(nil)
			for range c.workers {
				h.worker(h.options())
			}
			<-held
			h.exec(`insert into segment (name, match, digest, predicate, arguments) values ('some', 'id <= n', 'd2', 'c.id <= $1::bigint', jsonb_build_array($1::int::text))`, c.later)
			later := h.campaign(func(s *store.SendConfig) {
				s.SendKey, s.Campaign, s.Segments, s.Priority = "later", "later", []string{"some"}, c.priority
			})
			h.eventually("the later campaign should be sending", func() bool {
				var sending bool
				err := h.db.Pool.QueryRow(t.Context(), "select state = 'Sending' from send where id = $1", later).Scan(&sending)
				return err == nil && sending
			})
			close(gate)
			h.eventually("the later campaign should be completed", func() bool {
				s, err := h.db.SendStatus(t.Context(), "later")
				return err == nil && s.State == campaign.Completed
			})
			// Who is in both has had two messages when both have come.
			left, seen := 0, map[string]int{}
			for i, to := range h.relay.Recipients() {
				if seen[to]++; seen[to] == 2 {
					left = i + 1
				}
			}
			if left > c.withinFirst {
				t.Errorf("%d messages of %d had left when the later campaign was completed, and %d at most should have", left, c.first+c.later, c.withinFirst)
			}
			h.relay = delivertest.NewServer(t, delivertest.Behaviour{}) // nobody received twice what is one campaign's
		})
	}
}
