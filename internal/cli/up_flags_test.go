package cli

import (
	"bytes"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/local/filelock"
)

func TestUpRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close() //nolint:errcheck // the test is over
	held := t.TempDir()
	lock, err := filelock.TryAcquire(filepath.Join(held, "up.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Release() //nolint:errcheck // the test is over
	tests := map[string]struct {
		reason string
		args   []string
		want   string
	}{
		"Networks":  {"a host where a network is meant", []string{"--listen-allow-network", "10.0.0.1"}, `--listen-allow-network: "10.0.0.1" is no network`},
		"Output":    {"a form that is none", []string{"--output", "xml"}, `--output "xml": say "text" or "json"`},
		"Workers":   {"a slip of the keyboard", []string{"--workers", "1000"}, "--workers 1000: say a number from 0 to 64"},
		"Manifests": {"a directory that is not there", []string{"--manifests", "/does/not/exist"}, "--manifests /does/not/exist: no such file or directory"},
		"NoFolder":  {"a file where a directory is meant", []string{"--manifests", "up.go"}, "--manifests up.go: it is not a directory"},
		"Listen":    {"an address that somebody else has", []string{"--listen", taken.Addr().String()}, "--listen " + taken.Addr().String() + ": another program listens there"},
		"Mail":      {"likewise for mail", []string{"--listen", "127.0.0.1:0", "--mail-listen", taken.Addr().String()}, "--mail-listen " + taken.Addr().String() + ": another program listens there"},
		"Held":      {"two processes would ruin the data", []string{"--data-dir", held}, "another `tertulia up` runs on " + held},
		"Arguments": {"a flag forgotten before a directory", []string{"./velo"}, `unknown command "./velo"`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			root := NewCommand()
			root.SetArgs(append([]string{"up", "--data-dir", t.TempDir(), "--mail-web-listen", "127.0.0.1:0"}, tc.args...))
			root.SetOut(&bytes.Buffer{})
			root.SetErr(&bytes.Buffer{})
			if err := root.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: got %v, want an error with %q", tc.reason, err, tc.want)
			}
		})
	}
}

func TestReachable(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8080": "127.0.0.1:8080", "0.0.0.0:8080": "127.0.0.1:8080", ":8080": "127.0.0.1:8080", "[::]:8080": "127.0.0.1:8080",
		"localhost:8080": "localhost:8080", "192.168.1.7:8080": "192.168.1.7:8080",
	} {
		if got := reachable(address); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

func TestQuote(t *testing.T) {
	for word, want := range map[string]string{"/usr/bin/x-1": "/usr/bin/x-1", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$HOME": "'$HOME'"} {
		if got := quote(word); got != want {
			t.Errorf("%s: got %s, want %s", word, got, want)
		}
	}
}

func TestAnnounceTable(t *testing.T) {
	ready := upReady{
		Kubeconfig: "/data/kubeconfig", Server: "http://127.0.0.1:8080", Database: "postgres://postgres:secret@127.0.0.1:5432/postgres",
		Worker: "tertulia worker --tenants /data/tenants",
	}
	var out bytes.Buffer
	if err := announceTable(&out, ready, time.Second, 0); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for _, want := range []string{"export KUBECONFIG=/data/kubeconfig", "Start a worker:  tertulia worker --tenants /data/tenants", "postgres:xxxxx@"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
	for _, not := range []string{"secret", "Mailbox"} {
		if strings.Contains(text, not) {
			t.Errorf("%q is in:\n%s", not, text)
		}
	}
}
