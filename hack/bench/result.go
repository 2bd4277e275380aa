package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
)

// Row is one measured number beside the bound that the same run measured.
type Row struct {
	Name       string  `json:"name"`
	Value      float64 `json:"value"`
	Unit       string  `json:"unit"`
	Limit      float64 `json:"limit"`          // what the same run measured as the bound, in the same unit
	Ratio      float64 `json:"ratio"`          // 1 at the bound, less when we are worse
	CPUSeconds float64 `json:"cpu_seconds"`    // of the process that is measured
	PeakRSSMB  float64 `json:"peak_rss_mb"`    // of the process that is measured, in MiB
	Note       string  `json:"note,omitempty"` // sizes and what the bound is
}

// Rate is a row in which more is better.
func Rate(name, unit string, value, bound float64) Row {
	return Row{Name: name, Unit: unit, Value: value, Limit: bound, Ratio: quotient(value, bound)}
}

// Time is a row in which less is better.
func Time(name, unit string, value, bound float64) Row {
	return Row{Name: name, Unit: unit, Value: value, Limit: bound, Ratio: quotient(bound, value)}
}

// Zero is a row that has to be nothing: its ratio is 1 when it is, and 0 when it is not.
func Zero(name, unit string, value float64) Row {
	row := Row{Name: name, Unit: unit, Value: value}
	if value == 0 {
		row.Ratio = 1
	}
	return row
}

// quotient is 0 where nothing was measured, which JSON can say and an infinity it cannot.
func quotient(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

// medians picks for every row name the run with the median ratio, so that value and limit belong to one run. Of an even
// number of runs it takes the worse of the two in the middle. Rows keep the order in which they were first seen.
func medians(runs [][]Row) []Row {
	var names []string
	samples := map[string][]Row{}
	for _, rows := range runs {
		for _, row := range rows {
			if samples[row.Name] == nil {
				names = append(names, row.Name)
			}
			samples[row.Name] = append(samples[row.Name], row)
		}
	}
	result := make([]Row, 0, len(names))
	for _, name := range names {
		of := samples[name]
		slices.SortStableFunc(of, func(a, b Row) int { return cmp.Compare(a.Ratio, b.Ratio) })
		result = append(result, of[(len(of)-1)/2])
	}
	return result
}

// printTable writes the rows for people.
func printTable(w io.Writer, rows []Row) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "name\tvalue\tbound\tunit\tratio\tCPU s\tpeak MiB\t")
	for _, r := range rows {
		fmt.Fprintf(t, "%s\t%.4g\t%.4g\t%s\t%.2f\t%.1f\t%.0f\t\n", r.Name, r.Value, r.Limit, r.Unit, r.Ratio, r.CPUSeconds, r.PeakRSSMB)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range rows {
		if r.Note != "" {
			if _, err := fmt.Fprintf(w, "%s: %s\n", r.Name, r.Note); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeJSON writes the rows for programs.
func writeJSON(path string, rows []Row) error {
	out, err := json.MarshalIndent(rows, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the rows: %w", err)
	}
	if err := os.WriteFile(path, append(out, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the rows: %w", err)
	}
	return nil
}
