package automate

import (
	"fmt"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// Known is what a rule may name. What is nil is not looked up, so that a rule can be checked where not all is at hand.
type Known struct {
	// Name is that of the rule itself, and Starts what Starts says of the others: they show whether rules start each other in a circle.
	Name   string
	Starts map[string][]string

	Schema    crm.Schema
	Segments  []string
	Templates []string
	Campaigns []string
	Rules     []string
	Queues    []string
	Channels  map[string]string   // their types, by name
	Monitors  map[string][]string // their topics, by name
}

// Kind is that of an object which a rule names.
type Kind string

// The kinds that rules name.
const (
	SegmentKind   Kind = "Segment"
	TemplateKind  Kind = "MessageTemplate"
	CampaignKind  Kind = "Campaign"
	RuleKind      Kind = "AutomationRule"
	ChannelKind   Kind = "MessageChannel"
	MonitorKind   Kind = "Monitor"
	EventTypeKind Kind = "EventType"
	QueueKind     Kind = "ServiceQueue"
)

// Issue is one thing that the author of a rule has to mend.
type Issue struct {
	Step    string // "": the rule's own
	Field   string // in the step or the rule, as manifests write it: wait.for, on.segment, when
	Message string // what is wrong and how to mend it
	// Line and Column are where in the field's expression it is wrong, from 1; 0 where the field is none.
	Line, Column int
	// Missing is the kind of an object that is not there, of the name Name. It heals when the object comes.
	Missing Kind
	Name    string
}

// String names the step and the field, such as step "day", wait.for: a wait is at least 1s long.
func (i Issue) String() string {
	var b strings.Builder
	if i.Step != "" {
		fmt.Fprintf(&b, "step %q, ", i.Step)
	}
	if i.Field != "" {
		b.WriteString(i.Field)
		if i.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", i.Line, i.Column)
		}
		b.WriteString(": ")
	}
	b.WriteString(i.Message)
	return b.String()
}

// Error lists what is wrong with a rule, in the order of its fields and steps. There is at least one issue.
type Error struct {
	Issues []Issue
}

// Error joins the issues.
func (e *Error) Error() string {
	lines := make([]string, 0, len(e.Issues))
	for _, issue := range e.Issues {
		lines = append(lines, issue.String())
	}
	return strings.Join(lines, "; ")
}

// Waits tells whether nothing is wrong but that objects are missing: no edit of the rule is needed, and when they come, it heals.
func (e *Error) Waits() bool {
	for _, issue := range e.Issues {
		if issue.Missing == "" {
			return false
		}
	}
	return true
}
