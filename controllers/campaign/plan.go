package campaign

import (
	"fmt"
	"slices"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// planSend is the send that a campaign declares. Schedules without a zone are in the tenant's.
func planSend(object *v1alpha1.Campaign, tenantZone string) (store.SendConfig, error) {
	spec := object.Spec
	zone := spec.Schedule.TimeZone
	if zone == "" {
		zone = tenantZone
	}
	schedule, err := campaign.ParseSchedule(spec.Schedule.At, zone, string(spec.Schedule.StartingDeadline))
	if err != nil {
		return store.SendConfig{}, reconciling.Stall(v1alpha1.InvalidSpecReason, "spec.schedule: %s.", err)
	}
	config := store.SendConfig{
		SendKey: spec.SendKey, Campaign: object.Name, Purpose: spec.Purpose, Channel: spec.ChannelRef.Name,
		Segments: names(spec.Audience.Segments), Exclude: names(spec.Audience.Exclude), MaxRecipients: spec.Audience.MaxRecipients,
		StartsAt: schedule.StartsAt(), Deadline: schedule.StartingDeadline(), Suspended: spec.Suspend,
	}
	for i := range spec.Variants {
		v := &spec.Variants[i]
		config.Variants = append(config.Variants, store.SendVariant{Name: v.Name, Template: v.TemplateRef.Name, Weight: v.WeightOrDefault()})
	}
	return config, nil
}

// planReferences tells whether what a campaign names is there and in force. The audience counts until it is frozen, and
// nothing counts for a send that is over.
func planReferences(found facts) error {
	state := campaign.Scheduled
	if found.send != nil {
		state = found.send.State
	}
	if state.Final() && state != campaign.Expired {
		return nil
	}
	needed := append([]reference{found.channel}, found.templates...)
	if !state.Frozen() {
		needed = append(needed, found.segments...)
	}
	for _, reference := range needed {
		if !reference.found {
			return reconciling.Wait(v1alpha1.NotFoundReason(reference.kind), "%s %q is not there: apply it, or correct the campaign that names it.",
				reference.kind, reference.name)
		}
	}
	for _, reference := range needed {
		if reference.underWay {
			// A moment later it has an answer, and this campaign is woken by it. What is in force goes on until then.
			return &reconciling.Interrupted{
				Reason: v1alpha1.DependencyNotReady, Message: fmt.Sprintf("%s %q is being looked at.", reference.kind, reference.name),
			}
		}
	}
	for _, reference := range needed {
		if !reference.settled {
			return reconciling.Wait(v1alpha1.DependencyNotReady, "%s %q is not ready: its own conditions say why.", reference.kind, reference.name)
		}
	}
	return nil
}

func names(references []v1alpha1.LocalReference) []string {
	list := make([]string, 0, len(references))
	for _, r := range references {
		list = append(list, r.Name)
	}
	return list
}

func templateNames(spec v1alpha1.CampaignSpec) []string {
	list := make([]string, 0, len(spec.Variants))
	for _, v := range spec.Variants {
		list = append(list, v.TemplateRef.Name)
	}
	return unique(list)
}

func segmentNames(spec v1alpha1.CampaignSpec) []string {
	return unique(append(names(spec.Audience.Segments), names(spec.Audience.Exclude)...))
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
