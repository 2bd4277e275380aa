package expr_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

func TestReferences(t *testing.T) {
	got := expr.References("contact.nothing == 3 && !in_segment('b')\n|| events('x').where(e, in_segment(\"a\")).count() > 0 || in_segment(contact.city)")
	if diff := cmp.Diff([]expr.Reference{{"b", 1, 37}, {"a", 2, 36}}, got); diff != "" {
		t.Errorf("what does not compile has references too (-want +got):\n%s", diff)
	}
	if got := expr.References("in_segment('a') &&"); got != nil {
		t.Errorf("got %v of what cannot be read", got)
	}
}

func TestMentions(t *testing.T) {
	for source, want := range map[string]bool{
		"ticket.answered": true, "contact.vip || has(ticket.nothing)": true, "events('ticket').where(e, e.ticket == ticket.number).count() > 0": true,
		"contact.ticket == 'ticket'": false, "event.ticket": false, "ticket.answered &&": false,
	} {
		if got := expr.Mentions(source, "ticket"); got != want {
			t.Errorf("%s: %t", source, got)
		}
	}
}

// TestSpeaksOf: what an answer depends on is read before it is asked, and nothing else.
func TestSpeaksOf(t *testing.T) {
	schema := crm.Schema{Attributes: []crm.Attribute{{Name: "vip", Type: crm.Boolean}}}
	subjects := []expr.Subject{
		{Name: "ticket", Fields: []expr.Field{{Name: "open", Type: crm.Boolean}}}, {Name: "conversation", Fields: []expr.Field{{Name: "open", Type: crm.Boolean}}},
	}
	for source, want := range map[string][2]bool{
		"ticket.open": {true, false}, "contact.vip && has(conversation.open)": {false, true}, "ticket.open || !conversation.open": {true, true}, "contact.vip": {},
	} {
		condition, err := expr.CompileAmong(schema, subjects, source)
		if err != nil {
			t.Fatal(err)
		}
		value, err := expr.CompileValue(schema, subjects, "vip", source)
		if err != nil {
			t.Fatal(err)
		}
		for i, subject := range []string{"ticket", "conversation"} {
			if condition.SpeaksOf(subject) != want[i] || value.SpeaksOf(subject) != want[i] {
				t.Errorf("%s speaks of %s: %t and %t", source, subject, condition.SpeaksOf(subject), value.SpeaksOf(subject))
			}
		}
	}
}

func TestCycle(t *testing.T) {
	graph := map[string][]string{
		"itself": {"itself"}, "a": {"b", "x"}, "b": {"c"}, "c": {"d", "a"}, "d": {"e"}, "e": {"a"}, "leads": {"a", "x"}, "x": nil, "gone": {"away"},
	}
	references := func(segment string) (list []expr.Reference) {
		for _, name := range graph[segment] {
			list = append(list, expr.Reference{Segment: name})
		}
		return list
	}
	for name, want := range map[string][]string{
		"itself": {"itself", "itself"},
		"a":      {"a", "b", "c", "a"},
		"e":      {"e", "a", "b", "c", "d", "e"},
		"leads":  nil, // to a cycle, and stands in none
		"x":      nil,
		"gone":   nil,
	} {
		if diff := cmp.Diff(want, expr.Cycle(name, references)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
