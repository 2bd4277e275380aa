package automate

import (
	"slices"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// step checks one.
func (c *checker) step(place int) {
	s := &c.plan.Rule.Steps[place]
	at := location{s.Name, ""}
	switch verbs := s.verbs(); {
	case len(verbs) == 0:
		c.wrong(at, "it does nothing: give it one of assign, exit, if, notify, openTicket, publish, reply, send, set, split, start, tag, untag, wait")
		return
	case len(verbs) > 1:
		c.wrong(at, "it does several things (%s): make a step of each", strings.Join(verbs, ", "))
		return
	}
	c.to(location{s.Name, "next"}, s.Next)
	if needsContact(*s) && c.contact == ContactNever {
		c.wrong(location{s.Name, s.Verb()}, "it is for a contact, and %s has none: use another trigger, or notify", c.what())
	}
	c.verb(place, s)
}

// verb checks what a step does.
func (c *checker) verb(place int, s *Step) {
	switch {
	case s.Send != nil:
		c.send(s.Name, *s.Send)
	case s.Reply != nil || s.Publish != nil:
		c.write(*s)
	case s.OpenTicket != nil || s.Assign != nil:
		c.lookAfter(place, *s)
	case s.Wait != nil:
		c.wait(place, *s.Wait)
	case s.If != nil:
		c.branch(place, *s.If)
	case s.Split != nil:
		c.split(*s)
	case s.Tag+s.Untag != "":
		c.tag(location{s.Name, s.Verb()}, s.Tag+s.Untag)
	case s.Set != nil:
		c.set(place)
	case s.Notify != nil:
		c.notify(s.Name, *s.Notify)
	case s.Start != nil:
		c.object(location{s.Name, "start.ruleRef"}, RuleKind, s.Start.Rule, c.known.Rules)
	case s.Exit != nil && s.Next != "":
		c.wrong(location{s.Name, "next"}, "nothing comes behind an exit: remove it")
	}
}

func (c *checker) notify(step string, n Notify) {
	c.channel(location{step, "notify.channelRef"}, n.Channel, "Webhook")
	if n.Template != "" {
		c.object(location{step, "notify.templateRef"}, TemplateKind, n.Template, c.known.Templates)
	}
}

// needsContact tells whether a step can do nothing where nobody is known.
func needsContact(s Step) bool { return s.Send != nil || s.Tag != "" || s.Untag != "" || s.Set != nil }

func (c *checker) send(step string, s Send) {
	c.object(location{step, "send.templateRef"}, TemplateKind, s.Template, c.known.Templates)
	c.channel(location{step, "send.channelRef"}, s.Channel, "Email")
	at := location{step, "send.purpose"}
	switch {
	case !crm.IsPurpose(s.Purpose):
		c.wrong(at, "%q is not a purpose of consent: it has at most 40 lower-case letters, digits, - and _ and begins with a letter", s.Purpose)
	case len(c.known.Schema.Purposes) > 0 && !slices.Contains(c.known.Schema.Purposes, s.Purpose):
		c.wrong(at, "no ConsentPolicy has the purpose %q%s", s.Purpose, didYouMean(s.Purpose, c.known.Schema.Purposes))
	}
	if s.Priority != "" && s.Priority != "Bulk" && s.Priority != "Transactional" {
		c.wrong(location{step, "send.priority"}, "%q is unknown: write Bulk or Transactional", s.Priority)
	}
}

func (c *checker) tag(at location, tag string) {
	if !isLine(tag, maxTag) {
		c.wrong(at, "a tag has at most %d characters, no line breaks, and no spaces around it", maxTag)
	}
}

func (c *checker) split(s Step) {
	at := location{s.Name, "split"}
	if s.Next != "" {
		c.wrong(location{s.Name, "next"}, "each branch of a split says where it leads: remove next")
	}
	if n := len(s.Split); n < 2 || n > maxBranches {
		c.wrong(at, "a split has from 2 to %d branches, and this one has %d", maxBranches, n)
	}
	for i, b := range s.Split {
		if b.Weight < 1 || b.Weight > maxWeight {
			c.wrong(at, "branch %d has the weight %d: write one from 1 to %d", i+1, b.Weight, maxWeight)
		}
		if b.Next == "" {
			c.wrong(at, "branch %d leads nowhere: name a step in its next", i+1)
		}
		c.to(at, b.Next)
	}
}

func (c *checker) branch(place int, b If) {
	step := c.plan.Rule.Steps[place].Name
	if b.Condition == "" {
		c.wrong(location{step, "if"}, "the condition is empty: write one, such as contact.plan == \"club\"")
	} else {
		c.plan.asked[place] = c.expression(location{step, "if"}, subjectsOf(c.plan.Event, c.cases[place]), b.Condition, false)
	}
	if b.Then == b.Else {
		c.wrong(location{step, "then"}, "both ways lead to the same step: name another one in then or in else")
	}
	c.to(location{step, "then"}, b.Then)
	c.to(location{step, "else"}, b.Else)
}

func (c *checker) wait(place int, w Wait) {
	step := c.plan.Rule.Steps[place].Name
	c.waitShape(location{step, "wait"}, w)
	if w.For != 0 {
		c.duration(location{step, "wait.for"}, w.For)
	}
	if w.Until != nil {
		c.moment(step, *w.Until)
	}
	c.to(location{step, "wait.onTimeout"}, w.Timeout)
	if w.When != "" && w.Event == "" {
		c.wrong(location{step, "wait.when"}, "it is a condition on an awaited event: name the event, or use a step with if")
		return
	}
	if w.Event != "" {
		c.awaited(place, w)
	}
}

// waitShape checks which of its fields a wait has.
func (c *checker) waitShape(at location, w Wait) {
	switch {
	case w.Event == "" && (w.For != 0) == (w.Until != nil):
		c.wrong(at, "write how long it waits in for, until when in until, or for which event, and only one of them")
	case w.Event != "" && w.Until != nil:
		c.wrong(at, "an event is awaited for some time: write for, and remove until")
	case w.Event != "" && w.For == 0:
		c.wrong(at, "what may never come is not awaited for ever: write in for how long")
	}
	mayTimeOut := w.Event != "" || w.Until != nil && w.Until.Attribute != ""
	if w.Timeout != "" && !mayTimeOut {
		c.wrong(location{at.step, "wait.onTimeout"}, "only what is awaited can fail to come: name an event, or use next")
	}
}

// awaited checks an event that is waited for, and the condition on it.
func (c *checker) awaited(place int, w Wait) {
	step := c.plan.Rule.Steps[place].Name
	at := location{step, "wait.event"}
	e, found := c.findEvent(at, w.Event)
	switch {
	case !found:
		return
	case e.Case.Ticket:
		if !c.unknown && !c.cases[place].Ticket {
			c.wrong(at, "%s is awaited of the entry's ticket, and there is none on every way to this step: have an openTicket before it on each", w.Event)
		}
	case e.Case.Conversation && c.cases[place].Conversation:
	case e.Contact == ContactNever:
		c.wrong(at, "%s concerns no contact, and an entry waits for what its contact does: name another event", w.Event)
	case c.contact == ContactNever:
		c.wrong(at, "what a contact does is awaited, and %s has none: wait for some time instead", c.what())
	}
	if w.When == "" {
		return
	}
	subjects := subjectsOf(e, c.cases[place])
	if s := c.plan.Event.Subject; s.Name != "" {
		s.Name = TriggerVariable
		subjects = append(subjects, s)
	}
	c.plan.asked[place] = c.expression(location{step, "wait.when"}, subjects, w.When, true)
}

func (c *checker) moment(step string, m Moment) {
	at := location{step, "wait.until"}
	switch {
	case m.At != "" && (m.TimeOfDay != "" || m.Attribute != "" || len(m.Weekdays) > 0):
		c.wrong(at, "at is a moment by itself: remove the others")
	case m.At == "" && m.TimeOfDay == "" && m.Attribute == "" && len(m.Weekdays) == 0:
		c.wrong(at, "write at, timeOfDay, weekdays or attribute")
	}
	if m.At != "" {
		if _, err := campaign.ParseLocal(m.At); err != nil {
			c.wrong(location{step, "wait.until.at"}, "%s", err)
		}
	}
	if m.TimeOfDay != "" {
		c.timeOfDay(location{step, "wait.until.timeOfDay"}, m.TimeOfDay)
	}
	c.zone(location{step, "wait.until.timeZone"}, m.TimeZone)
	c.weekdays(location{step, "wait.until.weekdays"}, m.Weekdays)
	c.offset(location{step, "wait.until.offsetDays"}, m.OffsetDays)
	if m.Attribute != "" {
		c.momentOf(location{step, "wait.until.attribute"}, m.Attribute)
	} else if m.OffsetDays != 0 {
		c.wrong(location{step, "wait.until.offsetDays"}, "it counts from an attribute's day: name the attribute")
	}
}

func (c *checker) weekdays(at location, names []string) {
	for i, day := range names {
		if _, known := weekday(day); !known {
			c.wrong(at, "%q is no day of the week: write it as Monday", day)
		}
		if slices.Contains(names[:i], day) {
			c.wrong(at, "%s stands there twice", day)
		}
	}
}

// momentOf checks an attribute until which somebody waits.
func (c *checker) momentOf(at location, name string) {
	if c.contact == ContactNever {
		c.wrong(at, "it is a contact's, and %s has none: wait for some time instead", c.what())
	}
	attribute, found := c.known.Schema.Attribute(name)
	switch {
	case !found:
		c.wrong(at, "contact has no attribute %q%s", name, didYouMean(name, c.dates(crm.Date, crm.Timestamp)))
	case attribute.Type != crm.Date && attribute.Type != crm.Timestamp:
		c.wrong(at, "contact.%s (%s) is neither a Date nor a Timestamp%s", name, attribute.Type, didYouMean("", c.dates(crm.Date, crm.Timestamp)))
	default:
		c.plan.types[name] = attribute.Type
	}
}

// weekday reads the name of a day.
func weekday(name string) (time.Weekday, bool) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if day.String() == name {
			return day, true
		}
	}
	return 0, false
}

// set checks what attributes are given.
func (c *checker) set(place int) {
	s := c.plan.Rule.Steps[place]
	at := location{s.Name, "set"}
	if n := len(s.Set); n == 0 || n > maxAssignments {
		c.wrong(at, "it gives from 1 to %d attributes a value, and this one %d", maxAssignments, n)
	}
	var names []string
	for _, a := range c.known.Schema.Attributes {
		names = append(names, a.Name)
	}
	seen := map[string]bool{}
	for i, a := range s.Set {
		attribute, found := c.known.Schema.Attribute(a.Attribute)
		switch {
		case !found:
			c.wrong(at, "contact has no attribute %q%s", a.Attribute, didYouMean(a.Attribute, names))
			continue
		case seen[a.Attribute]:
			c.wrong(at, "contact.%s is set twice: keep one", a.Attribute)
		case (a.Value == "") == (a.Expression == ""):
			c.wrong(at, "contact.%s needs a value or an expression, and only one of them (the expression null takes its value away)", a.Attribute)
		case a.Expression != "":
			c.value(assigned{place, i}, location{s.Name, "set." + a.Attribute}, a)
		default:
			if _, err := attribute.Canonical(a.Value); err != nil {
				c.wrong(at, "the value %q of contact.%s %s", shortened(a.Value), a.Attribute, err)
			}
		}
		seen[a.Attribute] = true
	}
}

// value compiles the expression of an assignment.
func (c *checker) value(place assigned, at location, a Assignment) {
	if c.unknown {
		return
	}
	subjects := subjectsOf(c.plan.Event, c.cases[place.step])
	v, err := expr.CompileValue(c.known.Schema, subjects, a.Attribute, a.Expression)
	if err != nil {
		c.wrongAmong(at, subjects, a.Expression, err)
		return
	}
	c.plan.values[place] = v
}

// shortened keeps a message readable.
func shortened(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
