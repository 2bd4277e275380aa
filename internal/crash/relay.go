package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tertulia-crm/tertulia/internal/crash/sink"
	"github.com/tertulia-crm/tertulia/internal/local/supervise"
)

// relay is the mail server of a scenario: a process that can be killed and started again, and what it has written down.
type relay struct {
	w       *world
	options sink.Options
	record  *sink.Record
	process *process
	starts  int
}

// paced is a script by which the connections of the workers need some seconds for the send: long enough for what happens in its middle.
func (w *world) paced() sink.Script {
	takes := 2500*time.Millisecond + time.Duration(w.parameters.Size)*60*time.Microsecond
	return sink.Script{Pace: takes * time.Duration(connections*max(1, w.senders)) / time.Duration(w.parameters.Size)}
}

func (w *world) startRelay(ctx context.Context, script sink.Script) (*relay, error) {
	free, err := addresses(3)
	if err != nil {
		return nil, err
	}
	r := &relay{w: w, options: sink.Options{
		Listen: free[0], Control: free[1], Endpoint: free[2], Record: filepath.Join(w.dir, "record"), Script: script,
	}}
	r.record = sink.NewRecord(r.options.Record)
	return r, r.start(ctx)
}

// start starts the process, at the addresses that it had before.
func (r *relay) start(ctx context.Context) error {
	args, err := r.options.Args()
	if err != nil {
		return err
	}
	r.starts++
	if r.process, err = r.w.start(ctx, fmt.Sprintf("sink-%d", r.starts), roleSink, nil, args...); err != nil {
		return err
	}
	return r.process.AwaitReady(ctx, startTimeout, supervise.Healthy("http://"+r.options.Control+"/"))
}

// kill ends the process as kill -9 does.
func (r *relay) kill() error { return r.process.Kill() }

// follow replaces the script, which the process follows from its next moment on.
func (r *relay) follow(ctx context.Context, script sink.Script) error {
	r.options.Script = script
	body, err := json.Marshal(script)
	if err != nil {
		return fmt.Errorf("write the sink's script: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+r.options.Control+"/", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("give the sink its script: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("give the sink its script: %w", err)
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("give the sink its script: it answered %s: %w", response.Status, err)
	}
	return nil
}

// url is where messages are posted to.
func (r *relay) url() string { return "http://" + r.options.Endpoint + "/messages" }

// place is where it listens for mail.
func (r *relay) place() (host string, port int) {
	host, text, _ := net.SplitHostPort(r.options.Listen)
	port, _ = strconv.Atoi(text)
	return host, port
}
