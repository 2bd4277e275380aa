package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMacroF1(t *testing.T) {
	// By hand: F1 is 2·3/(4+4) for the first, 2·2/(3+3) for the second, 2·1/(2+2) for the third.
	counted := tally{confusion: [classes][classes]int{{3, 1, 0}, {0, 2, 1}, {1, 0, 1}}}
	if want := 100 * (6.0/8 + 4.0/6 + 2.0/4) / 3; math.Abs(counted.macroF1()-want) > 1e-9 {
		t.Errorf("macro-F1 %v, want %v", counted.macroF1(), want)
	}
	if empty := (&tally{}).macroF1(); empty != 0 {
		t.Errorf("macro-F1 of nothing is %v", empty)
	}
}

func TestFilesAreJudgedAndWhatIsWrongWithThemIsNamed(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("spanish_train_text.txt", "Qué bici tan mala\nCuesta 300 euros\nMe encanta\n")
	write("spanish_train_labels.txt", "0\n1\n2\n")
	write("english_train_text.txt", "What a terrible bike\nI don\\u2019t like it\n")
	write("english_train_labels.txt", "0\n0\n")
	var out strings.Builder
	if err := run(&out, dir, []string{"train"}, 0); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "spanish_train: macro-F1 100.0 over 3 posts") || !strings.Contains(got, "english_train: macro-F1 33.3 over 2 posts") {
		t.Errorf("it prints:\n%s", got)
	}
	for labels, says := range map[string]string{"0\n1\n": "3 posts and 2 labels", "0\n1\n3\n": "spanish_train_labels.txt:3", "0\n\n2\n": "spanish_train_labels.txt:2"} {
		write("spanish_train_labels.txt", labels)
		if err := run(&out, dir, []string{"train"}, 0); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("labels %q: %v, want an error with %q", labels, err, says)
		}
	}
	if err := run(&out, "", nil, 0); err == nil || !strings.Contains(err.Error(), "DATA=DIR") {
		t.Errorf("no folder: %v", err)
	}
	if err := run(&out, dir, []string{"val"}, 0); err == nil || !strings.Contains(err.Error(), "spanish_val_text.txt") {
		t.Errorf("no file: %v", err)
	}
}
