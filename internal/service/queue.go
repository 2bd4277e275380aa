package service

import (
	"errors"
	"fmt"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// Queue is what a manifest says of a team that answers. It is stored as JSON, so names of fields do not change. Durations are texts such as 4h.
type Queue struct {
	// Tickets is a condition on a message and its conversation, in CEL: where it holds, the conversation becomes a ticket of this queue. "": none
	// does by itself.
	Tickets  string   `json:"tickets"`
	Priority Priority `json:"priority,omitempty"` // of its tickets at first; "": Normal
	Routing  Routing  `json:"routing,omitzero"`
	Hours    Hours    `json:"hours,omitzero"`
	// Targets are what is promised, by priority; nothing is where a priority is missing.
	Targets map[Priority]Target `json:"targets,omitempty"`
	// WarnAt is the share of a target, in percent, after which it is told that it will be missed; 0: it is not told.
	WarnAt      int          `json:"warnAt,omitempty"`
	Escalations []Escalation `json:"escalations,omitempty"`
	// ReopenWithin is how long after it was solved a ticket is reopened by what the customer writes. Then it is closed for good. "": 4d.
	ReopenWithin string `json:"reopenWithin,omitempty"`
}

// Target is what is promised to a customer. It is counted in the hours in which the team works: of a team that works eight hours a day, 8h is one
// of its days and 1d are three. "" promises nothing.
type Target struct {
	FirstResponse string `json:"firstResponse,omitempty"` // until somebody answers the first time
	NextResponse  string `json:"nextResponse,omitempty"`  // until somebody answers again, whenever the customer has written again
	Resolution    string `json:"resolution,omitempty"`    // until it is solved, without the time in which the customer is waited for
}

// Escalation is something that is done where a target is about to be missed, or has been. It is done once for a ticket; where its target is
// NextResponse, once for each time that the customer waits.
type Escalation struct {
	Name   string     `json:"name"` // its identity
	Target TargetKind `json:"target"`
	// After is the share of the target, in percent, after which it is done: 80 is before it is missed, 100 at the moment, 150 later.
	After int `json:"after"`
	// Raise is the priority that the ticket has at least from then on; "": as it is.
	Raise Priority `json:"raise,omitempty"`
	// Assign is the agent or the team whose ticket it is from then on; "" for no other.
	Assign string `json:"assign,omitempty"`
	// Route looks for another agent, as for a new ticket.
	Route bool `json:"route,omitempty"`
	// Notify is the channel over which it is told; "" for none.
	Notify string `json:"notify,omitempty"`
}

// TargetKind is what a target is about.
type TargetKind string

// The kinds of targets.
const (
	FirstResponse TargetKind = "FirstResponse"
	NextResponse  TargetKind = "NextResponse"
	Resolution    TargetKind = "Resolution"
)

// targetKinds are in the order in which what is due at one moment is done.
var targetKinds = []TargetKind{FirstResponse, NextResponse, Resolution}

// Bounds of queues.
const (
	// MaxEscalations is how many steps a queue may have.
	MaxEscalations = 20
	// MaxShare is the latest that a step may be done, in percent of its target.
	MaxShare = 1000
	// maxPromise is the longest target and the longest time to reopen.
	maxPromise = 366 * 24 * time.Hour

	defaultReopen = 4 * 24 * time.Hour
)

// Terms are a Queue that has been read and found right.
type Terms struct {
	Priority     Priority
	Routing      Roster // whom tickets go to, without its agents
	Calendar     Calendar
	ReopenWithin time.Duration

	targets     map[Priority]map[TargetKind]time.Duration
	warnAt      int
	escalations []Escalation
}

// Compile reads a queue. zone is that of a tenant, for hours that name none. The error names all fields that are wrong, and the mend of each.
func (q Queue) Compile(zone *time.Location) (*Terms, error) {
	t := &Terms{Priority: q.Priority, ReopenWithin: defaultReopen, warnAt: q.WarnAt, escalations: q.Escalations}
	var wrong []error
	note := func(err error) {
		if err != nil {
			wrong = append(wrong, err)
		}
	}
	if t.Priority == "" {
		t.Priority = Normal
	}
	note(checkPriority("priority", t.Priority))
	var err error
	t.Routing, err = q.Routing.compile()
	note(err)
	if t.Calendar, err = q.Hours.Compile(zone); err != nil {
		note(fmt.Errorf("hours.%w", err))
	}
	if q.ReopenWithin != "" {
		t.ReopenWithin, err = parsePromise("reopenWithin", q.ReopenWithin)
		note(err)
	}
	if q.WarnAt < 0 || q.WarnAt > 99 {
		note(errors.New("warnAt: must be from 1 to 99, in percent, or 0 for no warning"))
	}
	t.targets, err = parseTargets(q.Targets)
	note(err)
	note(checkEscalations(q.Escalations, t.targets))
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return t, nil
}

func checkPriority(field string, p Priority) error {
	if p.Rank() < 0 {
		return fmt.Errorf("%s: %q is no priority: name Low, Normal, High or Urgent", field, p)
	}
	return nil
}

func parsePromise(field, text string) (time.Duration, error) {
	d, err := campaign.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s: %w", field, err)
	case d <= 0 || d > maxPromise:
		return 0, fmt.Errorf("%s: must be more than nothing and at most 366d", field)
	}
	return d, nil
}

func parseTargets(declared map[Priority]Target) (map[Priority]map[TargetKind]time.Duration, error) {
	var wrong []error
	targets := map[Priority]map[TargetKind]time.Duration{}
	for _, p := range priorities {
		texts := map[TargetKind]string{FirstResponse: declared[p].FirstResponse, NextResponse: declared[p].NextResponse, Resolution: declared[p].Resolution}
		targets[p] = map[TargetKind]time.Duration{}
		for _, kind := range targetKinds {
			if texts[kind] == "" {
				continue
			}
			d, err := parsePromise(fmt.Sprintf("targets.%s.%s", p, fieldOf(kind)), texts[kind])
			if err != nil {
				wrong = append(wrong, err)
			}
			targets[p][kind] = d
		}
	}
	for p := range declared {
		if err := checkPriority("targets", p); err != nil {
			wrong = append(wrong, err)
		}
	}
	return targets, errors.Join(wrong...)
}

// fieldOf is how a manifest writes a kind of target.
func fieldOf(kind TargetKind) string {
	switch kind {
	case FirstResponse:
		return "firstResponse"
	case NextResponse:
		return "nextResponse"
	}
	return "resolution"
}

func checkEscalations(list []Escalation, targets map[Priority]map[TargetKind]time.Duration) error {
	if len(list) > MaxEscalations {
		return fmt.Errorf("escalations: are %d: name at most %d", len(list), MaxEscalations)
	}
	var wrong []error
	seen := map[string]bool{}
	for _, e := range list {
		field := fmt.Sprintf("escalations[%s]", e.Name)
		if e.Name == "" || seen[e.Name] {
			wrong = append(wrong, fmt.Errorf("%s: needs a name of its own", field))
		}
		seen[e.Name] = true
		if e.After < 1 || e.After > MaxShare {
			wrong = append(wrong, fmt.Errorf("%s.after: must be from 1 to %d, in percent of the target", field, MaxShare))
		}
		wrong = append(wrong, e.checkDeeds(field), promised(field, e.Target, targets))
	}
	return errors.Join(wrong...)
}

// checkDeeds finds what is wrong with what a step does.
func (e Escalation) checkDeeds(field string) error {
	switch {
	case e.Raise == "" && e.Assign == "" && !e.Route && e.Notify == "":
		return fmt.Errorf("%s: does nothing: give it raise, assign, route or notify", field)
	case e.Assign != "" && e.Route:
		return fmt.Errorf("%s: has assign and route: give one of them", field)
	case e.Raise != "":
		return checkPriority(field+".raise", e.Raise)
	}
	return nil
}

// promised finds an escalation that can never come.
func promised(field string, kind TargetKind, targets map[Priority]map[TargetKind]time.Duration) error {
	known := false
	for _, k := range targetKinds {
		known = known || k == kind
	}
	if !known {
		return fmt.Errorf("%s.target: %q is no target: name FirstResponse, NextResponse or Resolution", field, kind)
	}
	for _, p := range priorities {
		if targets[p][kind] > 0 {
			return nil
		}
	}
	return fmt.Errorf("%s.target: no priority has a %s: name one in targets", field, fieldOf(kind))
}
