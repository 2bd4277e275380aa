package reconciling

import (
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// summarize turns the end of a pass into the conditions that kstatus reads, and into what the queue is told.
//
// Ready=True: accepted and in force. Reconciling=True: we still work on it. Stalled=True: only an edit helps. The last
// two are absent when they are not true. observedGeneration moves when a pass came to a conclusion about a generation.
func summarize(object v1alpha1.Object, inForce condition, err error, now time.Time) (ctrl.Result, error) {
	err = classify(err)
	status, generation := object.CommonStatus(), object.GetGeneration()
	set := func(kind string, value metav1.ConditionStatus, reason, message string) {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: kind, Status: value, Reason: reason, Message: message, ObservedGeneration: generation, LastTransitionTime: metav1.NewTime(now),
		})
	}
	clear := func(kinds ...string) {
		for _, kind := range kinds {
			meta.RemoveStatusCondition(&status.Conditions, kind)
		}
	}

	var stalled *Stalled
	var waiting *Waiting
	var interrupted *Interrupted
	var failed *Failed
	switch {
	case err == nil:
		status.ObservedGeneration = generation
		set(v1alpha1.ReadyCondition, metav1.ConditionTrue, inForce.reason, inForce.message)
		clear(v1alpha1.ReconcilingCondition, v1alpha1.StalledCondition)
		return ctrl.Result{}, nil
	case errors.As(err, &stalled):
		status.ObservedGeneration = generation
		set(v1alpha1.ReadyCondition, metav1.ConditionFalse, stalled.Reason, stalled.Message)
		set(v1alpha1.StalledCondition, metav1.ConditionTrue, stalled.Reason, stalled.Message)
		clear(v1alpha1.ReconcilingCondition)
		return ctrl.Result{RequeueAfter: stalled.After}, nil
	case errors.As(err, &waiting):
		status.ObservedGeneration = generation
		set(v1alpha1.ReadyCondition, metav1.ConditionFalse, waiting.Reason, waiting.Message)
		clear(v1alpha1.StalledCondition)
		if waiting.Progressing {
			set(v1alpha1.ReconcilingCondition, metav1.ConditionTrue, waiting.Reason, waiting.Message)
		} else {
			clear(v1alpha1.ReconcilingCondition)
		}
		return ctrl.Result{RequeueAfter: waiting.After}, nil
	case errors.As(err, &interrupted):
		if !interrupted.Silent && (status.ObservedGeneration != generation || waits(status)) {
			set(v1alpha1.ReadyCondition, metav1.ConditionFalse, interrupted.Reason, interrupted.Message)
			set(v1alpha1.ReconcilingCondition, metav1.ConditionTrue, interrupted.Reason, interrupted.Message)
			clear(v1alpha1.StalledCondition)
		}
		return ctrl.Result{}, interrupted.Err
	case errors.As(err, &failed):
		set(v1alpha1.ReadyCondition, metav1.ConditionFalse, failed.Reason, failed.Message)
		set(v1alpha1.ReconcilingCondition, metav1.ConditionTrue, failed.Reason, failed.Message)
		clear(v1alpha1.StalledCondition)
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, err
}

// waits tells whether the last pass ended with something that heals by itself. What is in force or stalled stays so while
// nothing can be learned; what an object waits for may be another thing by now.
func waits(s *v1alpha1.Status) bool {
	return meta.IsStatusConditionFalse(s.Conditions, v1alpha1.ReadyCondition) && !meta.IsStatusConditionTrue(s.Conditions, v1alpha1.StalledCondition)
}

// condition is what a condition says, without its type.
type condition struct {
	reason, message string
}
