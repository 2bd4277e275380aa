package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Who reads logs by machine relies on the keys: they are the same whatever the line is about.
func TestJSONLog(t *testing.T) {
	var out bytes.Buffer
	log, err := newLogger(jsonLog, &out)
	if err != nil {
		t.Fatal(err)
	}
	log.WithValues("tenant", "velo").Error(fmt.Errorf("read: %w", errors.New("gone")), "the loop fails", "loop", "send")
	log.Info("the loop works again", "failures", 3)
	log.V(1).Info("detail")
	var lines []map[string]any
	decoder := json.NewDecoder(&out)
	for decoder.More() {
		var line map[string]any
		if err := decoder.Decode(&line); err != nil {
			t.Fatal(err)
		}
		at, _ := line["time"].(string)
		if when, err := time.Parse(time.RFC3339Nano, at); err != nil || !strings.HasSuffix(at, "Z") || time.Since(when) > time.Minute {
			t.Errorf("time %q: %v", at, err)
		}
		delete(line, "time")
		lines = append(lines, line)
	}
	want := []map[string]any{
		{"level": "ERROR", "msg": "the loop fails", "error": "read: gone", "tenant": "velo", "loop": "send"},
		{"level": "INFO", "msg": "the loop works again", "failures": 3.0},
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("the log differs (-want +got):\n%s", diff)
	}
}

func TestTextLog(t *testing.T) {
	var out bytes.Buffer
	log, err := newLogger(textLog, &out)
	if err != nil {
		t.Fatal(err)
	}
	log.Error(errors.New("no way"), "cannot read", "tenant", "velo")
	if got := out.String(); !strings.HasSuffix(got, ` level=ERROR msg="cannot read" error="no way" tenant=velo`+"\n") {
		t.Errorf("the line is %q", got)
	}
}

func TestAnUnknownLogFormatIsRefused(t *testing.T) {
	if _, err := newLogger("xml", &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "--log-format") {
		t.Errorf("the error does not name the flag: %v", err)
	}
}
