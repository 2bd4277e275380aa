package scratch

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestWhatIsLeftBehindIsRemoved(t *testing.T) {
	parent := t.TempDir()
	if os.Getenv("TERTULIA_SCRATCH") != "" {
		d, err := makeIn(os.Getenv("TERTULIA_SCRATCH"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = os.Stdout.WriteString(d.Path())
		_ = os.Stdout.Sync()
		os.Exit(0) // without a word
	}
	ours, err := makeIn(parent)
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command(os.Args[0], "-test.run", "^TestWhatIsLeftBehindIsRemoved$") //nolint:gosec // this test binary
	other.Env = append(os.Environ(), "TERTULIA_SCRATCH="+parent)
	left, err := other.Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(string(left)); err != nil || filepath.Dir(string(left)) != parent {
		t.Fatalf("a process that ended left %q: %v", left, err)
	}
	second, err := makeIn(parent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(string(left)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what it left is still there: %v", err)
	}
	for _, d := range []*Dir{ours, second} {
		if _, err := os.Stat(d.Path()); err != nil {
			t.Errorf("what is in use is gone: %v", err)
		}
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(d.Path()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it is still there: %v", err)
		}
	}
}
