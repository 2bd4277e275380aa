package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"

	"github.com/tertulia-crm/tertulia/config/crd"
	"github.com/tertulia-crm/tertulia/internal/local/binaries"
	"github.com/tertulia-crm/tertulia/internal/local/controlplane"
	"github.com/tertulia-crm/tertulia/internal/local/filelock"
	"github.com/tertulia-crm/tertulia/internal/local/mailbox"
	"github.com/tertulia-crm/tertulia/internal/local/manifests"
	"github.com/tertulia-crm/tertulia/internal/local/supervise"
)

// up is all that runs under `tertulia up`.
type up struct {
	options  upOptions
	progress *syncWriter
	log      logr.Logger
	begun    time.Time
	lock     *filelock.Lock

	database *localDatabase // nil with --database-url
	adminURL string
	plane    *controlplane.ControlPlane
	mail     *mailbox.Mailbox // nil with --no-mail
	applier  *manifests.Applier

	mu       sync.Mutex
	children []*supervise.Kept
}

// openUp takes the data directory for this process.
func openUp(o upOptions, progress io.Writer) (*up, error) {
	if err := os.MkdirAll(o.dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	lock, err := filelock.TryAcquire(filepath.Join(o.dataDir, "up.lock"))
	if errors.Is(err, filelock.ErrHeld) {
		return nil, fmt.Errorf("another `tertulia up` runs on %s: stop it, or name another --data-dir", o.dataDir)
	}
	if err != nil {
		return nil, err
	}
	u := &up{options: o, progress: &syncWriter{to: progress}, begun: time.Now(), lock: lock}
	u.log = logr.New(upLog{u})
	return u, nil
}

func (u *up) path(names ...string) string {
	return filepath.Join(append([]string{u.options.dataDir}, names...)...)
}

// say tells how far it is, with the time since the start.
func (u *up) say(format string, args ...any) {
	_, _ = fmt.Fprintf(u.progress, "%6.1fs  %s\n", time.Since(u.begun).Seconds(), fmt.Sprintf(format, args...))
}

// start brings everything up in the order in which it is needed.
func (u *up) start(ctx context.Context) error {
	// What an `up` that was killed left behind ends before anything takes its place (and the server's port).
	if err := supervise.EndLeftovers(ctx, u.path("run"), supervise.DefaultGrace); err != nil {
		return fmt.Errorf("end what an earlier `tertulia up` left: %w", err)
	}
	if err := u.options.settle(ctx); err != nil {
		return err
	}
	// The mailbox first: an address in use is best known before anything else has been started.
	if err := u.startMailbox(); err != nil {
		return err
	}
	programs, err := binaries.Ensure(ctx, binaries.Options{Progress: u.progress.to}) // as it is: a terminal shows progress in place
	if err != nil {
		return err
	}
	both, startCtx := errgroup.WithContext(ctx)
	both.Go(func() error { return u.startDatabase(startCtx) })
	both.Go(func() error { return u.startControlPlane(startCtx, programs) })
	if err := both.Wait(); err != nil {
		return err
	}
	if err := u.startChildren(ctx); err != nil {
		return err
	}
	return u.applyManifests(ctx)
}

func (u *up) startControlPlane(ctx context.Context, programs binaries.Set) error {
	plane, err := controlplane.Start(ctx, controlplane.Options{
		Dir: u.path("controlplane"), Logs: u.path("logs"), Kubeconfig: u.path("kubeconfig"), Binaries: programs, Log: u.log,
	})
	if err != nil {
		return err
	}
	u.plane = plane
	if err := controlplane.InstallCRDs(ctx, plane.Config(), crd.Files); err != nil {
		return err
	}
	u.say("Kubernetes API server ready at %s", plane.URL())
	return nil
}

func (u *up) startMailbox() error {
	if u.options.noMail {
		return nil
	}
	box, err := mailbox.Start(mailbox.Options{
		Dir: u.path("mailbox"), SMTP: u.options.mailListen, Web: u.options.mailWebListen, Log: u.log,
	})
	if err != nil {
		return fmt.Errorf("start the mailbox (--mail-listen, --mail-web-listen): %w", err)
	}
	u.mail = box
	u.say("Mailbox ready at %s with %d mails", box.SMTPAddr(), box.Store().Len())
	return nil
}

// applyManifests makes the first pass. What is wrong with a manifest is told and tried again, and keeps nothing from being ready.
func (u *up) applyManifests(ctx context.Context) error {
	applier, err := manifests.New(manifests.Options{
		Config: u.plane.Config(), Directories: u.options.manifests, Inventory: u.path("manifests.json"), Progress: u.progress,
	})
	if err != nil {
		return err
	}
	u.applier = applier
	applier.Sync(ctx)
	return ctx.Err()
}

// hasStarted reports whether anything has been started that needs stopping.
func (u *up) hasStarted() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.mail != nil || u.plane != nil || u.database != nil || len(u.children) > 0
}

// stop ends everything, what depends on others first.
func (u *up) stop(ctx context.Context) error {
	if !u.hasStarted() {
		return u.lock.Release()
	}
	u.say("Stopping")
	errs := []error{u.stopChildren(ctx)}
	if u.mail != nil {
		errs = append(errs, u.mail.Stop(ctx))
	}
	if u.plane != nil {
		errs = append(errs, u.plane.Stop(ctx))
	}
	if u.database != nil {
		errs = append(errs, u.database.stop(ctx))
	}
	errs = append(errs, u.lock.Release())
	err := errors.Join(errs...)
	if err == nil {
		u.say("Stopped; everything is kept in %s", u.options.dataDir)
	}
	return err
}

// upLog writes what the parts of `up` log as lines for the person at the terminal. Details (V > 0) are left out.
type upLog struct{ up *up }

// Init does nothing.
func (upLog) Init(logr.RuntimeInfo) {}

// Enabled leaves details out.
func (upLog) Enabled(level int) bool { return level == 0 }

// Info is a line.
func (l upLog) Info(_ int, message string, values ...any) {
	l.up.say("%s%s", message, describeValues(values))
}

// Error is a line too.
func (l upLog) Error(err error, message string, values ...any) {
	l.up.say("%s%s: %v", message, describeValues(values), err)
}

// WithValues is not used by the parts of `up`; what it gives is left out.
func (l upLog) WithValues(...any) logr.LogSink { return l }

// WithName likewise.
func (l upLog) WithName(string) logr.LogSink { return l }

// describeValues turns key, value, … into " (key value, …)".
func describeValues(values []any) string {
	var parts []string
	for i := 0; i+1 < len(values); i += 2 {
		parts = append(parts, fmt.Sprintf("%v %v", values[i], values[i+1]))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// syncWriter lets goroutines write whole lines.
type syncWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *syncWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}
