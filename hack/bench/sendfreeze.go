package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// freeze is what writing an audience into the ledger took, and what the one PostgreSQL process that did it used.
type freeze struct {
	took, cpu time.Duration
	memory    int64 // bytes of its own at most, without what all processes share
}

// freeze evaluates the campaign's segment and measures the freeze of its audience. The campaign is suspended then.
func (t *sendTenant) freeze(ctx context.Context, config store.SendConfig) (f freeze, err error) {
	if _, err := t.EvaluateSegment(ctx, sendCampaign); err != nil {
		return f, err
	}
	open, err := t.OpenSends(ctx)
	if err != nil {
		return f, err
	}
	if len(open) != 1 {
		return f, fmt.Errorf("%d sends are open, not one", len(open))
	}
	if _, err := t.MoveSend(ctx, open[0], campaign.Freezing, ""); err != nil {
		return f, err
	}
	open[0].State = campaign.Freezing
	if err := settle(ctx, t.DB); err != nil {
		return f, err
	}
	if f, err = t.measureFreeze(ctx, open[0]); err != nil {
		return f, err
	}
	config.Suspended = true
	if _, err := t.UpsertSend(ctx, config); err != nil {
		return f, err
	}
	_, err = t.Pool.Exec(ctx, "vacuum analyze ledger, send_chunk, send_tally")
	return f, err
}

// measureFreeze freezes over a connection of its own, so that the process behind it has done nothing else.
func (t *sendTenant) measureFreeze(ctx context.Context, s store.OpenSend) (f freeze, err error) {
	db, err := store.Open(ctx, t.server.URL("sends"), store.Options{MaxConns: 1})
	if err != nil {
		return f, err
	}
	defer db.Close()
	var pid int
	if err := db.Pool.QueryRow(ctx, "select pg_backend_pid()").Scan(&pid); err != nil {
		return f, fmt.Errorf("find PostgreSQL's process: %w", err)
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	watched := make(chan int64, 1)
	go func() { watched <- watchMemory(watching, pid) }()
	began := time.Now()
	state, err := db.FreezeSend(ctx, s, began)
	f.took = time.Since(began)
	stop()
	f.memory = <-watched
	if err != nil {
		return f, err
	}
	if state != campaign.Sending {
		return f, fmt.Errorf("the send is %s after the freeze", state)
	}
	if f.memory == 0 {
		return f, errors.New("the memory of PostgreSQL's process cannot be read")
	}
	f.cpu, err = cpuTime(pid)
	return f, err
}

var ownMemory = regexp.MustCompile(`RssAnon:\s+(\d+) kB`)

// watchMemory returns the most memory that a process had for itself when it was looked at; 0 where nothing could be read. The
// high-water mark that Linux keeps would count the server's shared buffers, as far as the process has touched them.
func watchMemory(ctx context.Context, pid int) (most int64) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if found := ownMemory.FindSubmatch(status); err == nil && found != nil {
			if kib, err := strconv.ParseInt(string(found[1]), 10, 64); err == nil {
				most = max(most, kib<<10)
			}
		}
		select {
		case <-ctx.Done():
			return most
		case <-tick.C:
		}
	}
}
