package policy

import (
	"fmt"
	"slices"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// Violation is one way in which a campaign breaks a policy.
type Violation struct {
	Policy  string
	Rule    string // "" for the largest audience
	Message string
}

// For tells whether a policy is for the messages of a purpose.
func (p SendPolicy) For(purpose string) bool {
	return !p.Suspended && (len(p.Purposes) == 0 || slices.Contains(p.Purposes, purpose)) && !slices.Contains(p.Exempt, purpose)
}

// Judge tells how a campaign breaks a policy.
func (p SendPolicy) Judge(c Campaign) []Violation { return p.Judging()(c) }

// Judging prepares a policy to judge many campaigns, one after the other. A rule that was written for another release and is not understood any
// more is broken by all of them until its author has mended it.
func (p SendPolicy) Judging() func(Campaign) []Violation {
	judges := make([]func(Campaign) string, len(p.Rules))
	for i, rule := range p.Rules {
		compiled, err := rule.Compile()
		if err != nil {
			judges[i] = func(Campaign) string { return rule.unanswered(err) }
			continue
		}
		judges[i] = compiled.Judge
	}
	return func(c Campaign) (found []Violation) {
		if !p.For(c.Purpose) {
			return nil
		}
		if p.MaxAudience > 0 && c.MaxRecipients > p.MaxAudience {
			found = append(found, Violation{
				Policy:  p.Name,
				Message: fmt.Sprintf("spec.audience.maxRecipients is %d and the policy allows %d: lower it.", c.MaxRecipients, p.MaxAudience),
			})
		}
		for i, judge := range judges {
			if message := judge(c); message != "" {
				found = append(found, Violation{Policy: p.Name, Rule: p.Rules[i].Name, Message: message})
			}
		}
		return found
	}
}

// JudgePurpose tells why a campaign may not have its purpose; "" where it may. Without any known purpose, each may be used.
func JudgePurpose(purpose string, known []string) string {
	if len(known) == 0 || slices.Contains(known, purpose) {
		return ""
	}
	return fmt.Sprintf("spec.purpose: no ConsentPolicy has the purpose %q%s", purpose, crm.DidYouMean(purpose, known))
}
