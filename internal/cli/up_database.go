package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/tertulia-crm/tertulia/internal/local/ports"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// databaseRetry is how long to wait before a PostgreSQL that ended by itself is started again.
	databaseRetry = time.Second
	// databaseTimeout bounds the first connection to a PostgreSQL that is not ours.
	databaseTimeout = 15 * time.Second
)

// startDatabase runs a PostgreSQL in the data directory, or looks whether the one that --database-url names answers.
func (u *up) startDatabase(ctx context.Context) error {
	if u.options.databaseURL != "" {
		u.adminURL = u.options.databaseURL
		return checkDatabase(ctx, u.adminURL)
	}
	// Tenants' credentials name the port, so it is kept as long as nobody else takes it.
	port, err := ports.Remembered(u.path("postgres.port"))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(u.path("logs"), 0o700); err != nil {
		return fmt.Errorf("make the folder of logs: %w", err)
	}
	log, err := os.OpenFile(u.path("logs", "postgres.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open PostgreSQL's log: %w", err)
	}
	database, err := startLocalDatabase(ctx, postgres.Options{Dir: u.path("postgres"), Port: port, Durable: true, Log: log}, log, u.log)
	if err != nil {
		return errors.Join(fmt.Errorf("start PostgreSQL (its log is %s): %w", log.Name(), err), log.Close())
	}
	u.database, u.adminURL = database, database.url()
	u.say("PostgreSQL ready on port %d", port)
	return nil
}

func checkDatabase(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	db, err := store.Open(ctx, url, store.Options{MaxConns: 1, ApplicationName: "tertulia-up"})
	if err != nil {
		return fmt.Errorf("--database-url: %w", err)
	}
	defer db.Close()
	if err := db.Pool.Ping(ctx); err != nil {
		return fmt.Errorf("the PostgreSQL of --database-url does not answer: %s; is it running, and are address, role and password right?", store.Reason(err))
	}
	return nil
}

// localDatabase is a PostgreSQL of our own, started again when it ends by itself.
type localDatabase struct {
	options postgres.Options
	logFile *os.File
	log     logr.Logger
	cancel  context.CancelFunc
	ended   chan struct{}

	mu     sync.Mutex
	server *postgres.Server
}

func startLocalDatabase(ctx context.Context, o postgres.Options, logFile *os.File, log logr.Logger) (*localDatabase, error) {
	server, err := postgres.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	keeping, cancel := context.WithCancel(context.Background())
	d := &localDatabase{options: o, logFile: logFile, log: log, cancel: cancel, ended: make(chan struct{}), server: server}
	go d.keep(keeping)
	return d, nil
}

func (d *localDatabase) url() string { return d.server.URL("postgres") }

func (d *localDatabase) keep(ctx context.Context) {
	defer close(d.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.server.Exited(): // only this goroutine replaces server
		}
		d.log.Info("PostgreSQL ended and will be started again", "log", d.logFile.Name())
		for {
			timer := time.NewTimer(databaseRetry)
			select {
			case <-ctx.Done():
				timer.Stop()
				return
			case <-timer.C:
			}
			server, err := postgres.Start(ctx, d.options)
			if err == nil {
				d.mu.Lock()
				d.server = server
				d.mu.Unlock()
				break
			}
			d.log.Error(err, "PostgreSQL could not be started again", "log", d.logFile.Name())
		}
	}
}

func (d *localDatabase) stop(ctx context.Context) error {
	d.cancel()
	<-d.ended
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := errors.Join(d.server.Stop(ctx), d.logFile.Close()); err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	return nil
}
