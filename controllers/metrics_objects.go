package controllers

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/metrics"
)

// listTimeout bounds how long a scrape waits for the cache, which has the objects in memory.
const listTimeout = 5 * time.Second

// The states of objects, one of which each is in.
const (
	stateNew         = "new"
	stateReady       = "ready"
	stateReconciling = "reconciling"
	stateWaiting     = "waiting"
	stateStalled     = "stalled"
	stateDeleting    = "deleting"
)

var states = []string{stateNew, stateReady, stateReconciling, stateWaiting, stateStalled, stateDeleting}

// lists are the lists of all kinds that the operator looks after.
var lists = map[string]func() client.ObjectList{
	"CRMTenant":       func() client.ObjectList { return &v1alpha1.CRMTenantList{} },
	"RecordType":      func() client.ObjectList { return &v1alpha1.RecordTypeList{} },
	"EventType":       func() client.ObjectList { return &v1alpha1.EventTypeList{} },
	"MessageChannel":  func() client.ObjectList { return &v1alpha1.MessageChannelList{} },
	"MessageTemplate": func() client.ObjectList { return &v1alpha1.MessageTemplateList{} },
	"Segment":         func() client.ObjectList { return &v1alpha1.SegmentList{} },
	"Campaign":        func() client.ObjectList { return &v1alpha1.CampaignList{} },
	"SendPolicy":      func() client.ObjectList { return &v1alpha1.SendPolicyList{} },
	"ConsentPolicy":   func() client.ObjectList { return &v1alpha1.ConsentPolicyList{} },
	"SocialSource":    func() client.ObjectList { return &v1alpha1.SocialSourceList{} },
	"Monitor":         func() client.ObjectList { return &v1alpha1.MonitorList{} },
	"AutomationRule":  func() client.ObjectList { return &v1alpha1.AutomationRuleList{} },
	"ServiceQueue":    func() client.ObjectList { return &v1alpha1.ServiceQueueList{} },
}

func kinds() []string {
	names := make([]string, 0, len(lists))
	for kind := range lists {
		names = append(names, kind)
	}
	return names
}

// objectMetrics counts the objects in the operator's cache when it is asked: nothing is read from the API server, and no
// object is copied.
type objectMetrics struct {
	leading, objects, unhealthy, conditions, schema, deletions *prometheus.Desc

	mu      sync.Mutex
	reader  client.Reader
	elected <-chan struct{}
	now     func() time.Time
}

func newObjectMetrics(s *metrics.Set) *objectMetrics {
	m := &objectMetrics{
		leading: s.Described("tertulia_operator_leading", "1 in the operator that holds the lease and works, 0 in one that stands by."),
		objects: s.Described("tertulia_objects", "Objects by where they stand. Only the operator that works tells.", "kind", "state"),
		unhealthy: s.Described("tertulia_unhealthy_objects",
			"Objects whose condition `Healthy` is False, by its reason. Only the operator that works tells.", "object_namespace", "kind", "reason"),
		conditions: s.Described("tertulia_tenant_condition",
			"1 for each condition that a CRMTenant has now. Only the operator that works tells.",
			"object_namespace", "tenant", "condition", "status", "reason"),
		schema: s.Described("tertulia_tenant_schema_version",
			"Schema version that the operator last brought the tenant's database to.", "object_namespace", "tenant"),
		deletions: s.Described("tertulia_deletion_oldest_age_seconds",
			"For how long the object has been waiting that was first of its namespace and kind to be deleted and is still there.", "object_namespace", "kind"),
	}
	s.Collector(m)
	return m
}

// Describe implements prometheus.Collector.
func (m *objectMetrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.leading, m.objects, m.unhealthy, m.conditions, m.schema, m.deletions} {
		descriptions <- d
	}
}

// Collect implements prometheus.Collector. An operator that stands by has no cache, and is not made to fill one.
func (m *objectMetrics) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	m.mu.Lock()
	reader, elected, now := m.reader, m.elected, m.now
	m.mu.Unlock()
	select {
	case <-elected:
		gauge(m.leading, 1)
	default:
		gauge(m.leading, 0)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
	defer cancel()
	for kind, list := range lists {
		objects := list()
		if err := reader.List(ctx, objects, client.UnsafeDisableDeepCopy); err != nil {
			continue // the cache is being filled, or has been stopped
		}
		counted := count(objects, now())
		for _, state := range states {
			gauge(m.objects, float64(counted.states[state]), kind, state)
		}
		for key, n := range counted.unhealthy {
			gauge(m.unhealthy, float64(n), key.namespace, kind, key.reason)
		}
		for namespace, age := range counted.deletions {
			gauge(m.deletions, age.Seconds(), namespace, kind)
		}
		for _, t := range counted.tenants {
			gauge(m.schema, float64(t.Status.SchemaVersion), t.Namespace, t.Spec.ID)
			for _, c := range t.Status.Conditions {
				gauge(m.conditions, 1, t.Namespace, t.Spec.ID, c.Type, string(c.Status), c.Reason)
			}
		}
	}
}

type unhealthyKey struct{ namespace, reason string }

// census is what is counted of the objects of a kind.
type census struct {
	states    map[string]int
	unhealthy map[unhealthyKey]int
	deletions map[string]time.Duration // by namespace, the oldest
	tenants   []*v1alpha1.CRMTenant
}

func count(list client.ObjectList, now time.Time) census {
	c := census{states: map[string]int{}, unhealthy: map[unhealthyKey]int{}, deletions: map[string]time.Duration{}}
	_ = meta.EachListItem(list, func(o runtime.Object) error {
		object, ok := o.(v1alpha1.Object)
		if !ok {
			return nil
		}
		c.states[stateOf(object)]++
		healthy := meta.FindStatusCondition(object.CommonStatus().Conditions, v1alpha1.HealthyCondition)
		if healthy != nil && healthy.Status == metav1.ConditionFalse {
			c.unhealthy[unhealthyKey{object.GetNamespace(), healthy.Reason}]++
		}
		if since := object.GetDeletionTimestamp(); since != nil {
			c.deletions[object.GetNamespace()] = max(c.deletions[object.GetNamespace()], now.Sub(since.Time))
		}
		if tenant, ok := o.(*v1alpha1.CRMTenant); ok {
			c.tenants = append(c.tenants, tenant)
		}
		return nil
	})
	return c
}

func stateOf(o v1alpha1.Object) string {
	conditions := o.CommonStatus().Conditions
	switch {
	case o.GetDeletionTimestamp() != nil:
		return stateDeleting
	case len(conditions) == 0:
		return stateNew
	case meta.IsStatusConditionTrue(conditions, v1alpha1.StalledCondition):
		return stateStalled
	case meta.IsStatusConditionTrue(conditions, v1alpha1.ReconcilingCondition):
		return stateReconciling
	case meta.IsStatusConditionTrue(conditions, v1alpha1.ReadyCondition):
		return stateReady
	}
	return stateWaiting
}
