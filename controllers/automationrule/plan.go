package automationrule

import (
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/crm"
)

// defaultHour is when a day of a contact's begins an entry where the manifest does not say.
const defaultHour = "09:00"

// Read is what a manifest says. Whether it can be carried out, automate.Check tells. A schedule without a zone has none here.
func Read(spec *v1alpha1.AutomationRuleSpec) (automate.Rule, error) {
	read := reader{}
	rule := automate.Rule{
		On: read.trigger(&spec.Trigger), When: string(spec.When), Key: spec.Key, Exit: string(spec.Exit),
		MaxPerHour: spec.MaxPerHour, OnEdit: automate.OnEdit(spec.OnEdit),
	}
	if spec.Reentry != nil {
		rule.Reentry = automate.Reentry{Mode: automate.ReentryMode(spec.Reentry.Mode), After: read.duration("spec.reentry.after", spec.Reentry.After)}
	}
	for i := range spec.Steps {
		rule.Steps = append(rule.Steps, read.step(&spec.Steps[i]))
	}
	return rule, read.wrong
}

// planRule is what a rule does for a tenant: a schedule without a zone is in the tenant's.
func planRule(object *v1alpha1.AutomationRule, tenantZone string) (automate.Rule, error) {
	rule, err := Read(&object.Spec)
	if s := rule.On.Schedule; s != nil && s.TimeZone == "" {
		s.TimeZone = tenantZone
	}
	return rule, err
}

// reader reads fields that may be written wrongly, and keeps the first mistake.
type reader struct {
	wrong error
}

func (r *reader) refuse(field string, err error) {
	if r.wrong == nil {
		r.wrong = reconciling.Stall(v1alpha1.InvalidSpecReason, "%s: %s.", field, err)
	}
}

func (r *reader) duration(field string, text v1alpha1.Duration) automate.Duration {
	if text == "" {
		return 0
	}
	length, err := automate.ParseDuration(string(text))
	if err != nil {
		r.refuse(field, err)
	}
	return length
}

func (r *reader) zone(field, name string) string {
	if name == "" || name == v1alpha1.RecipientZone {
		return ""
	}
	if _, err := crm.ParseZone(name); err != nil {
		r.refuse(field, err)
	}
	return name
}

func (r *reader) trigger(declared *v1alpha1.RuleTrigger) automate.Trigger {
	trigger := automate.Trigger{
		Event: declared.Event, Segment: named(declared.SegmentRef), OnEdits: declared.OnDefinitionChange == v1alpha1.AddOnDefinitionChange,
		Monitor: named(declared.MonitorRef), Topic: declared.Topic, Campaign: named(declared.CampaignRef),
		Queue: named(declared.QueueRef), QuietFor: r.duration("spec.trigger.quietFor", declared.QuietFor),
	}
	if s := declared.Schedule; s != nil {
		trigger.Schedule = &automate.ScheduleTrigger{
			Cron: s.Cron, TimeZone: r.zone("spec.trigger.schedule.timeZone", s.TimeZone), Segment: named(s.SegmentRef),
		}
	}
	if d := declared.Date; d != nil {
		trigger.Date = &automate.DateTrigger{
			Attribute: string(d.Attribute), OffsetDays: int(d.OffsetDays), At: orDefault(string(d.At), defaultHour), EveryYear: d.EveryYear,
		}
	}
	return trigger
}

func (r *reader) step(declared *v1alpha1.RuleStep) automate.Step {
	step := automate.Step{
		Name: string(declared.Name), Next: string(declared.Next), Tag: string(declared.Tag), Untag: string(declared.Untag),
	}
	if s := declared.Send; s != nil {
		step.Send = &automate.Send{Template: s.TemplateRef.Name, Channel: s.ChannelRef.Name, Purpose: s.Purpose, Priority: string(s.Priority)}
	}
	if s := declared.Reply; s != nil {
		step.Reply = &automate.Reply{Template: s.TemplateRef.Name}
	}
	if s := declared.Publish; s != nil {
		step.Publish = &automate.Publish{Template: s.TemplateRef.Name, Channel: s.ChannelRef.Name}
	}
	if declared.Wait != nil {
		step.Wait = r.wait("spec.steps["+step.Name+"].wait", declared.Wait)
	}
	if declared.If != "" {
		step.If = &automate.If{Condition: string(declared.If), Then: string(declared.Then), Else: string(declared.Else)}
	}
	for _, b := range declared.Split {
		step.Split = append(step.Split, automate.Branch{Weight: int(b.Weight), Next: string(b.Next)})
	}
	for _, s := range declared.Set {
		step.Set = append(step.Set, automate.Assignment{Attribute: string(s.Attribute), Value: s.Value, Expression: string(s.Expression)})
	}
	if t := declared.OpenTicket; t != nil {
		step.OpenTicket = &automate.OpenTicket{Queue: t.QueueRef.Name, Priority: string(t.Priority), Subject: t.Subject}
	}
	if a := declared.Assign; a != nil {
		step.Assign = &automate.Assign{To: string(a.To)}
	}
	if n := declared.Notify; n != nil {
		step.Notify = &automate.Notify{Channel: n.ChannelRef.Name, Template: named(n.TemplateRef)}
	}
	if s := declared.Start; s != nil {
		step.Start = &automate.Start{Rule: s.RuleRef.Name}
	}
	if e := declared.Exit; e != nil {
		step.Exit = &automate.Exit{Reason: e.Reason}
	}
	return step
}

func (r *reader) wait(field string, declared *v1alpha1.WaitStep) *automate.Wait {
	wait := &automate.Wait{
		For: r.duration(field+".for", declared.For), Event: declared.Event, When: string(declared.When), Timeout: string(declared.OnTimeout),
	}
	if u := declared.Until; u != nil {
		wait.Until = &automate.Moment{
			At: string(u.At), TimeZone: r.zone(field+".until.timeZone", u.TimeZone), TimeOfDay: string(u.TimeOfDay),
			Attribute: string(u.Attribute), OffsetDays: int(u.OffsetDays),
		}
		for _, day := range u.Weekdays {
			wait.Until.Weekdays = append(wait.Until.Weekdays, string(day))
		}
	}
	return wait
}

// planBegins tells in a few words what begins an entry.
func planBegins(trigger *v1alpha1.RuleTrigger) string {
	var words []string
	switch {
	case trigger.Schedule != nil:
		words = []string{"schedule", trigger.Schedule.Cron, named(trigger.Schedule.SegmentRef)}
	case trigger.Date != nil:
		words = []string{"date", string(trigger.Date.Attribute)}
	default:
		words = []string{
			trigger.Event, named(trigger.SegmentRef), named(trigger.MonitorRef), trigger.Topic, named(trigger.CampaignRef), named(trigger.QueueRef),
		}
	}
	return strings.Join(slices.DeleteFunc(words, func(word string) bool { return word == "" }), " ")
}

func named(reference *v1alpha1.LocalReference) string {
	if reference == nil {
		return ""
	}
	return reference.Name
}

func orDefault(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
