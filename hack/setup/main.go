// Command setup makes a machine ready for `make demo` and `make test`: it looks for a PostgreSQL server and for the
// programs of a Kubernetes control plane, and installs or builds what is missing. It says what it does and does
// nothing when nothing is missing.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/tertulia-crm/tertulia/internal/local/binaries"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "setup:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if err := ensurePostgres(ctx); err != nil {
		return err
	}
	_, err := binaries.Ensure(ctx, binaries.Options{Progress: os.Stderr})
	return err
}

func ensurePostgres(ctx context.Context) error {
	_, err := postgres.FindBinaries()
	if !errors.Is(err, postgres.ErrNotInstalled) {
		return err
	}
	aptGet, lookErr := exec.LookPath("apt-get")
	if lookErr != nil || os.Geteuid() != 0 {
		return err
	}
	began := time.Now()
	fmt.Fprintln(os.Stderr, "Installing PostgreSQL from the distribution's packages (about a minute) …")
	if err := keepFromStarting(); err != nil {
		return err
	}
	for _, args := range [][]string{{"update", "-q"}, {"install", "-q", "-y", "--no-install-recommends", "postgresql"}} {
		install := exec.CommandContext(ctx, aptGet, args...)
		install.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if out, err := install.CombinedOutput(); err != nil {
			return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	if _, err := postgres.FindBinaries(); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "Installed PostgreSQL in %s.\n", time.Since(began).Round(time.Second))
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
