package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// runSentiment runs the verb over lines.
func runSentiment(t *testing.T, in io.Reader, args ...string) (out, warnings string, err error) {
	t.Helper()
	cmd := NewSentimentCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	var stdout, stderr bytes.Buffer
	cmd.SetIn(in)
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

func TestSentimentWritesALineForEachLine(t *testing.T) {
	out, warnings, err := runSentiment(t, strings.NewReader("La bici es preciosa\r\n\nNo funciona\nCuesta 300 euros"), "--lang", "es")
	if err != nil || warnings != "" {
		t.Fatalf("%v %s", err, warnings)
	}
	want := "positive\t+0.60\t0.70\tpreciosa +3.00\n" +
		"neutral\t+0.00\t0.58\t-\n" +
		"negative\t-0.56\t0.67\tfunciona -2.50 (negated by no)\n" +
		"neutral\t+0.00\t0.58\t-\n"
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

func TestSentimentAsJSONNamesTheLine(t *testing.T) {
	long := strings.Repeat("x ", 1<<19) + "terrible"
	out, warnings, err := runSentiment(t, strings.NewReader("what a great shop\n"+long+"\nbad \xff\xfe bytes\x1b[31m\nthe bike is great 🙄\n"), "--output", "json")
	if err != nil {
		t.Fatal(err)
	}
	var got []judgedLine
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		var l judgedLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatalf("%q is no JSON: %v", lines.Text(), err)
		}
		got = append(got, l)
	}
	type flags struct {
		Line                 int
		Label                sentiment.Label
		Cut, Invalid, Ironic bool
	}
	var seen []flags
	for _, l := range got {
		seen = append(seen, flags{l.Line, l.Label, l.Cut, l.Invalid, l.Ironic})
	}
	want := []flags{
		{Line: 1, Label: sentiment.Positive},
		{Line: 2, Label: sentiment.Neutral, Cut: true},
		{Line: 3, Label: sentiment.Negative, Invalid: true},
		{Line: 4, Label: sentiment.Negative, Ironic: true},
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if !strings.Contains(warnings, "line 2: longer than 65536 bytes") || !strings.Contains(warnings, "line 3: not all of it is UTF-8") {
		t.Errorf("standard error says %q, want it to name lines 2 and 3", warnings)
	}
	if len(got[0].Words) == 0 || got[0].Words[0].Word != "great" || strings.Contains(out, "\x1b") {
		t.Errorf("words of the first line: %+v", got[0].Words)
	}
}

func TestSentimentAnswersEachLineBeforeTheNextIsAsked(t *testing.T) {
	in, ask := io.Pipe()
	answers, out := io.Pipe()
	cmd := NewSentimentCommand()
	cmd.SetIn(in)
	cmd.SetOut(out)
	cmd.SetArgs([]string{"--lang", "en"})
	done := make(chan error, 1)
	go func() { done <- errors.Join(cmd.ExecuteContext(t.Context()), out.Close()) }()
	read := bufio.NewReader(answers)
	for _, word := range []string{"great", "terrible"} {
		if _, err := fmt.Fprintln(ask, word); err != nil {
			t.Fatal(err)
		}
		if line, err := read.ReadString('\n'); err != nil || !strings.Contains(line, word) {
			t.Fatalf("%q %v, want an answer about %q", line, err, word)
		}
	}
	if err := errors.Join(ask.Close(), <-done); err != nil {
		t.Fatal(err)
	}
}

// failingReader gives a line and then fails.
type failingReader struct{ given bool }

func (f *failingReader) Read(p []byte) (int, error) {
	if f.given {
		return 0, errors.New("the disk is gone")
	}
	f.given = true
	return copy(p, "great\n"), nil
}

func TestSentimentSaysWhatIsWrong(t *testing.T) {
	if _, _, err := runSentiment(t, strings.NewReader(""), "--lang", "fr"); err == nil || !strings.Contains(err.Error(), "--lang") {
		t.Errorf("a language without words: %v", err)
	}
	if _, _, err := runSentiment(t, strings.NewReader(""), "--output", "yaml"); err == nil || !strings.Contains(err.Error(), "--output") {
		t.Errorf("an unknown output: %v", err)
	}
	out, _, err := runSentiment(t, &failingReader{}, "--lang", "en")
	if err == nil || !strings.Contains(err.Error(), "read line 2") || !strings.HasPrefix(out, "positive") {
		t.Errorf("a reader that fails: %q %v, want line 1 judged and line 2 named", out, err)
	}
}
