package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tertulia-crm/tertulia/internal/crash"
)

// report is what all runs showed.
type report struct {
	On      string          `json:"on"` // the day
	Took    string          `json:"took"`
	Cores   int             `json:"cores"`
	Size    int             `json:"size"`
	Seeds   []uint64        `json:"seeds"`
	Results []*crash.Result `json:"results"`
}

// newReport puts the results into the order of their scenarios and seeds.
func newReport(o options, results []*crash.Result, took time.Duration) report {
	place := map[string]int{}
	for i, s := range o.scenarios {
		place[s.Name] = i
	}
	slices.SortStableFunc(results, func(a, b *crash.Result) int {
		if place[a.Scenario] != place[b.Scenario] {
			return place[a.Scenario] - place[b.Scenario]
		}
		return slices.Index(o.seeds, a.Seed) - slices.Index(o.seeds, b.Seed)
	})
	return report{
		On: time.Now().UTC().Format(time.DateOnly), Took: took.Round(time.Second).String(), Cores: runtime.NumCPU(),
		Size: o.size, Seeds: o.seeds, Results: results,
	}
}

// row is what the runs of one scenario showed together.
type row struct {
	scenario, done                                           string
	planned, received, sent, failed, skipped, pending, twice int
	ambiguous                                                []int
	bound                                                    int
	verdict                                                  string
}

func (r report) rows() []row {
	var rows []row
	for _, result := range r.Results {
		if len(rows) == 0 || rows[len(rows)-1].scenario != result.Scenario {
			rows = append(rows, row{scenario: result.Scenario, done: result.Done, bound: result.Bound, verdict: "held"})
		}
		last := &rows[len(rows)-1]
		last.planned += result.Planned
		last.received += result.Received
		last.sent += result.Sent
		last.failed += result.Failed
		last.skipped += result.Skipped
		last.pending += result.Pending
		last.twice += result.Duplicates
		last.ambiguous = append(last.ambiguous, result.Ambiguous)
		if !result.Held() {
			last.verdict = "BROKEN"
		}
	}
	return rows
}

var columns = []string{
	"scenario", "what was done", "planned", "received", "sent", "failed", "skipped", "pending", "duplicates", "ambiguous", "at most", "verdict",
}

func (r row) cells() []string {
	cells := []string{r.scenario, r.done}
	for _, n := range []int{r.planned, r.received, r.sent, r.failed, r.skipped, r.pending, r.twice} {
		cells = append(cells, fmt.Sprint(n))
	}
	var ambiguous []string
	for _, n := range r.ambiguous {
		ambiguous = append(ambiguous, fmt.Sprint(n))
	}
	return append(cells, strings.Join(ambiguous, ", "), fmt.Sprint(r.bound), r.verdict)
}

// table is for a terminal. What was done would make its lines too long.
func (r report) table() string {
	var text strings.Builder
	out := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	line := func(cells []string) { fmt.Fprintln(out, strings.Join(slices.Delete(slices.Clone(cells), 1, 2), "\t")) }
	line(columns)
	for _, row := range r.rows() {
		line(row.cells())
	}
	_ = out.Flush() // a builder takes everything
	for _, result := range r.Results {
		if !result.Held() {
			fmt.Fprintf(&text, "\n%s with seed %d:\n  %s\n", result.Scenario, result.Seed, strings.Join(result.Trouble, "\n  "))
		}
	}
	fmt.Fprintf(&text, "\n%d recipients, seeds %v, on %d cores, in %s\n", r.Size, r.Seeds, r.Cores, r.Took)
	return text.String()
}

// markdown is for a document.
func (r report) markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "Run on %s, on %d cores, in %s: %d recipients in each campaign, and each scenario with the seeds %s.\n\n",
		r.On, r.Cores, r.Took, r.Size, strings.Trim(strings.ReplaceAll(fmt.Sprint(r.Seeds), " ", ", "), "[]"))
	line := func(cells []string) { fmt.Fprintf(&text, "| %s |\n", strings.Join(cells, " | ")) }
	line(columns)
	rule := make([]string, len(columns))
	for i := range rule {
		rule[i] = "---"
		if i > 1 && i < len(rule)-1 {
			rule[i] = "--:"
		}
	}
	line(rule)
	for _, row := range r.rows() {
		line(row.cells())
	}
	return text.String()
}

// Between these lines of the document stands the table.
const (
	beginMark = "<!-- soak: the table below is written by make soak -->\n"
	endMark   = "<!-- soak: end -->\n"
)

// writeInto replaces the table of a document.
func (r report) writeInto(path string) error {
	document, err := os.ReadFile(path) //nolint:gosec // the caller's file
	if err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	replaced, err := between(document, r.markdown())
	if err != nil {
		return fmt.Errorf("write the table into %s: %w", path, err)
	}
	if err := os.WriteFile(path, replaced, 0o644); err != nil { //nolint:gosec // a document
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

// between replaces what stands between the marks.
func between(document []byte, table string) ([]byte, error) {
	before, rest, begins := bytes.Cut(document, []byte(beginMark))
	_, after, ends := bytes.Cut(rest, []byte(endMark))
	if !begins || !ends {
		return nil, errors.New("it does not hold the lines between which the table stands")
	}
	return slices.Concat(before, []byte(beginMark+"\n"+table+"\n"+endMark), after), nil
}

// failure is an error when something did not hold.
func (r report) failure() error {
	var names []string
	for _, result := range r.Results {
		if !result.Held() {
			names = append(names, fmt.Sprintf("%s (seed %d)", result.Scenario, result.Seed))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d runs did not hold: %s", len(names), len(r.Results), strings.Join(names, ", "))
}
