package reconciling

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// Recorder begins passes and writes how they ended. One serves all objects of a kind.
type Recorder struct {
	Client client.Client
	Events events.EventRecorder
	Clock  func() time.Time
	// Ended is told how each pass ended, in one of Outcomes. It may be nil.
	Ended func(outcome string)

	counted sync.Map // types.UID → *pace
}

// Pass is one reconciliation of one object.
type Pass struct {
	recorder *Recorder
	object   v1alpha1.Object
	before   v1alpha1.Object
	inForce  condition
	happened []happening
	counts   *Counts
	again    time.Duration
}

type happening struct {
	kind, reason, note string
}

// Begin takes the snapshot that the end of the pass is compared with.
func (r *Recorder) Begin(object v1alpha1.Object) *Pass {
	return &Pass{recorder: r, object: object, before: object.DeepCopyObject().(v1alpha1.Object)}
}

// InForce says what the condition Ready tells when the pass succeeds. A suspended object is in force too: its reason
// says Suspended.
func (p *Pass) InForce(message string) {
	p.inForce = condition{v1alpha1.InForceReason, message}
	if p.object.IsSuspended() {
		p.inForce = condition{v1alpha1.SuspendedReason, message}
	}
}

// Healthy says how the work that the object asks for is going.
func (p *Pass) Healthy(healthy bool, reason, message string) {
	status := metav1.ConditionFalse
	if healthy {
		status = metav1.ConditionTrue
	}
	p.Condition(v1alpha1.HealthyCondition, status, reason, message)
}

// Condition sets a condition of the kind's own.
func (p *Pass) Condition(kind string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(&p.object.CommonStatus().Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message,
		ObservedGeneration: p.object.GetGeneration(), LastTransitionTime: metav1.NewTime(p.recorder.Clock()),
	})
}

// WithoutCondition removes a condition that has nothing to say.
func (p *Pass) WithoutCondition(kind string) {
	meta.RemoveStatusCondition(&p.object.CommonStatus().Conditions, kind)
}

// LookAgainAfter asks for another pass when this one succeeds and nothing else happens before; of several, the soonest
// counts. It is for what is due by the calendar and for what no watch can tell, not for polling.
func (p *Pass) LookAgainAfter(after time.Duration) {
	if p.again == 0 || after < p.again {
		p.again = after
	}
}

// Happened notes an event, which is published when the status that shows it has been written.
func (p *Pass) Happened(kind, reason, note string) {
	p.happened = append(p.happened, happening{kind, reason, note})
}

// KeepUntilReleased puts our finalizer on the object, so that its deletion is seen by us and can suspend its work.
func (p *Pass) KeepUntilReleased(ctx context.Context) error {
	return p.patchFinalizers(ctx, controllerutil.AddFinalizer)
}

// Release lets a deleted object go.
func (p *Pass) Release(ctx context.Context) error {
	p.recorder.counted.Delete(p.object.GetUID())
	return client.IgnoreNotFound(p.patchFinalizers(ctx, controllerutil.RemoveFinalizer))
}

// patchFinalizers writes our finalizer and nothing else. A merge patch replaces the list of finalizers as a whole, so it
// is refused when somebody else has written the object since.
func (p *Pass) patchFinalizers(ctx context.Context, change func(client.Object, string) bool) error {
	base := p.object.DeepCopyObject().(client.Object)
	patched := base.DeepCopyObject().(client.Object)
	if !change(patched, v1alpha1.Finalizer) {
		return nil
	}
	if err := p.recorder.Client.Patch(ctx, patched, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("write the finalizer: %w", err)
	}
	for _, o := range []v1alpha1.Object{p.object, p.before} {
		o.SetResourceVersion(patched.GetResourceVersion())
		o.SetFinalizers(patched.GetFinalizers())
	}
	return nil
}

// End turns the way in which a pass ended into conditions, writes the status if it differs, publishes what happened, and
// tells the queue how to go on. A pass that neither failed nor said that the object is in force was cut off by a panic: it is
// ended by a deferred call, and must not call in force what was never looked at.
func (p *Pass) End(ctx context.Context, err error) (ctrl.Result, error) {
	if err == nil && p.inForce == (condition{}) && !gone(p.object) {
		err = errNoVerdict
	}
	ctx, cancel := forVerdict(ctx)
	defer cancel()
	p.recorder.tell(ctx, err)
	if gone(p.object) {
		return ctrl.Result{}, err
	}
	result, err := summarize(p.object, p.inForce, err, p.recorder.Clock())
	if err == nil && result.RequeueAfter == 0 {
		result.RequeueAfter = p.again
	}
	if equality.Semantic.DeepEqual(statusOf(p.before), statusOf(p.object)) {
		return result, err
	}
	if wait := p.countsWait(); wait > 0 {
		if result.RequeueAfter == 0 || wait < result.RequeueAfter {
			result.RequeueAfter = wait
		}
		return result, err
	}
	if written := p.write(ctx); written != nil {
		if err == nil {
			err = written
		}
		return ctrl.Result{}, err
	}
	p.publish()
	return result, err
}

// errNoVerdict says that a pass ended without one.
var errNoVerdict = errors.New("the pass ended before it came to a verdict")

// gone tells whether the object is released, so that no status is left to write.
func gone(o v1alpha1.Object) bool {
	return !o.GetDeletionTimestamp().IsZero() && !controllerutil.ContainsFinalizer(o, v1alpha1.Finalizer)
}

func (p *Pass) write(ctx context.Context) error {
	// A patch carries only what differs; the answer goes to a copy, because the pass is over.
	object := p.object.DeepCopyObject().(client.Object)
	if err := p.recorder.Client.Status().Patch(ctx, object, client.MergeFrom(p.before)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	return nil
}

func (p *Pass) publish() {
	before := meta.FindStatusCondition(p.before.CommonStatus().Conditions, v1alpha1.ReadyCondition)
	after := meta.FindStatusCondition(p.object.CommonStatus().Conditions, v1alpha1.ReadyCondition)
	stalled := meta.IsStatusConditionTrue(p.object.CommonStatus().Conditions, v1alpha1.StalledCondition)
	changed := after != nil && (before == nil || before.Status != after.Status || before.Reason != after.Reason ||
		before.ObservedGeneration != after.ObservedGeneration)
	switch {
	case changed && after.Status == metav1.ConditionTrue:
		p.Happened(corev1.EventTypeNormal, after.Reason, after.Message)
	case changed && stalled:
		p.Happened(corev1.EventTypeWarning, after.Reason, after.Message)
	}
	for _, h := range p.happened {
		p.recorder.Events.Eventf(p.object, nil, h.kind, h.reason, "Reconcile", "%s", truncate(h.note))
	}
}

// truncate keeps a note within what the API takes (1 kB).
func truncate(note string) string {
	const limit = 1000
	if len(note) <= limit {
		return note
	}
	return note[:limit] + "…"
}

// statusOf is the status of an object of any of our kinds.
func statusOf(o v1alpha1.Object) any {
	return reflect.ValueOf(o).Elem().FieldByName("Status").Interface()
}
