package reconciling

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// Options are how the queue of every kind's controller works: few passes at a time, because most of the work is SQL, beside
// those that are slow (see turns), and a back-off that ends at half a minute, because what failed heals by itself and people
// wait for it. What a controller logs says which
// object it is about, under the keys kind, namespace and name.
func Options(kind string) controller.Options {
	return controller.Options{
		LogConstructor: func(request *reconcile.Request) logr.Logger {
			log := ctrl.Log.WithValues("kind", kind)
			if request != nil {
				log = log.WithValues("namespace", request.Namespace, "name", request.Name)
			}
			return log
		},
		MaxConcurrentReconciles: workers,
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](50*time.Millisecond, 30*time.Second),
	}
}

// Edited lets through what its author did to an object: its creation, an edit of its spec, its deletion. The loss of our
// finalizer is one too, though no edit of the spec: who replaces an object as a whole takes it away, and without it the
// object's deletion would be seen by nobody.
func Edited() predicate.Predicate {
	lost := predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc: func(e event.UpdateEvent) bool {
			return e.ObjectNew.GetDeletionTimestamp().IsZero() &&
				controllerutil.ContainsFinalizer(e.ObjectOld, v1alpha1.Finalizer) && !controllerutil.ContainsFinalizer(e.ObjectNew, v1alpha1.Finalizer)
		},
	}
	return predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, lost)
}

// Settled lets through changes of whether another object may be relied on: its arrival, its end, and another answer of
// its condition Ready about its newest generation. Numbers in its status do not count.
func Settled() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, ok := e.ObjectOld.(v1alpha1.Object)
			after, same := e.ObjectNew.(v1alpha1.Object)
			return ok && same && readiness(before) != readiness(after)
		},
	}
}

// Ended lets through the end of an object.
func Ended() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		UpdateFunc:  func(event.UpdateEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
	}
}

type answer struct {
	generation, observed int64
	ready                bool
	reason               string
	deleted              bool
}

func readiness(o v1alpha1.Object) answer {
	a := answer{observed: o.CommonStatus().ObservedGeneration, generation: o.GetGeneration(), deleted: !o.GetDeletionTimestamp().IsZero()}
	if c := meta.FindStatusCondition(o.CommonStatus().Conditions, v1alpha1.ReadyCondition); c != nil {
		a.ready, a.reason = c.Status == "True", c.Reason
	}
	return a
}

// IsSettled tells whether another object may be relied on: what its author last wrote is accepted and in force.
func IsSettled(o v1alpha1.Object) bool {
	a := readiness(o)
	return a.ready && a.observed == a.generation && !a.deleted
}

// AnyUnderWay tells whether an object of a namespace, of one of these lists' kinds, has not come to an answer yet.
func AnyUnderWay(ctx context.Context, reader client.Reader, namespace string, lists ...client.ObjectList) (bool, error) {
	for _, list := range lists {
		if err := reader.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return false, fmt.Errorf("list what this object is checked against: %w", err)
		}
		found := false
		err := meta.EachListItem(list, func(o runtime.Object) error {
			found = found || isUnderWay(o.(v1alpha1.Object))
			return nil
		})
		if found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// isUnderWay tells whether another object has not come to an answer about its newest generation yet.
func isUnderWay(o v1alpha1.Object) bool {
	a := readiness(o)
	stalled := meta.IsStatusConditionTrue(o.CommonStatus().Conditions, v1alpha1.StalledCondition)
	return !a.deleted && (a.observed != a.generation || !a.ready && !stalled)
}

// Referrers wakes the objects that name an object in the field that this index holds.
func Referrers(c client.Reader, list func() client.ObjectList, index string) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		return requests(ctx, c, list(), client.InNamespace(o.GetNamespace()), client.MatchingFields{index: o.GetName()})
	})
}

// Sharers wakes the objects that have the same value as an object in the field that this index holds.
func Sharers(c client.Reader, list func() client.ObjectList, index string, value func(client.Object) string) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		return requests(ctx, c, list(), client.InNamespace(o.GetNamespace()), client.MatchingFields{index: value(o)})
	})
}

// Neighbours wakes all objects of a kind in the namespace of an object.
func Neighbours(c client.Reader, list func() client.ObjectList) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		return requests(ctx, c, list(), client.InNamespace(o.GetNamespace()))
	})
}

// All lists the objects of a kind in a namespace, for a wake-up of all of them.
func All(c client.Reader, list func() client.ObjectList) func(ctx context.Context, namespace string) []reconcile.Request {
	return func(ctx context.Context, namespace string) []reconcile.Request {
		return requests(ctx, c, list(), client.InNamespace(namespace))
	}
}

// requests lists from the cache, which fails only when it has been stopped.
func requests(ctx context.Context, c client.Reader, list client.ObjectList, options ...client.ListOption) []reconcile.Request {
	if err := c.List(ctx, list, options...); err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "Objects to wake could not be listed")
		return nil
	}
	objects, err := meta.ExtractList(list)
	if err != nil {
		ctrl.LoggerFrom(ctx).Error(err, "A list could not be read")
		return nil
	}
	found := make([]reconcile.Request, 0, len(objects))
	for _, o := range objects {
		if named, ok := o.(client.Object); ok {
			found = append(found, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(named)})
		}
	}
	return found
}
