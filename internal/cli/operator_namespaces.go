package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// namespacesInterval is how often namespaces that were closed are tried again.
const namespacesInterval = 10 * time.Second

// namespaces are those that an operator was told to look after. In some of them it may not: a Role goes with its
// namespace, and one that is yet to be made has none. A cache waits for every namespace that it was given, so those stay out,
// and the tenants of the others go on.
type namespaces struct {
	reviews      authorizationv1client.SelfSubjectAccessReviewsGetter
	interval     time.Duration
	open, closed []string
}

// findNamespaces asks the API server in which namespaces the operator may work, and waits until there is one. None at all means
// every namespace, and nothing is asked.
func findNamespaces(ctx context.Context, config *rest.Config, told []string) (*namespaces, error) {
	client, err := authorizationv1client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client: %w", err)
	}
	n := &namespaces{reviews: client, interval: namespacesInterval}
	if len(told) == 0 {
		return n, nil
	}
	log := logr.FromContextOrDiscard(ctx)
	err = wait.PollUntilContextCancel(ctx, n.interval, true, func(ctx context.Context) (bool, error) {
		if n.open, n.closed, err = n.sort(ctx, told); err != nil {
			return false, err
		}
		if len(n.closed) > 0 {
			log.Info("Not allowed to look after namespaces that were named: they have no Role for the operator, or do not exist",
				"namespaces", strings.Join(n.closed, ","))
		}
		return len(n.open) > 0, nil
	})
	return n, err
}

// sort tells apart where the operator may see tenants and where not.
func (n *namespaces) sort(ctx context.Context, names []string) (open, closed []string, err error) {
	for _, name := range names {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: name, Verb: "list", Group: v1alpha1.GroupVersion.Group, Resource: "crmtenants",
			},
		}}
		answer, err := n.reviews.SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return nil, nil, fmt.Errorf("ask whether namespace %q may be looked after: %w", name, err)
		}
		if answer.Status.Allowed {
			open = append(open, name)
		} else {
			closed = append(closed, name)
		}
	}
	return open, closed, nil
}

// NeedLeaderElection makes an operator that stands by notice too.
func (*namespaces) NeedLeaderElection() bool { return false }

// Start ends the operator, with an error that says why, when a namespace that was closed opens: the cache of the next one has
// it. It returns at the end of ctx otherwise.
func (n *namespaces) Start(ctx context.Context) error {
	if len(n.closed) == 0 {
		return nil
	}
	err := wait.PollUntilContextCancel(ctx, n.interval, false, func(ctx context.Context) (bool, error) {
		open, _, err := n.sort(ctx, n.closed)
		if err != nil {
			return false, nil //nolint:nilerr // an API server that is away says nothing about a namespace
		}
		if len(open) > 0 {
			return false, fmt.Errorf("begin anew, because namespaces may be looked after now: %s", strings.Join(open, ", "))
		}
		return false, nil
	})
	if ctx.Err() != nil {
		return nil //nolint:nilerr // told to stop
	}
	return err
}
