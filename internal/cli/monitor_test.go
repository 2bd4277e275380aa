package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/monitor"
)

// countsFile writes three weeks of quarters of an hour, with a burst at the end of the second.
func countsFile(t *testing.T, more string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("time,mentions,negatives,authors\n")
	start := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for i := range 21 * 96 {
		at, negatives := start.Add(time.Duration(i)*15*time.Minute), 2+i%3
		if at.YearDay() == start.YearDay()+13 && at.Hour() >= 10 && at.Hour() < 14 {
			negatives += 25
		}
		fmt.Fprintf(&b, "%s,%d,%d,%d\n", at.Format(time.RFC3339), negatives+10, negatives, negatives)
	}
	file := filepath.Join(t.TempDir(), "counts.csv")
	if err := os.WriteFile(file, []byte(b.String()+more), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// runMonitor runs a verb of the command and tells what it wrote.
func runMonitor(args ...string) (out, told string, err error) {
	var stdout, stderr bytes.Buffer
	cmd := NewCommand()
	cmd.SetArgs(append([]string{"monitor"}, args...))
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	err = cmd.Execute()
	return stdout.String(), stderr.String(), err
}

func TestMonitorReplayPrintsAlarms(t *testing.T) {
	out, told, err := runMonitor("replay", countsFile(t, ""))
	if err != nil || told != "" {
		t.Fatalf("%v: %s", err, told)
	}
	for _, part := range []string{
		"2016 lines from 2026-06-01 00:00 to 2026-06-22 00:00, of 15m0s each\n", "watched since 2026-06-08 00:00, 14.0 days: 1 alarms\n",
		"ALARM", "2026-06-14 10:15   2026-06-14 10:00   2026-06-14 14:", "Burst",
	} {
		if !strings.Contains(out, part) {
			t.Errorf("%q is not in:\n%s", part, out)
		}
	}
}

func TestMonitorReplayInAnotherZone(t *testing.T) {
	out, _, err := runMonitor("replay", countsFile(t, ""), "--time-zone", "Europe/Madrid")
	if err != nil || !strings.Contains(out, "2026-06-14 12:15") {
		t.Errorf("%v:\n%s", err, out)
	}
}

func TestMonitorReplayAsJSONNamesBadLines(t *testing.T) {
	out, told, err := runMonitor("replay", countsFile(t, "2026-06-22T00:00:00Z,1,2,1\nnow,1,0,1\n"), "--output", "json")
	var verdict *verdictError
	if !errors.As(err, &verdict) || verdict.status != 1 {
		t.Errorf("the error is %v", err)
	}
	for _, part := range []string{"line 2018: 2 negative ones of 1 mentions", `line 2019: time is "now"`} {
		if !strings.Contains(told, part) {
			t.Errorf("%q is not in:\n%s", part, told)
		}
	}
	var replayed monitor.Replayed
	if err := json.Unmarshal([]byte(out), &replayed); err != nil {
		t.Fatal(err)
	}
	if len(replayed.Incidents) != 1 || replayed.Incidents[0].Ending != monitor.Calmed || replayed.BadCount != 2 || replayed.BadLines[0].Line != 2018 {
		t.Errorf("got %+v", replayed)
	}
}

func TestMonitorReplayRefuses(t *testing.T) {
	file := countsFile(t, "")
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no file":     {[]string{"replay", "/nowhere/counts.csv"}, "read the counts: open /nowhere/counts.csv: no such file or directory"},
		"a zone":      {[]string{"replay", file, "--time-zone", "Madrid"}, `--time-zone "Madrid" is not known: write it as Europe/Madrid`},
		"a bound":     {[]string{"replay", file, "--min-authors", "0"}, "--min-negatives and --min-authors are at least 1, and --cool-down lies between 0 and 72h"},
		"an output":   {[]string{"replay", file, "--output", "yaml"}, `--output must be "text" or "json"`},
		"two files":   {[]string{"replay", file, file}, "accepts 1 arg(s), received 2"},
		"not a table": {[]string{"replay", os.DevNull}, "read the counts from /dev/null: there is nothing in it: the first line names the columns time, mentions, negatives and authors"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := runMonitor(c.args...); err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestMonitorReplayOfTooLittle(t *testing.T) {
	file := filepath.Join(t.TempDir(), "counts.csv")
	if err := os.WriteFile(file, []byte("time,mentions,negatives,authors\n2026-06-22T00:00:00Z,1,1,1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err := runMonitor("replay", file)
	if err != nil || !strings.Contains(out, "no alarms: what is usual is known after 7 days") {
		t.Errorf("%v:\n%s", err, out)
	}
}
