package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// progress is how far the controllers of a process are.
type progress struct {
	ready            float64 // passes that found an object in force, of any kind
	finished, failed float64 // passes
	waiting          float64 // in queues and under way
}

// markController looks at ledgers' marks by the clock, for ever: there is no end of it to wait for.
const markController = `="ledgermark"`

// operatorProgress reads it from the process's metrics.
func operatorProgress(ctx context.Context, address string) (progress, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return progress{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return progress{}, fmt.Errorf("read the operator's metrics: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return progress{}, fmt.Errorf("read the operator's metrics: status %d: %w", response.StatusCode, err)
	}
	var p progress
	eachSample(text, func(name, labels string, value float64) {
		switch {
		case strings.Contains(labels, markController):
		case name == "tertulia_reconcile_total" && strings.Contains(labels, `outcome="ready"`):
			p.ready += value
		case name == "controller_runtime_reconcile_total":
			p.finished += value
			if strings.Contains(labels, `result="error"`) {
				p.failed += value
			}
		case name == "workqueue_depth", name == "controller_runtime_active_workers":
			p.waiting += value
		}
	})
	return p, nil
}

// apiWrites counts the requests that changed something, as the API server itself counts them. Leases are left out: they
// are how processes of Kubernetes say that they live.
func apiWrites(ctx context.Context, config *rest.Config) (int64, error) {
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		return 0, err
	}
	text, err := api.RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the API server's metrics: %w", err)
	}
	var writes float64
	eachSample(text, func(name, labels string, value float64) {
		if name != "apiserver_request_total" || strings.Contains(labels, `resource="leases"`) {
			return
		}
		for _, verb := range []string{"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"} {
			if strings.Contains(labels, `verb="`+verb+`"`) {
				writes += value
			}
		}
	})
	return int64(writes), nil
}

// eachSample shows every sample of a text in Prometheus's format.
func eachSample(text []byte, see func(name, labels string, value float64)) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		end := strings.LastIndexByte(line, ' ')
		if end < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		value, err := strconv.ParseFloat(line[end+1:], 64)
		if err != nil {
			continue
		}
		name, labels, _ := strings.Cut(line[:end], "{")
		see(name, labels, value)
	}
}

// clockTick is the unit in which Linux tells CPU time: USER_HZ, which is 100 on every platform that Go knows.
const clockTick = 10 * time.Millisecond

// cpuTime is what a running process has used.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read a process's CPU time: %w", err)
	}
	// The command's name may hold anything; the fields after it begin behind its parenthesis.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("read a process's CPU time: %d fields", len(fields))
	}
	var ticks int64
	for _, field := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read a process's CPU time: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// childrenTime is what the processes that a process has started have used and use: PostgreSQL's connections. Those that
// have ended count in what their parent has waited for.
func childrenTime(parent int) (time.Duration, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	var total time.Duration
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if len(fields) < 15 || string(fields[1]) != strconv.Itoa(parent) && pid != parent {
			continue
		}
		used := fields[11:13] // utime and stime
		if pid == parent {
			used = fields[11:15] // and those of children that have ended
		}
		for _, field := range used {
			ticks, _ := strconv.ParseInt(string(field), 10, 64)
			total += time.Duration(ticks) * clockTick
		}
	}
	return total, nil
}
