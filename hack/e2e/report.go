package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
)

// The files of a report.
const (
	markdownFile = "e2e.md"
	jsonFile     = "e2e.json"
)

// report is what all drills showed.
type report struct {
	On      string    `json:"on"` // the day
	Took    string    `json:"took"`
	Results []*result `json:"results"`
}

func newReport(results []*result, took time.Duration) report {
	return report{On: time.Now().UTC().Format(time.DateOnly), Took: took.Round(time.Second).String(), Results: results}
}

var columns = []string{
	"drill", "what was done", "disturbed", "planned", "received", "sent", "failed", "ambiguous", "skipped", "pending", "duplicates", "verdict",
}

func (r *result) cells() []string {
	cells := []string{r.Drill, r.Done, r.Disturbed}
	for _, n := range []int64{r.Planned, r.Received, r.Sent, r.Failed, r.Ambiguous, r.Skipped, r.Pending, r.Duplicates} {
		cells = append(cells, fmt.Sprint(n))
	}
	return append(cells, r.Verdict)
}

// table is for a terminal. What was done would make its lines too long.
func (r report) table() string {
	var text strings.Builder
	out := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	row := func(cells []string) {
		_, _ = fmt.Fprintln(out, strings.Join(append(cells[:1:1], cells[2:]...), "\t"))
	}
	row(columns)
	for _, result := range r.Results {
		row(result.cells())
	}
	_ = out.Flush() // a builder takes everything
	for _, result := range r.Results {
		if result.Trouble != "" {
			fmt.Fprintf(&text, "\n%s: %s\n", result.Drill, result.Trouble)
		}
	}
	return text.String()
}

// markdown is for a document.
func (r report) markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "Run on %s, in %s, on one node with two cores.\n\n", r.On, r.Took)
	row := func(cells []string) { fmt.Fprintf(&text, "| %s |\n", strings.Join(cells, " | ")) }
	row(columns)
	rule := make([]string, len(columns))
	for i := range rule {
		rule[i] = "---"
		if i > 2 && i < len(rule)-1 {
			rule[i] = "--:"
		}
	}
	row(rule)
	for _, result := range r.Results {
		row(result.cells())
	}
	return text.String()
}

func (r report) write(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	for name, text := range map[string]string{markdownFile: r.markdown(), jsonFile: string(content) + "\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("write the results: %w", err)
		}
	}
	return nil
}

// failure is an error when a drill did not hold.
func (r report) failure() error {
	var names []string
	for _, result := range r.Results {
		if result.Verdict != held {
			names = append(names, result.Drill)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d drills did not hold: %s", len(names), len(r.Results), strings.Join(names, ", "))
}
