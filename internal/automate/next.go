package automate

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// Begin is the state of an entry that has just begun.
func (p *Plan) Begin(now time.Time) State {
	return State{Step: p.Rule.Steps[0].Name, Status: Active, Turn: 1, Since: bounded(now)}
}

// Next takes an entry as far as it gets: until it waits, until it is over, or until it needs an answer. It always gives the same for the same. A
// call that comes too early, too late or twice changes nothing: who waits goes on when the time has come or what is awaited did, and who is over,
// stuck or suspended does not.
func (p *Plan) Next(s State, in Input) Outcome {
	if in.Zone == nil {
		in.Zone = time.UTC
	}
	in.Now = bounded(in.Now)
	w := &walk{plan: p, in: in, out: Outcome{State: s}}
	if s.Status == Waiting {
		w.wake()
	}
	for range p.Rule.Steps { // Check has seen to it that no way is longer without a wait
		if w.out.State.Status != Active || len(w.out.Asks) > 0 {
			return w.out
		}
		w.carryOut()
	}
	if w.out.State.Status == Active && len(w.out.Asks) == 0 {
		w.stuck("the steps of the rule lead round in a circle")
	}
	return w.out
}

// Leave takes an entry out of its wait, if the wait is over, and no further: what comes then failed for a reason that a person may mend. Whoever
// asks has to have the answers that Next asked for.
func (p *Plan) Leave(s State, in Input) (State, []Passage) {
	if s.Status != Waiting {
		return s, nil
	}
	if in.Zone == nil {
		in.Zone = time.UTC
	}
	in.Now = bounded(in.Now)
	w := &walk{plan: p, in: in, out: Outcome{State: s}}
	w.wake()
	if len(w.out.Asks) > 0 {
		return s, nil
	}
	return w.out.State, w.out.Path
}

// walk is one call of Next.
type walk struct {
	plan *Plan
	in   Input
	out  Outcome
	open bool // a ticket is opened by an effect
}

// place is that of the step at which the entry is; false where the rule has no such step.
func (w *walk) place() (int, bool) {
	place, found := w.plan.places[w.out.State.Step]
	if !found {
		w.stuck(fmt.Sprintf("the rule has no step %q", shortened(w.out.State.Step)))
	}
	return place, found
}

func (w *walk) stuck(reason string) {
	w.out.State.Status, w.out.State.Reason = Stuck, reason
	w.out.State.WakeAt, w.out.State.Awaits = time.Time{}, ""
}

// answer is that to a condition; false where it has to be asked for, which is noted. Of nobody, nothing is asked.
func (w *walk) answer(place int) (holds, known bool) {
	if w.plan.conditions[place].AsksContact() && !w.in.Contact {
		return false, true
	}
	holds, known = w.in.Answers[place]
	if !known && !slices.Contains(w.out.Asks, place) {
		w.out.Asks = append(w.out.Asks, place)
	}
	return holds, known
}

// wake goes on from a wait if it is over.
func (w *walk) wake() {
	place, found := w.place()
	if !found {
		return
	}
	wait := w.plan.Rule.Steps[place].Wait
	if wait == nil {
		w.stuck("its step is no wait any more")
		return
	}
	how := Elapsed
	if wait.Event != "" {
		how = TimedOut
	}
	arrived, known := w.arrived(place, wait)
	isDue := !w.in.Now.Before(w.out.State.WakeAt)
	if known && !arrived && !isDue {
		return
	}
	exits := false
	if w.plan.exit >= 0 {
		var answered bool
		exits, answered = w.answer(w.plan.exit)
		known = known && answered
	}
	if !known {
		return
	}
	if arrived {
		how = Arrived
	}
	to := w.plan.follows(place)
	switch {
	case exits:
		w.leave(place, "its exit condition holds")
		return
	case how == TimedOut:
		to = w.plan.leads(place, wait.Timeout)
	}
	w.pass(place, how)
	w.enter(to)
}

// arrived tells whether what is awaited has come: since the wait began, in time, and such that the wait's condition holds.
func (w *walk) arrived(place int, wait *Wait) (arrived, known bool) {
	s, came := w.out.State, w.in.Came
	if came == nil || wait.Event == "" || came.Event != wait.Event || came.Event != s.Awaits || !came.At.After(s.Since) || came.At.After(s.WakeAt) {
		return false, true
	}
	if condition := w.plan.asked[place]; condition >= 0 {
		return w.answer(condition)
	}
	return true, true
}

// carryOut does the step at which the entry is, and goes on to the next one.
func (w *walk) carryOut() {
	place, found := w.place()
	if !found {
		return
	}
	switch s := w.plan.Rule.Steps[place]; {
	case s.Wait != nil:
		w.wait(place, s.Wait)
	case s.If != nil:
		w.decide(place, s.If)
	case s.Split != nil:
		w.draw(place, s)
	case s.Exit != nil:
		w.leave(place, s.Exit.Reason)
	case needsContact(s) && !w.in.Contact:
		w.pass(place, Nobody)
		w.enter(w.plan.follows(place))
	case needsWriting(s) && !w.in.Answerable, s.Assign != nil && !w.in.Ticket && !w.open:
		w.pass(place, Nothing)
		w.enter(w.plan.follows(place))
	default:
		w.open = w.open || s.OpenTicket != nil
		w.out.Effects = append(w.out.Effects, Effect{Step: place, Turn: w.out.State.Turn})
		w.pass(place, Done)
		w.enter(w.plan.follows(place))
	}
}

func (w *walk) pass(place int, how How) {
	w.out.Path = append(w.out.Path, Passage{Step: place, Turn: w.out.State.Turn, How: how})
}

// enter comes to a step, or to the end.
func (w *walk) enter(place int) {
	s := &w.out.State
	s.WakeAt, s.Awaits, s.Reason = time.Time{}, "", ""
	if place >= len(w.plan.Rule.Steps) {
		s.Status = Ended
		return
	}
	s.Step, s.Status, s.Since = w.plan.Rule.Steps[place].Name, Active, w.in.Now
	s.Turn++
}

// leave ends the entry before the end.
func (w *walk) leave(place int, reason string) {
	w.pass(place, Left)
	w.out.State.Status, w.out.State.Reason = Exited, reason
	w.out.State.WakeAt, w.out.State.Awaits = time.Time{}, ""
}

// wait begins to wait, unless the moment has passed.
func (w *walk) wait(place int, wait *Wait) {
	w.out.State.Since = w.in.Now
	at, known := w.plan.until(wait, w.in.Now, w.in)
	switch {
	case !known && wait.Timeout != "":
		w.pass(place, TimedOut)
		w.enter(w.plan.places[wait.Timeout])
	case !known:
		w.leave(place, fmt.Sprintf("contact.%s is not known", wait.Until.Attribute))
	case wait.Until != nil && !at.After(w.in.Now):
		w.pass(place, Elapsed)
		w.enter(w.plan.follows(place))
	default:
		w.pass(place, Waits)
		w.out.State.Status, w.out.State.WakeAt, w.out.State.Awaits = Waiting, at, wait.Event
	}
}

// until is when a wait that began at a time is over; false where that is not known.
func (p *Plan) until(wait *Wait, since time.Time, in Input) (time.Time, bool) {
	if wait.Until == nil {
		return bounded(since.Add(time.Duration(wait.For))), true
	}
	zone := in.Zone
	if zone == nil {
		zone = time.UTC
	}
	value, known := in.Moments[wait.Until.Attribute]
	return wait.Until.next(since, zone, p.types[wait.Until.Attribute], value, known && in.Contact)
}

// decide takes one of two ways, or asks which.
func (w *walk) decide(place int, b *If) {
	holds, known := w.answer(w.plan.asked[place])
	switch {
	case !known:
	case holds:
		w.pass(place, Then)
		w.enter(w.plan.leads(place, b.Then))
	default:
		w.pass(place, Else)
		w.enter(w.plan.leads(place, b.Else))
	}
}

// draw takes a branch by chance: the same one whenever this entry comes here, and for all entries by the shares of the weights.
func (w *walk) draw(place int, s Step) {
	sum := sha256.Sum256([]byte(w.in.Seed + "/" + s.Name))
	weights := make([]int, 0, len(s.Split))
	for _, b := range s.Split {
		weights = append(weights, b.Weight)
	}
	chosen := campaign.ChooseVariant(binary.BigEndian.Uint32(sum[:campaign.DrawBytes]), weights)
	w.pass(place, Drawn)
	w.enter(w.plan.places[s.Split[chosen].Next])
}

// Move is the state of an entry of another version in this one; false where its step's name is not there any more, or where it is over. A wait is
// reckoned anew from when it began. Where the step is no wait any more, it is carried out.
func (p *Plan) Move(s State, in Input) (State, bool) {
	place, found := p.places[s.Step]
	if !found || s.Status.Over() {
		return s, false
	}
	step := p.Rule.Steps[place]
	if s.Status != Waiting {
		return s, true
	}
	s.WakeAt, s.Awaits = time.Time{}, ""
	if step.Wait == nil {
		s.Status = Active
		return s, true
	}
	at, known := p.until(step.Wait, s.Since, in)
	if !known {
		s.Status = Active // Next finds out, and says why
		return s, true
	}
	s.WakeAt, s.Awaits = at, step.Wait.Event
	return s, true
}
