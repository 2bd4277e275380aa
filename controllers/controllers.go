// Package controllers registers the controllers of all kinds with a manager.
package controllers

import (
	"fmt"
	"time"

	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/config/crd"
	"github.com/tertulia-crm/tertulia/controllers/automationrule"
	"github.com/tertulia-crm/tertulia/controllers/campaign"
	"github.com/tertulia-crm/tertulia/controllers/consentpolicy"
	"github.com/tertulia-crm/tertulia/controllers/crmtenant"
	"github.com/tertulia-crm/tertulia/controllers/eventtype"
	"github.com/tertulia-crm/tertulia/controllers/handover"
	"github.com/tertulia-crm/tertulia/controllers/messagechannel"
	"github.com/tertulia-crm/tertulia/controllers/messagetemplate"
	"github.com/tertulia-crm/tertulia/controllers/monitor"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/recordtype"
	"github.com/tertulia-crm/tertulia/controllers/segment"
	"github.com/tertulia-crm/tertulia/controllers/sendpolicy"
	"github.com/tertulia-crm/tertulia/controllers/servicequeue"
	"github.com/tertulia-crm/tertulia/controllers/socialsource"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/controllers/versionskew"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Options are what the controllers need beside the manager.
type Options struct {
	// Cluster is where tenants that bring no database get one; nil where there is none.
	Cluster *store.Cluster
	// Directory is where workers and servers of this machine find their tenants; nil in a cluster.
	Directory *credentials.Directory
	// Workloads say how tenants' workers and servers run in a cluster; nil where somebody else runs them. The manager's cache
	// is made with Cached then.
	Workloads *crmtenant.Workloads
	// ServerURL is where clients of this cluster reach the server; "" means each tenant's public URL.
	ServerURL string
	// PollInterval is how often tenants' databases are asked what workers changed; 0 means a second.
	PollInterval time.Duration
	// MarkInterval is how often ledgers' marks are looked at; 0 means ten seconds.
	MarkInterval time.Duration
	// Clock tells the time; nil means time.Now.
	Clock func() time.Time
	// Metrics are counted into. Default: metrics that nobody collects.
	Metrics *Metrics
}

// An operator that elects a leader does so in its own namespace, which the chart names.
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=tertulia-system,resources=leases,verbs=get;create;update
// +kubebuilder:rbac:groups="",namespace=tertulia-system,resources=events,verbs=create

// Setup registers every controller, and the registry of tenants that they share.
func Setup(mgr ctrl.Manager, o Options) (*tenancy.Registry, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	o.Metrics.watch(mgr.GetCache(), mgr.Elected(), o.Clock)
	tenants := tenancy.New(tenancy.Options{
		Reader: mgr.GetClient(), LiveReader: mgr.GetAPIReader(), PollInterval: o.PollInterval, Measured: o.Metrics.measured(),
	})
	if err := mgr.Add(tenants); err != nil {
		return nil, fmt.Errorf("add the registry of tenants: %w", err)
	}
	if o.Workloads != nil {
		o.Workloads.Metrics.Changed = tenants.WakeTenants
		if err := mgr.Add(o.Workloads.Metrics); err != nil {
			return nil, fmt.Errorf("add the keeper of the metrics' token: %w", err)
		}
	}
	if err := watchSkew(mgr, o.Metrics); err != nil {
		return nil, err
	}
	for kind, controller := range reconcilers(mgr, o, tenants) {
		if err := controller.SetupWithManager(mgr); err != nil {
			return nil, fmt.Errorf("set up the controller of %s: %w", kind, err)
		}
	}
	return tenants, nil
}

// skewTimeout bounds a look at what the API server publishes: some hundred kilobytes.
const skewTimeout = 10 * time.Second

// watchSkew has the API server's kinds compared with those that this program was made with.
func watchSkew(mgr ctrl.Manager, told *Metrics) error {
	config := rest.CopyConfig(mgr.GetConfig())
	config.Timeout = skewTimeout // its requests know of no context, and must not hold up who stops
	server, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client for discovery: %w", err)
	}
	watcher := &versionskew.Watcher{Server: server.OpenAPIV3(), Definitions: crd.Files, Version: v1alpha1.GroupVersion, Told: told.compared}
	if err := mgr.Add(watcher); err != nil {
		return fmt.Errorf("add the comparison of the kinds' versions: %w", err)
	}
	return nil
}

// Cached says what a manager's cache leaves out: a cluster has more Deployments and pods than those that run tenants.
func Cached() map[client.Object]cache.ByObject { return crmtenant.Cached() }

type controller interface {
	SetupWithManager(mgr ctrl.Manager) error
}

func reconcilers(mgr ctrl.Manager, o Options, tenants *tenancy.Registry) map[string]controller {
	c, live := mgr.GetClient(), mgr.GetAPIReader()
	secrets := &handover.Keeper{Client: c, Live: live, Directory: o.Directory}
	passes := func(kind string) *reconciling.Recorder {
		return &reconciling.Recorder{Client: c, Events: mgr.GetEventRecorder("tertulia-operator"), Clock: o.Clock, Ended: o.Metrics.ended(kind)}
	}
	rows := func(kind string) tenancy.Controller {
		return tenancy.Controller{Client: c, Passes: passes(kind), Tenants: tenants}
	}
	return map[string]controller{
		"CRMTenant": &crmtenant.Reconciler{
			Client: c, Passes: passes("CRMTenant"), Tenants: tenants,
			Cluster: o.Cluster, Handover: secrets, Workloads: o.Workloads, ServerURL: o.ServerURL, Clock: o.Clock,
			Stored: live, MarkInterval: o.MarkInterval,
		},
		"RecordType":      &recordtype.Reconciler{Controller: rows("RecordType")},
		"EventType":       &eventtype.Reconciler{Controller: rows("EventType")},
		"MessageChannel":  &messagechannel.Reconciler{Controller: rows("MessageChannel"), Handover: secrets},
		"MessageTemplate": &messagetemplate.Reconciler{Controller: rows("MessageTemplate"), Live: live},
		"Segment":         &segment.Reconciler{Controller: rows("Segment")},
		"Campaign":        &campaign.Reconciler{Controller: rows("Campaign"), Live: live},
		"SendPolicy":      &sendpolicy.Reconciler{Controller: rows("SendPolicy")},
		"ConsentPolicy":   &consentpolicy.Reconciler{Controller: rows("ConsentPolicy")},
		"SocialSource":    &socialsource.Reconciler{Controller: rows("SocialSource"), Handover: secrets},
		"Monitor":         &monitor.Reconciler{Controller: rows("Monitor")},
		"AutomationRule":  &automationrule.Reconciler{Controller: rows("AutomationRule")},
		"ServiceQueue":    &servicequeue.Reconciler{Controller: rows("ServiceQueue")},
	}
}
