package campaign

import (
	"fmt"
	"slices"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// planReferences tells whether what a campaign names is there and in force. The audience counts until it is frozen, and
// nothing counts for a send that is over.
func planReferences(found facts) error {
	state := campaign.Scheduled
	if found.send != nil {
		state = found.send.Stage()
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
