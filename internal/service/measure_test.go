package service_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/service"
)

func TestMeasure(t *testing.T) {
	terms := compile(t, care())
	took := func(business, calendar int64) *service.Took {
		return &service.Took{Business: business * 3600, Calendar: calendar * 3600}
	}
	cases := map[string]struct {
		why    string
		events []service.TicketEvent
		want   service.Measure
	}{
		"Nothing": {"what has not come to be is not 0", nil, service.Measure{}},
		"First":   {"16 of 23 hours are nights", []service.TicketEvent{answer(23, "")}, service.Measure{FirstResponse: took(7, 23), Replies: 1, Missed: service.Missed{FirstResponse: 1}}},
		"Rounds": {"the second answer and all after the first", []service.TicketEvent{
			answer(1, ""), event(service.TicketReceived, 2), answer(3, ""), answer(3, ""), event(service.TicketReceived, 21), event(service.TicketReceived, 22), answer(24, service.StatusSolved),
		}, service.Measure{
			FirstResponse: took(1, 1), SecondResponse: took(1, 1), Resolution: took(5, 5), Replies: 4, Missed: service.Missed{NextResponse: 1},
			NextResponses: service.Tally{Count: 2, Took: *took(4, 4)},
		}},
		"Unanswered": {"solved without an answer there is no response", []service.TicketEvent{event(service.TicketSolved, 2)}, service.Measure{Resolution: took(2, 2)}},
		"Reopened":   {"the time in which it was solved is not counted", []service.TicketEvent{answer(1, service.StatusSolved), event(service.TicketReceived, 3), answer(4, service.StatusSolved)}, service.Measure{FirstResponse: took(1, 1), SecondResponse: took(1, 1), Resolution: took(2, 2), Replies: 2, Reopened: 1, NextResponses: service.Tally{Count: 1, Took: *took(1, 1)}}},
		"Crossed":    {"an answer that was written before the customer wrote ends no wait", []service.TicketEvent{answer(1, ""), event(service.TicketReceived, 2), answer(1.5, "")}, service.Measure{FirstResponse: took(1, 1), Replies: 2}},
		"NoAnswer":   {"a note and a program's word are none", []service.TicketEvent{event(service.TicketNoted, 1), event(service.TicketAcknowledged, 1), answer(2, "")}, service.Measure{FirstResponse: took(2, 2), Replies: 1}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			ticket, _ := life(t, service.Begin("", noon, terms), terms, tc.events...)
			if diff := cmp.Diff(tc.want, ticket.Measure()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

func drawMeasure(t *rapid.T) service.Measure {
	number := rapid.Int64Range(0, 5)
	took := func(label string) *service.Took {
		if !rapid.Bool().Draw(t, label) {
			return nil
		}
		return &service.Took{Business: number.Draw(t, label), Calendar: number.Draw(t, label)}
	}
	return service.Measure{
		FirstResponse: took("first"), SecondResponse: took("second"), Resolution: took("resolution"), Replies: number.Draw(t, "replies"), Reopened: number.Draw(t, "reopened"),
		NextResponses: service.Tally{Count: number.Draw(t, "rounds"), Took: service.Took{Business: number.Draw(t, "business")}},
		Missed:        service.Missed{FirstResponse: rapid.IntRange(0, 1).Draw(t, "missed"), NextResponse: rapid.IntRange(0, 2).Draw(t, "missed")},
	}
}

// Parts add up to the whole, in any order.
func TestTotalsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(drawMeasure), 0, 12).Draw(t, "tickets")
		var whole, one, other service.Total
		for _, m := range list {
			whole = whole.Add(m)
		}
		for _, m := range rapid.Permutation(list).Draw(t, "order") {
			if rapid.Bool().Draw(t, "part") {
				one = one.Add(m)
			} else {
				other = other.Add(m)
			}
		}
		if diff := cmp.Diff(whole, one.Plus(other)); diff != "" {
			t.Fatalf("(-whole +parts):\n%s", diff)
		}
		if whole.Tickets != int64(len(list)) || whole.Reopened > whole.Tickets || whole.Breached > whole.Tickets {
			t.Fatalf("%+v", whole)
		}
	})
}

func TestTotal(t *testing.T) {
	took := func(s int64) *service.Took { return &service.Took{Business: s, Calendar: 2 * s} }
	total := service.Total{}.
		Add(service.Measure{FirstResponse: took(10), Resolution: took(100), Replies: 2, Reopened: 3, Missed: service.Missed{FirstResponse: 1, NextResponse: 4}}).
		Add(service.Measure{FirstResponse: took(21), Replies: 1}).
		Add(service.Measure{})
	want := service.Total{
		Tickets: 3, FirstResponses: service.Tally{Count: 2, Took: *took(31)}, Resolutions: service.Tally{Count: 1, Took: *took(100)},
		Replies: 3, Reopenings: 3, Reopened: 1, Missed: service.Missed{FirstResponse: 1, NextResponse: 4}, Breached: 1,
	}
	if diff := cmp.Diff(want, total); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if business, calendar, ok := total.FirstResponses.Mean(); !ok || business != 15.5 || calendar != 31 {
		t.Errorf("%v %v", business, calendar)
	}
	if _, _, ok := total.SecondResponses.Mean(); ok {
		t.Error("of none there is no mean")
	}
}

// A ticket is stored as JSON and comes back as it was.
func TestTicketsAreStored(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		terms, from := drawTerms(t), start(t)
		ticket := service.Begin(service.Normal, from, terms)
		for _, e := range drawEvents(t, from) {
			ticket, _, _ = ticket.Next(e, terms)
		}
		stored, err := json.Marshal(ticket)
		if err != nil {
			t.Fatal(err)
		}
		var back service.Ticket
		if err := json.Unmarshal(stored, &back); err != nil {
			t.Fatal(err)
		}
		if len(ticket.Rung) == 0 {
			ticket.Rung = nil
		}
		if diff := cmp.Diff(ticket, back); diff != "" {
			t.Fatalf("(-kept +read):\n%s", diff)
		}
	})
}
