package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/crash"
)

func TestReport(t *testing.T) {
	o := options{scenarios: []crash.Scenario{{Name: "first"}, {Name: "second"}}, seeds: []uint64{1, 2}, size: 1000}
	r := newReport(o, []*crash.Result{
		{Scenario: "second", Done: "nothing", Seed: 1, Planned: 1000, Received: 1000, Sent: 1000},
		{Scenario: "first", Done: "a kill", Seed: 2, Planned: 1000, Received: 1001, Sent: 990, Ambiguous: 7, Bound: 8, Duplicates: 1, Trouble: []string{"twice"}},
		{Scenario: "first", Done: "a kill", Seed: 1, Planned: 1000, Received: 998, Sent: 995, Ambiguous: 5, Bound: 8},
	}, time.Minute)
	var got []string
	for _, row := range r.rows() {
		got = append(got, strings.Join(row.cells(), "|"))
	}
	want := []string{
		"first|a kill|2000|1999|1985|0|0|0|1|5, 7|8|BROKEN",
		"second|nothing|1000|1000|1000|0|0|0|0|0|0|held",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the rows differ (-want +got):\n%s", diff)
	}
	if err := r.failure(); err == nil || !strings.Contains(err.Error(), "1 of 3 runs did not hold: first (seed 2)") {
		t.Errorf("unexpected failure: %v", err)
	}
	if text := r.table(); !strings.Contains(text, "first with seed 2:\n  twice") {
		t.Errorf("the table should tell what did not hold:\n%s", text)
	}
}

func TestBetween(t *testing.T) {
	document := []byte("# Guarantees\n\n" + beginMark + "old\n" + endMark + "\nmore\n")
	once, err := between(document, "new\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := "# Guarantees\n\n" + beginMark + "\nnew\n\n" + endMark + "\nmore\n"; string(once) != want {
		t.Errorf("unexpected document:\n%s", once)
	}
	if twice, err := between(once, "new\n"); err != nil || string(twice) != string(once) {
		t.Errorf("to write it again should change nothing: %v\n%s", err, twice)
	}
	if _, err := between([]byte("# Guarantees\n"), "new\n"); err == nil {
		t.Error("a document without the marks should be refused")
	}
}

func TestParse(t *testing.T) {
	o, _, err := parse([]string{"--only", "worker-killed, etcd-emptied", "--seeds", "7,8", "--size", "2000"})
	if err != nil || len(o.scenarios) != 2 || o.whole || len(o.seeds) != 2 || o.size != 2000 {
		t.Errorf("unexpected: %+v, %v", o, err)
	}
	for _, wrong := range [][]string{
		{"--only", "nothing"}, {"--seeds", "x"}, {"--size", "3"}, {"--output", "xml"}, {"more"},
	} {
		if _, _, err := parse(wrong); err == nil {
			t.Errorf("%v should be refused", wrong)
		}
	}
}

func TestTheQueueGivesClustersToOneLane(t *testing.T) {
	plain, cluster := job{seed: 1}, job{scenario: crash.Scenario{Cluster: true}, seed: 2}
	q := &queue{plain: []job{plain, plain}, cluster: []job{cluster}}
	var got []uint64
	for _, withCluster := range []bool{false, true, true, true} {
		j, ok := q.take(withCluster)
		if !ok {
			j.seed = 0
		}
		got = append(got, j.seed)
	}
	if diff := cmp.Diff([]uint64{1, 2, 1, 0}, got); diff != "" {
		t.Errorf("the order differs (-want +got):\n%s", diff)
	}
}
