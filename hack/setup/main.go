// Command setup makes a machine ready for `make demo` and `make test`: it looks for a PostgreSQL server and for the
// programs of a Kubernetes control plane, and installs or builds what is missing. With --tests it does the same for what only
// tests need, and with --node for what `make e2e` needs to run a Kubernetes node. It says what it does and does nothing when nothing is missing.
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
	"syscall"
	"time"

	"github.com/tertulia-crm/tertulia/internal/inbound/imap/imaptest"
	"github.com/tertulia-crm/tertulia/internal/local/binaries"
	"github.com/tertulia-crm/tertulia/internal/local/node"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
	"github.com/tertulia-crm/tertulia/internal/server/browsertest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	withNode := flag.Bool("node", false, "also what a Kubernetes node on this machine needs, which takes root to run")
	forTests := flag.Bool("tests", false, "also what tests need and no user of Tertulia does: Dovecot, to read mailboxes, and Chromium, to look at pages")
	flag.Parse()
	if err := run(ctx, *withNode, *forTests); err != nil {
		fmt.Fprintln(os.Stderr, "setup:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, withNode, forTests bool) error {
	if withNode {
		if err := ensureNode(ctx); err != nil {
			return err
		}
	}
	if err := ensurePostgres(ctx); err != nil {
		return err
	}
	if forTests {
		if err := ensurePackage(ctx, "Dovecot", "dovecot-imapd", imaptest.Find); err != nil {
			return err
		}
		if err := ensurePackage(ctx, "Chromium", "chromium", browsertest.Find); err != nil {
			return err
		}
	}
	if _, err := binaries.Ensure(ctx, binaries.Options{Progress: os.Stderr}); err != nil || !withNode {
		return err
	}
	_, err := binaries.EnsureNode(ctx, binaries.Options{Progress: os.Stderr})
	return err
}

// ensureNode comes first: who is not root learns so before anything is built.
func ensureNode(ctx context.Context) error {
	err := node.Check()
	if !errors.Is(err, node.ErrNotInstalled) {
		return err
	}
	if _, lookErr := exec.LookPath("apt-get"); lookErr != nil {
		return err
	}
	if err := install(ctx, "containerd and what goes with it", node.Packages...); err != nil {
		return err
	}
	return node.Check()
}

func ensurePostgres(ctx context.Context) error {
	_, err := postgres.FindBinaries()
	if !errors.Is(err, postgres.ErrNotInstalled) {
		return err
	}
	if _, lookErr := exec.LookPath("apt-get"); lookErr != nil || os.Geteuid() != 0 {
		return err
	}
	if err := keepFromStarting(); err != nil {
		return err
	}
	if err := install(ctx, "PostgreSQL", "postgresql"); err != nil {
		return err
	}
	_, err = postgres.FindBinaries()
	return err
}

// ensurePackage installs a package of the distribution's, unless what it holds is found.
func ensurePackage(ctx context.Context, what, name string, find func() (string, error)) error {
	if _, err := find(); err == nil {
		return nil
	} else if _, lookErr := exec.LookPath("apt-get"); lookErr != nil || os.Geteuid() != 0 {
		return err
	}
	if err := install(ctx, what, name); err != nil {
		return err
	}
	_, err := find()
	return err
}

// install takes packages of the distribution's.
func install(ctx context.Context, what string, packages ...string) error {
	began := time.Now()
	fmt.Fprintf(os.Stderr, "Installing %s from the distribution's packages (about a minute) …\n", what)
	for _, args := range [][]string{{"update", "-q"}, append([]string{"install", "-q", "-y", "--no-install-recommends"}, packages...)} {
		command := exec.CommandContext(ctx, "apt-get", args...)
		command.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	fmt.Fprintf(os.Stderr, "Installed %s in %s.\n", what, time.Since(began).Round(time.Second))
	return nil
}

// keepFromStarting tells Debian's package not to make and start a server of its own: we start ours where and when they
// are needed.
func keepFromStarting() error {
	const config = "/etc/postgresql-common/createcluster.conf"
	if _, err := os.Stat(config); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(config), 0o755); err != nil {
		return err
	}
	return os.WriteFile(config, []byte("create_main_cluster = false\n"), 0o644)
}
