package automationrule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/service"
)

// maxIssues bounds how many mistakes a condition tells at once, and maxMessage how long it gets: an API server takes 32 KiB.
const (
	maxIssues  = 20
	maxMessage = 8 << 10
)

// planAcceptance tells whether a rule can be carried out, with all that is wrong with it.
func planAcceptance(object *v1alpha1.AutomationRule, rule automate.Rule, found facts) error {
	if err := planVersion(&object.Spec, rule); err != nil {
		return err
	}
	wrong, err := planIssues(object, rule, found)
	if err != nil {
		return err
	}
	switch {
	case wrong != nil && wrong.Waits():
		return reconciling.Wait(v1alpha1.NotFoundReason(string(wrong.Issues[0].Missing)), "%s", tell(wrong.Issues))
	case wrong != nil && found.changes:
		// What it speaks of may be on its way: manifests arrive in any order.
		return errSchemaUnderWay
	case wrong != nil:
		return reconciling.Stall(planReason(wrong.Issues), "%s", tell(wrong.Issues))
	}
	return planDependencies(found.needed)
}

var errSchemaUnderWay error = &reconciling.Waiting{
	Reason: v1alpha1.DependencyNotReady, Progressing: true,
	Message: "The record and event types and the consent policies of the namespace are not in force yet.",
}

// planIssues finds all that is wrong with a rule; nil where nothing is.
func planIssues(object *v1alpha1.AutomationRule, rule automate.Rule, found facts) (*automate.Error, error) {
	var issues []automate.Issue
	err := automate.Check(rule, found.known)
	var wrong *automate.Error
	switch {
	case errors.As(err, &wrong):
		issues = wrong.Issues
	case err != nil:
		return nil, fmt.Errorf("check rule %q: %w", object.Name, err)
	}
	if slices.ContainsFunc(issues, func(i automate.Issue) bool { return i.Missing == automate.EventTypeKind }) {
		// As long as nobody knows what an event tells, what expressions ask of it cannot be judged.
		issues = slices.DeleteFunc(slices.Clone(issues), func(i automate.Issue) bool { return i.Line > 0 })
	}
	issues = slices.Concat(issues, planAsked(&object.Spec, found.known.Segments), planMails(rule, found.posts))
	if len(issues) == 0 {
		return nil, nil
	}
	return &automate.Error{Issues: issues}, nil
}

// planMails finds mails that would have no subject: their templates are for social networks.
func planMails(rule automate.Rule, posts []string) (wrong []automate.Issue) {
	for _, step := range rule.Steps {
		if step.Send != nil && slices.Contains(posts, step.Send.Template) {
			wrong = append(wrong, automate.Issue{
				Step: step.Name, Field: "send.templateRef",
				Message: fmt.Sprintf("MessageTemplate %q has no subject in some locale, and a mail needs one: write it, or name another template",
					step.Send.Template),
			})
		}
	}
	return wrong
}

// planVersion waits for an operator that knows what the rule says, where this one is older than the kind.
func planVersion(spec *v1alpha1.AutomationRuleSpec, rule automate.Rule) error {
	type choice struct{ field, value string }
	unknown := func(c choice, known ...string) bool { return c.value != "" && !slices.Contains(known, c.value) }
	if c := (choice{"spec.onEdit", string(spec.OnEdit)}); unknown(c, string(v1alpha1.FinishOnEdit), string(v1alpha1.MoveOnEdit)) {
		return reconciling.UnknownToOperator(c.field, c.value)
	}
	if c := (choice{"spec.trigger.onDefinitionChange", string(spec.Trigger.OnDefinitionChange)}); unknown(c,
		string(v1alpha1.IgnoreOnDefinitionChange), string(v1alpha1.AddOnDefinitionChange)) {
		return reconciling.UnknownToOperator(c.field, c.value)
	}
	if spec.Reentry != nil {
		c := choice{"spec.reentry.mode", string(spec.Reentry.Mode)}
		if unknown(c, string(v1alpha1.ReentryNever), string(v1alpha1.ReentryAfter), string(v1alpha1.ReentryAlways)) {
			return reconciling.UnknownToOperator(c.field, c.value)
		}
	}
	for _, step := range rule.Steps {
		// The API server takes no step without a verb: it is one that this operator does not see.
		if step.Verb() == "" {
			return reconciling.UnknownToOperator("spec.steps: what is done in step", step.Name)
		}
		if t := step.OpenTicket; t != nil && t.Priority != "" && service.Priority(t.Priority).Rank() < 0 {
			return reconciling.UnknownToOperator("spec.steps["+step.Name+"].openTicket.priority", t.Priority)
		}
	}
	return nil
}

// planReason is the condition's reason: that of expressions where nothing else is wrong.
func planReason(issues []automate.Issue) string {
	for _, issue := range issues {
		if issue.Line == 0 && issue.Missing == "" {
			return v1alpha1.RuleInvalidReason
		}
	}
	return v1alpha1.ExpressionInvalidReason
}

// planDependencies waits for what the rule names and is not in force. A rule that is in force goes on meanwhile.
func planDependencies(needed []dependency) error {
	for _, d := range needed {
		if d.underWay {
			// A moment later it has an answer, and this rule is woken by it.
			return &reconciling.Interrupted{Reason: v1alpha1.DependencyNotReady, Message: fmt.Sprintf("%s %q is being looked at.", d.kind, d.name)}
		}
	}
	for _, d := range needed {
		if !d.settled {
			return &reconciling.Interrupted{
				Reason: v1alpha1.DependencyNotReady, Message: fmt.Sprintf("%s %q is not ready: its own conditions say why.", d.kind, d.name),
			}
		}
	}
	return nil
}

// tell lists what is wrong, with where it stands in the manifest: all of it, within what a condition holds.
func tell(issues []automate.Issue) string {
	var lines []string
	size := 0
	for i, issue := range issues {
		line := place(issue) + strings.TrimSuffix(issue.Message, ".")
		if i == maxIssues || size+len(line) > maxMessage {
			lines = append(lines, fmt.Sprintf("and %d more", len(issues)-i))
			break
		}
		lines = append(lines, line)
		size += len(line)
	}
	return strings.Join(lines, "; ")
}

// place is where an issue stands, such as "spec.steps[week].wait.for: ".
func place(issue automate.Issue) string {
	path := "spec"
	if issue.Step != "" {
		path += ".steps[" + issue.Step + "]"
	}
	if issue.Field != "" {
		path += "." + issue.Field
	}
	if issue.Line > 0 {
		return fmt.Sprintf("%s: %d:%d: ", path, issue.Line, issue.Column)
	}
	return path + ": "
}
