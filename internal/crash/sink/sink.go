// Package sink is the receiving mail server of the crash suite, and the endpoint to which messages are posted. It runs as a process
// of its own that can be killed at any moment: what it has received and answered stands in a file, from which Record reads it.
//
// It takes every message, unless its Script says something else. The script can be changed while it runs, by a PUT of it as
// JSON to the control address.
package sink

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// The flags of the process.
const (
	flagListen   = "listen"
	flagEndpoint = "endpoint"
	flagControl  = "control"
	flagRecord   = "record"
	flagScript   = "script"
)

// Options of the process.
type Options struct {
	Listen   string // address for SMTP
	Endpoint string // address at which messages are posted; "" for none
	Control  string // address for HTTP
	Record   string // file to which it is written what came; it is appended to
	Script   Script
}

// Args are the arguments with which Main gets these options.
func (o Options) Args() ([]string, error) {
	script, err := json.Marshal(o.Script)
	if err != nil {
		return nil, fmt.Errorf("write the sink's script: %w", err)
	}
	return []string{
		"--" + flagListen, o.Listen, "--" + flagEndpoint, o.Endpoint, "--" + flagControl, o.Control, "--" + flagRecord, o.Record,
		"--" + flagScript, string(script),
	}, nil
}

// Main is the process. It serves until SIGTERM and returns its exit status.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, args); err != nil {
		fmt.Fprintln(os.Stderr, "sink:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, args []string) error {
	var o Options
	var script string
	flags := flag.NewFlagSet("sink", flag.ContinueOnError)
	flags.StringVar(&o.Listen, flagListen, "", "address for SMTP")
	flags.StringVar(&o.Endpoint, flagEndpoint, "", "address at which messages are posted; empty for none")
	flags.StringVar(&o.Control, flagControl, "", "address for HTTP, at which the script can be replaced")
	flags.StringVar(&o.Record, flagRecord, "", "file to which it is written what came")
	flags.StringVar(&script, flagScript, "{}", "what it does other than to take every message, as JSON")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(script), &o.Script); err != nil {
		return fmt.Errorf("read the script: %w", err)
	}
	s, err := newServer(o)
	if err != nil {
		return err
	}
	defer s.record.Close() //nolint:errcheck // each line was written by itself
	return s.serve(ctx, o)
}

// server is a running sink.
type server struct {
	run      string // tells this process from those before it
	record   *os.File
	rules    atomic.Pointer[rules]
	messages atomic.Int64
	sessions atomic.Int64
}

func newServer(o Options) (*server, error) {
	record, err := os.OpenFile(o.Record, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the record: %w", err)
	}
	s := &server{run: strconv.FormatInt(time.Now().UnixNano(), 36), record: record}
	s.rules.Store(newRules(o.Script))
	return s, nil
}

// nextID names a message that came.
func (s *server) nextID() string { return fmt.Sprintf("%s.%d", s.run, s.messages.Add(1)) }

// note writes a line into the record. The system has it when note returns.
func (s *server) note(format string, args ...any) error {
	_, err := fmt.Fprintf(s.record, format+"\n", args...)
	return err
}

func (s *server) serve(ctx context.Context, o Options) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("listen for SMTP: %w", err)
	}
	control, err := config.Listen(ctx, "tcp", o.Control)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for HTTP: %w", err), listener.Close())
	}
	if o.Endpoint != "" {
		endpoint, err := config.Listen(ctx, "tcp", o.Endpoint)
		if err != nil {
			return errors.Join(fmt.Errorf("listen for messages that are posted: %w", err), listener.Close(), control.Close())
		}
		defer s.serveEndpoint(endpoint).Close() //nolint:errcheck // the process ends
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("PUT /{$}", s.replaceScript)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = web.Serve(control) }()
	defer web.Close() //nolint:errcheck // the process ends
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	for {
		conn, err := listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("take a connection: %w", err)
		}
		go func() {
			defer conn.Close() //nolint:errcheck // nothing is left to say
			session := &session{
				sink: s, conn: conn, number: s.sessions.Add(1), r: bufio.NewReaderSize(conn, 64<<10), w: bufio.NewWriter(conn),
			}
			session.run()
		}()
	}
}

func (s *server) replaceScript(w http.ResponseWriter, r *http.Request) {
	var script Script
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&script); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.rules.Store(newRules(script))
}
