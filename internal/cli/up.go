package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// upOptions are the flags of `tertulia up`.
type upOptions struct {
	dataDir       string
	manifests     []string
	databaseURL   string
	listen        string
	mailListen    string
	mailWebListen string
	noMail        bool
	workers       int
	networks      []string // that sources may lead to
	output        string
}

// maxWorkers bounds --workers: more on one machine is a slip of the keyboard.
const maxWorkers = 64

// stopTimeout bounds the ordered stop; what still runs then is killed.
const stopTimeout = 45 * time.Second

// NewUpCommand is `tertulia up`: everything on this machine, for authors of manifests, for demonstrations and for tests.
func NewUpCommand() *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:     "up",
		GroupID: "use",
		Short:   "Run all of Tertulia on this machine",
		Long: "Runs a Kubernetes API server, PostgreSQL, the operator, a server, workers and a mailbox on this machine, and applies your manifests.\n\n" +
			"Everything is kept in the data directory and goes on from there next time. Ctrl-C stops all of it.\n\n" +
			"The first run on a machine builds the Kubernetes programs, which takes minutes; it tells how far it is.",
		Example: "  tertulia up --manifests ./velo\n" +
			"  tertulia up --data-dir /tmp/try --manifests ./base --manifests ./campaigns --workers 4\n" +
			"  tertulia up --output json | jq .kubeconfig",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), endingSignals()...)
			defer stop()
			return runUp(ctx, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.dataDir, "data-dir", defaultDataDir(), "where everything is kept between runs")
	flags.StringArrayVar(&o.manifests, "manifests", nil,
		"a directory of manifests to apply, watch and prune; one with a kustomization is built (repeatable)")
	flags.StringVar(&o.databaseURL, "database-url", "", "use this PostgreSQL, as a role that may create databases and roles, instead of a local one")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8080", "where the server listens: API, unsubscribe pages")
	flags.StringVar(&o.mailListen, "mail-listen", "127.0.0.1:1025", "where the mailbox accepts mail (SMTP)")
	flags.StringVar(&o.mailWebListen, "mail-web-listen", "127.0.0.1:8025", "where the mailbox shows it (web page and JSON)")
	flags.BoolVar(&o.noMail, "no-mail", false, "run no mailbox")
	flags.IntVar(&o.workers, "workers", 1, "how many worker processes to run; 0 prints the command that starts one")
	addListenNetworks(flags, &o.networks, strings.Split(thisMachine, ","))
	flags.StringVarP(&o.output, "output", "o", "text", `what standard output says when all is ready: "text", or "json" for one line`)
	return cmd
}

// endingSignals end `up` in good order. A closed terminal is among them, unless nohup(1) says otherwise.
func endingSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// defaultDataDir is where the XDG base directory specification wants state: it is neither configuration nor a cache.
func defaultDataDir() string {
	if state := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "tertulia", "up")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "tertulia-data"
	}
	return filepath.Join(home, ".local", "state", "tertulia", "up")
}

// check tells what is wrong with the flags by themselves, before anything is touched, and makes the data directory absolute.
func (o *upOptions) check() error {
	switch {
	case o.output != "text" && o.output != "json":
		return fmt.Errorf(`--output %q: say "text" or "json"`, o.output)
	case o.workers < 0 || o.workers > maxWorkers:
		return fmt.Errorf("--workers %d: say a number from 0 to %d", o.workers, maxWorkers)
	}
	if _, err := parseNetworks(listenNetworksFlag, o.networks); err != nil {
		return err
	}
	dir, err := filepath.Abs(o.dataDir)
	if err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	o.dataDir = dir
	for _, directory := range o.manifests {
		if info, err := os.Stat(directory); err != nil {
			return fmt.Errorf("--manifests %s: %w", directory, errors.Unwrap(err))
		} else if !info.IsDir() {
			return fmt.Errorf("--manifests %s: it is not a directory", directory)
		}
	}
	return nil
}

// settle checks that the addresses can be listened on, and chooses the ports where they are 0.
func (o *upOptions) settle(ctx context.Context) error {
	addresses := map[string]*string{"--listen": &o.listen}
	if !o.noMail {
		addresses["--mail-listen"], addresses["--mail-web-listen"] = &o.mailListen, &o.mailWebListen
	}
	for _, flag := range slices.Sorted(maps.Keys(addresses)) {
		settled, err := settleAddress(ctx, *addresses[flag])
		if err != nil {
			return fmt.Errorf("%s %s: %w", flag, *addresses[flag], err)
		}
		*addresses[flag] = settled
	}
	return nil
}

// settleAddress listens for a moment: that an address is taken is said at once and by the flag's name rather than in a child's log.
func settleAddress(ctx context.Context, address string) (string, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return "", errors.New("say a host and a port, such as 127.0.0.1:8080")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return "", errors.New("another program listens there: end it, or name another port; port 0 takes any that is free")
	}
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return net.JoinHostPort(host, port), errors.Join(err, listener.Close())
}

// reachable is an address as a client on this machine writes it: nobody connects to 0.0.0.0.
func reachable(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// runUp runs everything until ctx ends, and then stops it in order. A second Ctrl-C cuts that short: what still runs is killed.
func runUp(ctx context.Context, o upOptions, out, progress io.Writer) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	u, err := openUp(o, progress)
	if err != nil {
		return err
	}
	defer func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		stopping, release := signal.NotifyContext(stopping, endingSignals()...)
		defer release()
		err = errors.Join(err, u.stop(stopping))
	}()
	if err := u.start(ctx); err != nil {
		if ctx.Err() != nil { // Ctrl-C while starting is a wish, not a failure
			return nil
		}
		return err
	}
	if err := u.announce(out); err != nil {
		return fmt.Errorf("say that all is ready: %w", err)
	}
	return u.applier.Watch(ctx)
}
