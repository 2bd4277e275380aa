// Command soak runs every scenario of the crash suite at full size, several times: it sends campaigns with real processes and
// disturbs them, compares what the mail server received with what the ledger says, and writes what came of it as a table, into
// the document about what is guaranteed too.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/tertulia-crm/tertulia/internal/crash"
)

// The forms of output.
const (
	outputTable = "table"
	outputJSON  = "json"
)

// options are what the flags say.
type options struct {
	scenarios []crash.Scenario
	whole     bool // all of them
	seeds     []uint64
	size      int
	parallel  int
	output    string
	document  string
}

func main() { os.Exit(crash.Main(soak)) }

func soak() int {
	log.SetLogger(logr.Discard()) // what a client of the API server has to say is in the errors that it returns
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		return 1
	}
	return 0
}

func run(ctx context.Context, args []string, out io.Writer, progress *os.File) error {
	o, list, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case list:
		for _, s := range o.scenarios {
			fmt.Fprintf(out, "%-24s %s\n", s.Name, s.Done)
		}
		return nil
	}
	began := time.Now()
	results, err := runAll(ctx, o, progress)
	if err != nil {
		return err
	}
	r := newReport(o, results, time.Since(began))
	if err := r.print(out, o.output); err != nil {
		return err
	}
	if o.document != "" && o.whole {
		if err := r.writeInto(o.document); err != nil {
			return err
		}
		fmt.Fprintf(progress, "The table is in %s.\n", o.document)
	}
	return r.failure()
}

func parse(args []string) (o options, list bool, err error) {
	var only, seeds string
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.StringVar(&only, "only", "", "run these scenarios alone, by name, separated by commas; the document is left as it is then")
	flags.StringVar(&seeds, "seeds", "1,2,3", "run each scenario once for each of these numbers, which decide about what happens at random")
	flags.IntVar(&o.size, "size", 100_000, "recipients of each campaign; at least 1000")
	flags.IntVar(&o.parallel, "parallel", 2, "how many scenarios run at the same time; those with a cluster take turns in any case")
	flags.StringVar(&o.output, "output", outputTable, "how the results are printed: table or json")
	flags.StringVar(&o.document, "document", "docs/guarantees.md", "the document in which the table is replaced; empty leaves it")
	flags.BoolVar(&list, "list", false, "list the scenarios and leave")
	if err := flags.Parse(args); err != nil {
		return o, false, err
	}
	if flags.NArg() > 0 {
		return o, false, fmt.Errorf("it takes no arguments but flags, such as --only, and not %q", flags.Arg(0))
	}
	if o.size < 1000 || o.parallel < 1 {
		return o, false, errors.New("--size must be at least 1000 and --parallel at least 1")
	}
	if o.output != outputTable && o.output != outputJSON {
		return o, false, fmt.Errorf("--output is table or json, and not %q", o.output)
	}
	for text := range strings.SplitSeq(seeds, ",") {
		seed, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
		if err != nil {
			return o, false, fmt.Errorf("--seeds is a list of numbers separated by commas, and %q is none", text)
		}
		o.seeds = append(o.seeds, seed)
	}
	o.whole = only == ""
	o.scenarios, err = choose(crash.Scenarios(), only)
	return o, list, err
}

// choose picks scenarios by name, in their own order; without names, all of them.
func choose(all []crash.Scenario, only string) ([]crash.Scenario, error) {
	if only == "" {
		return all, nil
	}
	wanted := map[string]bool{}
	for name := range strings.SplitSeq(only, ",") {
		wanted[strings.TrimSpace(name)] = true
	}
	var chosen []crash.Scenario
	for _, s := range all {
		if wanted[s.Name] {
			chosen = append(chosen, s)
			delete(wanted, s.Name)
		}
	}
	for name := range wanted {
		return nil, fmt.Errorf("there is no scenario %q: see --list", name)
	}
	return chosen, nil
}

// print prints the results in a form.
func (r report) print(out io.Writer, form string) error {
	if form == outputJSON {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(r)
	}
	_, err := io.WriteString(out, r.table())
	return err
}
