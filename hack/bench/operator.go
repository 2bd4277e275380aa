package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/internal/local/controlplane"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// What an operator is measured with, and how.
const (
	firstPatience   = 20 * time.Minute // the first settle makes and migrates a database for each tenant
	restartPatience = 5 * time.Minute
	watchEvery      = 500 * time.Millisecond
	// quietFor is how long queues must stay empty until everything counts as done; the time is that of its beginning.
	quietFor = 3 * time.Second
	// calmFor is how long a settled operator is watched for writes, past what is written in the background.
	calmFor = time.Minute
)

// measureClusterOperator measures an operator that runs tenants' workers and servers as Deployments. Nothing runs in them:
// the cluster has no nodes.
func measureClusterOperator(ctx context.Context, s Settings) ([]Row, error) {
	return measureOperator(ctx, s, "operator/cluster", "--image", "tertulia:bench", "--leader-election-namespace", metav1.NamespaceDefault)
}

// measureLocalOperator measures an operator that hands credentials over in directories, as `tertulia up` has it.
func measureLocalOperator(ctx context.Context, s Settings) ([]Row, error) {
	return measureOperator(ctx, s, "operator/local", "--tenants", filepath.Join(s.Dir, "tenants"))
}

// measureOperator brings up a hundred tenants with ten thousand objects on a real API server and a real PostgreSQL, and
// measures one operator process: the first time, a restart, and at rest.
func measureOperator(ctx context.Context, s Settings, name string, mode ...string) (rows []Row, err error) {
	dir, err := os.MkdirTemp(s.Dir, "operator-")
	if err != nil {
		return nil, fmt.Errorf("make scratch space: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &operatorBench{Settings: s, name: name, mode: mode, dir: dir, objects: s.Tenants * tenantObjects}
	defer func() { err = errors.Join(err, b.stop(ctx)) }()
	if err := b.start(ctx); err != nil {
		return nil, err
	}
	writing := time.Now()
	if err := applyTenants(ctx, b.api, s.Tenants); err != nil {
		return nil, err
	}
	wrote := time.Since(writing)
	first, err := b.first(ctx)
	if err != nil {
		return nil, fmt.Errorf("settle for the first time: %w", err)
	}
	if err := b.checkCounters(ctx); err != nil {
		return nil, err
	}
	bound, err := bareRestart(ctx, b.api, b.postgres, s.Tenants)
	if err != nil {
		return nil, err
	}
	again, rest, err := b.restart(ctx)
	if err != nil {
		return nil, fmt.Errorf("restart: %w", err)
	}
	return b.rows(wrote, bound, first, again, rest), nil
}

// operatorBench is what the operator is measured against.
type operatorBench struct {
	Settings
	name     string   // of the benchmark
	mode     []string // flags of the operator
	dir      string
	objects  int
	plane    *controlplane.ControlPlane
	config   *rest.Config
	api      client.Client
	postgres *postgres.Server
	question *pgx.Conn
}

// settling is how an operator came to rest.
type settling struct {
	took        time.Duration
	passes      progress
	connections int // to PostgreSQL, at most
	used        usage
}

// resting is what a settled operator does in a minute.
type resting struct {
	requests, transactions int64         // that write
	operator, database     time.Duration // of CPU
	connections            int
	peakRSS                int64
	statements             float64 // transactions of any sort, a second
}

func (b *operatorBench) rows(wrote, bound time.Duration, first, again settling, rest resting) []Row {
	size := fmt.Sprintf("%d objects in %d tenants", b.objects, b.Tenants)
	settle := Time(b.name+"/first-settle", "s", first.took.Seconds(), wrote.Seconds())
	settle.CPUSeconds, settle.PeakRSSMB = first.used.cpu.Seconds(), mebibytes(first.used.peakRSS)
	settle.Note = fmt.Sprintf("%s, from the start of the process until each is Ready, with a database made and migrated for each tenant; "+
		"%.0f passes, of which %.0f failed, at most %d connections; bound: creating the same objects and their Secrets and ConfigMaps with %d clients",
		size, first.passes.finished, first.passes.failed, first.connections, writers)
	restart := Time(b.name+"/restart", "s", again.took.Seconds(), bound.Seconds())
	restart.CPUSeconds, restart.PeakRSSMB = again.used.cpu.Seconds(), mebibytes(again.used.peakRSS)
	restart.Note = fmt.Sprintf("from the start of the process until it has found each of %s in force again and no queue holds anything; "+
		"%.0f passes, of which %.0f failed, at most %d connections; bound: listing the same objects and one question to each tenant's database",
		size, again.passes.finished, again.passes.failed, again.connections)
	requests := Zero(b.name+"/settled-api-writes", "requests/min", float64(rest.requests))
	transactions := Zero(b.name+"/settled-sql-writes", "transactions/min", float64(rest.transactions))
	transactions.Note = fmt.Sprintf("at rest with %s the operator uses %.1f %% of a core and PostgreSQL %.1f %%, over %d connections, "+
		"for %.0f transactions a second",
		size, 100*rest.operator.Seconds()/calmFor.Seconds(), 100*rest.database.Seconds()/calmFor.Seconds(), rest.connections, rest.statements)
	for _, row := range []*Row{&requests, &transactions} {
		row.CPUSeconds, row.PeakRSSMB = rest.operator.Seconds(), mebibytes(rest.peakRSS)
	}
	return []Row{settle, restart, requests, transactions}
}

func mebibytes(n int64) float64 { return float64(n) / (1 << 20) }

func tenantDatabase(n int) string {
	return "tertulia_" + strings.ReplaceAll(tenantNamespace(n), "-", "_")
}

// first runs an operator until every object is Ready, and ends it.
func (b *operatorBench) first(ctx context.Context) (settling, error) {
	o, err := b.startOperator(ctx)
	if err != nil {
		return settling{}, err
	}
	defer o.process.kill()
	ctx, cancel := context.WithTimeout(ctx, firstPatience)
	defer cancel()
	built := make(chan error, 1)
	go func() { built <- b.buildSegments(ctx) }()
	for {
		settled, err := o.settle(ctx)
		if err != nil {
			return settling{}, err
		}
		missing, example, err := unready(ctx, b.api, b.objects)
		if err != nil {
			return settling{}, err
		}
		if missing == 0 {
			if err := <-built; err != nil {
				return settling{}, err
			}
			settled.used, err = o.process.stop(ctx)
			return settled, err
		}
		fmt.Fprintf(b.Log, "bench: %d objects are not Ready yet, such as %s\n", missing, example)
	}
}

// restart runs an operator on what an earlier one has settled, and watches it at rest.
func (b *operatorBench) restart(ctx context.Context) (settling, resting, error) {
	o, err := b.startOperator(ctx)
	if err != nil {
		return settling{}, resting{}, err
	}
	defer o.process.kill()
	limited, cancel := context.WithTimeout(ctx, restartPatience)
	defer cancel()
	settled, err := o.settle(limited)
	if err != nil {
		return settling{}, resting{}, err
	}
	missing, example, err := unready(limited, b.api, b.objects)
	if err != nil {
		return settling{}, resting{}, err
	}
	if missing > 0 {
		return settling{}, resting{}, fmt.Errorf("%d objects are not Ready any more, such as %s", missing, example)
	}
	calm, err := o.rest(ctx)
	if err != nil {
		return settling{}, resting{}, err
	}
	settled.used, err = o.process.stop(ctx)
	calm.peakRSS = settled.used.peakRSS
	return settled, calm, err
}

// checkCounters makes sure that the counters of writes see any: every object has got at least its finalizer and its status,
// and nearly every one a row.
func (b *operatorBench) checkCounters(ctx context.Context) error {
	requests, err := apiWrites(ctx, b.config)
	if err != nil {
		return err
	}
	transactions, err := b.transactions(ctx)
	if err != nil {
		return err
	}
	if least := int64(2 * b.objects); requests < least || transactions < least/2 {
		return fmt.Errorf("%d requests and %d transactions that write were counted after %d objects had settled: that cannot be",
			requests, transactions, b.objects)
	}
	return nil
}

// buildSegments does what workers do for segments: it says that their memberships are built, and notes the change.
func (b *operatorBench) buildSegments(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	built := make([]int, b.Tenants)
	for open := true; open; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		open = false
		for n := range built {
			if built[n] == tenantSegments {
				continue
			}
			open = true
			made, err := b.buildTenant(ctx, tenantDatabase(n))
			if err != nil {
				return err
			}
			built[n] += made
		}
	}
	return nil
}

// buildTenant builds what there is to build, which is nothing before the tenant has its database.
func (b *operatorBench) buildTenant(ctx context.Context, database string) (int, error) {
	db, err := store.Open(ctx, b.postgres.URL(database), store.Options{MaxConns: 1})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	var ready bool
	if err := db.Pool.QueryRow(ctx, "select to_regclass('status_change') is not null").Scan(&ready); err != nil || !ready {
		return 0, nil //nolint:nilerr // there is no such database yet
	}
	tag, err := db.Pool.Exec(ctx, `
		with built as (
			update segment set built_digest = digest, built_at = now(), changed_at = now(), members = 1000, refresh_asked_at = null
			where built_digest is null returning name)
		insert into status_change (kind, name) select 'Segment', name from built on conflict (kind, name) do update set name = excluded.name`)
	if err != nil {
		return 0, fmt.Errorf("build the segments of %s: %w", database, err)
	}
	return int(tag.RowsAffected()), nil
}
