package automationrule

import (
	"context"
	"fmt"
	"slices"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// The kinds that rules name, by which a rule is found when what it names changes.
const (
	segmentKind  = "Segment"
	templateKind = "MessageTemplate"
	channelKind  = "MessageChannel"
	monitorKind  = "Monitor"
	campaignKind = "Campaign"
	queueKind    = "ServiceQueue"
	ruleKind     = "AutomationRule"
)

// references are the names of objects in a rule, by kind.
type references map[string][]string

// referencesOf lists what a rule names, also in its expressions.
func referencesOf(spec *v1alpha1.AutomationRuleSpec) references {
	found := references{}
	found.add(segmentKind, spec.Trigger.SegmentRef)
	found.add(monitorKind, spec.Trigger.MonitorRef)
	found.add(campaignKind, spec.Trigger.CampaignRef)
	found.add(queueKind, spec.Trigger.QueueRef)
	if spec.Trigger.Schedule != nil {
		found.add(segmentKind, spec.Trigger.Schedule.SegmentRef)
	}
	for i := range spec.Steps {
		found.addStep(&spec.Steps[i])
	}
	for _, expression := range expressionsOf(spec) {
		for _, reference := range expr.References(string(expression.text)) {
			found[segmentKind] = append(found[segmentKind], reference.Segment)
		}
	}
	for kind, names := range found {
		slices.Sort(names)
		found[kind] = slices.Compact(names)
	}
	return found
}

// expression is one of a rule's, with where it stands.
type expression struct {
	step, field string // as in automate.Issue
	text        v1alpha1.RuleExpression
}

// expressionsOf lists the expressions of a rule.
func expressionsOf(spec *v1alpha1.AutomationRuleSpec) []expression {
	list := []expression{{"", "when", spec.When}, {"", "exit", spec.Exit}}
	for i := range spec.Steps {
		step := &spec.Steps[i]
		name := string(step.Name)
		list = append(list, expression{name, "if", step.If})
		if step.Wait != nil {
			list = append(list, expression{name, "wait.when", step.Wait.When})
		}
		for _, s := range step.Set {
			list = append(list, expression{name, "set." + string(s.Attribute), s.Expression})
		}
	}
	return list
}

// planAsked finds the segments for whose membership expressions ask and that are not there.
func planAsked(spec *v1alpha1.AutomationRuleSpec, segments []string) (missing []automate.Issue) {
	for _, expression := range expressionsOf(spec) {
		for _, reference := range expr.References(string(expression.text)) {
			if !slices.Contains(segments, reference.Segment) {
				missing = append(missing, automate.Issue{
					Step: expression.step, Field: expression.field, Line: reference.Line, Column: reference.Column,
					Message: fmt.Sprintf("there is no Segment %q%s", reference.Segment, crm.DidYouMean(reference.Segment, segments)),
					Missing: automate.SegmentKind, Name: reference.Segment,
				})
			}
		}
	}
	return missing
}

// starts are the rules that a rule starts without a wait; of one that cannot be read, none.
func starts(object *v1alpha1.AutomationRule) []string {
	rule, err := Read(&object.Spec)
	if err != nil {
		return nil
	}
	return automate.Starts(rule)
}

// starters wakes the rules that start a rule, also over others: whether they lead back to themselves may have changed for each of them.
func starters(reader client.Reader) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		var requests []reconcile.Request
		seen := map[string]bool{o.GetName(): true}
		for queue := []string{o.GetName()}; len(queue) > 0; queue = queue[1:] {
			var list v1alpha1.AutomationRuleList
			named := client.MatchingFields{indexPrefix + ruleKind: queue[0]}
			if err := reader.List(ctx, &list, client.InNamespace(o.GetNamespace()), named, client.UnsafeDisableDeepCopy); err != nil {
				return requests // a cache that cannot be read has been stopped
			}
			for i := range list.Items {
				if name := list.Items[i].Name; !seen[name] {
					seen[name] = true
					queue = append(queue, name)
					requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
				}
			}
		}
		return requests
	})
}

func (r references) addStep(step *v1alpha1.RuleStep) {
	if s := step.Send; s != nil {
		r.add(templateKind, &s.TemplateRef)
		r.add(channelKind, &s.ChannelRef)
	}
	if s := step.Reply; s != nil {
		r.add(templateKind, &s.TemplateRef)
	}
	if s := step.Publish; s != nil {
		r.add(templateKind, &s.TemplateRef)
		r.add(channelKind, &s.ChannelRef)
	}
	if t := step.OpenTicket; t != nil {
		r.add(queueKind, &t.QueueRef)
	}
	if n := step.Notify; n != nil {
		r.add(templateKind, n.TemplateRef)
		r.add(channelKind, &n.ChannelRef)
	}
	if s := step.Start; s != nil {
		r.add(ruleKind, &s.RuleRef)
	}
}

func (r references) add(kind string, reference *v1alpha1.LocalReference) {
	if reference != nil {
		r[kind] = append(r[kind], reference.Name)
	}
}
