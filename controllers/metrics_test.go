package controllers_test

import (
	"maps"
	"math"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// gathered is what somebody who scrapes the operator gets: the value of each series by its name and the values of its labels,
// in the order of their names.
func (w *world) gathered(t *testing.T) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(w.metrics.Set)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			words := []string{f.GetName()}
			for _, l := range m.GetLabel() {
				words = append(words, l.GetValue())
			}
			series[strings.Join(words, " ")] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return series
}

func TestWhatAnOperatorMeasures(t *testing.T) {
	h := newHome(t)
	passes := h.gathered(t)["tertulia_reconcile_total Segment stalled"]
	h.create(h.segment("all", "true"), h.segment("broken", "contact.nothing == 1"))
	h.verdict(&v1alpha1.Segment{}, "broken", v1alpha1.ExpressionInvalidReason, "Failed")
	eventually := gomega.NewWithT(t)
	eventually.Eventually(func() map[string]float64 {
		got := h.gathered(t)
		maps.DeleteFunc(got, func(name string, _ float64) bool {
			return !strings.Contains(name, h.namespace) && name != "tertulia_operator_leading"
		})
		delete(got, "tertulia_clock_offset_seconds "+h.id)
		for name, value := range got {
			if strings.HasPrefix(name, "tertulia_tenant_schema_version ") {
				got[name] = min(value, 1)
			}
			if strings.Contains(name, "_condition ") && !strings.Contains(name, " Ready ") {
				delete(got, name)
			}
			if strings.HasPrefix(name, "tertulia_database_failures_total ") && value == 0 {
				delete(got, name)
			}
		}
		return got
	}, patience).Should(gomega.Equal(map[string]float64{
		"tertulia_operator_leading": 1,
		"tertulia_tenant_condition Ready " + h.namespace + " InForce True " + h.id: 1,
		"tertulia_tenant_schema_version " + h.namespace + " " + h.id:               1,
		"tertulia_database_up " + h.id:                                             1,
	}))
	// The operator counts what its cache holds, which is told of a verdict a moment after whoever asks the API server.
	eventually.Eventually(func() float64 { return h.gathered(t)["tertulia_objects Segment stalled"] }, patience).Should(
		gomega.BeNumerically(">=", 1), "a broken segment is counted as stalled")
	eventually.Eventually(func() float64 { return h.gathered(t)["tertulia_reconcile_total Segment stalled"] }, patience).Should(
		gomega.BeNumerically(">", passes), "a pass over a broken segment is counted as stalled")
	eventually.Eventually(func() float64 {
		if offset, ok := h.gathered(t)["tertulia_clock_offset_seconds "+h.id]; ok {
			return math.Abs(offset)
		}
		return math.Inf(1)
	}, patience).Should(gomega.BeNumerically("<", 1))

	// An object that cannot end is told with its age; a tenant that is gone leaves nothing behind.
	held := &v1alpha1.EventType{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: "held", Finalizers: []string{"example.com/held"}}}
	h.create(held)
	h.delete(held, "held")
	deletion := "tertulia_deletion_oldest_age_seconds EventType " + h.namespace
	eventually.Eventually(func() bool { _, ok := h.gathered(t)[deletion]; return ok }, patience).Should(gomega.BeTrue())
	if err := h.change(t.Context(), &v1alpha1.EventType{}, "held", `{"metadata":{"finalizers":null}}`); err != nil {
		t.Fatal(err)
	}
	h.gone(&v1alpha1.EventType{}, "held")
	h.delete(&v1alpha1.CRMTenant{}, "default")
	eventually.Eventually(func() []string {
		var left []string
		for name := range h.gathered(t) {
			if strings.Contains(name, h.id) {
				left = append(left, name)
			}
		}
		return left
	}, patience).Should(gomega.BeEmpty())
}
