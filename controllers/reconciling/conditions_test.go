package reconciling

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

var now = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

// eventType is an object of generation 2, of which the operator has seen generation 1 or 2.
func eventType(observed int64, conditions ...metav1.Condition) *v1alpha1.EventType {
	return &v1alpha1.EventType{
		ObjectMeta: metav1.ObjectMeta{Name: "purchase", Generation: 2},
		Status:     v1alpha1.EventTypeStatus{Status: v1alpha1.Status{ObservedGeneration: observed, Conditions: conditions}},
	}
}

func is(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: 2}
}

func TestEndOfAPassBecomesConditions(t *testing.T) {
	broken := errors.New("broken")
	ready := is("Ready", "True", "InForce", "In force.")
	tests := map[string]struct {
		reason     string
		before     *v1alpha1.EventType
		err        error
		want       []metav1.Condition
		observed   int64
		result     ctrl.Result
		wantReturn error
	}{
		"success": {
			reason: "it is in force", before: eventType(1), want: []metav1.Condition{ready}, observed: 2,
		},
		"success after trouble": {
			reason:   "conditions that are only there when true are gone",
			before:   eventType(1, is("Ready", "False", "X", "x"), is("Stalled", "True", "X", "x"), is("Reconciling", "True", "X", "x")),
			want:     []metav1.Condition{ready},
			observed: 2,
		},
		"stalled": {
			reason: "only an edit helps, so nobody tries again", before: eventType(1), err: Stall("InvalidSpec", "no %s", "good"),
			want: []metav1.Condition{is("Ready", "False", "InvalidSpec", "no good"), is("Stalled", "True", "InvalidSpec", "no good")}, observed: 2,
		},
		"waiting": {
			reason: "a reference heals by itself", before: eventType(1, is("Stalled", "True", "X", "x")), err: Wait("SecretNotFound", "no secret"),
			want: []metav1.Condition{is("Ready", "False", "SecretNotFound", "no secret")}, observed: 2,
		},
		"waiting for our own work": {
			reason: "a worker builds it", before: eventType(1), err: &Waiting{Reason: "Building", Message: "soon", Progressing: true, After: time.Second},
			want:     []metav1.Condition{is("Ready", "False", "Building", "soon"), is("Reconciling", "True", "Building", "soon")},
			observed: 2, result: ctrl.Result{RequeueAfter: time.Second},
		},
		"interrupted while in force": {
			reason: "its rows are there, whatever the database does", before: eventType(2, ready), err: &Interrupted{Reason: "DatabaseUnavailable", Err: broken},
			want: []metav1.Condition{ready}, observed: 2, wantReturn: broken,
		},
		"interrupted after an edit": {
			reason: "the edit is not in force", before: eventType(1, ready), err: &Interrupted{Reason: "DatabaseUnavailable", Message: "away", Err: broken},
			want:     []metav1.Condition{is("Ready", "False", "DatabaseUnavailable", "away"), is("Reconciling", "True", "DatabaseUnavailable", "away")},
			observed: 1, wantReturn: broken,
		},
		"interrupted while it waits": {
			reason: "it waits for another thing now", before: eventType(2, is("Ready", "False", "CRMTenantNotFound", "add one")),
			err:      &Interrupted{Reason: "ForeignDatabase", Message: "another's"},
			want:     []metav1.Condition{is("Ready", "False", "ForeignDatabase", "another's"), is("Reconciling", "True", "ForeignDatabase", "another's")},
			observed: 2,
		},
		"interrupted while stalled": {
			reason:   "only an edit mends it, whatever the database does",
			before:   eventType(2, is("Ready", "False", "InvalidSpec", "mend it"), is("Stalled", "True", "InvalidSpec", "mend it")),
			err:      &Interrupted{Reason: "DatabaseUnavailable", Message: "away", Err: broken},
			want:     []metav1.Condition{is("Ready", "False", "InvalidSpec", "mend it"), is("Stalled", "True", "InvalidSpec", "mend it")},
			observed: 2, wantReturn: broken,
		},
		"interrupted for a moment": {
			reason: "the wake-up is on its way", before: eventType(1), err: &Interrupted{Reason: "TenantNotReady", Silent: true}, observed: 1,
		},
		"failed": {
			reason: "the operator tries again", before: eventType(2, ready), err: &Failed{Reason: "MigrationFailed", Message: "see the log", Err: broken},
			want:     []metav1.Condition{is("Ready", "False", "MigrationFailed", "see the log"), is("Reconciling", "True", "MigrationFailed", "see the log")},
			observed: 2, wantReturn: broken,
		},
		"unexpected": {
			reason: "its words may repeat a row, and go to the log only", before: eventType(2, ready), err: broken,
			want: []metav1.Condition{
				is("Ready", "False", "ReconcileFailed", "Something went wrong. The operator tries again, and its log tells more."),
				is("Reconciling", "True", "ReconcileFailed", "Something went wrong. The operator tries again, and its log tells more."),
			},
			observed: 2, wantReturn: broken,
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			result, err := summarize(tc.before, condition{"InForce", "In force."}, tc.err, now)
			if !errors.Is(err, tc.wantReturn) {
				t.Errorf("returned %v, want %v (%s)", err, tc.wantReturn, tc.reason)
			}
			if diff := cmp.Diff(tc.result, result); diff != "" {
				t.Errorf("result: -want +got:\n%s", diff)
			}
			options := cmp.Options{
				cmpopts.IgnoreFields(metav1.Condition{}, "LastTransitionTime"), cmpopts.EquateEmpty(),
				cmpopts.SortSlices(func(a, b metav1.Condition) bool { return a.Type < b.Type }),
			}
			if diff := cmp.Diff(tc.want, tc.before.Status.Conditions, options); diff != "" {
				t.Errorf("%s: -want +got:\n%s", tc.reason, diff)
			}
			if got := tc.before.Status.ObservedGeneration; got != tc.observed {
				t.Errorf("observed generation: got %d, want %d", got, tc.observed)
			}
		})
	}
}

func TestWhoMayBeReliedOn(t *testing.T) {
	deleted := eventType(2, is("Ready", "True", "InForce", ""))
	deleted.DeletionTimestamp = &metav1.Time{Time: now}
	tests := map[string]struct {
		reason            string
		object            *v1alpha1.EventType
		settled, underWay bool
	}{
		"new":         {"nobody has looked at it", eventType(-1), false, true},
		"in force":    {"accepted", eventType(2, is("Ready", "True", "InForce", "")), true, false},
		"edited":      {"the edit was not looked at", eventType(1, is("Ready", "True", "InForce", "")), false, true},
		"suspended":   {"suspended is in force", eventType(2, is("Ready", "True", "Suspended", "")), true, false},
		"stalled":     {"it will not come by itself", eventType(2, is("Ready", "False", "X", ""), is("Stalled", "True", "X", "")), false, false},
		"waiting":     {"it may come", eventType(2, is("Ready", "False", "X", "")), false, true},
		"being ended": {"it goes", deleted, false, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := IsSettled(tc.object); got != tc.settled {
				t.Errorf("settled: got %v, want %v (%s)", got, tc.settled, tc.reason)
			}
			if got := isUnderWay(tc.object); got != tc.underWay {
				t.Errorf("under way: got %v, want %v (%s)", got, tc.underWay, tc.reason)
			}
		})
	}
}
