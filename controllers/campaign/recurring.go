package campaign

import (
	"strconv"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// planSchedule fills in what a status says of the schedule: what comes next, and whose numbers these are.
func planSchedule(status *v1alpha1.CampaignStatus, send store.SendStatus) {
	status.ScheduledFor = seconds(&send.StartsAt)
	if !send.Recurs {
		return
	}
	status.ScheduledFor = seconds(send.NextAt)
	if send.Occurrence != "" {
		status.Occurrence, status.LastPhase = send.Occurrence, v1alpha1.CampaignPhase(send.State)
	}
}

// planWinner is what a status says of the variant that was chosen; nil while there is none.
func planWinner(decision *campaign.Decision) *v1alpha1.CampaignWinner {
	if decision == nil || decision.Winner >= len(decision.Responses) {
		return nil
	}
	winner := &v1alpha1.CampaignWinner{
		Variant: decision.Responses[decision.Winner].Variant, Significant: decision.Significant, P: probability(decision.P),
	}
	for i, r := range decision.Responses {
		result := v1alpha1.VariantResult{Name: r.Variant, Sent: r.Sent, Answers: r.Answers}
		if i != decision.Winner {
			result.P = probability(decision.Against[i])
		}
		winner.Results = append(winner.Results, result)
	}
	return winner
}

func probability(p float64) string { return strconv.FormatFloat(p, 'f', 4, 64) }
