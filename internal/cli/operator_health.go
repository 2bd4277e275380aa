package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// cacheReady tells that the operator has seen every object of ours, as a leader or standing by. A rollout ends the
// operator that works only when the next one is ready.
func cacheReady(mgr manager.Manager) healthz.Checker {
	return func(r *http.Request) error {
		ctx, cancel := context.WithTimeout(r.Context(), time.Second)
		defer cancel()
		if !mgr.GetCache().WaitForCacheSync(ctx) {
			return errors.New("the cache has not seen every object yet")
		}
		for kind := range mgr.GetScheme().KnownTypes(v1alpha1.GroupVersion) {
			object, err := mgr.GetScheme().New(v1alpha1.GroupVersion.WithKind(kind))
			if err != nil {
				return err
			}
			ours, ok := object.(v1alpha1.Object)
			if !ok {
				continue // a list, or the options of a request
			}
			// Controllers ask for the same one; where none has yet, the cache has nothing to wait for.
			if _, err := mgr.GetCache().GetInformer(ctx, ours); err != nil {
				return fmt.Errorf("the cache has not seen every %s yet: %w", kind, err)
			}
		}
		return nil
	}
}
