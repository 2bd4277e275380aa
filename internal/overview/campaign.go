package overview

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// planSending counts a campaign that is being sent. The rate is that since the event which told that sending began; a
// cluster keeps events for an hour or so, and without it no rate is guessed.
func planSending(c *v1alpha1.Campaign, began, now time.Time) Sending {
	s := Sending{
		Campaign: c.Name, Planned: ptr.Deref(c.Status.Planned, 0), Sent: ptr.Deref(c.Status.Sent, 0), Failed: ptr.Deref(c.Status.Failed, 0),
		Ambiguous: ptr.Deref(c.Status.Ambiguous, 0), Skipped: ptr.Deref(c.Status.Skipped, 0), Pending: ptr.Deref(c.Status.Pending, 0),
	}
	took := now.Sub(began)
	if began.IsZero() || took < time.Second || s.Sent == 0 {
		return s
	}
	s.Rate = float64(s.Sent) / took.Seconds()
	s.Left = time.Duration(float64(s.Pending) / s.Rate * float64(time.Second)).Round(time.Second)
	return s
}

// planFinished lists the campaigns that are over, the newest first.
func planFinished(objects []v1alpha1.Object) []Finished {
	var over []Finished
	for _, o := range objects {
		c, ok := o.(*v1alpha1.Campaign)
		if !ok || c.Status.Phase != v1alpha1.CampaignCompleted && c.Status.Phase != v1alpha1.CampaignAborted || c.Status.FinishedAt == nil {
			continue
		}
		over = append(over, Finished{
			Campaign: c.Name, At: c.Status.FinishedAt.UTC(), Planned: ptr.Deref(c.Status.Planned, 0), Sent: ptr.Deref(c.Status.Sent, 0),
			Failed: ptr.Deref(c.Status.Failed, 0), Ambiguous: ptr.Deref(c.Status.Ambiguous, 0), Skipped: ptr.Deref(c.Status.Skipped, 0),
		})
	}
	slices.SortFunc(over, func(a, b Finished) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(a.Campaign, b.Campaign)) })
	return over
}

// sendingBegan finds when campaigns began to be sent, by their names.
func sendingBegan(events []corev1.Event) map[string]time.Time {
	began := map[string]time.Time{}
	for i := range events {
		e := &events[i]
		if e.Reason != v1alpha1.SendingStartedReason || e.InvolvedObject.Kind != "Campaign" {
			continue
		}
		at := e.EventTime.Time
		if at.IsZero() {
			at = e.FirstTimestamp.Time
		}
		if at.After(began[e.InvolvedObject.Name]) { // one of that name may have been deleted before
			began[e.InvolvedObject.Name] = at
		}
	}
	return began
}

// planWaiting tells what an object waits for that is no problem, if it waits.
func planWaiting(o v1alpha1.Object) (Waiting, bool) {
	w := Waiting{Kind: KindOf(o), Name: o.GetName()}
	campaign, isCampaign := o.(*v1alpha1.Campaign)
	switch {
	case !o.GetDeletionTimestamp().IsZero():
		w.What = "being deleted"
	case underWay(o):
		w.What = "the operator has not looked at the newest edit yet"
	case isCampaign && campaign.Status.Phase != "":
		return w, planCampaign(campaign, &w)
	case o.IsSuspended():
		w.What = "suspended: goes on when spec.suspend is removed"
	default:
		w.What = passingWork(o.CommonStatus().Conditions)
	}
	return w, w.What != ""
}

// passingWork tells what the operator or a worker still does for an object.
func passingWork(conditions []metav1.Condition) string {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ReadyCondition)
	if ready == nil || ready.Status != metav1.ConditionFalse || !meta.IsStatusConditionTrue(conditions, v1alpha1.ReconcilingCondition) ||
		!slices.Contains(passing, ready.Reason) {
		return ""
	}
	return ready.Message
}

// planCampaign tells when a campaign goes on, if that is what it waits for.
func planCampaign(c *v1alpha1.Campaign, w *Waiting) bool {
	switch c.Status.Phase {
	case v1alpha1.CampaignScheduled:
		w.What = "scheduled"
		if c.Status.ScheduledFor != nil {
			at := c.Status.ScheduledFor.UTC()
			w.Until = &at
		}
	case v1alpha1.CampaignFreezing:
		w.What = "its recipients are being chosen"
	case v1alpha1.CampaignPaused:
		w.What = "paused: goes on when spec.suspend is removed"
		if command := c.Status.Command; command != nil && command.Verb == v1alpha1.CommandPause {
			w.What = "paused by " + command.By + ": goes on after tertulia campaign resume"
			if command.Until != nil {
				until := command.Until.UTC()
				w.Until = &until
			}
		}
	case v1alpha1.CampaignSending, v1alpha1.CampaignHeld, v1alpha1.CampaignCompleted, v1alpha1.CampaignExpired, v1alpha1.CampaignAborted:
	}
	if healthy := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.HealthyCondition); healthy != nil && healthy.Reason == v1alpha1.StoppedReason {
		w.What = healthy.Message
	}
	return w.What != ""
}
