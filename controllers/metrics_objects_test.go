package controllers

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

func TestCount(t *testing.T) {
	now := time.Date(2027, 3, 21, 12, 0, 0, 0, time.UTC)
	object := func(namespace string, deleted time.Duration, conditions ...metav1.Condition) v1alpha1.Campaign {
		c := v1alpha1.Campaign{ObjectMeta: metav1.ObjectMeta{Namespace: namespace}}
		c.Status.Conditions = conditions
		if deleted > 0 {
			at := metav1.NewTime(now.Add(-deleted))
			c.DeletionTimestamp = &at
		}
		return c
	}
	is := func(kind string, status metav1.ConditionStatus, reason string) metav1.Condition {
		return metav1.Condition{Type: kind, Status: status, Reason: reason}
	}
	ready := is("Ready", "True", "InForce")
	got := count(&v1alpha1.CampaignList{Items: []v1alpha1.Campaign{
		object("velo", 0),
		object("velo", 0, ready, is("Healthy", "False", "ChannelTrouble")),
		object("velo", 0, ready, is("Healthy", "False", "ChannelTrouble")),
		object("noir", 0, ready, is("Healthy", "True", "Delivering")),
		object("velo", 0, is("Ready", "False", "SegmentNotFound")),
		object("velo", 0, is("Ready", "False", "Building"), is("Reconciling", "True", "Building")),
		object("velo", 0, is("Ready", "False", "InvalidSpec"), is("Stalled", "True", "InvalidSpec")),
		object("velo", time.Minute, ready),
		object("velo", time.Hour, ready),
	}}, now)
	want := census{
		states:    map[string]int{"new": 1, "ready": 3, "waiting": 1, "reconciling": 1, "stalled": 1, "deleting": 2},
		unhealthy: map[unhealthyKey]int{{"velo", "ChannelTrouble"}: 2},
		deletions: map[string]time.Duration{"velo": time.Hour},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(census{}, unhealthyKey{})); diff != "" {
		t.Errorf("the count differs (-want +got):\n%s", diff)
	}
}
