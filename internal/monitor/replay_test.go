package monitor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// asCSV writes counts as a file has them.
func asCSV(counts []Count) string {
	var b strings.Builder
	b.WriteString("time,mentions,negatives,authors\n")
	for _, c := range counts {
		fmt.Fprintf(&b, "%s,%d,%d,%d\n", c.Start.Format(time.RFC3339), c.Mentions, c.Negatives, c.Authors)
	}
	return b.String()
}

func TestReplayRaisesTheAlarmsOfTheDetector(t *testing.T) {
	run := simulate(world{base: 20, others: 4, factor: 4}, 3)
	h, err := ReadHistory(strings.NewReader(asCSV(run.counts)), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Replay(h, Config{})
	if err != nil {
		t.Fatal(err)
	}
	d := newDetector(t, Config{}, nil)
	var want []time.Time
	for _, c := range play(t, d, run.counts) {
		if c.Kind == Opened {
			want = append(want, c.At)
		}
	}
	var opened []time.Time
	for _, i := range got.Incidents {
		opened = append(opened, i.Opened)
	}
	if diff := cmp.Diff(want, opened); diff != "" || len(opened) < episodesPerRun-1 {
		t.Errorf("-detector +replay:\n%s", diff)
	}
	if !got.WatchedFrom.Equal(simulationStart.Add(warmUp)) || got.Step != defaultStep || got.Gaps != 0 || got.Rows != len(run.counts) {
		t.Errorf("got %+v", got)
	}
}

// Hours are counts too: later alarms, but alarms.
func TestReplayOfHours(t *testing.T) {
	run := simulate(world{base: 20, others: 4, factor: 4}, 3)
	var hours []Count
	for i := 0; i < len(run.counts); i += 12 {
		c := Count{Start: run.counts[i].Start}
		for _, part := range run.counts[i : i+12] {
			c.Mentions, c.Negatives, c.Authors = c.Mentions+part.Mentions, c.Negatives+part.Negatives, c.Authors+part.Authors
		}
		hours = append(hours, c)
	}
	slices.Reverse(hours) // the newest first, as exports have it
	h, err := ReadHistory(strings.NewReader(asCSV(hours)), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Replay(h, Config{})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, e := range run.episodes {
		if slices.ContainsFunc(got.Incidents, func(i Incident) bool { return i.Opened.After(e.From) && i.Opened.Before(e.To) }) {
			found++
		}
	}
	if got.Step != time.Hour || found < episodesPerRun-1 {
		t.Errorf("%d found, of steps of %v", found, got.Step)
	}
}

func TestReadHistory(t *testing.T) {
	madrid, err := time.LoadLocation("Europe/Madrid")
	if err != nil {
		t.Fatal(err)
	}
	text := "\uFEFFAuthors, TIME ,negatives,note,mentions\n" +
		"2,2026-11-22T10:00:00Z,1,x,4\n" +
		"1,2026-11-22 11:05,0,,1\n" + // 10:05 in UTC
		"1,yesterday,0,,1\n" +
		"1,2026-11-22T10:10:00Z,2,,1\n" +
		"1,2026-11-22T10:10:00Z,many,,1\n" +
		"1,2026-11-22T10:10:00Z\n" +
		"\"1,2026-11-22T10:10:00Z\"x,1,,1\n" +
		"3,2026-11-22T10:15:00Z,1,,3\n" +
		"3,2026-11-22T10:15:00Z,1,,3\n" +
		"0,1970-01-01T00:00:00Z,0,,0\n" +
		"0,2026-11-22T09:55:00Z,0,,0\n"
	h, err := ReadHistory(strings.NewReader(text), madrid)
	if err != nil {
		t.Fatal(err)
	}
	at := func(clock string) time.Time {
		parsed, err := time.Parse(time.RFC3339, "2026-11-22T"+clock+":00Z")
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	want := &History{
		Rows: 4, Step: defaultStep, BadAll: 7,
		Counts: []Count{{Start: at("09:55")}, {at("10:00"), 4, 1, 2}, {at("10:05"), 1, 0, 1}, {at("10:15"), 3, 1, 3}},
		Bad: []BadLine{
			{4, `time is "yesterday": write it as 2026-11-22T10:05:00Z or 2026-11-22 10:05`},
			{5, `2 negative ones of 1 mentions: they are counted among the mentions`},
			{6, `negatives is "many": write a whole number`},
			{7, `it has 2 cells, and none for mentions`},
			{8, `extraneous or missing " in quoted-field`},
			{10, `its time is that of line 9`},
			{11, `time is "1970-01-01T00:00:00Z": a year from 1990 to 2200`},
		},
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestMinutesAreAddedUp(t *testing.T) {
	h, err := ReadHistory(strings.NewReader(asCSV(steady(simulationStart, 10, time.Minute, 2, 4))), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	if len(h.Counts) != 2 || h.Counts[0].Negatives != 12 || h.Counts[0].Authors != 9 || h.Step != defaultStep {
		t.Errorf("got %+v", h)
	}
}

func TestFilesThatAreNoCounts(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":         {"", "there is nothing in it: the first line names the columns time, mentions, negatives and authors"},
		"no authors":    {"time,mentions,negatives\n", `line 1 names no column "authors": it has to name time, mentions, negatives and authors`},
		"days":          {asCSV(steady(simulationStart, 10, 24*time.Hour, 1, 1)), "most lines are 24h0m0s apart: an hour at most tells when something bursts"},
		"a broken head": {"\"time\n", `read the first line: parse error on line 1, column 7: extraneous or missing " in quoted-field`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadHistory(strings.NewReader(c.text), time.UTC)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func FuzzReplay(f *testing.F) {
	f.Add("time,mentions,negatives,authors\n2026-11-22T10:00:00Z,4,1,2\n2026-11-22 10:05,1,0,1\n")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ReadHistory(strings.NewReader(text), time.UTC)
		if err != nil {
			return
		}
		if r, err := Replay(h, Config{}); err != nil || r.Rows+r.BadCount < len(h.Counts) {
			t.Errorf("%d counts are replayed as %+v: %v", len(h.Counts), r, err)
		}
	})
}
