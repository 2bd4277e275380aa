package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRatioIsLessWhenWorse(t *testing.T) {
	for name, c := range map[string]struct {
		row  Row
		want float64
	}{
		"half the bound's rate":      {Rate("a", "rows/s", 50, 100), 0.5},
		"twice the bound's time":     {Time("a", "s", 20, 10), 0.5},
		"at the bound":               {Rate("a", "rows/s", 7, 7), 1},
		"a bound that was not found": {Rate("a", "rows/s", 7, 0), 0},
	} {
		t.Run(name, func(t *testing.T) {
			if c.row.Ratio != c.want {
				t.Errorf("ratio %v, want %v", c.row.Ratio, c.want)
			}
		})
	}
}

func TestMedians(t *testing.T) {
	row := func(name string, value float64) Row { return Rate(name, "rows/s", value, 100) }
	for name, c := range map[string]struct {
		runs [][]Row
		want []Row
	}{
		"one run stands alone": {
			runs: [][]Row{{row("b", 4), row("a", 9)}},
			want: []Row{row("b", 4), row("a", 9)},
		},
		"the middle of an odd number, for each row by itself": {
			runs: [][]Row{{row("a", 1), row("b", 30)}, {row("a", 3), row("b", 10)}, {row("a", 2), row("b", 20)}},
			want: []Row{row("a", 2), row("b", 20)},
		},
		"of an even number the worse": {
			runs: [][]Row{{row("a", 1)}, {row("a", 2)}},
			want: []Row{row("a", 1)},
		},
		"nothing": {want: []Row{}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, medians(c.runs)); diff != "" {
				t.Errorf("medians (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWriteJSONKeepsEveryMember(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bench.json")
	if err := writeJSON(path, []Row{{Name: "a", Value: 1, Unit: "s", Limit: 2, Ratio: 2, CPUSeconds: 3, PeakRSSMB: 4, Note: "n"}}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	want := []map[string]any{{
		"name": "a", "value": 1.0, "unit": "s", "limit": 2.0, "ratio": 2.0, "cpu_seconds": 3.0, "peak_rss_mb": 4.0, "note": "n",
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("bench.json (-want +got):\n%s", diff)
	}
}
