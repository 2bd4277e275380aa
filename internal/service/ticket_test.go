package service_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/service"
)

func compile(t rapid.TB, q service.Queue) *service.Terms {
	t.Helper()
	terms, err := q.Compile(time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	return terms
}

// care works from 9 to 17 on workdays, in UTC. 22 March 2027 is a Monday.
func care() service.Queue {
	return service.Queue{
		Hours: service.Hours{TimeZone: "UTC", Open: []campaign.Window{{Days: workdays, From: "09:00", To: "17:00"}}},
		Targets: map[service.Priority]service.Target{
			service.Normal: {FirstResponse: "4h", NextResponse: "2h", Resolution: "16h"},
			service.High:   {FirstResponse: "1h", Resolution: "8h"},
		},
		WarnAt: 75,
		Escalations: []service.Escalation{
			{Name: "hurry", Target: service.FirstResponse, After: 100, Raise: service.High, Notify: "care"},
			{Name: "lead", Target: service.Resolution, After: 150, Assign: "lead"},
		},
		ReopenWithin: "2d",
	}
}

// life plays events and tells what came of them, a line each.
func life(t testing.TB, ticket service.Ticket, terms *service.Terms, events ...service.TicketEvent) (service.Ticket, []string) {
	t.Helper()
	var told []string
	for _, e := range events {
		next, happened, err := ticket.Next(e, terms)
		if err != nil {
			t.Fatalf("%s: %v", e.Kind, err)
		}
		for _, h := range happened {
			line := fmt.Sprintf("%s %s", h.At.Sub(noon), h.Kind)
			if h.Target != "" {
				line += " " + string(h.Target)
			}
			if h.Step.Name != "" {
				line += " " + h.Step.Name
			}
			told = append(told, line)
		}
		ticket = next
	}
	return ticket, told
}

func event(kind service.TicketEventKind, hours float64) service.TicketEvent {
	return service.TicketEvent{Kind: kind, At: in(hours)}
}

func answer(hours float64, then service.Status) service.TicketEvent {
	return service.TicketEvent{Kind: service.TicketAnswered, At: in(hours), Then: then}
}

func TestTicket(t *testing.T) {
	cases := map[string]struct {
		why    string
		events []service.TicketEvent
		status service.Status
		told   []string
	}{
		"Answered":      {"the customer's turn", []service.TicketEvent{answer(1, "")}, service.StatusPending, []string{"1h0m0s Answered"}},
		"AnsweredOpen":  {"there is more to do", []service.TicketEvent{answer(1, service.StatusOpen)}, service.StatusOpen, []string{"1h0m0s Answered"}},
		"Solved":        {"with the answer", []service.TicketEvent{answer(1, service.StatusSolved)}, service.StatusSolved, []string{"1h0m0s Answered", "1h0m0s Solved"}},
		"Noted":         {"a note is no answer, nor is what a program says", []service.TicketEvent{event(service.TicketNoted, 1), event(service.TicketAcknowledged, 1), event(service.TicketTimeCame, 4)}, service.StatusNew, []string{"3h0m0s Warned FirstResponse", "4h0m0s Missed FirstResponse", "4h0m0s Escalated FirstResponse hurry"}},
		"Assigned":      {"somebody is to answer it", []service.TicketEvent{{Kind: service.TicketAssigned, At: in(1), Assignee: "a"}, {Kind: service.TicketAssigned, At: in(1), Assignee: "a"}}, service.StatusOpen, []string{"1h0m0s Assigned"}},
		"GivenBack":     {"it is nobody's and was looked at", []service.TicketEvent{{Kind: service.TicketAssigned, At: in(1), Assignee: "a"}, {Kind: service.TicketAssigned, At: in(2)}}, service.StatusOpen, []string{"1h0m0s Assigned", "2h0m0s Assigned"}},
		"Reply":         {"the customer answers", []service.TicketEvent{answer(1, ""), event(service.TicketReceived, 2)}, service.StatusOpen, []string{"1h0m0s Answered"}},
		"Crossed":       {"an answer that was written before the customer wrote again leaves it open", []service.TicketEvent{event(service.TicketReceived, 2), answer(1, service.StatusSolved)}, service.StatusOpen, []string{"1h0m0s Answered"}},
		"Reopened":      {"within two days", []service.TicketEvent{answer(1, service.StatusSolved), event(service.TicketReceived, 48)}, service.StatusOpen, []string{"1h0m0s Answered", "1h0m0s Solved", "48h0m0s Reopened"}},
		"Follows":       {"later it is closed, and what comes begins another", []service.TicketEvent{answer(1, service.StatusSolved), event(service.TicketReceived, 50)}, service.StatusClosed, []string{"1h0m0s Answered", "1h0m0s Solved", "49h0m0s Closed", "50h0m0s Followed"}},
		"Rests":         {"it closes by itself", []service.TicketEvent{answer(1, service.StatusSolved), event(service.TicketTimeCame, 49)}, service.StatusClosed, []string{"1h0m0s Answered", "1h0m0s Solved", "49h0m0s Closed"}},
		"Spam":          {"it is not to be answered", []service.TicketEvent{event(service.TicketClosed, 1)}, service.StatusClosed, []string{"1h0m0s Solved", "1h0m0s Closed"}},
		"Bounced":       {"the answer came back", []service.TicketEvent{answer(1, service.StatusSolved), event(service.TicketBounced, 2)}, service.StatusOpen, []string{"1h0m0s Answered", "1h0m0s Solved", "2h0m0s Reopened"}},
		"Thanks":        {"an answer to a solved one leaves it so", []service.TicketEvent{answer(1, service.StatusSolved), answer(2, "")}, service.StatusSolved, []string{"1h0m0s Answered", "1h0m0s Solved", "2h0m0s Answered"}},
		"SecondThought": {"unless its writer wants it otherwise", []service.TicketEvent{answer(1, service.StatusSolved), answer(2, service.StatusPending)}, service.StatusPending, []string{"1h0m0s Answered", "1h0m0s Solved", "2h0m0s Answered", "2h0m0s Reopened"}},
		"Resumed":       {"by hand", []service.TicketEvent{event(service.TicketHeld, 1), event(service.TicketResumed, 2)}, service.StatusOpen, nil},
		"Urgent":        {"what it is to be now has been missed already", []service.TicketEvent{{Kind: service.TicketPrioritised, At: in(2), Priority: service.High}, event(service.TicketTimeCame, 2)}, service.StatusNew, []string{"45m0s Warned FirstResponse", "1h0m0s Missed FirstResponse", "1h0m0s Escalated FirstResponse hurry"}},
		"Unpromised":    {"nothing is promised for low ones", []service.TicketEvent{{Kind: service.TicketPrioritised, At: in(0), Priority: service.Low}, event(service.TicketTimeCame, 999)}, service.StatusNew, nil},
		"NextResponse":  {"each time that the customer waits has a target of its own", []service.TicketEvent{answer(0.5, ""), event(service.TicketReceived, 1), answer(3.5, ""), event(service.TicketReceived, 4), event(service.TicketTimeCame, 22)}, service.StatusOpen, []string{"30m0s Answered", "2h30m0s Warned NextResponse", "3h0m0s Missed NextResponse", "3h30m0s Answered", "21h30m0s Warned NextResponse", "22h0m0s Missed NextResponse"}},
		"Night":         {"the team goes home at 17", []service.TicketEvent{answer(0.5, service.StatusOpen), event(service.TicketReceived, 4), event(service.TicketTimeCame, 21.4)}, service.StatusOpen, []string{"30m0s Answered"}},
		"LateWorker":    {"what was due before an answer happened before it", []service.TicketEvent{answer(23, "")}, service.StatusPending, []string{"3h0m0s Warned FirstResponse", "4h0m0s Missed FirstResponse", "4h0m0s Escalated FirstResponse hurry", "22h0m0s Warned Resolution", "23h0m0s Answered"}},
		"InTime":        {"at the last moment is in time", []service.TicketEvent{answer(4, "")}, service.StatusPending, []string{"3h0m0s Warned FirstResponse", "4h0m0s Answered"}},
		"Paused":        {"the resolution waits for the customer", []service.TicketEvent{answer(1, ""), event(service.TicketReceived, 93), answer(93.5, service.StatusOpen), event(service.TicketTimeCame, 168)}, service.StatusOpen, []string{"1h0m0s Answered", "93h30m0s Answered", "168h0m0s Warned Resolution"}},
	}
	terms := compile(t, care())
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, told := life(t, service.Begin("", noon, terms), terms, tc.events...)
			if diff := cmp.Diff(tc.told, told); diff != "" || got.Status != tc.status {
				t.Errorf("%s: %s (-want +got):\n%s", tc.why, got.Status, diff)
			}
		})
	}
}

func TestRefusedOfTickets(t *testing.T) {
	terms := compile(t, care())
	cases := map[string]struct {
		before []service.TicketEvent
		e      service.TicketEvent
		want   service.Reason
	}{
		"AnswerClosed":   {[]service.TicketEvent{event(service.TicketClosed, 1)}, answer(2, ""), service.ReasonClosed},
		"AnswerExpired":  {[]service.TicketEvent{event(service.TicketSolved, 1)}, answer(50, ""), service.ReasonClosed},
		"AssignClosed":   {[]service.TicketEvent{event(service.TicketClosed, 1)}, service.TicketEvent{Kind: service.TicketAssigned, At: in(2), Assignee: "a"}, service.ReasonClosed},
		"ResumeClosed":   {[]service.TicketEvent{event(service.TicketClosed, 1)}, event(service.TicketResumed, 2), service.ReasonClosed},
		"HoldSolved":     {[]service.TicketEvent{event(service.TicketSolved, 1)}, event(service.TicketHeld, 2), service.ReasonSolved},
		"AnswerToNew":    {nil, answer(1, service.StatusNew), service.ReasonUnknown},
		"AnswerToClosed": {nil, answer(1, service.StatusClosed), service.ReasonUnknown},
		"Priority":       {nil, service.TicketEvent{Kind: service.TicketPrioritised, At: in(1), Priority: "Huge"}, service.ReasonUnknown},
		"Unknown":        {nil, event("Lost", 1), service.ReasonUnknown},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			before, _ := life(t, service.Begin("", noon, terms), terms, tc.before...)
			got, happened, err := before.Next(tc.e, terms)
			wantRefusal(t, err, tc.want)
			if diff := cmp.Diff(before, got); diff != "" || happened != nil {
				t.Errorf("what is refused changes nothing: %v\n%s", happened, diff)
			}
		})
	}
}

func TestBegin(t *testing.T) {
	terms := compile(t, care())
	for asked, want := range map[service.Priority]service.Priority{"": service.Normal, "Huge": service.Normal, service.Urgent: service.Urgent} {
		if got := service.Begin(asked, noon, terms); got.Priority != want || got.Status != service.StatusNew || !got.First.Running() || !got.Solving.Running() {
			t.Errorf("%q: %+v", asked, got)
		}
	}
	got := service.Begin("", noon, terms)
	if due, ok := got.DueAt(service.Resolution, terms); !ok || !due.Equal(in(48)) {
		t.Errorf("five hours are left on Monday, eight on Tuesday, three on Wednesday: %s", due)
	}
	if _, ok := got.DueAt(service.NextResponse, terms); ok {
		t.Error("nobody waits for a further answer yet")
	}
}

// Steps come in the order of their shares, however they are declared, and the longest promise ten times over is still a time.
func TestStepsComeInTheirOrder(t *testing.T) {
	q := service.Queue{
		Targets: map[service.Priority]service.Target{service.Normal: {FirstResponse: "366d"}}, WarnAt: 50,
		Escalations: []service.Escalation{
			{Name: "last", Target: service.FirstResponse, After: service.MaxShare, Notify: "care"},
			{Name: "late", Target: service.FirstResponse, After: 101, Notify: "care"},
			{Name: "early", Target: service.FirstResponse, After: 1, Notify: "care"},
			{Name: "then", Target: service.FirstResponse, After: 100, Notify: "care"},
		},
	}
	terms := compile(t, q)
	ticket := service.Begin("", noon, terms)
	year := 366 * 24 * time.Hour
	if at, ok := ticket.WakeAt(terms); !ok || at.Sub(noon) != year/100 {
		t.Errorf("woken at %s", at)
	}
	_, told := life(t, ticket, terms, service.TicketEvent{Kind: service.TicketTimeCame, At: noon.Add(10 * year)})
	want := []string{
		fmt.Sprint(year/100, " Escalated FirstResponse early"), fmt.Sprint(year/2, " Warned FirstResponse"), fmt.Sprint(year, " Missed FirstResponse"),
		fmt.Sprint(year, " Escalated FirstResponse then"), fmt.Sprint(year/100*101, " Escalated FirstResponse late"), fmt.Sprint(10*year, " Escalated FirstResponse last"),
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
