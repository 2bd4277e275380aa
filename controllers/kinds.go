package controllers

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// AwaitKinds returns when the API server serves every kind. CustomResourceDefinitions are often applied a moment after
// the operator, or established a moment before they are served.
func AwaitKinds(ctx context.Context, config *rest.Config) error {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client for discovery: %w", err)
	}
	log, told := logr.FromContextOrDiscard(ctx), false
	err = wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(context.Context) (bool, error) {
		list, err := client.ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
		if err != nil && !apierrors.IsNotFound(err) {
			return false, fmt.Errorf("ask the API server for its kinds: %w", err)
		}
		kinds := map[string]bool{}
		if list != nil {
			for _, resource := range list.APIResources {
				kinds[resource.Kind] = true
			}
		}
		if len(kinds) < len(lists) && !told {
			log.Info("Waiting for the CustomResourceDefinitions of " + v1alpha1.GroupVersion.Group)
			told = true
		}
		return len(kinds) >= len(lists), nil
	})
	return err
}
