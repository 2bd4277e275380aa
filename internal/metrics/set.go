// Package metrics is the one way in which Tertulia's processes declare what they measure. A Set checks names and labels
// when it is made, so that a name without a unit, or a label that could hold a person, ends a test and never reaches a
// monitoring system; docs/metrics.md is made from the same declarations.
package metrics

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// Type is what a metric is to Prometheus.
type Type string

// The types of metrics.
const (
	Counter   Type = "counter"
	Gauge     Type = "gauge"
	Histogram Type = "histogram"
)

// Definition is a metric as it is declared.
type Definition struct {
	Name   string
	Type   Type
	Help   string // one sentence or two
	Labels []string
}

// Unit is the unit that the metric's name ends with; "" for a number of things, and for what is 0 or 1.
func (d Definition) Unit() string {
	for _, unit := range []string{"seconds", "bytes"} {
		if strings.HasSuffix(strings.TrimSuffix(d.Name, "_total"), "_"+unit) {
			return unit
		}
	}
	return ""
}

// Labels are all labels that a metric may have, with what they hold. Every one of them takes few values, decided by
// manifests or by this program: a person, an address or a path is in none.
var Labels = map[string]string{
	"channel":   "name of a MessageChannel",
	"code":      "status code of an HTTP answer",
	"component": "operator, worker or server",
	"condition": "type of a condition, such as `Ready`",
	"engine":    "what judged posts: `learned` (from corrections) or `lexicon` (words and rules)",
	"hours":     "how time was counted: in the hours in which the team works (`work`), or by the `calendar`",
	"kind":      "kind of an object, such as `Campaign`",
	"language":  "code of a language, such as `es`",
	"loop":      "a worker's loop, such as `send` or `sweep`",
	"method":    "method of an HTTP request; `other` for those that nothing here takes",
	"monitor":   "name of a Monitor",
	// Not namespace: Prometheus gives that name to where the process runs that was asked.
	"object_namespace": "namespace of the objects that are counted",
	"outcome":          "how something ended; the metric says which outcomes there are",
	"queue":            "name of a ServiceQueue",
	"reason":           "why, in one of the words that conditions or the metric's meaning list",
	"receiver":         "name of a receiver with very many people, such as `google.com`; `other` for all the rest",
	"route":            "pattern of a route, such as `GET /v1/contacts/{id}`; `other` for what is none",
	"rule":             "name of an AutomationRule",
	"segment":          "name of a Segment",
	"source":           "name of a SocialSource",
	"state":            "where an object stands: `ready`, `reconciling`, `waiting`, `stalled`, `deleting` or `new`",
	"status":           "status of a condition: `True`, `False` or `Unknown`",
	"target":           "what a ServiceQueue promises: `first_response`, `next_response` or `resolution`",
	"tenant":           "`spec.id` of a CRMTenant",
	"version":          "version of this program",
}

// DurationBuckets are the bounds, in seconds, of how long things take that may take minutes: 1 ms to 262 s.
func DurationBuckets() []float64 { return prometheus.ExponentialBuckets(0.001, 4, 10) }

// Set is what one process, or a part of one, measures. It is a prometheus.Collector. Its methods panic where a
// declaration breaks a rule: declarations are decided when the program is compiled.
type Set struct {
	definitions []Definition
	collectors  []prometheus.Collector
}

// NewSet makes a set without metrics.
func NewSet() *Set { return &Set{} }

// Counter declares a counter.
func (s *Set) Counter(name, help string, labels ...string) *prometheus.CounterVec {
	s.declare(Definition{name, Counter, help, labels})
	return add(s, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
}

// Gauge declares a gauge.
func (s *Set) Gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	s.declare(Definition{name, Gauge, help, labels})
	return add(s, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels))
}

// Histogram declares a histogram with the upper bounds of its buckets.
func (s *Set) Histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	s.declare(Definition{name, Histogram, help, labels})
	return add(s, prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels))
}

// Described declares a gauge that a collector of its own makes at each scrape, and returns how it is described. The collector
// is added with Collector.
func (s *Set) Described(name, help string, labels ...string) *prometheus.Desc {
	s.declare(Definition{name, Gauge, help, labels})
	return prometheus.NewDesc(name, help, labels, nil)
}

// Collector adds a collector of metrics that were declared by Described.
func (s *Set) Collector(c prometheus.Collector) { add(s, c) }

func add[C prometheus.Collector](s *Set, c C) C {
	s.collectors = append(s.collectors, c)
	return c
}

// Definitions lists what was declared, by name.
func (s *Set) Definitions() []Definition {
	sorted := slices.Clone(s.definitions)
	slices.SortFunc(sorted, func(a, b Definition) int { return strings.Compare(a.Name, b.Name) })
	return sorted
}

// Describe implements prometheus.Collector.
func (s *Set) Describe(descriptions chan<- *prometheus.Desc) {
	for _, c := range s.collectors {
		c.Describe(descriptions)
	}
}

// Collect implements prometheus.Collector.
func (s *Set) Collect(metrics chan<- prometheus.Metric) {
	for _, c := range s.collectors {
		c.Collect(metrics)
	}
}

// Forget removes the series of a tenant that this process no longer has, so that nobody is woken for its last state.
func (s *Set) Forget(tenant string) {
	for _, c := range s.collectors {
		if v, ok := c.(interface{ DeletePartialMatch(prometheus.Labels) int }); ok {
			v.DeletePartialMatch(prometheus.Labels{"tenant": tenant})
		}
	}
}

var wellFormed = regexp.MustCompile(`^tertulia(_[a-z][a-z0-9]*)+$`)

func (s *Set) declare(d Definition) {
	if problem := check(d); problem != "" {
		panic(fmt.Sprintf("metric %s: %s", d.Name, problem))
	}
	if slices.ContainsFunc(s.definitions, func(other Definition) bool { return other.Name == d.Name }) {
		panic(fmt.Sprintf("metric %s: declared twice", d.Name))
	}
	s.definitions = append(s.definitions, d)
}

// check tells which of Prometheus' conventions or of our rules about labels a definition breaks; "" when none.
func check(d Definition) string {
	total := strings.HasSuffix(d.Name, "_total")
	switch {
	case !wellFormed.MatchString(d.Name):
		return "a name is tertulia_ and words of lower case"
	case (d.Type == Counter) != total:
		return "counters end with _total, and nothing else does"
	case d.Type == Histogram && d.Unit() == "":
		return "a histogram's name ends with its unit"
	case regexp.MustCompile(`_(ms|millis|milliseconds|minutes|hours|kb|kilobytes|mb|megabytes|percent)(_|$)`).MatchString(d.Name):
		return "units are base units: seconds, bytes, ratios"
	case !strings.HasSuffix(d.Help, "."):
		return "the meaning is a sentence"
	}
	for _, label := range d.Labels {
		if Labels[label] == "" {
			return fmt.Sprintf("label %q is not among those whose values are known to be few: add it to Labels with what it holds", label)
		}
	}
	return ""
}
