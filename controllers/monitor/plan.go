package monitor

import (
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/listening"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Bounds of how long an incident stays open when nothing is unusual any more. Longer than the longest it would become usual first.
const (
	shortestCoolDown = 30 * time.Minute
	longestCoolDown  = 3 * 24 * time.Hour
)

// planMonitor is what a monitor puts in force. Its topics can be looked for.
func planMonitor(object *v1alpha1.Monitor) (store.Monitor, error) {
	spec := &object.Spec
	planned := store.Monitor{Name: object.Name, Suspended: spec.Suspend}
	var topics []match.Topic
	for i := range spec.Topics {
		topic, err := planTopic(&spec.Topics[i])
		if err != nil {
			return planned, err
		}
		planned.Topics = append(planned.Topics, topic)
		topics = append(topics, topic.Definition)
	}
	if err := listening.Check("spec.topics", topics); err != nil {
		return planned, err
	}
	for _, s := range spec.Sources {
		planned.Sources = append(planned.Sources, s.Name)
	}
	for _, a := range spec.Accounts {
		planned.Accounts = append(planned.Accounts, string(a))
	}
	return planned, planCrisis(spec.Crisis, &planned)
}

// planTopic is a topic as posts are searched for it.
func planTopic(declared *v1alpha1.MonitorTopic) (store.MonitorTopic, error) {
	topic := store.MonitorTopic{Role: store.TopicRole(declared.Role), Definition: match.Topic{Name: declared.Name}}
	field := "spec.topics " + declared.Name
	switch topic.Role {
	case store.BrandTopic, store.ProductTopic, store.CompetitorTopic:
	default:
		return topic, reconciling.UnknownToOperator(field+": role", string(declared.Role))
	}
	for _, list := range []struct {
		name     string
		declared []v1alpha1.TopicTerm
		into     *[]match.Term
	}{
		{"any", declared.Any, &topic.Definition.Any},
		{"with", declared.With, &topic.Definition.With},
		{"none", declared.None, &topic.Definition.None},
		{"except", declared.Except, &topic.Definition.Except},
	} {
		terms, err := listening.Terms(field+": "+list.name, list.declared)
		if err != nil {
			return topic, err
		}
		*list.into = terms
	}
	return topic, nil
}

// planCrisis reads from when on it is a crisis. What is left out is as usual.
func planCrisis(declared *v1alpha1.CrisisSettings, planned *store.Monitor) error {
	if declared == nil {
		return nil
	}
	planned.Crisis.MinNegatives, planned.Crisis.MinAuthors = int(declared.MinNegatives), int(declared.MinAuthors)
	if declared.TimeZone != "" {
		if _, err := crm.ParseZone(declared.TimeZone); err != nil {
			return reconciling.Stall(v1alpha1.InvalidSpecReason, "spec.crisis.timeZone: %s.", err)
		}
		planned.TimeZone = declared.TimeZone
	}
	if declared.CoolDown == "" {
		return nil
	}
	coolDown, err := campaign.ParseDuration(string(declared.CoolDown))
	if err != nil {
		return reconciling.Stall(v1alpha1.InvalidSpecReason, "spec.crisis.coolDown: %s.", err)
	}
	if coolDown < shortestCoolDown || coolDown > longestCoolDown {
		return reconciling.Stall(v1alpha1.InvalidSpecReason, "spec.crisis.coolDown is not between 30m and 3d: correct it.")
	}
	planned.Crisis.CoolDown = coolDown
	return nil
}

// planSources waits for sources that are named and not there.
func planSources(object *v1alpha1.Monitor, sources []v1alpha1.SocialSource) error {
	for _, named := range object.Spec.Sources {
		if !slices.ContainsFunc(sources, func(s v1alpha1.SocialSource) bool { return s.Name == named.Name && s.DeletionTimestamp.IsZero() }) {
			return reconciling.Wait(v1alpha1.NotFoundReason("SocialSource"),
				"SocialSource %q, which spec.sources names, is not there: apply it, or correct the name.", named.Name)
		}
	}
	return nil
}

// planShare stalls a monitor for which there is no room: each post is searched for the topics of all monitors of a tenant together.
// Those that were there first have theirs, and suspended ones need none.
func planShare(object *v1alpha1.Monitor, all []v1alpha1.Monitor) error {
	topics, terms := len(object.Spec.Topics), listening.Count(object.Spec.Topics)
	for i := range all {
		other := &all[i]
		if other.Name != object.Name && other.DeletionTimestamp.IsZero() && !other.Spec.Suspend && isBefore(other, object) {
			topics += len(other.Spec.Topics)
			terms += listening.Count(other.Spec.Topics)
		}
	}
	if object.Spec.Suspend || topics <= match.MaxTopics && terms <= match.MaxTotalTerms {
		return nil
	}
	return reconciling.Stall(v1alpha1.TooManyTermsReason,
		"The monitors of the namespace that were there first and this one have %d topics with %d terms together, more than %d with %d: "+
			"take some out of this one, or suspend another.", topics, terms, match.MaxTopics, match.MaxTotalTerms)
}

func isBefore(a, b *v1alpha1.Monitor) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.CreationTimestamp.Before(&b.CreationTimestamp)
	}
	return a.Name < b.Name
}
