// Package server is the serving plane: the HTTP API of every tenant, and the pages behind the links in mails. It holds
// no Kubernetes credentials; tenants come from directories that the operator writes.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/server/sns"
)

// Options tell what a server serves. Log may be its zero value.
type Options struct {
	// Roots hold a directory for each tenant; new ones are noticed within two seconds.
	Roots []string
	// Dirs are directories of single tenants.
	Dirs []string
	// Version is shown in the API's description.
	Version string
	// StallTimeout is how long an import waits for its client to send or to take something. Default: two minutes.
	StallTimeout time.Duration
	// DrainDelay is how long a server that is told to stop goes on to accept connections: those who balance load need a
	// moment to notice that it is not ready any more, and send requests until they have. Default: none.
	DrainDelay time.Duration
	// Grace is how long a server that is told to stop finishes requests, DrainDelay included. Default: 25 s, within the
	// thirty that Kubernetes gives a pod.
	Grace time.Duration
	// Metrics are counted into. Default: metrics that nobody collects.
	Metrics *Metrics
	// ListenNetworks are networks that are not public and that sources may lead to. Default: none.
	ListenNetworks []netip.Prefix
	// StreamCheck is how often it is looked whether the token of an open stream still holds. Default: a minute.
	StreamCheck time.Duration
	// SNS tells how Amazon's notification service is reached, whose certificates sign what SES reports.
	SNS sns.Options
	Log logr.Logger
}

// Server answers for all tenants of its directories.
type Server struct {
	log     logr.Logger
	tenants *tenants
	metrics *Metrics
	handler http.Handler
	// filters are those of the stream of mentions.
	filters []*huma.Param
	// stopping ends when the server is told to stop: long requests finish what they have begun and end.
	stopping context.Context
	stop     context.CancelCauseFunc

	stallTimeout, drainDelay, grace, streamCheck time.Duration
}

// errStopping is why a long request ends early.
var errStopping = errors.New("the server is stopping")

// The server's time limits. An import may last hours: it moves its own deadlines as long as rows come.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

// New makes a server. It serves after Run or, for tests, through Handler while Discover is called.
func New(o Options) *Server {
	s := &Server{
		log: o.Log, metrics: o.Metrics, stallTimeout: o.StallTimeout, drainDelay: o.DrainDelay, grace: o.Grace, streamCheck: o.StreamCheck,
	}
	if s.grace == 0 {
		s.grace = 25 * time.Second
	}
	if s.stallTimeout == 0 {
		s.stallTimeout = 2 * time.Minute
	}
	if s.streamCheck == 0 {
		s.streamCheck = time.Minute
	}
	if s.metrics == nil {
		s.metrics = NewMetrics()
	}
	s.stopping, s.stop = context.WithCancelCause(context.Background())
	s.tenants = newTenants(o, s.metrics)
	s.handler = s.routes(o.Version)
	return s
}

// Live names what is stuck. A server whose database is away is not.
func (s *Server) Live() error { return s.tenants.watch.Live() }

// Ready tells what keeps the server from serving: a database that does not answer, belongs to somebody else or is not
// migrated yet, credentials that have not come, or that it has been told to stop.
func (s *Server) Ready() error { return s.tenants.health.Ready() }

// MetricsTokens are the SHA-256 in hex of the tokens that tenants want of who scrapes.
func (s *Server) MetricsTokens() ([]string, error) { return s.tenants.health.MetricsTokens() }

// Discover looks once for tenants that came, went or changed.
func (s *Server) Discover(ctx context.Context) { s.tenants.scan(ctx) }

// Run serves on a listener until the context ends. From then on the server is not ready; after Options.DrainDelay it accepts
// nothing more, tells imports to end after the rows that they are writing, and returns when requests have ended, or when
// Options.Grace is over.
func (s *Server) Run(ctx context.Context, listener net.Listener) error {
	defer context.AfterFunc(ctx, s.tenants.health.Stop)()
	s.Discover(ctx)
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var work sync.WaitGroup
	work.Go(func() { s.tenants.run(background) })
	var told time.Time // to stop
	defer func() {
		cancel()
		work.Wait()
		s.tenants.close(max(leastFlush, s.grace-time.Since(told)))
	}()
	web := &http.Server{
		Handler: s.handler, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(s.log), slog.LevelError),
		BaseContext: func(net.Listener) context.Context { return logr.NewContext(background, s.log) },
	}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
		told = time.Now()
	}
	return s.shutdown(web, failed)
}

func (s *Server) shutdown(web *http.Server, failed <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.grace)
	defer cancel()
	// Who keeps a connection to us makes the next one to another server.
	web.SetKeepAlivesEnabled(false)
	select {
	case err := <-failed:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	case <-time.After(s.drainDelay):
	}
	s.stop(errStopping)
	if err := web.Shutdown(ctx); err != nil {
		_ = web.Close()
		return fmt.Errorf("stop serving: %w", err)
	}
	return nil
}
