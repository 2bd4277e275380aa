package segment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// checkReferences tells what keeps an expression that asks for the membership of other segments from being in force.
func (r *Reconciler) checkReferences(ctx context.Context, object *v1alpha1.Segment, db *store.DB) error {
	references := expr.References(object.Spec.Match)
	if len(references) == 0 {
		return nil
	}
	matches, err := loadMatches(ctx, r.Client, object.Namespace)
	if err != nil {
		return err
	}
	matches[object.Name] = object.Spec.Match
	if err := planReferences(object.Name, references, matches); err != nil {
		return err
	}
	for _, reference := range references {
		state, err := db.LoadSegmentState(ctx, reference.Segment)
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && state.BuiltDigest == "":
			return reconciling.Wait(v1alpha1.DependencyNotReady, "Segment %q has no membership yet.", reference.Segment)
		case err != nil:
			return err
		}
	}
	return nil
}

// loadMatches reads the expressions of the segments of a namespace, by name. One that is about to go does not count.
func loadMatches(ctx context.Context, reader client.Reader, namespace string) (map[string]string, error) {
	var list v1alpha1.SegmentList
	if err := reader.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list the segments of namespace %q: %w", namespace, err)
	}
	matches := make(map[string]string, len(list.Items))
	for i := range list.Items {
		if s := &list.Items[i]; s.DeletionTimestamp.IsZero() {
			matches[s.Name] = s.Spec.Match
		}
	}
	return matches, nil
}

// planReferences finds a segment that is not there, and a circle of segments each of which asks for the next one's membership.
func planReferences(name string, references []expr.Reference, matches map[string]string) error {
	cycle := expr.Cycle(name, func(segment string) []expr.Reference { return expr.References(matches[segment]) })
	if cycle != nil {
		at := references[slices.IndexFunc(references, func(r expr.Reference) bool { return r.Segment == cycle[1] })]
		return reconciling.Stall(v1alpha1.SegmentCycleReason, "spec.match: %d:%d: in_segment leads back to this segment: %s. Take it out of one of them.",
			at.Line, at.Column, strings.Join(cycle, " → "))
	}
	var names []string
	for other := range matches {
		if other != name {
			names = append(names, other)
		}
	}
	for _, reference := range references {
		if _, found := matches[reference.Segment]; !found {
			return reconciling.Wait(v1alpha1.NotFoundReason("Segment"), "spec.match: %d:%d: there is no Segment %q in this namespace%s.",
				reference.Line, reference.Column, reference.Segment, crm.DidYouMean(reference.Segment, names))
		}
	}
	return nil
}

// askers wakes the segments that ask for the membership of a segment, also over others: whether there is a circle, and whether
// what they ask for is there, may have changed for each of them.
func askers(reader client.Reader) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, o client.Object) []reconcile.Request {
		matches, err := loadMatches(ctx, reader, o.GetNamespace())
		if err != nil {
			return nil // a cache that cannot be read has been stopped
		}
		asked := map[string][]string{} // by whom
		for name, match := range matches {
			for _, reference := range expr.References(match) {
				asked[reference.Segment] = append(asked[reference.Segment], name)
			}
		}
		var requests []reconcile.Request
		seen := map[string]bool{o.GetName(): true}
		for queue := []string{o.GetName()}; len(queue) > 0; queue = queue[1:] {
			for _, name := range asked[queue[0]] {
				if !seen[name] {
					seen[name] = true
					queue = append(queue, name)
					requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKey{Namespace: o.GetNamespace(), Name: name}})
				}
			}
		}
		return requests
	})
}
