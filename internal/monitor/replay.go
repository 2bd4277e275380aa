package monitor

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The bounds of a file of counts.
const (
	maxRows      = 2_000_000 // 19 years of 5 minutes
	maxFileBytes = 256 << 20
	maxBadLines  = 100
)

// columns are what a file of counts has.
var columns = [...]string{"time", "mentions", "negatives", "authors"}

// layouts are how times are written; those without a zone are of the location that is told.
var layouts = [...]string{time.RFC3339, "2006-01-02 15:04:05", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02T15:04"}

// BadLine is a line that could not be read. Replay leaves it out, as a gap.
type BadLine struct {
	Line  int    `json:"line"`
	Error string `json:"error"`
}

// row is a count with its line.
type row struct {
	Count
	line int
}

// History is counts as a file has them, in steps of one length.
type History struct {
	Rows   int
	Step   time.Duration
	Counts []Count // oldest first
	Bad    []BadLine
	BadAll int // how many bad lines there are; Bad holds the first of them
}

func (h *History) bad(line int, err error) {
	h.BadAll++
	if len(h.Bad) < maxBadLines {
		h.Bad = append(h.Bad, BadLine{Line: line, Error: err.Error()})
	}
}

// ReadHistory reads counts from CSV with the columns time, mentions, negatives and authors, in any order, among others. Lines
// may come in any order. Finer steps than 5 minutes are added up to that.
func ReadHistory(from io.Reader, location *time.Location) (*History, error) {
	limited := &io.LimitedReader{R: from, N: maxFileBytes + 1}
	reader := csv.NewReader(limited)
	reader.ReuseRecord, reader.FieldsPerRecord = true, -1
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("there is nothing in it: the first line names the columns time, mentions, negatives and authors")
	}
	if err != nil {
		return nil, fmt.Errorf("read the first line: %w", err)
	}
	places, err := placesOf(header)
	if err != nil {
		return nil, err
	}
	h := &History{}
	var rows []row
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var wrong *csv.ParseError
		if errors.As(err, &wrong) {
			h.bad(wrong.StartLine, wrong.Err)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read after line %d: %w", len(rows)+h.BadAll+1, err)
		}
		line, _ := reader.FieldPos(0)
		count, err := parseCount(record, places, location)
		if err != nil {
			h.bad(line, err)
			continue
		}
		if rows = append(rows, row{count, line}); len(rows) > maxRows {
			return nil, fmt.Errorf("it has more than %d lines: give a part of the history", maxRows)
		}
	}
	if limited.N <= 0 {
		return nil, fmt.Errorf("it is larger than %d MiB: give a part of the history", maxFileBytes>>20)
	}
	return h, h.arrange(rows)
}

// placesOf finds the columns.
func placesOf(header []string) (places [len(columns)]int, err error) {
	for i, name := range columns {
		places[i] = slices.IndexFunc(header, func(h string) bool {
			return strings.EqualFold(strings.TrimSpace(strings.TrimPrefix(h, "\uFEFF")), name)
		})
		if places[i] < 0 {
			return places, fmt.Errorf("line 1 names no column %q: it has to name time, mentions, negatives and authors", name)
		}
	}
	return places, nil
}

func parseCount(record []string, places [len(columns)]int, location *time.Location) (c Count, err error) {
	var cells [len(columns)]string
	for i, place := range places {
		if place >= len(record) {
			return c, fmt.Errorf("it has %d cells, and none for %s", len(record), columns[i])
		}
		cells[i] = strings.TrimSpace(record[place])
	}
	if c.Start, err = parseTime(cells[0], location); err != nil {
		return c, err
	}
	for i, number := range []*int{&c.Mentions, &c.Negatives, &c.Authors} {
		if *number, err = strconv.Atoi(cells[i+1]); err != nil {
			return c, fmt.Errorf("%s is %q: write a whole number", columns[i+1], clip(cells[i+1]))
		}
	}
	return c, c.Check()
}

func parseTime(s string, location *time.Location) (time.Time, error) {
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, s, location); err == nil {
			if t.Year() < 1990 || t.Year() > 2200 {
				return t, fmt.Errorf("time is %q: a year from 1990 to 2200", clip(s))
			}
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("time is %q: write it as 2026-11-22T10:05:00Z or 2026-11-22 10:05", clip(s))
}

func clip(s string) string {
	if len(s) > 40 {
		return strings.ToValidUTF8(s[:40], "") + "…"
	}
	return s
}

// arrange sorts rows into steps.
func (h *History) arrange(rows []row) error {
	h.Rows = len(rows)
	slices.SortStableFunc(rows, func(a, b row) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.line, b.line)) })
	rows = slices.CompactFunc(rows, func(a, b row) bool {
		same := a.Start.Equal(b.Start)
		if same {
			h.bad(max(a.line, b.line), fmt.Errorf("its time is that of line %d", min(a.line, b.line)))
			h.Rows--
		}
		return same
	})
	slices.SortFunc(h.Bad, func(a, b BadLine) int { return cmp.Compare(a.Line, b.Line) })
	step, err := stepOf(rows)
	if err != nil {
		return err
	}
	h.Step = step
	for _, r := range rows {
		start := r.Start.Truncate(step).UTC()
		if n := len(h.Counts); n > 0 && h.Counts[n-1].Start.Equal(start) {
			last := &h.Counts[n-1]
			last.Mentions, last.Negatives = last.Mentions+r.Mentions, last.Negatives+r.Negatives
			last.Authors = max(last.Authors, r.Authors) // they may be the same people
			continue
		}
		c := r.Count
		c.Start = start
		h.Counts = append(h.Counts, c)
	}
	return nil
}

// stepOf is the part of an hour that rows are apart, most of them.
func stepOf(rows []row) (time.Duration, error) {
	apart := map[time.Duration]int{}
	for i := 1; i < len(rows); i++ {
		apart[rows[i].Start.Sub(rows[i-1].Start)]++
	}
	if len(apart) == 0 {
		return defaultStep, nil
	}
	usual, most := time.Duration(0), 0
	for d, n := range apart {
		if n > most || n == most && d < usual {
			usual, most = d, n
		}
	}
	if usual > time.Hour {
		return 0, fmt.Errorf("most lines are %v apart: an hour at most tells when something bursts", usual)
	}
	for _, minutes := range []int{60, 30, 20, 15, 12, 10, 6} {
		if step := time.Duration(minutes) * time.Minute; usual >= step {
			return step, nil
		}
	}
	return defaultStep, nil
}

// Replayed is what a monitor would have done.
type Replayed struct {
	From        time.Time     `json:"from,omitzero"`
	To          time.Time     `json:"to,omitzero"`
	Step        time.Duration `json:"-"`
	StepMinutes float64       `json:"stepMinutes"`
	Rows        int           `json:"rows"`
	Gaps        int           `json:"gaps"`                 // steps of which nothing is known
	WatchedFrom time.Time     `json:"watchedFrom,omitzero"` // zero: there was not enough history
	Incidents   []Incident    `json:"incidents"`
	BadLines    []BadLine     `json:"badLines,omitempty"`
	BadCount    int           `json:"badCount"`
}

// Replay plays a history to a monitor that begins with it, knowing nothing.
func Replay(h *History, config Config) (*Replayed, error) {
	config.Step = h.Step
	d, err := New(config)
	if err != nil {
		return nil, err
	}
	r := &Replayed{Step: h.Step, StepMinutes: h.Step.Minutes(), Rows: h.Rows, BadLines: h.Bad, BadCount: h.BadAll, Incidents: []Incident{}}
	for i, c := range h.Counts {
		changes, err := d.Observe(c)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			r.From = c.Start.In(d.config.Location)
		} else {
			r.Gaps += int(c.Start.Sub(h.Counts[i-1].Start)/h.Step) - 1
		}
		r.To = c.Start.Add(h.Step).In(d.config.Location)
		if r.WatchedFrom.IsZero() && d.profile != nil {
			r.WatchedFrom = r.To
		}
		for _, change := range changes {
			if change.Kind == Closed {
				r.Incidents = append(r.Incidents, change.Incident)
			}
		}
	}
	if open, ok := d.Open(); ok {
		r.Incidents = append(r.Incidents, open)
	}
	return r, nil
}
