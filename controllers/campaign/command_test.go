package campaign

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func TestWhichDecisionIsShown(t *testing.T) {
	at := time.Date(2027, 3, 21, 12, 0, 0, 500, time.UTC)
	until := at.Add(time.Hour)
	of := func(verb campaign.Verb) *store.Command {
		return &store.Command{Verb: verb, By: "ana", Token: "tertulia-admin", Reason: "the price was wrong", At: at, Affected: 3}
	}
	shown := func(verb v1alpha1.CommandVerb) *v1alpha1.CampaignCommand {
		return &v1alpha1.CampaignCommand{
			Verb: verb, By: "ana", Token: "tertulia-admin", Reason: "the price was wrong", At: metav1.NewTime(at.Truncate(time.Second)),
		}
	}
	pause := of(campaign.Pause)
	pause.Until = &until
	paused := shown("pause")
	end := metav1.NewTime(until.Truncate(time.Second))
	paused.Until = &end
	three := int64(3)
	again := shown("resend-ambiguous")
	again.Messages = &three
	for name, tc := range map[string]struct {
		last, pause *store.Command
		want        *v1alpha1.CampaignCommand
	}{
		"none":                        {nil, nil, nil},
		"a pause":                     {pause, pause, paused},
		"a pause that has ended":      {pause, nil, nil},
		"a resume":                    {of(campaign.Resume), nil, shown("resume")},
		"an abort":                    {of(campaign.Abort), nil, shown("abort")},
		"what is sent again, counted": {of(campaign.ResendAmbiguous), nil, again},
		"a pause before another":      {of(campaign.ResendAmbiguous), pause, paused},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, planCommand(store.SendStatus{Command: tc.last, Pause: tc.pause})); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
