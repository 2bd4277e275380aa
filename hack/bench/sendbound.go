package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// bareLoop is a program that sends and does nothing else: the same message, made beforehand, to one recipient after the other.
type bareLoop struct {
	connections int
	size        int  // of a message, in bytes
	pipelined   bool // whether commands leave in groups (RFC 2920), or one by one as replies arrive
}

// bareRate is what a bare loop reached, and the CPU time that it and the sink used.
type bareRate struct {
	perSecond float64
	own, sink time.Duration
}

// measure sends n messages to a sink of its own.
func (l bareLoop) measure(ctx context.Context, s Settings, n int, delay time.Duration) (r bareRate, err error) {
	to, err := startSink(ctx, s.Log, delay)
	if err != nil {
		return r, err
	}
	var left atomic.Int64
	left.Store(int64(n))
	before := ownTime()
	started := time.Now()
	failed := make([]error, l.connections)
	var all sync.WaitGroup
	for i := range l.connections {
		all.Go(func() { failed[i] = l.connection(ctx, to.address, &left) })
	}
	all.Wait()
	took := time.Since(started)
	r.own = ownTime() - before
	got, err := to.ask(ctx)
	if err = errors.Join(append(failed, err)...); err != nil {
		to.kill()
		return r, fmt.Errorf("bare loop: %w", err)
	}
	if got.messages != int64(n) || got.recipients != int64(n) {
		to.kill()
		return r, fmt.Errorf("bare loop: %d messages arrived for %d recipients; %d are right", got.messages, got.recipients, n)
	}
	used, err := to.stop(ctx)
	r.sink, r.perSecond = used.cpu, perSecond(int(got.messages), took)
	return r, err
}

// connection sends over one connection until there is no message left.
func (l bareLoop) connection(ctx context.Context, address string, left *atomic.Int64) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	say := conversation{conn: conn, replies: bufio.NewReader(conn)}.say
	if err := errors.Join(say(1, nil), say(1, []byte("EHLO bench\r\n"))); err != nil {
		return err
	}
	line := append(bytes.Repeat([]byte("x"), 76), "\r\n"...)
	content := append(bytes.Repeat(line, l.size/len(line)), ".\r\n"...)
	next := func() (recipient []byte, more bool) {
		n := left.Add(-1)
		return fmt.Appendf(nil, "RCPT TO:<%d.somebody@people.example>\r\n", n), n >= 0
	}
	if l.pipelined {
		return inGroups(say, next, content)
	}
	for {
		recipient, more := next()
		if !more {
			return nil
		}
		for _, part := range [][]byte{bareMail, recipient, bareData, content} {
			if err := say(1, part); err != nil {
				return err
			}
		}
	}
}

// conversation is one connection's, with the sink.
type conversation struct {
	conn    net.Conn
	replies *bufio.Reader
}

// say sends text and reads so many replies, each of which must be a good one.
func (c conversation) say(replies int, text []byte) error {
	if len(text) > 0 {
		if _, err := c.conn.Write(text); err != nil {
			return err
		}
	}
	for replies > 0 {
		line, err := c.replies.ReadSlice('\n')
		if err != nil {
			return err
		}
		if line[0] != '2' && line[0] != '3' || line[3] != ' ' && line[3] != '-' {
			return fmt.Errorf("the sink said %q", line)
		}
		if line[3] == ' ' {
			replies--
		}
	}
	return nil
}

var bareMail, bareData = []byte("MAIL FROM:<news@bench.example>\r\n"), []byte("DATA\r\n")

// inGroups sends each message together with the commands of the next.
func inGroups(say func(replies int, text []byte) error, next func() ([]byte, bool), content []byte) error {
	recipient, more := next()
	if !more {
		return nil
	}
	if err := say(3, bytes.Join([][]byte{bareMail, recipient, bareData}, nil)); err != nil {
		return err
	}
	group := append([]byte(nil), content...)
	for recipient, more = next(); more; recipient, more = next() {
		group = append(append(append(group[:len(content)], bareMail...), recipient...), bareData...)
		if err := say(4, group); err != nil {
			return err
		}
	}
	return say(1, content)
}

// ownTime is the CPU time that this process has used.
func ownTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
