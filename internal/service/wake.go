package service

import (
	"slices"
	"strings"
	"time"
)

// mark is a moment on a clock at which something happens once.
type mark struct {
	target TargetKind
	kind   HappeningKind
	step   Escalation // of HappenedEscalated
	share  int        // of the target, in percent
}

// name is the mark's identity on a ticket.
func (m mark) name() string {
	return string(m.target) + "/" + string(m.kind) + "/" + m.step.Name
}

// markOf is the target that a mark's name begins with.
func markOf(name string) TargetKind {
	kind, _, _ := strings.Cut(name, "/")
	return TargetKind(kind)
}

// marks are those of a target, in the order in which they come: at one moment, that it was missed comes before what is done about it.
func (t *Terms) marks(target TargetKind) []mark {
	var list []mark
	if t.warnAt > 0 {
		list = append(list, mark{target: target, kind: HappenedWarned, share: t.warnAt})
	}
	list = append(list, mark{target: target, kind: HappenedMissed, share: 100})
	for _, e := range t.escalations {
		if e.Target == target {
			list = append(list, mark{target: target, kind: HappenedEscalated, step: e, share: e.After})
		}
	}
	slices.SortStableFunc(list, func(a, b mark) int { return a.share - b.share })
	return list
}

// Target is what is promised for a priority; 0 for nothing.
func (t *Terms) Target(p Priority, kind TargetKind) time.Duration {
	return t.targets[p][kind]
}

// share is a part of a time, in percent. Promises are whole seconds, so that nothing is lost; ten times the longest is still a duration.
func share(of time.Duration, percent int) time.Duration {
	return of / 100 * time.Duration(percent)
}

// upcoming is the next mark that the ticket passes if nothing happens, and when; false where there is none.
func (t *Ticket) upcoming(terms *Terms) (next mark, at time.Time, ok bool) {
	for _, kind := range targetKinds {
		promised := terms.Target(t.Priority, kind)
		if promised == 0 || !t.clock(kind).Running() {
			continue
		}
		for _, m := range terms.marks(kind) {
			if slices.Contains(t.Rung, m.name()) {
				continue
			}
			due, _ := t.clock(kind).Due(share(promised, m.share), terms.Calendar)
			if !ok || due.Before(at) {
				next, at, ok = m, due, true
			}
			break // the others of this clock come later
		}
	}
	return next, at, ok
}

// DueAt is until when a target has to be met; false where nothing is promised or its clock stands still.
func (t Ticket) DueAt(kind TargetKind, terms *Terms) (time.Time, bool) {
	promised := terms.Target(t.Priority, kind)
	if promised == 0 {
		return time.Time{}, false
	}
	return t.clock(kind).Due(promised, terms.Calendar)
}

// WakeAt is when something happens to the ticket by time alone: then it is to be given TicketTimeCame. It may have passed, where a ticket has
// become more urgent or its queue was edited. false: nothing happens before somebody does something.
func (t Ticket) WakeAt(terms *Terms) (time.Time, bool) {
	if t.Status == StatusSolved {
		return t.SolvedAt.Add(terms.ReopenWithin), true
	}
	_, at, ok := t.upcoming(terms)
	return at, ok
}

// ring passes all marks that come before the event, or at its moment where now is set. A step may make the ticket more urgent, and what is promised
// then may have been missed already.
func (n *turn) ring(now bool) {
	for {
		m, due, ok := n.upcoming(n.terms)
		if !ok || due.After(n.at) || !now && due.Equal(n.at) {
			return
		}
		n.Rung = append(n.Rung, m.name())
		n.happened = append(n.happened, Happening{Kind: m.kind, At: due, Target: m.target, Step: m.step})
		switch m.kind {
		case HappenedMissed:
			n.miss(m.target)
		case HappenedEscalated:
			n.Priority = n.Priority.AtLeast(m.step.Raise)
		}
	}
}

func (n *turn) miss(target TargetKind) {
	switch target {
	case FirstResponse:
		n.Missed.FirstResponse++
	case NextResponse:
		n.Missed.NextResponse++
	case Resolution:
		n.Missed.Resolution++
	}
}

// expire closes a ticket for good that was solved so long ago that it is not reopened any more.
func (n *turn) expire() {
	if at := n.SolvedAt.Add(n.terms.ReopenWithin); n.Status == StatusSolved && !n.at.Before(at) {
		n.to(StatusClosed, at, n.terms)
		n.happened = append(n.happened, Happening{Kind: HappenedClosed, At: at})
	}
}
