package automate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// trigger checks what the rule listens to.
func (c *checker) trigger() {
	c.contact = ContactAlways // of what is not known, no more is said
	t := c.plan.Rule.On
	n := 0
	for _, there := range []bool{t.Event != "", t.Schedule != nil, t.Date != nil} {
		if there {
			n++
		}
	}
	if n != 1 {
		c.wrong(location{"", "trigger"}, "a rule begins with one thing: write an event, a schedule or a date, and only one of them")
		return
	}
	switch {
	case t.Schedule != nil:
		c.schedule(*t.Schedule)
	case t.Date != nil:
		c.date(*t.Date)
	default:
		c.event(t)
	}
	c.narrows(t)
}

// what names the trigger in messages.
func (c *checker) what() string {
	switch t := c.plan.Rule.On; {
	case t.Schedule != nil:
		return "a schedule without a segment"
	case t.Date != nil:
		return "a date"
	default:
		return t.Event
	}
}

// eventNames lists all events that there are.
func eventNames(schema crm.Schema) []string {
	var names []string
	for _, e := range events {
		names = append(names, e.Name)
	}
	for _, e := range schema.Events {
		names = append(names, e.Name)
	}
	return names
}

// findEvent finds an event or notes that it is missing.
func (c *checker) findEvent(at location, name string) (Event, bool) {
	e, found := FindEvent(c.known.Schema, name)
	if !found {
		c.issues = append(c.issues, Issue{
			Step: at.step, Field: at.field, Missing: EventTypeKind, Name: name,
			Message: fmt.Sprintf("there is no event and no EventType %q%s", name, crm.DidYouMean(name, eventNames(c.known.Schema))),
		})
	}
	return e, found
}

func (c *checker) event(t Trigger) {
	e, found := c.findEvent(location{"", "trigger.event"}, t.Event)
	if !found {
		c.plan.Event, c.unknown = Event{Name: t.Event, Narrows: []string{"quietFor"}}, true
		return
	}
	c.plan.Event, c.contact = e, e.Contact
	if slices.Contains(e.Narrows, "segmentRef") {
		c.object(location{"", "trigger.segmentRef"}, SegmentKind, t.Segment, c.known.Segments)
	}
	if t.Campaign != "" {
		c.object(location{"", "trigger.campaignRef"}, CampaignKind, t.Campaign, c.known.Campaigns)
	}
	if t.Queue != "" {
		c.object(location{"", "trigger.queueRef"}, QueueKind, t.Queue, c.known.Queues)
	}
	if t.QuietFor != 0 {
		c.duration(location{"", "trigger.quietFor"}, t.QuietFor)
	}
	if t.Monitor == "" {
		if t.Topic != "" {
			c.wrong(location{"", "trigger.topic"}, "a topic is one of a monitor: name its monitor too")
		}
		return
	}
	c.object(location{"", "trigger.monitorRef"}, MonitorKind, t.Monitor, sortedKeys(c.known.Monitors))
	if topics, found := c.known.Monitors[t.Monitor]; found && t.Topic != "" && !slices.Contains(topics, t.Topic) {
		c.wrong(location{"", "trigger.topic"}, "Monitor %q has no topic %q%s", t.Monitor, t.Topic, didYouMean(t.Topic, topics))
	}
}

// sortedKeys lists the names of a map; nil of none, which is not looked up.
func sortedKeys[V any](m map[string]V) []string {
	if m == nil {
		return nil
	}
	return slices.AppendSeq(make([]string, 0, len(m)), maps.Keys(m))
}

// narrows refuses what does not narrow this trigger down.
func (c *checker) narrows(t Trigger) {
	for _, n := range []struct {
		field string
		there bool
	}{
		{"segmentRef", t.Segment != ""},
		{"onDefinitionChange", t.OnEdits},
		{"monitorRef", t.Monitor != ""},
		{"topic", t.Topic != ""},
		{"campaignRef", t.Campaign != ""},
		{"queueRef", t.Queue != ""},
		{"quietFor", t.QuietFor != 0},
	} {
		if !n.there || slices.Contains(c.plan.Event.Narrows, n.field) {
			continue
		}
		takes := "it takes none of these fields"
		if len(c.plan.Event.Narrows) > 0 {
			takes = "it takes " + strings.Join(c.plan.Event.Narrows, ", ")
		}
		c.wrong(location{"", "trigger." + n.field}, "it does not narrow %s down: remove it; %s", c.triggerName(), takes)
	}
}

func (c *checker) triggerName() string {
	switch t := c.plan.Rule.On; {
	case t.Schedule != nil:
		return "a schedule"
	case t.Date != nil:
		return "a date"
	default:
		return t.Event
	}
}

func (c *checker) schedule(t ScheduleTrigger) {
	if t.Segment == "" {
		c.contact = ContactNever
	} else {
		c.object(location{"", "trigger.schedule.segmentRef"}, SegmentKind, t.Segment, c.known.Segments)
	}
	c.zone(location{"", "trigger.schedule.timeZone"}, t.TimeZone)
	if _, err := (campaign.Timing{Cron: t.Cron, TimeZone: "UTC"}).Parse(); t.Cron == "" || err != nil {
		if t.Cron == "" {
			err = fmt.Errorf("write five fields (minute, hour, day of month, month, day of week), such as 0 9 * * MON")
		}
		c.wrong(location{"", "trigger.schedule.cron"}, "%s", err)
	}
}

func (c *checker) date(t DateTrigger) {
	at := location{"", "trigger.date.attribute"}
	attribute, found := c.known.Schema.Attribute(t.Attribute)
	switch {
	case !found:
		c.wrong(at, "contact has no attribute %q%s", t.Attribute, didYouMean(t.Attribute, c.dates(crm.Date)))
	case attribute.Type != crm.Date:
		c.wrong(at, "contact.%s (%s) is no Date%s", t.Attribute, attribute.Type, didYouMean("", c.dates(crm.Date)))
	}
	c.timeOfDay(location{"", "trigger.date.at"}, t.At)
	c.offset(location{"", "trigger.date.offsetDays"}, t.OffsetDays)
}

// dates are the attributes of some types.
func (c *checker) dates(types ...crm.ValueType) (names []string) {
	for _, a := range c.known.Schema.Attributes {
		if slices.Contains(types, a.Type) {
			names = append(names, a.Name)
		}
	}
	return names
}

// key checks the field by whose values entries are told apart.
func (c *checker) key() {
	key, at := c.plan.Rule.Key, location{"", "key"}
	if key == "" || c.unknown {
		return
	}
	paths := map[string]expr.Field{}
	var usable []string
	for _, subject := range subjectsOf(c.plan.Event, Case{}) {
		for path, f := range subject.Paths() {
			paths[subject.Name+"."+path] = f
			if isKey(f) {
				usable = append(usable, subject.Name+"."+path)
			}
		}
	}
	f, found := paths[key]
	switch {
	case len(usable) == 0:
		c.wrong(at, "%s tells nothing by which entries could be told apart: remove it", c.triggerName())
	case !found:
		c.wrong(at, "%q is no field of what happened%s", key, didYouMean(key, usable))
	case !isKey(f):
		c.wrong(at, "entries cannot be told apart by %s%s", key, didYouMean(key, usable))
	}
}

// isKey tells whether entries may be told apart by a field: by a text or a whole number that does not say who somebody is.
func isKey(f expr.Field) bool {
	return (f.Type == crm.String || f.Type == crm.Integer) && !f.List && !f.Free && !expr.Identifies(f.Name)
}
