// Package mailbox is a mail server for one machine that accepts everything and delivers nothing: what is sent to it is kept,
// and shown on web pages and as JSON. It is where `tertulia up` sends a campaign's mail.
package mailbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
)

// Options say where a mailbox keeps its mail and where it listens. All but Log are needed.
type Options struct {
	// Dir keeps the mail. One process at a time may use it.
	Dir string
	// SMTP and Web are addresses to listen on, such as 127.0.0.1:1025; with port 0, any free port.
	SMTP, Web string
	// Log is told about trouble. Default: nobody.
	Log logr.Logger
}

// Mailbox is a running mailbox.
type Mailbox struct {
	store     *Store
	smtp      *smtp.Server
	web       *http.Server
	smtpAddr  net.Addr
	webAddr   net.Addr
	listeners errgroup.Group
	pace      *pace
}

// Start opens the mail and listens. On an error nothing is left open.
func Start(o Options) (*Mailbox, error) {
	store, err := OpenStore(o.Dir)
	if err != nil {
		return nil, err
	}
	smtpListener, err := net.Listen("tcp", o.SMTP)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for mail: %w", err), store.Close())
	}
	webListener, err := net.Listen("tcp", o.Web)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for the mailbox's web page: %w", err), smtpListener.Close(), store.Close())
	}
	slow := &pace{stopped: make(chan struct{})}
	m := &Mailbox{
		store:    store,
		pace:     slow,
		smtp:     newSMTPServer(store, slow, o.Log),
		web:      &http.Server{Handler: NewHandler(store), ReadHeaderTimeout: 10 * time.Second},
		smtpAddr: smtpListener.Addr(),
		webAddr:  webListener.Addr(),
	}
	m.listeners.Go(func() error { return m.smtp.Serve(smtpListener) })
	m.listeners.Go(func() error {
		if err := m.web.Serve(webListener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return m, nil
}

// SMTPAddr is where mail is accepted, as host:port.
func (m *Mailbox) SMTPAddr() string { return m.smtpAddr.String() }

// WebAddr is where the web page is served, as host:port.
func (m *Mailbox) WebAddr() string { return m.webAddr.String() }

// Store is the mail.
func (m *Mailbox) Store() *Store { return m.store }

// SetDelay makes the mailbox slow: from now on it takes so long over each message, on each connection, before it accepts it.
func (m *Mailbox) SetDelay(d time.Duration) { m.pace.delay.Store(int64(d)) }

// Stop closes connections (a message that was not acknowledged is its sender's still) and files.
func (m *Mailbox) Stop(ctx context.Context) error {
	m.pace.stop()
	errs := []error{m.smtp.Close(), m.web.Shutdown(ctx)}
	errs = append(errs, m.listeners.Wait(), m.store.Close())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop the mailbox: %w", err)
	}
	return nil
}
