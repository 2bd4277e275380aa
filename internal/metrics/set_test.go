package metrics

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		definition Definition
		problem    string
	}{
		"a counter":                   {Definition{"tertulia_messages_total", Counter, "Messages.", []string{"tenant"}}, ""},
		"a duration":                  {Definition{"tertulia_batch_duration_seconds", Histogram, "How long.", nil}, ""},
		"a counter without _total":    {Definition{"tertulia_messages", Counter, "Messages.", nil}, "_total"},
		"a gauge with _total":         {Definition{"tertulia_messages_total", Gauge, "Messages.", nil}, "_total"},
		"a histogram without a unit":  {Definition{"tertulia_batch", Histogram, "How long.", nil}, "unit"},
		"a unit that is no base unit": {Definition{"tertulia_batch_milliseconds", Gauge, "How long.", nil}, "base units"},
		"somebody else's prefix":      {Definition{"http_requests_total", Counter, "Requests.", nil}, "tertulia_"},
		"a label that names people":   {Definition{"tertulia_messages_total", Counter, "Messages.", []string{"address"}}, `"address"`},
		"no sentence":                 {Definition{"tertulia_messages_total", Counter, "Messages", nil}, "sentence"},
	} {
		t.Run(name, func(t *testing.T) {
			problem := check(test.definition)
			if (problem == "") != (test.problem == "") || !strings.Contains(problem, test.problem) {
				t.Errorf("problem %q, want one with %q", problem, test.problem)
			}
		})
	}
}

func TestSetForgetsATenant(t *testing.T) {
	s := NewSet()
	leases := s.Gauge("tertulia_leases", "Leases.", "tenant", "channel")
	leases.WithLabelValues("velo", "mail").Set(2)
	leases.WithLabelValues("noir", "mail").Set(3)
	s.Forget("velo")
	want := `
		# HELP tertulia_leases Leases.
		# TYPE tertulia_leases gauge
		tertulia_leases{channel="mail",tenant="noir"} 3
	`
	if err := testutil.CollectAndCompare(s, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

func TestSetRefusesASecondDeclaration(t *testing.T) {
	s := NewSet()
	s.BuildInfo("worker", "1.0.0")
	defer func() {
		if recover() == nil {
			t.Error("a name was declared twice")
		}
	}()
	s.BuildInfo("server", "1.0.0")
}

// A database that refuses to write still answers, and the counter of each reason is there before anything fails: a rate
// over a series that begins with its first failure would miss it.
func TestDatabaseObserver(t *testing.T) {
	s := NewSet()
	d := s.Database([]string{"read_only", "unreachable"})
	observe := d.Observer("velo")
	if n := testutil.CollectAndCount(d.failures); n != 2 {
		t.Errorf("%d counters before the first failure, want 2", n)
	}
	steps := []struct{ reason, want string }{
		{"", "1, read_only 0, unreachable 0"},
		{"read_only", "1, read_only 1, unreachable 0"},
		{"unreachable", "0, read_only 1, unreachable 1"},
		{"", "1, read_only 1, unreachable 1"},
	}
	for _, step := range steps {
		observe(step.reason)
		value := func(reason string) float64 { return testutil.ToFloat64(d.failures.WithLabelValues("velo", reason)) }
		got := fmt.Sprintf("%v, read_only %v, unreachable %v", testutil.ToFloat64(d.up), value("read_only"), value("unreachable"))
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("after %q (-want +got):\n%s", step.reason, diff)
		}
	}
}
