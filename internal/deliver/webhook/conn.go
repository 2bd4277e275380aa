package webhook

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/socket"
	"github.com/tertulia-crm/tertulia/internal/egress"
	"github.com/tertulia-crm/tertulia/internal/signature"
)

const (
	// writeBlock is how many bytes have the time limit of a write.
	writeBlock = 64 << 10
	// maxAnswer bounds what is read of an answer: its headers, and as much again of its body.
	maxAnswer = 64 << 10
	// maxInterim is how many interim answers (1xx) may come before the final one.
	maxInterim = 8
)

// The stages of a hand-over, for who reads of trouble.
const (
	stageConnect = "connect"
	stageTLS     = "TLS"
	stagePost    = "POST"
)

// conn is a connection to the endpoint.
type conn struct {
	t      *Transport
	socket net.Conn
	net    net.Conn // socket, or TLS over it
	raw    syscall.RawConn
	in     *budget
	r      *bufio.Reader
	served int
	broken bool
}

// open connects, and protects the connection where the URL says https. ctx ends it at any point.
func (t *Transport) open(ctx context.Context) (*conn, error) {
	s, err := t.dialer().DialContext(ctx, t.target.address)
	if err != nil {
		return nil, t.cannotReach(ctx, err)
	}
	if to, err := netip.ParseAddrPort(s.RemoteAddr().String()); !t.target.tls && (err != nil || egress.IsPublic(to.Addr())) {
		_ = s.Close()
		return nil, t.trouble(stageConnect, 0, nil, "messages are not posted in the clear: write the URL with https")
	}
	c := &conn{t: t, socket: s, net: s, raw: socket.Of(s)}
	if t.target.tls {
		if err := c.protect(ctx); err != nil {
			_ = s.Close()
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, err
		}
	}
	c.in = &budget{r: c.net}
	c.r = bufio.NewReader(c.in)
	return c, nil
}

func (t *Transport) cannotReach(ctx context.Context, err error) error {
	var forbidden *egress.ForbiddenError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &forbidden):
		return t.trouble(stageConnect, 0, nil, forbidden.Error()+": choose another host, or see --webhook-networks of the operator")
	}
	return t.trouble(stageConnect, 0, err, "cannot reach the endpoint: check the URL, and that it runs")
}

func (c *conn) protect(ctx context.Context) error {
	config := c.t.o.TLSConfig.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config.ServerName, config.NextProtos = c.t.target.name, []string{"http/1.1"}
	config.ClientSessionCache = nil
	secure := tls.Client(c.socket, config)
	limit, cancel := context.WithTimeout(ctx, c.t.o.Connect)
	defer cancel()
	if err := secure.HandshakeContext(limit); err != nil {
		return c.t.trouble(stageTLS, 0, err, "the connection cannot be protected: check the endpoint's certificate")
	}
	if peers := secure.ConnectionState().PeerCertificates; len(peers) > 0 && c.t.o.Certificate != nil {
		c.t.o.Certificate(peers[0].NotAfter)
	}
	c.net = secure
	return nil
}

// Usable implements lanes.Conn. Nobody closed the connection, and nothing waits to be read, which nobody asked for.
func (c *conn) Usable() bool {
	if c.broken || c.r.Buffered() > 0 {
		return false
	}
	closed, pending := socket.Peek(c.raw)
	return !closed && !pending
}

// Leave implements lanes.Conn. HTTP knows no word of leave.
func (c *conn) Leave() { _ = c.socket.Close() }

// Cut implements lanes.Conn.
func (c *conn) Cut() { _ = c.socket.Close() }

// post hands over one message and tells what is known of it. An error says that the channel is in trouble.
func (c *conn) post(m *deliver.Message) (deliver.Result, error) {
	c.served++
	request := c.t.request(m)
	written, err := c.write(request)
	if err != nil {
		c.broken = true
		return c.cutOff(written, err)
	}
	answer, err := c.read(c.t.o.Timeout)
	if err != nil {
		c.broken = true
		return deliver.Result{Outcome: deliver.Unknown},
			c.t.trouble(stagePost, 0, err, "the endpoint took a message and did not answer")
	}
	return c.judge(answer)
}

// errNothingWritten is the cause of a trouble after which nothing of the message has left.
var errNothingWritten = errors.New("the connection was closed")

// cutOff tells what is known of a message of which not everything could be written: the endpoint cannot have it whole. An
// endpoint that ends a request early may have said why.
func (c *conn) cutOff(written int, cause error) (deliver.Result, error) {
	if answer, err := c.read(time.Second); err == nil {
		result, trouble := c.judge(answer)
		if result.Outcome == deliver.Unknown { // it failed, and had less than the message
			result.Outcome = deliver.Deferred
			return result, nil
		}
		return result, trouble
	}
	if written == 0 {
		return deliver.Result{}, c.t.trouble(stagePost, 0, errNothingWritten, "the endpoint takes nothing")
	}
	why := "the connection ended before the message was written: " + deliver.WithoutAddresses(cause).Error()
	return deliver.Result{Outcome: deliver.Deferred, Reply: why}, nil
}

// request is what is written for a message.
func (t *Transport) request(m *deliver.Message) []byte {
	now := t.o.Now()
	var b bytes.Buffer
	b.Grow(len(m.Data) + 512)
	for _, line := range []string{
		"POST " + t.target.path + " HTTP/1.1",
		"Host: " + t.target.host,
		"User-Agent: Tertulia",
		"Content-Type: application/json",
		"Content-Length: " + strconv.Itoa(len(m.Data)),
		signature.IDHeader + ": " + m.ID,
		signature.TimestampHeader + ": " + strconv.FormatInt(now.Unix(), 10),
		signature.SignatureHeader + ": " + t.o.Keys.Sign(m.ID, now, m.Data),
		"",
	} {
		b.WriteString(line)
		b.WriteString("\r\n")
	}
	b.Write(m.Data)
	return b.Bytes()
}

// write writes a request and tells how much of it the kernel took.
func (c *conn) write(request []byte) (written int, err error) {
	for len(request) > 0 {
		block := request[:min(len(request), writeBlock)]
		if err := c.net.SetWriteDeadline(time.Now().Add(c.t.o.Timeout)); err != nil {
			return written, err
		}
		n, err := c.net.Write(block)
		written += n
		if err != nil {
			return written, err
		}
		request = request[len(block):]
	}
	return written, nil
}

// read reads the answer to a request. It is bounded, however much the endpoint says.
func (c *conn) read(limit time.Duration) (answer, error) {
	if err := c.net.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return answer{}, err
	}
	for range maxInterim {
		c.in.left = maxAnswer
		response, err := http.ReadResponse(c.r, postRequest) //nolint:bodyclose // it is the connection, which is used again or dropped
		if err != nil {
			return answer{}, fmt.Errorf("read the answer: %w", unreadable(err))
		}
		if response.StatusCode/100 == 1 && response.StatusCode != http.StatusSwitchingProtocols {
			continue
		}
		c.in.left = maxAnswer
		return c.finish(response), nil
	}
	return answer{}, errors.New("the endpoint goes on without an answer")
}

// finish reads an answer's body, whose beginning are the endpoint's words. Whatever is wrong with the body, the status has
// been said; the connection is of no use then.
func (c *conn) finish(response *http.Response) answer {
	words, err := io.ReadAll(io.LimitReader(response.Body, maxWords))
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
	}
	if err != nil || response.Close || c.r.Buffered() > 0 {
		c.broken = true
	}
	return answer{
		status: response.StatusCode, words: planWords(response.StatusCode, words),
		retryIn: planRetry(response.Header.Get("Retry-After"), c.t.o.Now()),
	}
}

// postRequest tells http.ReadResponse that the answer may have a body.
var postRequest = &http.Request{Method: http.MethodPost}

// unreadable takes out of an error what the endpoint said, which may name a person.
func unreadable(err error) error {
	var network net.Error
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errTooMuch) || errors.As(err, &network) {
		return deliver.WithoutAddresses(err)
	}
	return errors.New("it is no answer of HTTP")
}

// budget bounds how much of an answer is read.
type budget struct {
	r    io.Reader
	left int
}

var errTooMuch = errors.New("it is longer than 64 KiB")

// Read implements io.Reader.
func (b *budget) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooMuch
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// trouble is what stands in the way of the channel as a whole.
func (t *Transport) trouble(stage string, code int, err error, reason string) error {
	return &deliver.Trouble{Server: t.target.address, Stage: stage, Code: code, Reason: reason, Err: deliver.WithoutAddresses(err)}
}
