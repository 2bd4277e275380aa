package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// sendLoad is one way to send a campaign.
type sendLoad struct {
	name        string
	messages    int
	connections int
	delay       time.Duration // of the relay, for each message
}

// measureSend sends a campaign over a fast relay, and beside it what a bare loop sends.
func measureSend(ctx context.Context, s Settings) ([]Row, error) {
	return s.send(ctx, sendLoad{name: "send/fast", messages: s.Messages, connections: s.Connections})
}

// measureSlowSend does so over a relay that takes 5 ms for each message.
func measureSlowSend(ctx context.Context, s Settings) ([]Row, error) {
	return s.send(ctx, sendLoad{name: "send/slow", messages: s.Messages, connections: s.Connections, delay: 5 * time.Millisecond})
}

// sent is what a worker's run was like.
type sent struct {
	took           time.Duration // from the first message at the relay until every outcome is in the ledger
	size           int           // of a message, in bytes
	worker         usage
	database, sink time.Duration // CPU times
}

func (s Settings) send(ctx context.Context, load sendLoad) (rows []Row, err error) {
	at, err := s.scratch(ctx, "send-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, at.remove(ctx)) }()
	tenant, err := newSendTenant(ctx, at, load.messages)
	if err != nil {
		return nil, err
	}
	defer tenant.Close()
	run, err := s.sendCampaign(ctx, tenant, load)
	if err != nil {
		return nil, err
	}
	bare := bareLoop{connections: load.connections, size: run.size, pipelined: true}
	bound, err := bare.measure(ctx, s, load.messages, load.delay)
	if err != nil {
		return nil, err
	}
	bare.pipelined = false
	slow, err := bare.measure(ctx, s, load.messages, load.delay)
	if err != nil {
		return nil, err
	}
	rate := perSecond(load.messages, run.took)
	each := func(used time.Duration) float64 { return float64(used.Microseconds()) / float64(load.messages) }
	row := Rate(load.name, "messages/s", rate, bound.perSecond)
	row.CPUSeconds = run.worker.cpu.Seconds()
	row.PeakRSSMB = float64(run.worker.peakRSS) / (1 << 20)
	row.Note = fmt.Sprintf("%d messages of %d bytes to as many recipients over %d connections, %v for each at the relay; "+
		"bound: a bare pipelined loop over as many; one that waits for each reply: %.4g messages/s, of which this is %.2f; "+
		"CPU µs per message: worker %.1f, PostgreSQL %.1f, relay %.1f; of the pipelined loop %.1f and its relay %.1f",
		load.messages, run.size, load.connections, load.delay, slow.perSecond, quotient(rate, slow.perSecond),
		each(run.worker.cpu), each(run.database), each(run.sink), each(bound.own), each(bound.sink))
	return []Row{row}, nil
}

// sendCampaign has a worker send a campaign.
func (s Settings) sendCampaign(ctx context.Context, tenant *sendTenant, load sendLoad) (run sent, err error) {
	to, err := startSink(ctx, s.Log, load.delay)
	if err != nil {
		return run, err
	}
	defer to.kill()
	if _, err := tenant.declare(ctx, to.address, load.connections); err != nil {
		return run, err
	}
	worker, err := startChild(ctx, s.Log, s.Program, "worker", "--tenants", tenant.dir)
	if err != nil {
		return run, err
	}
	defer worker.kill()
	if err := settle(ctx, tenant.DB); err != nil {
		return run, err
	}
	if err := s.awaitWorker(ctx, tenant, worker); err != nil {
		return run, err
	}
	database, err := tenant.databaseTime()
	if err != nil {
		return run, err
	}
	if err := tenant.begin(ctx); err != nil {
		return run, err
	}
	ended, err := tenant.awaitOutcomes(ctx, worker, int64(load.messages))
	if err != nil {
		return run, err
	}
	if run.database, err = tenant.databaseTime(); err != nil {
		return run, err
	}
	run.database -= database
	got, err := to.ask(ctx)
	if err != nil {
		return run, err
	}
	if got.messages != int64(load.messages) || got.recipients != got.messages {
		return run, fmt.Errorf("%d messages arrived for %d recipients; %d are right", got.messages, got.recipients, load.messages)
	}
	run.took, run.size = ended.Sub(got.first), int(got.bytes/got.messages)
	if run.sink, err = cpuTime(to.cmd.Process.Pid); err != nil {
		return run, err
	}
	stopping, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	run.worker, err = worker.stop(stopping)
	return run, err
}

// awaitWorker waits until the worker works for the tenant.
func (s Settings) awaitWorker(ctx context.Context, tenant *sendTenant, worker *child) error {
	return await(ctx, worker, func() (bool, error) {
		var there bool
		err := tenant.Pool.QueryRow(ctx, "select exists (select from process where kind = 'worker')").Scan(&there)
		return there, err
	})
}

// awaitOutcomes waits until every recipient has an outcome, which must be that it was sent, and returns when.
func (t *sendTenant) awaitOutcomes(ctx context.Context, worker *child, planned int64) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	var ended time.Time
	err := await(ctx, worker, func() (bool, error) {
		var open bool
		err := t.Pool.QueryRow(ctx, "select exists (select from send_chunk where send_id = $1 and open)", t.sendID).Scan(&open)
		if err != nil || open {
			return false, err
		}
		ended = time.Now()
		counts, err := t.outcomes(ctx)
		if err != nil {
			return false, err
		}
		if counts["sent"] != planned {
			return false, fmt.Errorf("the outcomes are %v: %d were to be sent", counts, planned)
		}
		return true, nil
	})
	return ended, err
}

// await asks every 50 ms until the answer is yes.
func await(ctx context.Context, process *child, ask func() (bool, error)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		yes, err := ask()
		if yes || err != nil {
			return err
		}
		select {
		case <-process.exited:
			return errors.New("the worker ended: --verbose shows what it said")
		case <-ctx.Done():
			return fmt.Errorf("wait for the worker: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// databaseTime is the CPU time that the tenant's server has used.
func (t *sendTenant) databaseTime() (time.Duration, error) {
	return serverTime(filepath.Join(t.dir, "..", "postgres"))
}
