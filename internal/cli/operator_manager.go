package cli

import (
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/tertulia-crm/tertulia/controllers"
)

// The lease of the leader. An operator that is told to stop gives it back, so that an upgrade waits for no lease: the next
// one takes it at its next try, within leaseRetry. These times are for an operator that ends without a word, and for an API
// server that is away: it may be restarted for leaseRenewal before the leader gives up and begins anew, which costs nothing
// but reading every object again; and a node that is lost keeps tenants from seeing an edit in force for leaseDuration.
// Mails and links wait for neither: workers and servers go on by themselves. The lease outlasts the renewal by more than
// a retry and the few seconds by which clocks of nodes may differ in speed, so that two leaders never act at once.
const (
	leaseDuration = 30 * time.Second
	leaseRenewal  = 20 * time.Second
	leaseRetry    = 3 * time.Second
)

// newManager makes a manager whose cache holds our kinds whole, and of Secrets and ConfigMaps only their metadata:
// controllers watch those as metadata and read the few that they need from the API server.
func newManager(api *rest.Config, flags operatorFlags, looked *namespaces) (manager.Manager, error) {
	scheme, err := controllers.NewScheme()
	if err != nil {
		return nil, err
	}
	readOwnWrites, warmUp := true, true
	lease, renewal, retry := leaseDuration, leaseRenewal, leaseRetry
	api = rest.CopyConfig(api)
	// Hundreds of objects settle at once when an operator begins; the API server's own fairness bounds it, not we.
	api.QPS, api.Burst = 200, 400
	mgr, err := manager.New(api, manager.Options{
		Scheme: scheme,
		Cache: cache.Options{
			DefaultNamespaces: watched(looked.open), ByObject: controllers.Cached(),
			// Who wrote which field is nobody's question here, and a good part of every object.
			DefaultTransform: cache.TransformStripManagedFields(),
		},
		// A status is compared with the one before: reading one that is older than our own last write would compare wrongly.
		Client: client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &readOwnWrites}},
		// An operator that stands by has read everything when its turn comes.
		Controller:                    config.Controller{EnableWarmup: &warmUp},
		Metrics:                       flags.metrics.options(),
		HealthProbeBindAddress:        orOff(flags.healthListen),
		LivenessEndpointName:          "/livez",
		LeaderElection:                flags.leaderElect,
		LeaderElectionID:              "operator.crm.tertulia.dev",
		LeaderElectionNamespace:       flags.leaderElectIn,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &lease,
		RenewDeadline:                 &renewal,
		RetryPeriod:                   &retry,
		GracefulShutdownTimeout:       &flags.gracefulPeriod,
	})
	if err != nil {
		return nil, fmt.Errorf("make the operator: %w", err)
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("cache", cacheReady(mgr))); err != nil {
		return nil, fmt.Errorf("add health checks: %w", err)
	}
	if err := mgr.Add(looked); err != nil {
		return nil, fmt.Errorf("add the look at namespaces: %w", err)
	}
	return mgr, nil
}

// watched is what a cache looks at: nil, which is every namespace, where none is named.
func watched(namespaces []string) map[string]cache.Config {
	if len(namespaces) == 0 {
		return nil
	}
	watched := make(map[string]cache.Config, len(namespaces))
	for _, namespace := range namespaces {
		watched[namespace] = cache.Config{}
	}
	return watched
}

// orOff is an address, or what controller-runtime takes for none.
func orOff(address string) string {
	if address == "" {
		return "0"
	}
	return address
}
