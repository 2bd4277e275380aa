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
	Rows        int           // how many rows the benchmarks about people use
	Messages    int           // how many the benchmarks that send do send
	Connections int           // to the relay
	Clicks      int           // how many the benchmark of tracked links follows
	Tenants     int           // how many tenants the benchmarks about objects use
	Changes     int           // of people, for a second, that segments follow
	Load        time.Duration // how long they do
	Seconds     int           // how long a stream is listened to
	Plans       string        // where the plans of segments are written; "" for nowhere
	Dir         string        // scratch space, removed at the end
	Program     string        // the tertulia binary
	Log         io.Writer     // what the measured processes say
}

// A benchmark measures once. Its rows are named after it.
type benchmark struct {
	name    string
	measure func(context.Context, Settings) ([]Row, error)
}

// benchmarks are all there are, in the order in which they run.
var benchmarks = []benchmark{
	{name: "import/contacts", measure: measureImport},
	{name: "send/fast", measure: measureSend},
	{name: "send/slow", measure: measureSlowSend},
	{name: "send/ledger", measure: measureLedger},
	{name: "send/dkim", measure: measureSigning},
	{name: "track", measure: measureTrack},
	{name: "send/audience", measure: measureAudience},
	{name: "segment", measure: measureSegments},
	{name: "sentiment", measure: measureSentiment},
	{name: "match", measure: measureMatching},
	{name: "ingest", measure: measureIngest},
	{name: "influence", measure: measureInfluence},
	{name: "automate", measure: measureRules},
	{name: "operator/cluster", measure: measureClusterOperator},
	{name: "operator/local", measure: measureLocalOperator},
}

// longRun is how long one measurement may take to be repeated: longer ones are steady enough to stand alone.
const longRun = time.Minute

func main() {
	if len(os.Args) > 1 && os.Args[1] == sinkArgument {
		if err := runSink(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "sink:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && trackPrograms[os.Args[1]] != nil {
		if err := trackPrograms[os.Args[1]](ctx, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
			os.Exit(1)
		}
		return
	}
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	only := flag.String("only", "", "run the benchmarks whose names begin with this; empty runs all")
	rows := flag.Int("rows", 1_000_000, "rows of the benchmarks about people; smaller to try something out")
	messages := flag.Int("messages", 100_000, "messages of the benchmarks that send")
	connections := flag.Int("connections", 100, "connections to the relay of the benchmarks that send")
	clicks := flag.Int("clicks", 2_000_000, "links that the benchmark of tracked links follows")
	tenants := flag.Int("tenants", 100, fmt.Sprintf("tenants of the benchmarks about objects, with %d objects each", tenantObjects))
	changes := flag.Int("changes", 1000, "changes of people a second that segments follow; rules answer five times as many events")
	load := flag.Duration("load", time.Minute, "how long segments follow changes, and rules events")
	seconds := flag.Int("seconds", 300, "seconds for which a stream is listened to")
	plans := flag.String("plans", "", "write the statements of segments and their plans into this folder; empty writes none")
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
	settings := Settings{
		Rows: *rows, Messages: *messages, Connections: *connections, Clicks: *clicks, Tenants: *tenants,
		Changes: *changes, Load: *load, Seconds: *seconds, Plans: *plans,
		Dir: dir, Program: *program, Log: io.Discard,
	}
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
