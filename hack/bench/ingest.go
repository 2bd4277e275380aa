package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/listen/match"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const (
	// ingestRate is how many events a second the stream has: several times what all of Bluesky writes.
	ingestRate = 5000
	// ingestMemory is what a worker may use at most, in MiB.
	ingestMemory = 150
	// ingestLead is how long the processes have to start before the stream begins.
	ingestLead = 15 * time.Second
	// bareTime is how long a bare listener is measured.
	bareTime = 20 * time.Second
)

// measureIngest has one worker listen to a stream for keywords, judge what has one, compare it with the topics of a tenant and store it,
// beside a bare listener that stores the texts and does nothing else.
func measureIngest(ctx context.Context, s Settings) (rows []Row, err error) {
	dir, err := os.MkdirTemp(s.Dir, "ingest-")
	if err != nil {
		return nil, fmt.Errorf("make scratch space: %w", err)
	}
	// When a row became visible is what the server notes at the commit.
	server, err := postgres.Start(ctx, postgres.Options{
		Dir: filepath.Join(dir, "postgres"), Durable: true, Log: s.Log, Settings: map[string]string{"track_commit_timestamp": "on"},
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	at := &scratch{dir: dir, server: server}
	defer func() { err = errors.Join(err, at.remove(ctx)) }()
	if err := requireDurability(ctx, server.URL("postgres")); err != nil {
		return nil, err
	}
	db, err := newDatabase(ctx, server, "ingested")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	b := ingestBench{Settings: s, db: db, data: filepath.Join(dir, "postgres"), tenants: filepath.Join(dir, "tenants")}
	bare, err := b.bare(ctx)
	if err != nil {
		return nil, fmt.Errorf("measure a bare listener: %w", err)
	}
	if err := b.declare(ctx, server); err != nil {
		return nil, err
	}
	ours, err := b.ours(ctx)
	if err != nil {
		return nil, err
	}
	return b.rows(bare, ours), nil
}

// ingestBench is what both measurements share.
type ingestBench struct {
	Settings
	db            *store.DB
	data, tenants string
}

// ingestRun is one listener, measured.
type ingestRun struct {
	used           usage
	database       time.Duration // CPU time of PostgreSQL
	lags           []time.Duration
	total, wanted  int64
	lost, doubled  int
	lastStored     time.Duration // after the stream had begun
	streamDuration time.Duration
}

func (b ingestBench) rows(bare, ours ingestRun) []Row {
	lag := Time("ingest/lag", "ms p99", milliseconds(quantile(ours.lags, 0.99)), milliseconds(quantile(bare.lags, 0.99)))
	lag.CPUSeconds, lag.PeakRSSMB = ours.used.cpu.Seconds(), float64(ours.used.peakRSS)/(1<<20)
	lag.Note = fmt.Sprintf("from when an event was written until the commit of its mention: half within %.0f ms, 99 %% within %.0f ms, the slowest %.0f ms; "+
		"%d events in %.0f s, %d of them wanted; bound: a bare listener that decodes each event with encoding/json and commits each text by itself, "+
		"%.0f, %.0f and %.0f ms; CPU s: worker %.1f, PostgreSQL %.1f",
		milliseconds(quantile(ours.lags, 0.5)), milliseconds(quantile(ours.lags, 0.99)), milliseconds(quantile(ours.lags, 1)),
		ours.total, ours.streamDuration.Seconds(), ours.wanted,
		milliseconds(quantile(bare.lags, 0.5)), milliseconds(quantile(bare.lags, 0.99)), milliseconds(quantile(bare.lags, 1)),
		ours.used.cpu.Seconds(), ours.database.Seconds())
	rate := Rate("ingest/events", "1/s", perSecond(int(ours.total), max(ours.lastStored, ours.streamDuration)), ingestRate)
	rate.Note = "events a second until the last mention was stored; bound: those that were sent"
	memory := Time("ingest/memory", "MiB", float64(ours.used.peakRSS)/(1<<20), ingestMemory)
	memory.Note = "peak of the worker; bound: what it may use"
	lost := Zero("ingest/lost", "posts", float64(ours.lost+ours.doubled))
	lost.Note = fmt.Sprintf("wanted posts that are not stored (%d), or stored twice or unwanted (%d)", ours.lost, ours.doubled)
	return []Row{lag, rate, memory, lost}
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

// declare makes a tenant with topics, and lets it be known to workers.
func (b ingestBench) declare(ctx context.Context, server *postgres.Server) error {
	tenant := store.Tenant{ID: tenantID, Namespace: tenantID, DisplayName: "Benchmarks", TimeZone: "UTC", Locales: []string{"es"}}
	if _, err := b.db.SaveTenant(ctx, tenant); err != nil {
		return err
	}
	monitor := store.Monitor{Name: "brands", TimeZone: "UTC"}
	for _, word := range ingestKeywords {
		topic := match.Topic{Name: word, Any: []match.Term{{Word: word}}}
		monitor.Topics = append(monitor.Topics, store.MonitorTopic{Role: store.BrandTopic, Definition: topic})
	}
	if _, _, err := b.db.SaveMonitor(ctx, monitor); err != nil {
		return err
	}
	return credentials.Write(b.tenants, credentials.Tenant{ID: tenantID, DatabaseURL: server.URL("ingested")})
}

// stream starts the stream, which begins in a while.
func (b ingestBench) stream(ctx context.Context, length time.Duration) (c *child, address string, events *ingestEvents, total int64, err error) {
	began := time.Now().Add(ingestLead).Truncate(time.Microsecond)
	total = int64(length.Seconds() * ingestRate)
	c, address, err = startServing(ctx, b.Log, streamArgument, strconv.FormatInt(began.UnixMicro(), 10), strconv.Itoa(ingestRate), strconv.FormatInt(total, 10))
	return c, address, newIngestEvents(began, ingestRate), total, err
}

func (b ingestBench) ours(ctx context.Context) (run ingestRun, err error) {
	length := time.Duration(b.Seconds) * time.Second
	stream, address, events, total, err := b.stream(ctx, length)
	if err != nil {
		return run, err
	}
	defer stream.kill()
	terms := make([]match.Term, len(ingestKeywords))
	for i, word := range ingestKeywords {
		terms[i].Word = word
	}
	settings, err := json.Marshal(map[string]any{"jetstream": "ws://" + address + "/subscribe", "keywords": terms})
	if err != nil {
		return run, err
	}
	if _, _, err = b.db.SaveSource(ctx, store.Source{Name: "stream", Type: "Bluesky", Settings: settings, Interval: time.Minute}); err != nil {
		return run, err
	}
	if err := settle(ctx, b.db); err != nil {
		return run, err
	}
	before, err := serverTime(b.data)
	if err != nil {
		return run, err
	}
	worker, err := startChild(ctx, b.Log, b.Program, "worker", "--tenants", b.tenants, "--listen-allow-network", "127.0.0.0/8", "--look-up-receivers=false")
	if err != nil {
		return run, err
	}
	defer worker.kill()
	run.total, run.wanted, run.streamDuration = total, (total+ingestShare-1)/ingestShare, length
	if err := b.await(ctx, "select count(*) from mention", run.wanted, events.at(total)); err != nil {
		return run, err
	}
	stopping, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if run.used, err = worker.stop(stopping); err != nil {
		return run, err
	}
	after, err := serverTime(b.data)
	if err != nil {
		return run, err
	}
	run.database = after - before
	return run, b.compare(ctx, "select native_id, pg_xact_commit_timestamp(xmin) from mention", events, &run)
}

// ingestPatience is how long what is stored may lag behind the end of the stream before what is not there counts as lost.
const ingestPatience = 30 * time.Second

// await waits until so many rows are there, or the stream is long over.
func (b ingestBench) await(ctx context.Context, count string, want int64, end time.Time) error {
	for {
		var n int64
		if err := b.db.Pool.QueryRow(ctx, count).Scan(&n); err != nil {
			return fmt.Errorf("count what is stored: %w", err)
		}
		if n >= want || time.Since(end) > ingestPatience {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(time.Until(end), 500*time.Millisecond)):
		}
	}
}

// compare compares what is stored with what was wanted, and reads when it became so.
func (b ingestBench) compare(ctx context.Context, query string, events *ingestEvents, run *ingestRun) error {
	rows, err := b.db.Pool.Query(ctx, query)
	if err != nil {
		return fmt.Errorf("read what is stored: %w", err)
	}
	defer rows.Close()
	seen := map[int64]bool{}
	for rows.Next() {
		var id string
		var at time.Time
		if err := rows.Scan(&id, &at); err != nil {
			return fmt.Errorf("read what is stored: %w", err)
		}
		n, err := strconv.ParseInt(strings.TrimPrefix(id[strings.LastIndexByte(id, '/')+1:], "3l"), 10, 64)
		if err != nil || !events.wanted(n) || id != events.id(n) || n >= run.total || seen[n] {
			run.doubled++
			continue
		}
		seen[n] = true
		run.lags = append(run.lags, at.Sub(events.at(n)))
		run.lastStored = max(run.lastStored, at.Sub(events.began))
	}
	run.lost = int(run.wanted) - len(seen)
	slices.Sort(run.lags)
	return rows.Err()
}

// bare measures a listener that does the least there is to do.
func (b ingestBench) bare(ctx context.Context) (run ingestRun, err error) {
	length := min(bareTime, time.Duration(b.Seconds)*time.Second)
	stream, address, events, total, err := b.stream(ctx, length)
	if err != nil {
		return run, err
	}
	defer stream.kill()
	if _, err := b.db.Pool.Exec(ctx, "create table heard (id text primary key, text text)"); err != nil {
		return run, err
	}
	run.total, run.wanted, run.streamDuration = total, (total+ingestShare-1)/ingestShare, length
	if err := b.hear(ctx, "ws://"+address+"/subscribe", events, total); err != nil && !errors.Is(err, io.EOF) {
		return run, err
	}
	if err := b.compare(ctx, "select id, pg_xact_commit_timestamp(xmin) from heard", events, &run); err != nil {
		return run, err
	}
	if run.lost+run.doubled > 0 {
		return run, fmt.Errorf("it has lost %d posts and doubled %d: the measurement is wrong", run.lost, run.doubled)
	}
	return run, nil
}
