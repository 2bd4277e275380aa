package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// trackRun is one server that answers for tracked links, measured.
type trackRun struct {
	load       loadRun
	used       usage
	database   time.Duration // CPU time of PostgreSQL
	stored     float64       // rows a second, while the load ran
	kept       int64         // rows in all
	dropped    string        // what the server says of that, by reason
	backlogEnd time.Duration // from the last answer until everything was stored and the process had ended
}

// measureTrack has a load generator follow the links of a campaign's mails, against a server of ours and against a bare redirect that
// appends what it is asked for to a table behind its answers.
func measureTrack(ctx context.Context, s Settings) (rows []Row, err error) {
	at, err := s.scratch(ctx, "track-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, at.remove(ctx)) }()
	db, err := newDatabase(ctx, at.server, "tracked")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	tokens, tenants := filepath.Join(at.dir, "tokens"), filepath.Join(at.dir, "tenants")
	if err := seedTracked(ctx, db, s.Clicks/2, tokens); err != nil {
		return nil, err
	}
	if err := credentials.Write(tenants, credentials.Tenant{ID: tenantID, DatabaseURL: at.server.URL("tracked")}); err != nil {
		return nil, err
	}
	b := trackBench{Settings: s, db: db, server: at.server, tokens: tokens, tenants: tenants, data: filepath.Join(at.dir, "postgres")}
	bare, err := b.bare(ctx)
	if err != nil {
		return nil, err
	}
	ours, err := b.ours(ctx)
	if err != nil {
		return nil, err
	}
	return b.rows(bare, ours), nil
}

func (b trackBench) rows(bare, ours trackRun) []Row {
	redirects := Rate("track/redirects", "1/s", ours.load.perSecond, bare.load.perSecond)
	redirects.CPUSeconds, redirects.PeakRSSMB = ours.used.cpu.Seconds(), float64(ours.used.peakRSS)/(1<<20)
	redirects.Note = fmt.Sprintf("%d links followed over %d connections in %.1f s, 99 %% within %.1f ms; bound: a bare net/http redirect with an append "+
		"behind it, 99 %% within %.1f ms; CPU s: server %.1f, PostgreSQL %.1f, load generator %.1f (bare: %.1f, %.1f, %.1f, %.0f MiB)",
		b.Clicks, loadConnections, ours.load.took.Seconds(), milliseconds(ours.load.slowest), milliseconds(bare.load.slowest),
		ours.used.cpu.Seconds(), ours.database.Seconds(), ours.load.cpu.Seconds(),
		bare.used.cpu.Seconds(), bare.database.Seconds(), bare.load.cpu.Seconds(), float64(bare.used.peakRSS)/(1<<20))
	stored := Rate("track/stored", "1/s", ours.stored, bare.stored)
	stored.Note = fmt.Sprintf("rows a second that became visible while links were followed, judged and counted by person (bound: appended to one table); "+
		"the rest followed within %.1f s of the server being told to stop (bare: %.1f s)", ours.backlogEnd.Seconds(), bare.backlogEnd.Seconds())
	lost := Zero("track/lost", "clicks", float64(int64(b.Clicks)-ours.kept))
	lost.Note = fmt.Sprintf("links followed for which no row was kept; the server says that it dropped %s", ours.dropped)
	return []Row{redirects, stored, lost}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// trackBench is what both measurements share.
type trackBench struct {
	Settings
	db              *store.DB
	server          *postgres.Server
	tokens, tenants string
	data            string // of PostgreSQL
}

func (b trackBench) bare(ctx context.Context) (trackRun, error) {
	process, address, err := startBareRedirect(ctx, b.Log, b.server.URL("tracked"), trackedURL)
	if err != nil {
		return trackRun{}, err
	}
	defer process.kill()
	return b.measure(ctx, process, address, "/c/", "select count(*) from followed", nil)
}

func (b trackBench) ours(ctx context.Context) (run trackRun, err error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return run, err
	}
	metrics, err := freeAddress(ctx)
	if err != nil {
		return run, err
	}
	process, err := startChild(ctx, b.Log, b.Program, "server", "--listen", address, "--metrics-listen", metrics, "--tenants", b.tenants, "--drain-delay", "0s")
	if err != nil {
		return run, err
	}
	defer process.kill()
	if err := awaitServer(ctx, "http://"+address+"/t/"+tenantID, process); err != nil {
		return run, err
	}
	return b.measure(ctx, process, address, "/t/"+tenantID+"/c/", "select count(*) from engagement", func(run *trackRun) error {
		run.dropped, err = readDropped(ctx, metrics)
		return err
	})
}

// measure runs the load against a server, and looks after the middle of it how fast rows are stored.
func (b trackBench) measure(ctx context.Context, process *child, address, prefix, count string, look func(*trackRun) error) (run trackRun, err error) {
	if err := settle(ctx, b.db); err != nil {
		return run, err
	}
	before, err := serverTime(b.data)
	if err != nil {
		return run, err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	watched := make(chan error, 1)
	go func() { watched <- b.watch(watching, count, &run.stored) }()
	if run.load, err = followLinks(ctx, address, prefix, b.tokens, trackedURL, b.Clicks); err != nil {
		return run, err
	}
	stop()
	ended := time.Now()
	if err := <-watched; err != nil {
		return run, err
	}
	if look != nil {
		if err := look(&run); err != nil {
			return run, err
		}
	}
	stopping, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if run.used, err = process.stop(stopping); err != nil {
		return run, err
	}
	run.backlogEnd = time.Since(ended)
	after, err := serverTime(b.data)
	if err != nil {
		return run, err
	}
	run.database = after - before
	return run, b.db.Pool.QueryRow(ctx, count).Scan(&run.kept)
}

// steadyAfter is how long it takes until the flow is steady: our server holds events for some seconds before it judges them.
const steadyAfter = 8 * time.Second

// watch measures how many rows a second become visible, from when the flow is steady until the load ends.
func (b trackBench) watch(ctx context.Context, count string, rate *float64) error {
	select {
	case <-ctx.Done():
		return errors.New("the load ended before the flow was steady: follow more links")
	case <-time.After(steadyAfter):
	}
	var first, last int64
	if err := b.db.Pool.QueryRow(ctx, count).Scan(&first); err != nil {
		return err
	}
	from := time.Now()
	<-ctx.Done()
	to := time.Now()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := b.db.Pool.QueryRow(ctx, count).Scan(&last); err != nil {
		return err
	}
	*rate = perSecond(int(last-first), to.Sub(from))
	return nil
}

var droppedSeries = regexp.MustCompile(`(?m)^tertulia_engagements_dropped_total\{reason="(\w+)".*\} ([0-9.e+]+)$`)

// readDropped reads what the server says that it dropped.
func readDropped(ctx context.Context, address string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return "", err
	}
	found := droppedSeries.FindAllSubmatch(text, -1)
	if len(found) == 0 {
		return "", errors.New("the server does not say what it dropped")
	}
	var dropped []string
	for _, series := range found {
		if reason, n := string(series[1]), string(series[2]); n != "0" {
			dropped = append(dropped, n+" ("+reason+")")
		}
	}
	return cmp.Or(strings.Join(dropped, ", "), "none"), nil
}
