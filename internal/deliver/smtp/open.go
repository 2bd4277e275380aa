package smtp

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/deliver/socket"
)

// open connects, protects the connection, says EHLO and authenticates. ctx ends it at any point.
func (t *Transport) open(ctx context.Context) (*conn, error) {
	dialer := net.Dialer{Timeout: t.o.Timeouts.Connect}
	tcp, err := dialer.DialContext(ctx, "tcp", t.address)
	c := &conn{t: t, net: tcp, socket: tcp}
	if err != nil {
		return nil, c.trouble(stageConnect, reply{}, err, "cannot reach the relay: check host and port, and that it runs", false)
	}
	c.raw = socket.Of(tcp)
	stop := context.AfterFunc(ctx, func() { _ = tcp.SetDeadline(time.Unix(1, 0)) })
	err = c.handshake(ctx)
	if !stop() {
		err = context.Cause(ctx) // the deadline that ctx set is not the relay's trouble
	}
	if err != nil {
		_ = tcp.Close()
		return nil, err
	}
	return c, nil
}

func (c *conn) handshake(ctx context.Context) error {
	o := &c.t.o
	c.r = bufio.NewReaderSize(c.net, maxReplyLine)
	if o.TLS == Implicit {
		if err := c.protect(ctx); err != nil {
			return err
		}
	}
	greeting, err := c.read(o.Timeouts.Greeting)
	if err != nil || !greeting.positive() {
		return c.trouble(stageGreeting, greeting, err, "the relay does not greet", true)
	}
	if err := c.ehlo(); err != nil {
		return err
	}
	if o.TLS == StartTLS {
		if err := c.startTLS(ctx); err != nil {
			return err
		}
	}
	if o.Username == "" {
		return nil
	}
	return c.authenticate()
}

func (c *conn) ehlo() error {
	c.queue("EHLO ", c.t.o.HELO)
	_, err := c.flush()
	var r reply
	if err == nil {
		r, err = c.readReply(c.t.o.Timeouts.Command, true)
	}
	if err != nil || !r.positive() {
		return c.trouble(stageEHLO, r, err, "the relay does not answer EHLO as it should", true)
	}
	c.offers = parseOffers(r.lines[1:])
	return nil
}

// parseOffers reads the lines after the first of an answer to EHLO (RFC 5321, section 4.1.1.1).
func parseOffers(lines []string) offers {
	var o offers
	for _, line := range lines {
		keyword, parameters, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(line)), " ")
		switch {
		case keyword == "PIPELINING":
			o.pipelining = true
		case keyword == "8BITMIME":
			o.eightBit = true
		case keyword == "SMTPUTF8":
			o.utf8 = true
		case keyword == "STARTTLS":
			o.startTLS = true
		case keyword == "SIZE":
			o.sizes = true
			if n, err := strconv.ParseInt(strings.TrimSpace(parameters), 10, 64); err == nil && n > 0 {
				o.size = n
			}
		case keyword == "AUTH":
			o.auth = append(o.auth, strings.Fields(parameters)...)
		case strings.HasPrefix(keyword, "AUTH="): // as relays wrote it before RFC 2554
			o.auth = append(o.auth, strings.TrimPrefix(keyword, "AUTH="))
			o.auth = append(o.auth, strings.Fields(parameters)...)
		}
	}
	return o
}

// startTLS protects the connection (RFC 3207). It never goes on in clear: a relay that offers no STARTTLS, or somebody
// in between who takes the offer out, gets nothing. What arrived in clear after the answer is not taken for the
// relay's protected words: the connection ends.
func (c *conn) startTLS(ctx context.Context) error {
	if !c.offers.startTLS {
		return &deliver.Trouble{
			Server: c.t.address, Stage: stageStartTLS,
			Reason: "the relay does not offer it: use tls: Implicit and its port, or a relay that does",
		}
	}
	r, err := c.ask(c.t.o.Timeouts.Command, "STARTTLS")
	if err != nil || !r.positive() {
		return c.trouble(stageStartTLS, r, err, "the relay refuses it", true)
	}
	if c.r.Buffered() > 0 {
		return &deliver.Trouble{
			Server: c.t.address, Stage: stageStartTLS,
			Reason: "something was injected in clear after the relay's answer: the network between is not to be trusted",
		}
	}
	if err := c.protect(ctx); err != nil {
		return err
	}
	return c.ehlo()
}

func (c *conn) protect(ctx context.Context) error {
	config := c.t.o.TLSConfig.Clone()
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.ServerName == "" {
		config.ServerName = c.t.o.Host
	}
	config.DynamicRecordSizingDisabled = true // whole messages travel: small first records only cost
	ctx, cancel := context.WithTimeout(ctx, c.t.o.Timeouts.Connect)
	defer cancel()
	protected := tls.Client(c.net, config)
	err := protected.HandshakeContext(ctx)
	if until := validity(protected.ConnectionState(), err); c.t.o.Certificate != nil && !until.IsZero() {
		c.t.o.Certificate(until)
	}
	if err != nil {
		return c.trouble(stageTLS, reply{}, err, "the connection cannot be protected: check tls and port, and the relay's certificate", false)
	}
	c.net, c.tls = protected, true
	c.r = bufio.NewReaderSize(protected, maxReplyLine)
	return nil
}

// validity is until when what the relay showed is good: its own certificate and those that vouch for it, by the chain
// that lasts longest. Of a certificate that was not accepted only its own end is known.
func validity(state tls.ConnectionState, failed error) time.Time {
	var unverified *tls.CertificateVerificationError
	if errors.As(failed, &unverified) && len(unverified.UnverifiedCertificates) > 0 {
		return unverified.UnverifiedCertificates[0].NotAfter
	}
	var latest time.Time
	for _, chain := range state.VerifiedChains {
		var end time.Time
		for _, certificate := range chain {
			if end.IsZero() || certificate.NotAfter.Before(end) {
				end = certificate.NotAfter
			}
		}
		if end.After(latest) {
			latest = end
		}
	}
	return latest
}

// authenticate speaks AUTH PLAIN (RFC 4616) or, where only that is offered, LOGIN.
func (c *conn) authenticate() error {
	o := &c.t.o
	refuse := func(reason string) error {
		return &deliver.Trouble{Server: c.t.address, Stage: stageAuth, Reason: reason}
	}
	if !c.tls && !isLoopback(c.net.RemoteAddr()) {
		return refuse("credentials do not travel in clear: use tls: StartTLS or Implicit")
	}
	encode := base64.StdEncoding.EncodeToString
	var r reply
	var err error
	switch {
	case slices.Contains(c.offers.auth, "PLAIN"):
		r, err = c.ask(o.Timeouts.Command, "AUTH PLAIN ", encode([]byte("\x00"+o.Username+"\x00"+o.Password)))
	case slices.Contains(c.offers.auth, "LOGIN"):
		r, err = c.ask(o.Timeouts.Command, "AUTH LOGIN")
		for _, secret := range []string{o.Username, o.Password} {
			if err == nil && r.code == 334 {
				r, err = c.ask(o.Timeouts.Command, encode([]byte(secret)))
			}
		}
	case len(c.offers.auth) == 0:
		return refuse("the relay takes no credentials on this connection: remove secretRef, or check tls and port")
	default:
		return refuse(fmt.Sprintf("the relay offers neither PLAIN nor LOGIN but %s", cleaned(strings.Join(c.offers.auth, " "))))
	}
	if err != nil || !r.positive() {
		return c.trouble(stageAuth, r, err, "the relay refuses the credentials: check username and password in the Secret", false)
	}
	return nil
}

func isLoopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
