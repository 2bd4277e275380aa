package expr

import (
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// Condition is a compiled expression about subjects, and about a contact unless it asks none.
type Condition struct {
	Compiled
	subjects []Subject
	filled   []filled
	asks     asks
	spoken   []string
	compiler *compiler // of its parts, to tell which of them decided
	evaluate evaluator
}

// filled is an argument that a field of a subject fills.
type filled struct {
	argument int // from 0
	subject  string
	path     string // within the subject
	list     bool
}

// CompileAbout checks an expression about a subject and compiles it, as Compile does. Of Arguments, those that the subject fills are
// empty: Bind gives them all.
func CompileAbout(schema crm.Schema, subject Subject, source string) (*Condition, error) {
	return CompileAmong(schema, []Subject{subject}, source)
}

// CompileAmong checks an expression about several subjects and compiles it, as CompileAbout does.
func CompileAmong(schema crm.Schema, subjects []Subject, source string) (*Condition, error) {
	c, err := compileSource(environment{schema: schema, subjects: subjects}, source)
	if err != nil {
		return nil, err
	}
	return c.condition(), nil
}

func (c *compiler) condition() *Condition {
	root := c.tree.root()
	return &Condition{
		Compiled: *c.compiled(), subjects: c.subjects, filled: c.filled, asks: c.asking(root), spoken: c.spoken(root), compiler: c, evaluate: c.evaluator(root),
	}
}

// SpeaksOf tells whether the answer depends on a subject.
func (c *Condition) SpeaksOf(subject string) bool { return slices.Contains(c.spoken, subject) }

// Alone tells whether the subjects alone decide, whatever time it is, so that Holds gives the answer.
func (c *Condition) Alone() bool { return !c.asks.contact && !c.asks.clock }

// AsksContact tells whether the answer depends on a contact. Otherwise HoldsIn gives it without the database.
func (c *Condition) AsksContact() bool { return c.asks.contact }

// Bind gives the arguments of the predicate, in text form, for its one subject: nil for what is not known of it.
func (c *Condition) Bind(facts Facts) []*string { return c.BindAll(c.about(facts)) }

// BindAll gives the arguments of the predicate, in text form, for several subjects by their names: nil for what is not known of them.
func (c *Condition) BindAll(subjects map[string]Facts) []*string {
	return bind(c.Arguments, c.filled, subjects)
}

// about gives the facts the name of the first subject.
func (c *Condition) about(facts Facts) map[string]Facts {
	if len(c.subjects) == 0 {
		return nil
	}
	return map[string]Facts{c.subjects[0].Name: facts}
}

func bind(given []string, fills []filled, subjects map[string]Facts) []*string {
	arguments := make([]*string, len(given))
	for i := range given {
		arguments[i] = &given[i]
	}
	for _, f := range fills {
		arguments[f.argument] = nil
		if fact, known := subjects[f.subject][f.path]; known {
			arguments[f.argument] = &fact.text
		} else if f.list {
			empty := arrayText(nil)
			arguments[f.argument] = &empty
		}
	}
	return arguments
}

// asks is what an expression asks beside its subjects.
type asks struct{ contact, clock bool }

// asking goes through an expression. A variable that is neither a subject nor the event of a where asks a contact: it is contact itself, or
// what happened.
func (c *compiler) asking(e ast.Expr) (a asks) {
	note := func(more asks) { a.contact, a.clock = a.contact || more.contact, a.clock || more.clock }
	switch e.Kind() {
	case ast.IdentKind:
		name := e.AsIdent()
		_, isSubject := c.subject(name)
		note(asks{contact: name == "contact" || strings.HasPrefix(name, eventsVariable), clock: name == "now" && !isSubject})
	case ast.CallKind:
		name := e.AsCall().FunctionName()
		isClock := name == "ago" || name == "ahead"
		note(asks{contact: !isClock && slices.Contains(globalFunctions, name) && !slices.Contains(pureFunctions, name), clock: isClock})
	}
	for _, child := range children(e) {
		note(c.asking(child))
	}
	return a
}

// spoken lists the subjects of which an expression speaks, each at least once.
func (c *compiler) spoken(e ast.Expr) (names []string) {
	if e.Kind() == ast.IdentKind {
		if s, isSubject := c.subject(e.AsIdent()); isSubject {
			names = append(names, s.Name)
		}
	}
	for _, child := range children(e) {
		names = append(names, c.spoken(child)...)
	}
	return names
}

// pureFunctions are those that stand alone and need neither a contact nor a clock.
var pureFunctions = []string{"date", "has", "timestamp"}
