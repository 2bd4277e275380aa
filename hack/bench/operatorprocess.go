package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/jackc/pgx/v5"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/config/crd"
	"github.com/tertulia-crm/tertulia/controllers"
	"github.com/tertulia-crm/tertulia/internal/local/controlplane"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
)

// start brings up the servers. etcd and PostgreSQL keep what they are told to.
func (b *operatorBench) start(ctx context.Context) error {
	ctrl.SetLogger(logr.Discard())
	var err error
	b.postgres, err = postgres.Start(ctx, postgres.Options{
		Dir: filepath.Join(b.dir, "postgres"), Durable: true, Log: b.Log,
		// It writes by itself, and what is counted is what the operator writes.
		Settings: map[string]string{"autovacuum": "off"},
	})
	if err != nil {
		return err
	}
	if err := requireDurability(ctx, b.postgres.URL("postgres")); err != nil {
		return err
	}
	if b.question, err = pgx.Connect(ctx, b.postgres.URL("postgres")); err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	if b.plane, err = controlplane.Start(ctx, controlplane.Options{Dir: filepath.Join(b.dir, "controlplane"), Progress: os.Stderr}); err != nil {
		return err
	}
	if err := controlplane.InstallCRDs(ctx, b.plane.Config(), crd.Files); err != nil {
		return err
	}
	scheme, err := controllers.NewScheme()
	if err != nil {
		return err
	}
	b.config = b.plane.Config()
	b.config.QPS = -1
	b.api, err = client.New(b.config, client.Options{Scheme: scheme})
	return err
}

// stop ends the servers, also where the benchmark was interrupted.
func (b *operatorBench) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	var errs []error
	if b.question != nil {
		errs = append(errs, b.question.Close(ctx))
	}
	if b.plane != nil {
		errs = append(errs, b.plane.Stop(ctx))
	}
	if b.postgres != nil {
		errs = append(errs, b.postgres.Stop(ctx))
	}
	return errors.Join(errs...)
}

// operatorProcess is the operator that is measured.
type operatorProcess struct {
	bench   *operatorBench
	process *child
	metrics string // its address
	started time.Time
}

func (b *operatorBench) startOperator(ctx context.Context) (*operatorProcess, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	o := &operatorProcess{bench: b, metrics: address, started: time.Now()}
	o.process, err = startChild(ctx, b.Log, b.Program, append([]string{
		"operator", "--kubeconfig", b.plane.Kubeconfig(), "--database-url", b.postgres.URL("postgres"), "--metrics-listen", address,
	}, b.mode...)...)
	return o, err
}

// settle waits until the operator has found so many objects in force as there are and has had nothing left to do for a
// while. Its time is that of the first moment of this while.
func (o *operatorProcess) settle(ctx context.Context) (settling, error) {
	var s settling
	var since time.Time
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-o.process.exited:
			return settling{}, errors.New("the operator ended: --verbose shows what it said")
		case <-ctx.Done():
			return settling{}, fmt.Errorf("wait for the operator, which has found %.0f objects in force in %.0f passes: %w",
				s.passes.ready, s.passes.finished, ctx.Err())
		case <-tick.C:
		}
		seen, err := operatorProgress(ctx, o.metrics)
		if err != nil {
			continue // it does not listen yet
		}
		connections, err := o.bench.connections(ctx)
		if err != nil {
			return settling{}, err
		}
		s.connections = max(s.connections, connections)
		if seen.waiting > 0 || seen.ready < float64(o.bench.objects) || seen.finished != s.passes.finished {
			since = time.Now()
			s.passes = seen
			continue
		}
		if time.Since(since) >= quietFor {
			s.took = since.Sub(o.started)
			return s, nil
		}
	}
}

// rest watches a settled operator for calmFor.
func (o *operatorProcess) rest(ctx context.Context) (resting, error) {
	before, err := o.footprint(ctx)
	if err != nil {
		return resting{}, err
	}
	select {
	case <-ctx.Done():
		return resting{}, ctx.Err()
	case <-o.process.exited:
		return resting{}, errors.New("the operator ended: --verbose shows what it said")
	case <-time.After(calmFor):
	}
	after, err := o.footprint(ctx)
	if err != nil {
		return resting{}, err
	}
	return resting{
		requests: after.requests - before.requests, transactions: after.transactions - before.transactions,
		operator: after.operator - before.operator, database: after.database - before.database,
		connections: after.connections, statements: float64(after.finished-before.finished) / calmFor.Seconds(),
	}, nil
}

// footprint is what has been written and used until now.
type footprint struct {
	requests, transactions int64 // that write
	finished               int64 // transactions of any sort
	operator, database     time.Duration
	connections            int
}

func (o *operatorProcess) footprint(ctx context.Context) (f footprint, err error) {
	b := o.bench
	if f.requests, err = apiWrites(ctx, b.config); err != nil {
		return footprint{}, err
	}
	if f.transactions, err = b.transactions(ctx); err != nil {
		return footprint{}, err
	}
	err = b.question.QueryRow(ctx, "select sum(xact_commit + xact_rollback)::bigint from pg_stat_database").Scan(&f.finished)
	if err != nil {
		return footprint{}, fmt.Errorf("count the transactions: %w", err)
	}
	if f.operator, err = cpuTime(o.process.cmd.Process.Pid); err != nil {
		return footprint{}, err
	}
	if f.database, err = b.databaseTime(); err != nil {
		return footprint{}, err
	}
	f.connections, err = b.connections(ctx)
	return f, err
}

// transactions is the number of the next transaction that writes, in any database: one that only reads takes none.
func (b *operatorBench) transactions(ctx context.Context) (next int64, err error) {
	if err := b.question.QueryRow(ctx, "select pg_snapshot_xmax(pg_current_snapshot())::text::bigint").Scan(&next); err != nil {
		return 0, fmt.Errorf("count the transactions that write: %w", err)
	}
	return next, nil
}

// connections is how many the operator has to PostgreSQL.
func (b *operatorBench) connections(ctx context.Context) (n int, err error) {
	err = b.question.QueryRow(ctx, "select count(*) from pg_stat_activity where application_name = 'tertulia-operator'").Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the connections: %w", err)
	}
	return n, nil
}

func (b *operatorBench) databaseTime() (time.Duration, error) {
	return serverTime(filepath.Join(b.dir, "postgres"))
}

// serverTime is the CPU time that the PostgreSQL server of this directory has used.
func serverTime(dir string) (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return 0, fmt.Errorf("find PostgreSQL's process: %w", err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return 0, fmt.Errorf("find PostgreSQL's process: %w", err)
	}
	return childrenTime(pid)
}
