package monitor

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// counts: a status is written at most once a minute because posts came in. That a baseline is ready, and that an incident opens or
// closes, is written at once.
var counts = reconciling.Counts{Every: time.Minute, Settle: 3 * time.Second, Strip: withoutCounts}

// withoutCounts removes the numbers.
func withoutCounts(o v1alpha1.Object) {
	status := &o.(*v1alpha1.Monitor).Status
	status.Preparing, status.Mentions24h, status.NegativePercent = nil, nil, nil
}

// forgets is how often it is looked which mentions are not of the last 24 hours any more. Workers tell what comes in, and not that
// nothing does.
const forgets = time.Hour

// report writes what is known of a monitor that is in force as it is declared.
func report(pass *reconciling.Pass, object *v1alpha1.Monitor, state store.MonitorState, fed, asleep bool) {
	reportCounts(pass, object, state)
	switch {
	case object.Spec.Suspend:
		pass.InForce("Nothing is looked for, and no alarm raised, while spec.suspend is true. What was counted stays.")
	case asleep:
		pass.InForce("Nothing is looked for, and no alarm raised, while the CRMTenant is suspended. What was counted stays.")
	case !fed:
		pass.InForce("The topics are looked for in what sources bring, and the namespace has no SocialSource yet.")
	default:
		pass.InForce("The topics are looked for in what sources bring.")
	}
}

// reportCounts writes what was counted, and the incidents.
func reportCounts(pass *reconciling.Pass, object *v1alpha1.Monitor, state store.MonitorState) {
	status := &object.Status
	before := value(status.OpenIncidents)
	topics, preparing, open := int32(state.Topics), int32(state.Preparing), int32(state.OpenIncidents)
	status.Topics, status.Preparing, status.OpenIncidents = &topics, &preparing, &open
	status.Mentions24h, status.NegativePercent = &state.Mentions24h, percent(state.Negatives24h, state.Mentions24h)
	status.Baseline = v1alpha1.BaselineLearning
	if state.Ready {
		status.Baseline = v1alpha1.BaselineReady
	}
	if state.Mentions24h > 0 {
		pass.LookAgainAfter(forgets)
	}
	reportIncidents(pass, object.Name, before, open)
}

// reportIncidents tells that negative mentions burst, and that they do not any more.
func reportIncidents(pass *reconciling.Pass, monitor string, before, open int32) {
	told := "Negative mentions burst: more people complain than is usual at this hour. Since when, and what about: tertulia monitor incidents " + monitor + "."
	if open > before {
		pass.Happened(corev1.EventTypeWarning, v1alpha1.IncidentOpenedReason, told)
	}
	if open > 0 {
		pass.Condition(v1alpha1.CrisisCondition, metav1.ConditionTrue, v1alpha1.IncidentOpenReason, told)
		return
	}
	if before > 0 {
		pass.Happened(corev1.EventTypeNormal, v1alpha1.IncidentsClosedReason, "Negative mentions are as usual again.")
	}
	pass.WithoutCondition(v1alpha1.CrisisCondition)
}

func value(n *int32) int32 {
	if n == nil {
		return 0
	}
	return *n
}

// percent is a share as people read it; nil of nothing.
func percent(part, whole int64) *int32 {
	if whole <= 0 {
		return nil
	}
	share := int32((100*part + whole/2) / whole)
	return &share
}
