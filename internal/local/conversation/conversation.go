// Package conversation is what people say about the shop of the example, invented, and served on this machine as networks serve it: a
// stream in the form of Bluesky's Jetstream, and a feed of articles. The shop's account can be posted as, over the network's own
// requests. It lets a demonstration listen and answer without an account anywhere.
package conversation

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// The addresses that are served.
const (
	StreamPath   = "/subscribe"
	FeedPath     = "/blog/feed.atom"
	ProfilesPath = "/xrpc/app.bsky.actor.getProfiles"
	// RepositoriesPath begins the requests about what accounts have written.
	RepositoriesPath = "/xrpc/"
)

// Options say what is said and where it can be heard. Listen and Since are needed.
type Options struct {
	// Listen is an address such as 127.0.0.1:8091; with port 0, any free port.
	Listen   string
	Timeline Timeline
	// Since is when the first that can still be heard was said. Unlike Jetstream, which begins with the present, the stream begins there
	// for whoever asks without a cursor.
	Since time.Time
	// Now is the clock. Default: the machine's.
	Now func() time.Time
}

// Conversation is a running server.
type Conversation struct {
	options      Options
	repositories *repositories
	web          *http.Server
	address      net.Addr
	ended        chan error
	stopping     context.Context // ends the streams, of which the web server does not know
	stop         context.CancelFunc
}

// Start listens.
func Start(o Options) (*Conversation, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return nil, fmt.Errorf("serve the conversation: %w", err)
	}
	c := &Conversation{options: o, repositories: newRepositories(o), address: listener.Addr(), ended: make(chan error, 1)}
	c.stopping, c.stop = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+StreamPath, c.serveStream)
	mux.HandleFunc("GET "+FeedPath, c.serveFeed)
	mux.HandleFunc("GET "+ProfilesPath, c.serveProfiles)
	mux.HandleFunc(RepositoriesPath, c.serveRepositories)
	c.web = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { c.ended <- c.web.Serve(listener) }()
	return c, nil
}

// Addr is where it is served, as host:port.
func (c *Conversation) Addr() string { return c.address.String() }

// Stop ends streams and closes the listener.
func (c *Conversation) Stop(ctx context.Context) error {
	c.stop()
	err := c.web.Shutdown(ctx)
	if served := <-c.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	if err != nil {
		return fmt.Errorf("stop the conversation: %w", err)
	}
	return nil
}
