package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/store"
)

// bareRedirectArgument makes this program a server that redirects: see runBareRedirect.
const bareRedirectArgument = "bare-redirect"

// trackPrograms are the processes of the benchmarks of tracked links, of segments, of streams and of rules, by the argument that makes this program one of
// them.
var trackPrograms = map[string]func(context.Context, []string) error{
	loadArgument: runLoad, bareRedirectArgument: runBareRedirect, changeArgument: runChanges, streamArgument: runStream,
	happenArgument: runHappen,
}

// startBareRedirect starts a process that answers every request with the same redirect, and appends each to a table behind it.
func startBareRedirect(ctx context.Context, log io.Writer, database, to string) (*child, string, error) {
	return startServing(ctx, log, bareRedirectArgument, database, to)
}

// followed is what the bare redirect keeps of a request.
type followed struct {
	at   time.Time
	path string
}

// bareBatch and bareQueue are how many rows are copied at once, and how many may wait.
const (
	bareBatch = 10_000
	bareQueue = 1_000_000
)

// runBareRedirect is the least that a tracked link can be: net/http with nothing around it, no token to verify, nobody to tell from
// a machine and nothing to count. It ends when it is told to, with everything stored.
func runBareRedirect(ctx context.Context, arguments []string) error {
	if len(arguments) != 2 {
		return errors.New("this is started by the benchmark of tracked links")
	}
	conn, err := pgx.Connect(ctx, arguments[0])
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	queue := make(chan followed, bareQueue)
	stored := make(chan error, 1)
	go func() { stored <- storeFollowed(context.WithoutCancel(ctx), conn, queue) }()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	web := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		queue <- followed{time.Now(), r.URL.Path}
		w.Header().Set("Location", arguments[1])
		w.WriteHeader(http.StatusFound)
	})}
	defer context.AfterFunc(ctx, func() { _ = web.Shutdown(context.WithoutCancel(ctx)) })()
	if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	close(queue)
	return <-stored
}

func storeFollowed(ctx context.Context, conn *pgx.Conn, queue <-chan followed) error {
	defer func() { _ = conn.Close(ctx) }()
	rows := make([]followed, 0, bareBatch)
	for open := true; open; {
		rows = rows[:0]
		first, ok := <-queue
		if !ok {
			return nil
		}
		rows = append(rows, first)
		for timer := time.After(100 * time.Millisecond); open && len(rows) < bareBatch; {
			select {
			case next, ok := <-queue:
				if open = ok; ok {
					rows = append(rows, next)
				}
				continue
			case <-timer:
			}
			break
		}
		_, err := conn.CopyFrom(ctx, pgx.Identifier{store.Schema, "followed"}, []string{"at", "path"}, pgx.CopyFromSlice(len(rows), func(i int) ([]any, error) {
			return []any{rows[i].at, rows[i].path}, nil
		}))
		if err != nil {
			return fmt.Errorf("store what was followed: %w", err)
		}
	}
	return nil
}
