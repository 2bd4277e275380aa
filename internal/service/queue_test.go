package service_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/service"
)

func TestCompileQueue(t *testing.T) {
	q := care()
	q.Priority, q.Routing = service.High, service.Routing{Mode: service.RouteByLoad, Capacity: 8, StickyFor: "30d"}
	terms := compile(t, q)
	want := service.Roster{Mode: service.RouteByLoad, Capacity: 8, StickyFor: 720 * time.Hour}
	if diff := cmp.Diff(want, terms.Routing); diff != "" || terms.Priority != service.High || terms.ReopenWithin != 48*time.Hour {
		t.Errorf("%+v\n%s", terms, diff)
	}
	for priority, want := range map[service.Priority]time.Duration{service.Normal: 4 * time.Hour, service.High: time.Hour, service.Urgent: 0} {
		if got := terms.Target(priority, service.FirstResponse); got != want {
			t.Errorf("%s: %s", priority, got)
		}
	}
	plain := compile(t, service.Queue{})
	if plain.Priority != service.Normal || plain.ReopenWithin != 96*time.Hour || plain.Routing.Mode != service.RouteByHand || !plain.Calendar.Open(noon) {
		t.Errorf("who says nothing: %+v", plain)
	}
}

func TestWrongQueues(t *testing.T) {
	cases := map[string]struct {
		change func(*service.Queue)
		want   string
	}{
		"Priority":   {func(q *service.Queue) { q.Priority = "Huge" }, `priority: "Huge" is no priority`},
		"Mode":       {func(q *service.Queue) { q.Routing.Mode = "Dice" }, `routing.mode: "Dice" is no way`},
		"Capacity":   {func(q *service.Queue) { q.Routing.Capacity = -1 }, `routing.capacity: must not be negative`},
		"Sticky":     {func(q *service.Queue) { q.Routing.StickyFor = "long" }, `routing.stickyFor: "long" must be a duration`},
		"Hours":      {func(q *service.Queue) { q.Hours.TimeZone = "Atlantis" }, `hours.timeZone: time zone "Atlantis"`},
		"Reopen":     {func(q *service.Queue) { q.ReopenWithin = "0s" }, `reopenWithin: must be more than nothing`},
		"ReopenLong": {func(q *service.Queue) { q.ReopenWithin = "367d" }, `reopenWithin: must be more than nothing and at most 366d`},
		"Warn":       {func(q *service.Queue) { q.WarnAt = 100 }, `warnAt: must be from 1 to 99`},
		"Target":     {func(q *service.Queue) { q.Targets[service.High] = service.Target{NextResponse: "soon"} }, `targets.High.nextResponse: "soon"`},
		"ForNone":    {func(q *service.Queue) { q.Targets["Huge"] = service.Target{} }, `targets: "Huge" is no priority`},
		"NoName":     {func(q *service.Queue) { q.Escalations[0].Name = "" }, `escalations[]: needs a name`},
		"SameName":   {func(q *service.Queue) { q.Escalations[1].Name = "hurry" }, `escalations[hurry]: needs a name of its own`},
		"After":      {func(q *service.Queue) { q.Escalations[0].After = 1001 }, `escalations[hurry].after: must be from 1 to 1000`},
		"Nothing":    {func(q *service.Queue) { q.Escalations[1].Assign = "" }, `escalations[lead]: does nothing`},
		"Both":       {func(q *service.Queue) { q.Escalations[1].Route = true }, `escalations[lead]: has assign and route`},
		"Raise":      {func(q *service.Queue) { q.Escalations[0].Raise = "Huge" }, `escalations[hurry].raise: "Huge"`},
		"Unknown":    {func(q *service.Queue) { q.Escalations[0].Target = "Joy" }, `escalations[hurry].target: "Joy" is no target`},
		"Unpromised": {func(q *service.Queue) {
			q.Escalations[0].Target = service.NextResponse
			q.Targets = map[service.Priority]service.Target{service.Low: {Resolution: "1h"}}
		}, `escalations[hurry].target: no priority has a nextResponse`},
		"TooMany": {func(q *service.Queue) { q.Escalations = make([]service.Escalation, service.MaxEscalations+1) }, `escalations: are 21: name at most 20`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			q := care()
			tc.change(&q)
			if _, err := q.Compile(time.UTC); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
	q := care()
	q.Priority, q.WarnAt = "Huge", -1
	if _, err := q.Compile(time.UTC); err == nil || !strings.Contains(err.Error(), "priority") || !strings.Contains(err.Error(), "warnAt") {
		t.Errorf("all is told at once: %v", err)
	}
}
