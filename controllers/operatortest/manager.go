// Package operatortest is what tests of several packages need to run an operator in their own process, over a real API server.
package operatortest

import (
	"os"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2/textlogger"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/tertulia-crm/tertulia/controllers"
)

// Quick lets a client ask as often as tests do.
func Quick(config *rest.Config) *rest.Config {
	config.QPS, config.Burst = 500, 1000
	return config
}

// Client makes a client of the kinds of Kubernetes and ours.
func Client(config *rest.Config) (client.Client, error) {
	scheme, err := controllers.NewScheme()
	if err != nil {
		return nil, err
	}
	return client.New(config, client.Options{Scheme: scheme})
}

// Manager makes a manager whose cache and client are as those of `tertulia operator`. A test that ends one may begin another.
func Manager(config *rest.Config) (ctrl.Manager, error) {
	scheme, err := controllers.NewScheme()
	if err != nil {
		return nil, err
	}
	yes := true
	return ctrl.NewManager(config, ctrl.Options{
		Scheme:     scheme,
		Cache:      cache.Options{ByObject: controllers.Cached(), DefaultTransform: cache.TransformStripManagedFields()},
		Client:     client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &yes}},
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: &yes}, // an operator that begins again has the same controllers
	})
}

// Logger is silent unless an environment variable of this name is set.
func Logger(variable string) logr.Logger {
	if os.Getenv(variable) == "" {
		return logr.Discard()
	}
	return textlogger.NewLogger(textlogger.NewConfig(textlogger.Verbosity(1)))
}
