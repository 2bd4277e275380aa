package automate

import (
	"errors"
	"slices"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// Plan is a rule that has been checked, with its expressions compiled. It does not change, and many may use it at once.
type Plan struct {
	Rule Rule
	// Event is what the rule listens to; of a schedule or a date it has no name.
	Event Event

	schema     crm.Schema     // that it was checked against
	places     map[string]int // of steps, by name
	conditions []Condition
	when, exit int   // places of conditions; none: -1
	asked      []int // by step: the place of the condition of an if or a wait; none: -1
	values     map[assigned]*expr.Value
	types      map[string]crm.ValueType // of the attributes that waits read
}

// assigned is an assignment of a step.
type assigned struct{ step, assignment int }

// Condition is one of a rule's.
type Condition struct {
	*expr.Condition
	Step   string // "": the rule's own
	Field  string // when, exit, if or wait.when
	Source string
	// Awaited says that it is on an event which a wait awaits: its subject has its own name there, and the trigger's has TriggerVariable.
	Awaited bool
}

// Compile makes a plan of a rule. The error is an *Error that lists what its author has to mend.
func Compile(rule Rule, known Known) (*Plan, error) {
	c := newChecker(rule, known)
	c.rule()
	if len(c.issues) > 0 {
		return nil, &Error{Issues: c.issues}
	}
	return c.plan, nil
}

// Check finds all that is wrong with a rule. The error is an *Error that lists what its author has to mend.
func Check(rule Rule, known Known) error {
	_, err := Compile(rule, known)
	return err
}

// Conditions is how many there are. Their places are counted from 0.
func (p *Plan) Conditions() int { return len(p.conditions) }

// Condition is the one at a place.
func (p *Plan) Condition(place int) *Condition { return &p.conditions[place] }

// When is the place of the rule's condition; false where it has none.
func (p *Plan) When() (place int, found bool) { return p.when, p.when >= 0 }

// Value is what a set gives an attribute by an expression; nil where the value is written out.
func (p *Plan) Value(step, assignment int) *expr.Value { return p.values[assigned{step, assignment}] }

// Attributes lists, sorted, those of the contact until which the rule's waits last: Input.Moments gives their values.
func (p *Plan) Attributes() []string {
	var names []string
	for name := range p.types {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// subjectsOf are what conditions and values outside of waits speak of, where a step knows of a case.
func subjectsOf(e Event, known Case) []expr.Subject {
	var list []expr.Subject
	if e.Subject.Name != "" {
		list = append(list, e.Subject)
	}
	known = known.or(e.Case)
	if known.Conversation && e.Subject.Name != ConversationVariable {
		list = append(list, conversationSubject)
	}
	if known.Ticket && e.Subject.Name != TicketVariable {
		list = append(list, ticketSubject)
	}
	return list
}

// follows is where a step leads that names no other; len(steps) is the end.
func (p *Plan) follows(place int) int {
	if next := p.Rule.Steps[place].Next; next != "" {
		return p.places[next]
	}
	return place + 1
}

// leads is where a name leads from a step; "" is what follows it.
func (p *Plan) leads(place int, name string) int {
	if name == "" {
		return p.follows(place)
	}
	return p.places[name]
}

// expression compiles a condition and notes what is wrong with it. It gives its place.
func (c *checker) expression(at location, subjects []expr.Subject, source string, awaited bool) int {
	if c.unknown {
		return -1 // what is wrong with it would be a consequence
	}
	compiled, err := expr.CompileAmong(c.known.Schema, subjects, source)
	if err != nil {
		c.wrongAmong(at, subjects, source, err)
		return -1
	}
	if compiled.AsksContact() && c.contact == ContactNever {
		c.wrong(at, "it asks a contact, and %s has none: ask what happened instead", c.what())
	}
	c.plan.conditions = append(c.plan.conditions, Condition{compiled, at.step, at.field, source, awaited})
	return len(c.plan.conditions) - 1
}

// wrongAmong notes what is wrong with an expression. One that speaks of a ticket where there may be none is told that.
func (c *checker) wrongAmong(at location, subjects []expr.Subject, source string, err error) {
	for _, more := range []expr.Subject{ticketSubject, conversationSubject} {
		if !expr.Mentions(source, more.Name) || slices.ContainsFunc(subjects, func(s expr.Subject) bool { return s.Name == more.Name }) {
			continue
		}
		switch {
		case at.step != "":
			c.wrong(at, "it speaks of a %s, and there is none on every way to this step: have an openTicket before it on each", more.Name)
		case at.field == "exit":
			c.wrong(at, "it speaks of a %s, and no step opens a ticket", more.Name)
		default:
			c.wrong(at, "there is no %s yet when %s begins the rule: ask for it in a step behind openTicket", more.Name, c.triggerName())
		}
		return
	}
	c.wrongExpression(at, err)
}

// wrongExpression notes the issues of an expression, each with its place.
func (c *checker) wrongExpression(at location, err error) {
	var failed *expr.Error
	if !errors.As(err, &failed) {
		c.wrong(at, "%s", err)
		return
	}
	for _, issue := range failed.Issues {
		c.issues = append(c.issues, Issue{Step: at.step, Field: at.field, Message: issue.Message, Line: issue.Line, Column: issue.Column})
	}
}
