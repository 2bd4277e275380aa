// Command bench measures the program on real servers and prints for every number the bound that the same run measured
// on the same machine. fsync, full_page_writes and synchronous_commit are on throughout.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// Settings are what the flags say.
type Settings struct {
	Rows    int       // how many rows the benchmarks about people use
	Tenants int       // how many tenants the benchmarks about objects use
	Dir     string    // scratch space, removed at the end
	Program string    // the tertulia binary
	Log     io.Writer // what the measured processes say
}

// A benchmark measures once. Its rows are named after it.
type benchmark struct {
	name    string
	measure func(context.Context, Settings) ([]Row, error)
}

// benchmarks are all there are, in the order in which they run.
var benchmarks = []benchmark{
	{name: "import/contacts", measure: measureImport},
	{name: "operator/cluster", measure: measureClusterOperator},
	{name: "operator/local", measure: measureLocalOperator},
}

// longRun is how long one measurement may take to be repeated: longer ones are steady enough to stand alone.
const longRun = time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	only := flag.String("only", "", "run the benchmarks whose names begin with this; empty runs all")
	rows := flag.Int("rows", 1_000_000, "rows of the benchmarks about people; smaller to try something out")
	tenants := flag.Int("tenants", 100, fmt.Sprintf("tenants of the benchmarks about objects, with %d objects each", tenantObjects))
	runs := flag.Int("runs", 5, "measure so often and take the median; one run where a run takes over a minute")
	out := flag.String("out", "bench.json", "write the rows here")
	program := flag.String("program", "bin/tertulia", "the binary to measure")
	verbose := flag.Bool("verbose", false, "show what the measured processes say")
	flag.Parse()
	dir, err := os.MkdirTemp("", "tertulia-bench-")
	if err != nil {
		return fmt.Errorf("make scratch space: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	settings := Settings{Rows: *rows, Tenants: *tenants, Dir: dir, Program: *program, Log: io.Discard}
	if *verbose {
		settings.Log = os.Stderr
	}
	var result []Row
	for _, b := range selected(*only) {
		measured, err := repeat(ctx, b, settings, *runs)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		result = append(result, measured...)
	}
	if len(result) == 0 {
		return fmt.Errorf("no benchmark's name begins with %q", *only)
	}
	return errors.Join(printTable(os.Stdout, result), writeJSON(*out, result))
}

// selected are the benchmarks whose names begin with a prefix.
func selected(prefix string) []benchmark {
	var found []benchmark
	for _, b := range benchmarks {
		if strings.HasPrefix(b.name, prefix) {
			found = append(found, b)
		}
	}
	return found
}

// repeat measures up to n times and returns the medians.
func repeat(ctx context.Context, b benchmark, s Settings, n int) ([]Row, error) {
	var runs [][]Row
	for i := range n {
		started := time.Now()
		rows, err := b.measure(ctx, s)
		if err != nil {
			return nil, err
		}
		took := time.Since(started)
		fmt.Fprintf(os.Stderr, "%s: run %d of %d took %s\n", b.name, i+1, n, took.Round(100*time.Millisecond))
		runs = append(runs, rows)
		if took > longRun {
			break
		}
	}
	return medians(runs), nil
}
