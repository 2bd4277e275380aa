// Package governing reads what campaigns and the policies of a namespace declare alike, and tells what the policies say of the
// campaigns.
package governing

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/policy"
)

// View is what rules see of a campaign. A schedule without a zone is in the tenant's.
func View(object *v1alpha1.Campaign, tenantZone string) policy.Campaign {
	spec := object.Spec
	view := policy.Campaign{
		Name: object.Name, SendKey: spec.SendKey, Purpose: spec.Purpose, Channel: spec.ChannelRef.Name,
		Priority: string(v1alpha1.PriorityBulk), Segments: names(spec.Audience.Segments), Exclude: names(spec.Audience.Exclude),
		MaxRecipients: spec.Audience.MaxRecipients, Templates: []string{}, Cron: spec.Schedule.Cron, Rolling: spec.Audience.IsRolling(),
	}
	if spec.Priority != "" {
		view.Priority = string(spec.Priority)
	}
	for _, v := range spec.Variants {
		if !slices.Contains(view.Templates, v.TemplateRef.Name) {
			view.Templates = append(view.Templates, v.TemplateRef.Name)
		}
	}
	zone := spec.Schedule.TimeZone
	if zone == "" || zone == v1alpha1.RecipientZone {
		zone = tenantZone
	}
	// A schedule that cannot be read is told of where the send is planned.
	if schedule, err := (campaign.Timing{At: string(spec.Schedule.At), TimeZone: zone}).Parse(); err == nil {
		view.StartsAt = schedule.Once().StartsAt
		if place, err := time.LoadLocation(zone); err == nil {
			view.StartsAt = view.StartsAt.In(place)
		}
	}
	return view
}

func names(references []v1alpha1.LocalReference) []string {
	list := make([]string, 0, len(references))
	for _, r := range references {
		list = append(list, r.Name)
	}
	return list
}

// Windows are those of a campaign's hours, of a policy's quiet hours or of a team's working hours.
func Windows(declared []v1alpha1.HoursWindow) []campaign.Window {
	var windows []campaign.Window
	for _, w := range declared {
		window := campaign.Window{From: string(w.From), To: string(w.To)}
		for _, day := range w.Days {
			window.Days = append(window.Days, string(day))
		}
		windows = append(windows, window)
	}
	return windows
}

// Over tells whether a campaign has come to its end, so that no policy has anything to say about it.
func Over(object *v1alpha1.Campaign) bool {
	phase := campaign.State(object.Status.Phase)
	return phase.Final() && phase != campaign.Expired
}

// maxTold bounds how many violations an author is told at once; the rest shows when these are mended.
const maxTold = 3

// Tell joins violations into a message for the campaign's author, with the names of policies where asked for.
func Tell(violations []policy.Violation, withPolicy bool) string {
	var told []string
	for _, v := range violations[:min(len(violations), maxTold)] {
		source := ""
		switch {
		case withPolicy && v.Rule != "":
			source = fmt.Sprintf("SendPolicy %q, rule %q: ", v.Policy, v.Rule)
		case withPolicy:
			source = fmt.Sprintf("SendPolicy %q: ", v.Policy)
		case v.Rule != "":
			source = fmt.Sprintf("rule %q: ", v.Rule)
		}
		told = append(told, source+strings.TrimSuffix(v.Message, "."))
	}
	return strings.Join(told, "; ") + "."
}
