package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// loadArgument makes this program one that follows links: see runLoad.
const loadArgument = "follow-links"

// loadRun is what a load generator reached.
type loadRun struct {
	perSecond float64
	took      time.Duration
	slowest   time.Duration // of 99 % of the requests
	cpu       time.Duration
}

// followLinks has a process of its own follow each link of a file, and again from the first one, over connections that are kept, each
// of which waits for its answer.
func followLinks(ctx context.Context, address, prefix, tokens, to string, requests int) (run loadRun, err error) {
	self, err := os.Executable()
	if err != nil {
		return run, fmt.Errorf("find this program: %w", err)
	}
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, self, loadArgument, address, prefix, tokens, to, strconv.Itoa(requests))
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return run, fmt.Errorf("follow links: %w", err)
	}
	var took, slowest int64
	if _, err := fmt.Sscan(out.String(), &took, &slowest); err != nil {
		return run, fmt.Errorf("read what the load generator reached: %w", err)
	}
	run.took, run.slowest = time.Duration(took), time.Duration(slowest)
	run.perSecond = perSecond(requests, run.took)
	run.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return run, nil
}

// loadConnections is how many browsers ask at the same moment.
const loadConnections = 64

// runLoad is the process: address, the path before a token, a file with a token a line, where every answer must lead, and how many
// requests. It prints how long they took, and how long all but the slowest 1 % took at most, in nanoseconds.
func runLoad(ctx context.Context, arguments []string) error {
	if len(arguments) != 5 {
		return errors.New("this is started by the benchmark of tracked links")
	}
	address, prefix, to := arguments[0], arguments[1], arguments[3]
	requests, err := strconv.ParseInt(arguments[4], 10, 64)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(arguments[2])
	if err != nil {
		return err
	}
	load := linkLoad{address: address, prefix: prefix, to: []byte("Location: " + to + "\r\n"), tokens: strings.Fields(string(text)), requests: requests}
	failed := make([]error, loadConnections)
	times := make([][]time.Duration, loadConnections)
	var all sync.WaitGroup
	started := time.Now()
	for i := range loadConnections {
		all.Go(func() { times[i], failed[i] = load.connection(ctx) })
	}
	all.Wait()
	took := time.Since(started)
	if err := errors.Join(failed...); err != nil {
		return err
	}
	every := slices.Concat(times...)
	slices.Sort(every)
	_, err = fmt.Println(took.Nanoseconds(), every[len(every)*99/100].Nanoseconds())
	return err
}

// linkLoad follows links.
type linkLoad struct {
	address, prefix string
	to              []byte // the header that every answer must have
	tokens          []string
	requests        int64
	done            atomic.Int64
}

// browserHeaders are what a browser sends when a link in a mail is followed, about.
const browserHeaders = "User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n" +
	"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: es-ES,es;q=0.8,en;q=0.5\r\n" +
	"Accept-Encoding: gzip, deflate, br, zstd\r\nConnection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\n" +
	"Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: cross-site\r\n\r\n"

// connection asks until there is nothing left to ask.
func (l *linkLoad) connection(ctx context.Context) ([]time.Duration, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", l.address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	reader := bufio.NewReaderSize(conn, 4<<10)
	rest := " HTTP/1.1\r\nHost: " + l.address + "\r\n" + browserHeaders
	var times []time.Duration
	var request []byte
	for {
		i := l.done.Add(1) - 1
		if i >= l.requests {
			return times, nil
		}
		request = append(append(append(append(request[:0], "GET "...), l.prefix...), l.tokens[i%int64(len(l.tokens))]...), rest...)
		asked := time.Now()
		if _, err := conn.Write(request); err != nil {
			return nil, err
		}
		if err := l.readAnswer(reader); err != nil {
			return nil, fmt.Errorf("request %d: %w", i, err)
		}
		times = append(times, time.Since(asked))
	}
}

// readAnswer reads one answer, which must be a redirect to where the links lead and hold nothing else.
func (l *linkLoad) readAnswer(r *bufio.Reader) error {
	status, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(status, []byte("HTTP/1.1 302 ")) {
		rest, _ := io.ReadAll(io.LimitReader(r, 500))
		return fmt.Errorf("the answer was %q %q", status, rest)
	}
	leads := false
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) == len("\r\n") {
			break
		}
		leads = leads || bytes.Equal(line, l.to)
	}
	if !leads {
		return errors.New("the answer leads elsewhere")
	}
	return nil
}
