package smtp

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/socket"
)

// The stages at which a channel can be in trouble.
const (
	stageConnect  = "connect"
	stageTLS      = "TLS"
	stageGreeting = "greeting"
	stageEHLO     = "EHLO"
	stageStartTLS = "STARTTLS"
	stageAuth     = "AUTH"
	stageMail     = "MAIL"
	stageRcpt     = "RCPT"
	stageData     = "DATA"
	stageDot      = "final dot"
)

const (
	writeBlock = 64 << 10  // bytes written under one time limit
	keepBuffer = 256 << 10 // a buffer that grew beyond is not kept
)

// conn is a connection that has said EHLO and, where asked, protected and authenticated itself.
type conn struct {
	t      *Transport
	net    net.Conn        // what is written to: the socket, or TLS over it
	socket net.Conn        // TCP
	raw    syscall.RawConn // of the socket; nil where there is none to look at
	tls    bool
	r      *bufio.Reader
	out    []byte // what the next flush writes

	offers offers
	served int  // transactions begun
	dirty  bool // a transaction is open that RSET must end
	broken bool // not to be used again

	readUntil, writeUntil time.Time // the time limits that are set

	leaving *batch // it went on from, with a message of it under way
}

// offers are the extensions that the relay announced.
type offers struct {
	pipelining, eightBit, utf8, startTLS, sizes bool

	size int64 // the largest message in bytes; 0: none was named
	auth []string
}

// queue adds a command to what the next flush writes.
func (c *conn) queue(parts ...string) {
	for _, p := range parts {
		c.out = append(c.out, p...)
	}
	c.out = append(c.out, '\r', '\n')
}

// flush writes what is queued and returns how many bytes the kernel took. Over TLS it counts the bytes of records that
// it took whole: of a record that left in part the other side can read nothing.
func (c *conn) flush() (written int, err error) {
	for written < len(c.out) && err == nil {
		block := c.out[written:min(len(c.out), written+writeBlock)]
		if err = limitTo(c.t.o.Timeouts.Block, &c.writeUntil, c.net.SetWriteDeadline); err != nil {
			break
		}
		var n int
		n, err = c.net.Write(block)
		written += n
	}
	if err != nil {
		c.broken = true
	}
	if cap(c.out) > keepBuffer {
		c.out = nil
	}
	c.out = c.out[:0]
	return written, err
}

// read reads the next reply within a time limit.
func (c *conn) read(limit time.Duration) (reply, error) { return c.readReply(limit, false) }

func (c *conn) readReply(limit time.Duration, keepLines bool) (reply, error) {
	// A reply that is here already needs no time limit, and setting one costs more than reading it.
	buffered, _ := c.r.Peek(c.r.Buffered())
	if bytes.IndexByte(buffered, '\n') < 0 {
		if err := limitTo(limit, &c.readUntil, c.net.SetReadDeadline); err != nil {
			c.broken = true
			return reply{}, err
		}
	}
	r, err := readReply(c.r, keepLines)
	if err != nil || r.closing() {
		c.broken = true
	}
	return r, err
}

// limitTo sets a time limit, unless the one that is set is as good: it may be longer by an eighth, and at most by a second, because
// setting one costs something for every message.
func limitTo(limit time.Duration, until *time.Time, set func(time.Time) error) error {
	slack := min(limit/8, time.Second)
	now := time.Now()
	if left := until.Sub(now); left >= limit && left <= limit+slack {
		return nil
	}
	*until = now.Add(limit + slack)
	return set(*until)
}

// ask sends one command and reads its reply.
func (c *conn) ask(limit time.Duration, parts ...string) (reply, error) {
	c.queue(parts...)
	if _, err := c.flush(); err != nil {
		return reply{}, err
	}
	return c.read(limit)
}

// Usable implements lanes.Conn. Nobody closed it, and nothing waits to be read, which could only be a 421.
func (c *conn) Usable() bool {
	if c.broken || c.served >= c.t.o.MaxMessages {
		return false
	}
	closed, pending := socket.Peek(c.raw)
	c.broken = closed || pending || c.r.Buffered() > 0
	return !c.broken
}

// gone tells just before a message is written whether that would be in vain: the relay closed the connection or, where
// every byte that arrives is a reply's, said something that nobody asked for.
func (c *conn) gone() bool {
	if c.r.Buffered() > 0 {
		return true
	}
	closed, pending := socket.Peek(c.raw)
	return closed || pending && !c.tls
}

// Cut implements lanes.Conn.
func (c *conn) Cut() { _ = c.socket.Close() }

// Leave implements lanes.Conn: it says QUIT (RFC 5321, section 4.1.1.10) but does not wait long for the answer. A connection
// that is broken is closed without a word.
func (c *conn) Leave() {
	const patience = time.Second
	if !c.broken {
		_ = c.net.SetDeadline(time.Now().Add(patience))
		if _, err := c.net.Write([]byte("QUIT\r\n")); err == nil {
			_, _ = readReply(c.r, false)
		}
	}
	_ = c.net.Close()
}

// trouble is the error of a stage whose reply or connection failed. words tells whether the relay's words can be shown:
// before AUTH and MAIL it has learnt nothing that is secret or names a person.
func (c *conn) trouble(stage string, r reply, err error, reason string, words bool) error {
	t := &deliver.Trouble{Server: c.t.address, Stage: stage, Code: r.code, Reason: reason, Err: deliver.WithoutAddresses(err)}
	if err == nil {
		t.Reason = fmt.Sprintf("%s (%s)", reason, r.codes())
		if words {
			t.Reason = fmt.Sprintf("%s (%d %s)", reason, r.code, r.text)
		}
	}
	return t
}
