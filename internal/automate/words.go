package automate

import (
	"fmt"
	"strings"
)

// String tells in a few words what a rule begins with.
func (t Trigger) String() string {
	switch {
	case t.Schedule != nil:
		who := ""
		if t.Schedule.Segment != "" {
			who = " for each of " + t.Schedule.Segment
		}
		return "at " + t.Schedule.Cron + who
	case t.Date != nil:
		return offsetText(t.Date.OffsetDays) + t.Date.Attribute + " at " + t.Date.At
	}
	words := t.Event
	for _, narrow := range []string{t.Segment, t.Monitor, t.Topic, t.Campaign, t.Queue} {
		if narrow != "" {
			words += " " + narrow
		}
	}
	if t.QuietFor != 0 {
		words += " after " + t.QuietFor.String() + " without one"
	}
	return words
}

func offsetText(days int) string {
	switch {
	case days < 0:
		return fmt.Sprintf("%d days before ", -days)
	case days > 0:
		return fmt.Sprintf("%d days after ", days)
	}
	return ""
}

// String tells in a few words what a step does.
func (s Step) String() string {
	switch {
	case s.Send != nil:
		return fmt.Sprintf("send %s over %s", s.Send.Template, s.Send.Channel)
	case s.Wait != nil:
		return s.Wait.String()
	case s.If != nil:
		return "if " + s.If.Condition
	case s.Split != nil:
		return "split"
	case s.Tag != "":
		return "tag " + s.Tag
	case s.Untag != "":
		return "untag " + s.Untag
	case s.Set != nil:
		return s.setText()
	case s.Notify != nil:
		return "notify " + s.Notify.Channel
	case s.Start != nil:
		return "start " + s.Start.Rule
	case s.Exit != nil && s.Exit.Reason != "":
		return "exit: " + s.Exit.Reason
	}
	return s.caseText()
}

// caseText tells what a step does with what somebody wrote.
func (s Step) caseText() string {
	switch {
	case s.Reply != nil:
		return "reply with " + s.Reply.Template
	case s.Publish != nil:
		return fmt.Sprintf("publish %s over %s", s.Publish.Template, s.Publish.Channel)
	case s.OpenTicket != nil:
		return s.OpenTicket.String()
	case s.Assign != nil:
		return "assign the ticket to " + s.Assign.To
	}
	return s.Verb()
}

func (s Step) setText() string {
	var parts []string
	for _, a := range s.Set {
		value := a.Expression
		if value == "" {
			value = fmt.Sprintf("%q", a.Value)
		}
		parts = append(parts, a.Attribute+" = "+value)
	}
	return "set " + strings.Join(parts, ", ")
}

// String tells in a few words which ticket it is.
func (o *OpenTicket) String() string {
	words := "open a ticket in " + o.Queue
	if o.Priority != "" {
		words += ", " + o.Priority
	}
	if o.Subject != "" {
		words += ": " + o.Subject
	}
	return words
}

// String tells in a few words what is waited for.
func (w *Wait) String() string {
	switch {
	case w.Event != "" && w.When != "":
		return fmt.Sprintf("wait for %s where %s, %s at most", w.Event, w.When, w.For)
	case w.Event != "":
		return fmt.Sprintf("wait for %s, %s at most", w.Event, w.For)
	case w.Until != nil:
		return "wait until " + w.Until.String()
	}
	return "wait " + w.For.String()
}

// String tells in a few words which moment it is.
func (m Moment) String() string {
	var parts []string
	if m.Attribute != "" {
		parts = append(parts, offsetText(m.OffsetDays)+m.Attribute)
	}
	for _, part := range []string{m.At, strings.Join(m.Weekdays, " or "), m.TimeOfDay, m.TimeZone} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, " ")
}
