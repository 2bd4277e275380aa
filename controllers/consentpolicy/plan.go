package consentpolicy

import (
	"slices"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/policy"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	day = 24 * time.Hour
	// defaultValidity is how long the link in a confirmation mail can be followed, and longestValidity how long it may be.
	defaultValidity = 7 * day
	longestValidity = 90 * day
	// defaultRequests is how long a request that nobody confirmed is kept.
	defaultRequests = 30 * day
)

// planPolicy is what a policy puts in force.
func planPolicy(object *v1alpha1.ConsentPolicy) (store.ConsentPolicy, error) {
	spec := object.Spec
	planned := store.ConsentPolicy{Name: object.Name, ValidFor: defaultValidity, KeepRequests: defaultRequests, Suspended: spec.Suspend}
	if c := spec.Confirmation; c != nil {
		planned.Template, planned.Channel = c.TemplateRef.Name, c.ChannelRef.Name
		if err := duration("spec.confirmation.validFor", c.ValidFor, longestValidity, &planned.ValidFor); err != nil {
			return planned, err
		}
	}
	if r := spec.Retention; r != nil {
		const longest = 100 * 366 * day
		if err := duration("spec.retention.unconfirmedRequests", r.UnconfirmedRequests, longest, &planned.KeepRequests); err != nil {
			return planned, err
		}
		if err := duration("spec.retention.endedProofs", r.EndedProofs, longest, &planned.KeepProofs); err != nil {
			return planned, err
		}
	}
	if planned.KeepRequests < planned.ValidFor {
		return planned, reconciling.Stall(v1alpha1.InvalidSpecReason,
			"spec.retention.unconfirmedRequests is shorter than the link in the mail is valid: lengthen it, or shorten spec.confirmation.validFor.")
	}
	for i := range spec.Purposes {
		purpose, err := planPurpose(&spec.Purposes[i])
		if err != nil {
			return planned, err
		}
		planned.Purposes = append(planned.Purposes, purpose)
	}
	return planned, nil
}

// duration reads a duration into a field that holds its default.
func duration(field string, text v1alpha1.Duration, longest time.Duration, into *time.Duration) error {
	if text == "" {
		return nil
	}
	d, err := campaign.ParseDuration(string(text))
	if err != nil {
		return reconciling.Stall(v1alpha1.InvalidSpecReason, "%s: %s.", field, err)
	}
	if d <= 0 || d > longest {
		return reconciling.Stall(v1alpha1.InvalidSpecReason, "%s: must be longer than nothing and at most %dd.", field, int(longest/day))
	}
	*into = d
	return nil
}

func planPurpose(declared *v1alpha1.ConsentPurpose) (store.Purpose, error) {
	purpose := store.Purpose{Name: string(declared.Name), Basis: policy.Basis(declared.Basis), DoubleOptIn: declared.DoubleOptIn}
	switch purpose.Basis {
	case policy.Consent, policy.Contract, policy.LegitimateInterest, policy.LegalObligation:
	default:
		return purpose, reconciling.UnknownToOperator("The basis of purpose "+purpose.Name, string(declared.Basis))
	}
	for _, l := range declared.Labels {
		purpose.Labels = append(purpose.Labels, store.PurposeLabel{Locale: string(l.Locale), Label: l.Label, Description: l.Description})
	}
	if declared.Text != nil {
		purpose.TextVersion = declared.Text.Version
		for _, c := range declared.Text.Content {
			purpose.Texts = append(purpose.Texts, store.ConsentText{Locale: string(c.Locale), Content: c.Content})
		}
		slices.SortFunc(purpose.Texts, func(a, b store.ConsentText) int { return strings.Compare(a.Locale, b.Locale) })
	}
	return purpose, nil
}

// planMail tells whether the mail that asks for confirmations can be written.
func planMail(template *v1alpha1.MessageTemplate, channel *v1alpha1.MessageChannel, c *v1alpha1.Confirmation) error {
	switch {
	case template == nil:
		return missing("MessageTemplate", c.TemplateRef.Name)
	case channel == nil:
		return missing("MessageChannel", c.ChannelRef.Name)
	case !reconciling.IsSettled(template):
		return notReady("MessageTemplate", template.Name)
	case !reconciling.IsSettled(channel):
		return notReady("MessageChannel", channel.Name)
	case !slices.Contains(template.Status.Variables, render.ConfirmURL):
		return reconciling.Wait(v1alpha1.TemplateInvalidReason,
			"MessageTemplate %q does not show {{ %s }}: without it nobody can confirm. Add it, or name another template.", template.Name, render.ConfirmURL)
	case channel.Spec.Type != v1alpha1.EmailChannel:
		return reconciling.Stall(v1alpha1.InvalidSpecReason,
			"spec.confirmation.channelRef: MessageChannel %q sends no mail: name a channel of type Email.", channel.Name)
	}
	return nil
}

func missing(kind, name string) error {
	return reconciling.Wait(v1alpha1.NotFoundReason(kind), "%s %q is not there: apply it, or correct spec.confirmation.", kind, name)
}

func notReady(kind, name string) error {
	return reconciling.Wait(v1alpha1.DependencyNotReady, "%s %q is not ready: its own conditions say why.", kind, name)
}
