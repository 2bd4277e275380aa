package main

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

func TestNotReady(t *testing.T) {
	condition := func(kind string, status metav1.ConditionStatus) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: "Reason", Message: "Message."}
	}
	for name, c := range map[string]struct {
		observed   int64
		conditions []metav1.Condition
		missing    string
		stalled    bool
	}{
		"in force":                 {observed: 2, conditions: []metav1.Condition{condition("Ready", metav1.ConditionTrue)}},
		"an older generation":      {observed: 1, conditions: []metav1.Condition{condition("Ready", metav1.ConditionTrue)}, missing: "segment/x has not been looked at"},
		"nothing said yet":         {observed: 2, missing: "segment/x has no condition"},
		"waiting":                  {observed: 2, conditions: []metav1.Condition{condition("Ready", metav1.ConditionFalse)}, missing: "segment/x is not ready (Reason): Message."},
		"what only an edit mends":  {observed: 2, conditions: []metav1.Condition{condition("Stalled", metav1.ConditionTrue)}, stalled: true},
		"stalled once, not so now": {observed: 2, conditions: []metav1.Condition{condition("Stalled", metav1.ConditionFalse), condition("Ready", metav1.ConditionTrue)}},
	} {
		t.Run(name, func(t *testing.T) {
			segment := &v1alpha1.Segment{ObjectMeta: metav1.ObjectMeta{Name: "x", Generation: 2}}
			segment.Status.ObservedGeneration, segment.Status.Conditions = c.observed, c.conditions
			missing, err := notReady(segment)
			if missing != c.missing || (err != nil) != c.stalled {
				t.Errorf("notReady: %q, %v; want %q, stalled %v", missing, err, c.missing, c.stalled)
			}
		})
	}
}

func TestUnfinished(t *testing.T) {
	for phase, want := range map[v1alpha1.CampaignPhase]struct{ done, fails bool }{
		v1alpha1.CampaignScheduled: {}, v1alpha1.CampaignFreezing: {}, v1alpha1.CampaignSending: {},
		v1alpha1.CampaignCompleted: {done: true},
		v1alpha1.CampaignHeld:      {fails: true}, v1alpha1.CampaignExpired: {fails: true}, v1alpha1.CampaignPaused: {fails: true},
	} {
		t.Run(string(phase), func(t *testing.T) {
			missing, err := unfinished(&v1alpha1.Campaign{Status: v1alpha1.CampaignStatus{Phase: phase}})
			if done := missing == "" && err == nil; done != want.done || (err != nil) != want.fails {
				t.Errorf("unfinished: %q, %v", missing, err)
			}
		})
	}
}

func TestImportedLeavesOutWhatIsNought(t *testing.T) {
	for want, result := range map[string]imported{
		"10,000 new":                            {Created: 10_000},
		"3 new, 2 there already":                {Accepted: 3, Duplicate: 2},
		"1 new, 4 changed, 1,000 there already": {Created: 1, Updated: 4, Unchanged: 1000},
	} {
		if got := result.String(); got != want {
			t.Errorf("%+v reads %q, want %q", result, got, want)
		}
	}
}
