// Package health serves what a process says of itself: whether it lives and whether it is ready at one address, its
// metrics at another. Neither is for the world: a cluster's probes ask the one, Prometheus the other.
//
// A process that does not live is restarted. So it lives while it waits for a database or a relay that is away, which no
// restart mends, and does not when one of its loops is stuck (Watch). It is ready while it can do its work.
package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options tell what is served, and where. Live, Ready and Gatherer are required.
type Options struct {
	// Listen is the address of /livez and /readyz, and MetricsListen that of /metrics; "" serves them nowhere.
	Listen, MetricsListen string
	// Live tells what is stuck, and Ready what is waited for; nil is well. Both answer from memory: a probe does not wait.
	// Their words name no people and no secrets.
	Live, Ready func() error
	// Gatherer are the metrics.
	Gatherer prometheus.Gatherer
	// MetricsTokens are the SHA-256 in hex of the bearer tokens of which /metrics wants one; without any it is open. An
	// error says that they are not known yet. Default: open.
	MetricsTokens func() ([]string, error)
}

// Bounds on what asks: a probe or a scrape is short.
const (
	headerTimeout  = 5 * time.Second
	answerTimeout  = 30 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 16 << 10
)

// Endpoints are the listeners of a process.
type Endpoints struct {
	servers []*http.Server
	served  sync.WaitGroup
}

// Serve listens and answers until Close is called.
func Serve(ctx context.Context, o Options) (*Endpoints, error) {
	e := &Endpoints{}
	for _, l := range []struct {
		what, address string
		handler       http.Handler
	}{{"health checks", o.Listen, o.probes()}, {"metrics", o.MetricsListen, o.metrics()}} {
		if l.address == "" {
			continue
		}
		if err := e.serve(ctx, l.what, l.address, l.handler); err != nil {
			e.Close()
			return nil, err
		}
	}
	return e, nil
}

func (e *Endpoints) serve(ctx context.Context, what, address string, handler http.Handler) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen for %s: %w", what, err)
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: headerTimeout, WriteTimeout: answerTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
	}
	e.servers = append(e.servers, server)
	log := logr.FromContextOrDiscard(ctx)
	e.served.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Error(err, "no longer served", "what", what)
		}
	})
	return nil
}

// Close ends the listeners and waits until they have ended.
func (e *Endpoints) Close() {
	for _, s := range e.servers {
		_ = s.Close()
	}
	e.served.Wait()
}

func (o Options) probes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", probe(o.Live))
	mux.HandleFunc("GET /readyz", probe(o.Ready))
	return mux
}

func probe(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if err := check(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	}
}

func (o Options) metrics() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", o.authorized(promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{MaxRequestsInFlight: 4})))
	return mux
}
