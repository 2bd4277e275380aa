// Command interop tries connectors on real servers of their networks: Bluesky's own from npm, nginx, Dovecot and Postfix from Debian. It
// installs what is missing, once, runs the tests of hack/interop/real, and prints a table of what they saw hold.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	only := flag.String("only", "", "run the tests whose names match this regular expression")
	flag.Parse()
	if err := run(ctx, *only); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string) error {
	if err := ensurePackages(ctx); err != nil {
		return err
	}
	network, err := ensureNetwork(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tertulia-interop-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it holds a report
	report := filepath.Join(dir, "report")
	args := []string{"test", "-tags", "interop", "-count=1", "-timeout", "10m"}
	if only != "" {
		args = append(args, "-run", only)
	}
	tests := exec.CommandContext(ctx, "go", append(args, "./hack/interop/real")...)
	tests.Env = append(os.Environ(), "TERTULIA_INTEROP_NETWORK="+network, "TERTULIA_INTEROP_REPORT="+report)
	tests.Stdout, tests.Stderr = os.Stderr, os.Stderr
	tests.Cancel = func() error { return tests.Process.Signal(os.Interrupt) }
	tests.WaitDelay = time.Minute
	failed := tests.Run()
	lines, err := os.ReadFile(report)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	printTable(string(lines))
	if failed != nil {
		return fmt.Errorf("not everything holds: %w", failed)
	}
	return nil
}

// printTable writes what was seen to hold: lines of network, server, and what.
func printTable(lines string) {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer table.Flush() //nolint:errcheck // to standard output
	fmt.Fprintln(table, "CONNECTOR\tSERVER\tSEEN TO HOLD")
	for line := range strings.Lines(lines) {
		fmt.Fprint(table, line)
	}
}
