package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// wantedFreeze is how long the audience of a benchmark that freezes may take, for each million people.
const wantedFreeze = 10 * time.Second

// measureAudience freezes an audience of Rows people, and has a worker send to the first of them: its memory is compared with
// that of a worker whose campaign has a tenth of the people.
func measureAudience(ctx context.Context, s Settings) ([]Row, error) {
	messages := min(s.Messages, s.Rows/10)
	small, err := s.audience(ctx, s.Rows/10, messages)
	if err != nil {
		return nil, err
	}
	large, err := s.audience(ctx, s.Rows, messages)
	if err != nil {
		return nil, err
	}
	writing := Time("send/freeze", "s", large.froze.took.Seconds(), large.copied.Seconds())
	writing.CPUSeconds, writing.PeakRSSMB = large.froze.cpu.Seconds(), mebibytes(large.froze.memory)
	writing.Note = fmt.Sprintf("the audience of %d people judged, numbered and written into the ledger; wanted: at most %.3g s; "+
		"%.0f a second; bound: the ledger's finished rows copied within the server into an empty table with its indexes; %d people took %.2f s; "+
		"CPU and memory: of the PostgreSQL process that did it",
		s.Rows, wantedFreeze.Seconds()*float64(s.Rows)/1e6, perSecond(s.Rows, large.froze.took), s.Rows/10, small.froze.took.Seconds())
	freezeMemory := Time("send/freeze-memory", "MiB", mebibytes(large.froze.memory), mebibytes(small.froze.memory))
	freezeMemory.Note = fmt.Sprintf("the most memory of its own that this process had for %d people; bound: for %d", s.Rows, s.Rows/10)
	memory := Time("send/memory", "MiB", mebibytes(large.worker.peakRSS), mebibytes(small.worker.peakRSS))
	memory.CPUSeconds, memory.PeakRSSMB = large.worker.cpu.Seconds(), mebibytes(large.worker.peakRSS)
	memory.Note = fmt.Sprintf("a worker's peak while it sends %d messages of a campaign to %d people; bound: of one to %d", messages, s.Rows, s.Rows/10)
	return []Row{writing, freezeMemory, memory}, nil
}

// audienceRun is what an audience cost.
type audienceRun struct {
	froze  freeze
	copied time.Duration
	worker usage
}

func (s Settings) audience(ctx context.Context, people, messages int) (run audienceRun, err error) {
	at, err := s.scratch(ctx, "audience-")
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, at.remove(ctx)) }()
	tenant, err := newSendTenant(ctx, at, people)
	if err != nil {
		return run, err
	}
	defer tenant.Close()
	to, err := startSink(ctx, s.Log, 0)
	if err != nil {
		return run, err
	}
	defer to.kill()
	if run.froze, err = tenant.declare(ctx, to.address, s.Connections); err != nil {
		return run, err
	}
	if run.copied, err = tenant.copyLedger(ctx); err != nil {
		return run, err
	}
	run.worker, err = s.sendSome(ctx, tenant, to, int64(messages))
	return run, err
}

// copyLedger copies the send's ledger rows into a table like theirs.
func (t *sendTenant) copyLedger(ctx context.Context) (time.Duration, error) {
	var partition string
	err := t.Pool.QueryRow(ctx, "select tableoid::regclass::text from ledger where send_id = $1 limit 1", t.sendID).Scan(&partition)
	if err != nil {
		return 0, fmt.Errorf("find the ledger's rows: %w", err)
	}
	name := pgx.Identifier{partition}.Sanitize()
	if _, err := t.Pool.Exec(ctx, "create table copied (like "+name+" including all) with (fillfactor = 35)"); err != nil {
		return 0, fmt.Errorf("make a table like the ledger: %w", err)
	}
	if err := settle(ctx, t.DB); err != nil {
		return 0, err
	}
	began := time.Now()
	if _, err := t.Pool.Exec(ctx, "insert into copied select * from "+name); err != nil {
		return 0, fmt.Errorf("copy the ledger's rows: %w", err)
	}
	return time.Since(began), nil
}

// sendSome has a worker send until so many messages have arrived, and stops it.
func (s Settings) sendSome(ctx context.Context, tenant *sendTenant, to *sink, messages int64) (usage, error) {
	worker, err := startChild(ctx, s.Log, s.Program, "worker", "--tenants", tenant.dir)
	if err != nil {
		return usage{}, err
	}
	defer worker.kill()
	if err := s.awaitWorker(ctx, tenant, worker); err != nil {
		return usage{}, err
	}
	if err := tenant.begin(ctx); err != nil {
		return usage{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	err = await(ctx, worker, func() (bool, error) {
		got, err := to.ask(ctx)
		return got.messages >= messages, err
	})
	if err != nil {
		return usage{}, err
	}
	return worker.stop(ctx)
}
