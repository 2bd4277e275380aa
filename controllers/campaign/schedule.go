package campaign

import (
	"time"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/governing"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// planSend is the send that a campaign declares at a moment. Schedules without a zone are in the tenant's.
func planSend(object *v1alpha1.Campaign, tenantZone string, now time.Time) (store.SendConfig, error) {
	spec := object.Spec
	timing := planTiming(spec.Schedule, tenantZone)
	schedule, err := timing.Parse()
	if err != nil {
		return store.SendConfig{}, reconciling.Stall(v1alpha1.InvalidSpecReason, "spec.schedule: %s.", err)
	}
	config := store.SendConfig{
		SendKey: spec.SendKey, Campaign: object.Name, Purpose: spec.Purpose, Channel: spec.ChannelRef.Name,
		Segments: names(spec.Audience.Segments), Exclude: names(spec.Audience.Exclude), MaxRecipients: spec.Audience.MaxRecipients,
		Rolling: spec.Audience.IsRolling(), AddsOnEdit: spec.Audience.OnDefinitionChange == v1alpha1.AddOnDefinitionChange,
		HoldOut: int(spec.HoldOut), Timing: timing, EndsAt: schedule.EndsAt(), Suspended: spec.Suspend,
	}
	if spec.Priority == v1alpha1.PriorityTransactional {
		config.Priority = campaign.Transactional
	}
	if spec.Tracking != nil {
		config.Tracking = store.Tracking{Opens: spec.Tracking.Opens, Clicks: spec.Tracking.Clicks}
	}
	if spec.Publication != nil {
		config.Publication = planPublication(spec.Publication)
		config.MaxRecipients = int64(config.Publication.Posts())
	}
	if config.Test, err = planTest(spec); err != nil {
		return store.SendConfig{}, err
	}
	for i := range spec.Variants {
		v := &spec.Variants[i]
		config.Variants = append(config.Variants, store.SendVariant{Name: v.Name, Template: v.TemplateRef.Name, Weight: v.WeightOrDefault()})
	}
	next := schedule.Once()
	if schedule.Recurs() {
		next, _ = schedule.Upcoming(now) // none where it has ended
	}
	config.NextOccurrence, config.StartsAt, config.Deadline = next.Local, next.StartsAt, next.Deadline
	return config, nil
}

func planTiming(schedule v1alpha1.Schedule, tenantZone string) campaign.Timing {
	timing := campaign.Timing{
		At: string(schedule.At), Cron: schedule.Cron, TimeZone: schedule.TimeZone,
		StartingDeadline: string(schedule.StartingDeadline), EndsAt: string(schedule.EndsAt),
	}
	timing.PerRecipient = timing.TimeZone == v1alpha1.RecipientZone
	if timing.TimeZone == "" || timing.PerRecipient {
		timing.TimeZone = tenantZone
	}
	if schedule.Hours == nil {
		return timing
	}
	timing.Hours = &campaign.Hours{TimeZone: schedule.Hours.TimeZone}
	switch {
	case timing.Hours.TimeZone == v1alpha1.RecipientZone || timing.Hours.TimeZone == "" && timing.PerRecipient:
		timing.Hours.TimeZone = ""
	case timing.Hours.TimeZone == "":
		timing.Hours.TimeZone = timing.TimeZone
	}
	timing.Hours.Open = governing.Windows(schedule.Hours.Open)
	return timing
}

// planTest is how the best variant is found; nil for a campaign that looks for none. What nobody counts cannot be compared.
func planTest(spec v1alpha1.CampaignSpec) (*campaign.Test, error) {
	if spec.Winner == nil {
		return nil, nil
	}
	test := &campaign.Test{Metric: campaign.Metric(spec.Winner.Metric), Share: int(spec.Winner.Share)}
	field, counted := "opens", spec.Tracking != nil && spec.Tracking.Opens
	if test.Metric == campaign.Clicked {
		field, counted = "clicks", spec.Tracking != nil && spec.Tracking.Clicks
	}
	if !counted {
		return nil, reconciling.Stall(v1alpha1.InvalidSpecReason,
			"spec.winner.metric is %s, which nobody counts: set spec.tracking.%s to true, or remove spec.winner.", test.Metric, field)
	}
	after, err := campaign.ParseDuration(string(spec.Winner.After))
	if err != nil {
		return nil, reconciling.Stall(v1alpha1.InvalidSpecReason, "spec.winner.after: %s.", err)
	}
	test.AfterSeconds = int64(after / time.Second)
	return test, nil
}
