package service_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/service"
)

// drawTerms is a queue of some targets and steps, in hours around a change of clocks.
func drawTerms(t *rapid.T) *service.Terms {
	promise := func(label string) string {
		return rapid.SampledFrom([]string{"", "20m", "2h", "7h", "3d"}).Draw(t, label)
	}
	q := service.Queue{
		Hours: drawHours(t), WarnAt: rapid.SampledFrom([]int{0, 50, 90}).Draw(t, "warn"), ReopenWithin: rapid.SampledFrom([]string{"1h", "2d"}).Draw(t, "reopen"),
		Targets: map[service.Priority]service.Target{},
	}
	for _, p := range service.Priorities() {
		q.Targets[p] = service.Target{FirstResponse: promise("first"), NextResponse: promise("next"), Resolution: promise("resolution")}
	}
	q.Targets[service.Urgent] = service.Target{FirstResponse: "10m", NextResponse: "10m", Resolution: "1h"}
	for i := range rapid.IntRange(0, 4).Draw(t, "steps") {
		q.Escalations = append(q.Escalations, service.Escalation{
			Name: fmt.Sprint(i), Notify: "care", After: rapid.SampledFrom([]int{30, 100, 250}).Draw(t, "after"),
			Target: rapid.SampledFrom([]service.TargetKind{service.FirstResponse, service.NextResponse, service.Resolution}).Draw(t, "target"),
			Raise:  rapid.SampledFrom([]service.Priority{"", service.High, service.Urgent}).Draw(t, "raise"),
		})
	}
	return compile(t, q)
}

// drawEvents happen one after the other. Their fractions of a second keep them apart from what is due.
func drawEvents(t *rapid.T, from time.Time) []service.TicketEvent {
	var events []service.TicketEvent
	now := from
	for i := range rapid.IntRange(1, 25).Draw(t, "events") {
		now = now.Add(time.Duration(rapid.Int64Range(0, 40*60).Draw(t, "minutes"))*time.Minute + time.Second + time.Duration(1<<i)*time.Microsecond)
		events = append(events, service.TicketEvent{
			Kind: rapid.SampledFrom(service.TicketEventKinds()).Draw(t, "kind"), At: now,
			Assignee: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "assignee"),
			Priority: rapid.SampledFrom(append(service.Priorities(), "Huge")).Draw(t, "priority"),
			Then:     rapid.SampledFrom(append(service.Statuses(), "")).Draw(t, "then"),
		})
	}
	return events
}

func start(t *rapid.T) time.Time {
	return time.Date(2027, 3, 26, 0, 0, rapid.IntRange(0, 3*24*3600).Draw(t, "start"), 0, time.UTC)
}

// Whatever happens in whatever order, what a ticket says of itself fits together, and each state before stays as it was.
func TestTicketsFitTogether(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		terms, from := drawTerms(t), start(t)
		ticket := service.Begin(service.Normal, from, terms)
		for _, e := range drawEvents(t, from) {
			if rapid.Bool().Draw(t, "crossed") {
				e.At = e.At.Add(-time.Duration(rapid.IntRange(0, 300).Draw(t, "earlier")) * time.Minute)
			}
			before := ticket
			marks := slices.Clone(ticket.Rung)
			next, happened, err := ticket.Next(e, terms)
			if diff := cmp.Diff(marks, before.Rung); diff != "" {
				t.Fatalf("an earlier state has changed:\n%s", diff)
			}
			if err != nil && (cmp.Diff(before, next) != "" || happened != nil) {
				t.Fatalf("what is refused changes nothing: %+v", next)
			}
			ticket = next
			over, answered := ticket.Status.Over(), !ticket.AnsweredAt.IsZero()
			switch {
			case !slices.Contains(service.Statuses(), ticket.Status) || ticket.Priority.Rank() < 0:
				t.Fatalf("%+v", ticket)
			case ticket.Solving.Running() != (ticket.Status == service.StatusNew || ticket.Status == service.StatusOpen):
				t.Fatalf("the clock of the resolution: %+v", ticket)
			case ticket.First.Running() != (!answered && !over), ticket.NextAnswer.Running() && (!answered || over):
				t.Fatalf("the clocks of answers: %+v", ticket)
			case over == ticket.SolvedAt.IsZero(), (ticket.Status == service.StatusClosed) == ticket.ClosedAt.IsZero():
				t.Fatalf("the times of its end: %+v", ticket)
			case ticket.Missed.FirstResponse > 1 || ticket.Missed.Resolution > 1:
				t.Fatalf("missed more than once: %+v", ticket.Missed)
			case before.Status == service.StatusClosed && ticket.Status != service.StatusClosed:
				t.Fatal("closed is for good")
			}
		}
	})
}

// A worker that wakes tickets on time, and none that ever does: the ticket ends in the same way, and the same things happened at the same times.
func TestWorkersMayBeLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		terms, from := drawTerms(t), start(t)
		events := drawEvents(t, from)
		late, woken := service.Begin(service.Normal, from, terms), service.Begin(service.Normal, from, terms)
		var toldLate, toldWoken []service.Happening
		step := func(ticket *service.Ticket, told *[]service.Happening, e service.TicketEvent) {
			next, happened, err := ticket.Next(e, terms)
			if err == nil {
				*ticket, *told = next, append(*told, happened...)
			}
		}
		for _, e := range events {
			if _, _, err := late.Next(e, terms); err != nil {
				continue // a refusal leaves to the next event what was due
			}
			for range 200 {
				at, ok := woken.WakeAt(terms)
				if !ok || !at.Before(e.At) {
					break
				}
				step(&woken, &toldWoken, service.TicketEvent{Kind: service.TicketTimeCame, At: later(at, woken.OpenedAt)})
			}
			step(&late, &toldLate, e)
			step(&woken, &toldWoken, e)
			if diff := cmp.Diff(late, woken, cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("after %s (-late +woken):\n%s", e.Kind, diff)
			}
		}
		if diff := cmp.Diff(toldLate, toldWoken, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("what happened (-late +woken):\n%s", diff)
		}
	})
}

// Each time that a ticket is woken when it is to be, something happens; and in the end nothing is left.
func TestWakingComesToAnEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		terms, from := drawTerms(t), start(t)
		ticket := service.Begin(service.Normal, from, terms)
		for _, e := range drawEvents(t, from) {
			ticket, _, _ = ticket.Next(e, terms)
		}
		for range 50 {
			at, ok := ticket.WakeAt(terms)
			if !ok {
				return
			}
			next, happened, err := ticket.Next(service.TicketEvent{Kind: service.TicketTimeCame, At: at}, terms)
			if err != nil || len(happened) == 0 {
				t.Fatalf("woken at %s for nothing: %v, %+v", at, err, ticket)
			}
			ticket = next
		}
		t.Fatalf("it is woken for ever: %+v", ticket)
	})
}

// The clocks show what one counts who writes down when the ticket was in which status.
func TestClocksShowWhatWasWorked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		terms, from := drawTerms(t), start(t)
		hours := terms.Calendar
		ticket, since := service.Begin(service.Normal, from, terms), from
		var solving service.Spell
		for _, e := range drawEvents(t, from) {
			running := ticket.Status == service.StatusNew || ticket.Status == service.StatusOpen
			if running {
				solving.Business += hours.Elapsed(since, e.At)
				solving.Calendar += e.At.Sub(since)
			}
			ticket, _, _ = ticket.Next(e, terms)
			since = e.At
			if got := ticket.Solving.Elapsed(e.At, hours); got != solving {
				t.Fatalf("after %s: %+v, and %+v was worked", e.Kind, got, solving)
			}
		}
		if !ticket.AnsweredAt.IsZero() && ticket.Reopened == 0 {
			if want := ticket.AnsweredAt.Sub(from); ticket.First.Spent.Calendar > want || ticket.First.Spent.Business > ticket.First.Spent.Calendar {
				t.Fatalf("the first answer took %+v of %s", ticket.First.Spent, want)
			}
		}
	})
}
