package automate

import (
	"fmt"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/expr"
)

// Trial is what came of trying a rule.
type Trial struct {
	// Begins tells whether an entry begins, and Why which parts of the rule's condition decided that.
	Begins bool        `json:"begins"`
	Why    []expr.Part `json:"why,omitempty"`
	Steps  []Tried     `json:"steps,omitempty"`
	Status Status      `json:"status,omitempty"`
	Reason string      `json:"reason,omitempty"`
	WakeAt time.Time   `json:"wakeAt,omitzero"` // of an entry that still waits
	Awaits string      `json:"awaits,omitempty"`
	// Cut says that the trial ended before the entry did, because it had taken as many steps as a trial takes.
	Cut bool `json:"cut,omitempty"`
}

// Tried is a step that was passed.
type Tried struct {
	At   time.Time   `json:"at"`
	Turn int64       `json:"turn"`
	Step string      `json:"step"`
	Does string      `json:"does"` // in words
	How  How         `json:"how"`
	Why  []expr.Part `json:"why,omitempty"` // which parts of a condition decided
}

// longestTrial is how many steps a trial takes: a loop has no end.
const longestTrial = 200

// DryRun tries a rule with a sample: nothing happens, and each wait is over at once. A zero until lets the entry go as far as it can; another
// stops its clock there. Tags and values that steps give show to the conditions behind them.
func DryRun(p *Plan, sample Sample, until time.Time) (Trial, error) {
	r := &trial{plan: p, sample: sample, person: copied(sample.Contact)}
	r.beginCase()
	world := r.world(sample.At)
	if p.when >= 0 {
		holds, why, err := r.ask(p.when, world)
		if err != nil {
			return Trial{}, err
		}
		r.out.Why = why
		if !holds {
			return r.out, nil
		}
	}
	r.out.Begins = true
	s := p.Begin(sample.At)
	now := s.Since
	var came *Came
	var facts expr.Facts
	for len(r.out.Steps) < longestTrial {
		next, err := r.round(s, now, came, facts)
		if err != nil {
			return Trial{}, err
		}
		waitsOn := next.Status == Waiting && next.Turn == s.Turn && s.Status == Waiting
		if s = next; s.Status != Waiting {
			return r.end(s), nil
		}
		after := now
		if !waitsOn {
			after = s.Since
		}
		now, came, facts = r.nextWake(s, after)
		if !until.IsZero() && now.After(until) {
			return r.end(s), nil
		}
	}
	r.out.Cut = true
	return r.end(s), nil
}

// trial is one in progress.
type trial struct {
	plan   *Plan
	sample Sample
	person *expr.Person
	out    Trial

	conversation, ticket expr.Facts // as they stand; nil: there is none
	told                 int        // how many of the later events they show
}

func (r *trial) end(s State) Trial {
	r.out.Status, r.out.Reason, r.out.WakeAt, r.out.Awaits = s.Status, s.Reason, s.WakeAt, s.Awaits
	return r.out
}

// nextWake is what wakes a waiting entry after a time: the next event that it awaits, or its time.
func (r *trial) nextWake(s State, after time.Time) (time.Time, *Came, expr.Facts) {
	for _, e := range r.sample.Later {
		if e.Event == s.Awaits && e.At.After(after) && !e.At.After(s.WakeAt) {
			return e.At, &Came{Event: e.Event, At: e.At}, e.Facts
		}
	}
	return s.WakeAt, nil, nil
}

// world is what conditions outside of waits speak of.
func (r *trial) world(now time.Time) expr.World {
	w := expr.World{Now: now, Subjects: map[string]expr.Facts{r.plan.Event.Subject.Name: r.sample.Subject}, Contact: r.person}
	r.tellCase(w.Subjects)
	return w
}

// ask answers a condition, and tells why. Of nobody nothing is asked.
func (r *trial) ask(place int, w expr.World) (bool, []expr.Part, error) {
	c := r.plan.Condition(place)
	if c.AsksContact() && w.Contact == nil {
		return false, []expr.Part{{Source: c.Source, Values: []expr.PartValue{{Name: "contact", Value: "not known"}}}}, nil
	}
	holds, why, err := c.Why(w)
	if err != nil {
		return false, nil, fmt.Errorf("ask %s: %w", c.Source, err)
	}
	return holds, why, nil
}

// round wakes an entry once and takes it as far as it gets.
func (r *trial) round(s State, now time.Time, came *Came, facts expr.Facts) (State, error) {
	r.happen(now)
	in := Input{
		Now: now, Seed: r.sample.Seed, Contact: r.person != nil, Zone: r.sample.Zone, Came: came, Answers: map[int]bool{}, Moments: r.moments(),
		Answerable: r.plan.Event.Case.Answerable, Ticket: r.ticket != nil,
	}
	reasons := map[int][]expr.Part{}
	for {
		out := r.plan.Next(s, in)
		r.note(out, now, reasons)
		for _, e := range out.Effects {
			if err := r.apply(e, r.world(now)); err != nil {
				return s, err
			}
		}
		in.Ticket = r.ticket != nil
		if s = out.State; len(out.Asks) == 0 {
			return s, nil
		}
		for _, place := range out.Asks {
			w := r.world(now)
			if c := r.plan.Condition(place); c.Awaited {
				w = r.awaitedWorld(now, came, facts)
			}
			holds, why, err := r.ask(place, w)
			if err != nil {
				return s, err
			}
			in.Answers[place], reasons[place] = holds, why
		}
	}
}

// awaitedWorld is what a condition on an awaited event speaks of.
func (r *trial) awaitedWorld(now time.Time, came *Came, facts expr.Facts) expr.World {
	w := expr.World{Now: now, Subjects: map[string]expr.Facts{TriggerVariable: r.sample.Subject}, Contact: r.person}
	e, _ := FindEvent(r.plan.schema, came.Event)
	w.Subjects[e.Subject.Name] = facts
	r.tellCase(w.Subjects)
	return w
}

// note writes down which steps were passed, and why.
func (r *trial) note(out Outcome, now time.Time, reasons map[int][]expr.Part) {
	for _, passage := range out.Path {
		step := r.plan.Rule.Steps[passage.Step]
		t := Tried{At: now, Turn: passage.Turn, Step: step.Name, Does: step.String(), How: passage.How}
		switch place := r.plan.asked[passage.Step]; {
		case passage.How == Left && step.Exit == nil && r.plan.exit >= 0:
			t.Why = reasons[r.plan.exit]
		case place >= 0:
			t.Why = reasons[place]
		}
		r.out.Steps = append(r.out.Steps, t)
	}
}

// moments are those of the contact until which waits last.
func (r *trial) moments() map[string]time.Time {
	moments := map[string]time.Time{}
	if r.person == nil {
		return moments
	}
	for _, name := range r.plan.Attributes() {
		if fact, known := r.person.Facts[name]; known {
			moments[name] = fact.Time()
		}
	}
	return moments
}

// apply lets the conditions behind a step see what it does.
func (r *trial) apply(e Effect, w expr.World) error {
	step := r.plan.Rule.Steps[e.Step]
	r.applyCase(step, w.Now)
	if r.person == nil {
		return nil
	}
	tags := r.person.Facts["tags"].List()
	switch {
	case step.Tag != "" && !slices.Contains(tags, step.Tag):
		r.person.Facts["tags"] = expr.Texts(append(slices.Clone(tags), step.Tag))
	case step.Untag != "":
		r.person.Facts["tags"] = expr.Texts(slices.DeleteFunc(slices.Clone(tags), func(tag string) bool { return tag == step.Untag }))
	}
	given := expr.Facts{} // all expressions of a step see what was before it
	for i, a := range step.Set {
		text, known := a.Value, true
		attribute, _ := r.plan.schema.Attribute(a.Attribute)
		if v := r.plan.Value(e.Step, i); v != nil {
			var err error
			if text, known, err = v.In(w); err != nil {
				return fmt.Errorf("step %q, set.%s: %w", step.Name, a.Attribute, err)
			}
		}
		fact, fits := expr.ReadFact(attribute.Type, text)
		switch {
		case !known:
			delete(r.person.Facts, a.Attribute)
		case fits && (attribute.Enum == nil || slices.Contains(attribute.Enum, text)):
			given[a.Attribute] = fact
		}
	}
	for name, fact := range given {
		r.person.Facts[name] = fact
	}
	return nil
}
