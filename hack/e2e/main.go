// Command e2e proves Tertulia in a cluster: it runs a whole Kubernetes node on this machine with PostgreSQL and a mailbox
// beside it, installs the chart, declares a tenant, and then does to it, in the middle of one campaign after another, what
// happens to clusters. After each it compares the mailbox with the ledger: nobody twice, nobody forgotten, the sums agree.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/tertulia-crm/tertulia/internal/local/node"
)

// options are what the flags say.
type options struct {
	dataDir  string // absolute
	only     []string
	contacts int
	stay     bool
}

func main() {
	log.SetLogger(logr.Discard()) // what a client of the API server has to say is in the errors that it returns
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "\ne2e:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var o options
	only := flag.String("only", "", "run these drills alone, by name, separated by commas")
	list := flag.Bool("list", false, "list the drills and leave")
	flag.StringVar(&o.dataDir, "data-dir", ".e2e", "where everything is kept until the next run: data, logs, results")
	flag.IntVar(&o.contacts, "contacts", 2500, "how many customers to invent")
	flag.BoolVar(&o.stay, "stay", false, "stay up after the drills, to look around")
	flag.Parse()
	if *list {
		printDrills()
		return nil
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	chosen, err := choose(drills, o.only)
	if err != nil {
		return err
	}
	if err := node.Check(); err != nil {
		return fmt.Errorf("%w (make e2e installs what is missing)", err)
	}
	if _, err := os.Stat("charts/tertulia"); err != nil {
		return errors.New("start it in the repository's top folder, best with `make e2e`")
	}
	if o.dataDir, err = filepath.Abs(o.dataDir); err != nil {
		return fmt.Errorf("find the data directory: %w", err)
	}
	return play(ctx, o, chosen)
}

// play brings everything up, runs the drills and takes everything down.
func play(ctx context.Context, o options, chosen []drill) (err error) {
	show := newNarrator(os.Stdout)
	s, err := raise(ctx, o, show)
	if err != nil {
		return err
	}
	defer func() {
		show.begin("Taking everything down")
		err = errors.Join(err, s.lower(context.WithoutCancel(ctx)))
		show.done("logs and results are in %s", relative(o.dataDir))
	}()
	results := s.runAll(ctx, chosen)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	report := newReport(results, show.elapsed())
	if err := report.write(s.path("results")); err != nil {
		return err
	}
	show.say("\n%s", report.table())
	show.say("Written to %s and %s.", relative(s.path("results", markdownFile)), relative(s.path("results", jsonFile)))
	if o.stay {
		plane := s.node.ControlPlane()
		show.say("\nEverything stays up until Ctrl-C:\n  export KUBECONFIG=%s PATH=%s:$PATH", plane.Kubeconfig(), filepath.Dir(plane.Kubectl()))
		<-ctx.Done()
	}
	return report.failure()
}

// relative is a path as the reader would type it.
func relative(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	short, err := filepath.Rel(here, path)
	if err != nil || len(short) >= len(path) {
		return path
	}
	return short
}
