package store

import (
	"context"
	"net"
	"time"
)

// A database can vanish without a word: its machine loses power, a firewall forgets a connection. Callers bound what they
// wait for; these bounds hold for every connection, so that one which leads nowhere is noticed by what waits on it for as
// long as it likes.
const (
	connectTimeout = 5 * time.Second
	// pingTimeout is how long a connection that was idle may take to show that it still leads somewhere. There may be
	// several to try before one is made anew.
	pingTimeout = 2 * time.Second
	// silenceTimeout is when a peer counts as gone that acknowledges nothing, neither what was sent nor that it is there.
	silenceTimeout = 30 * time.Second
)

// dial connects to PostgreSQL.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := net.Dialer{
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: silenceTimeout / 3, Interval: silenceTimeout / 6, Count: 4},
		Control:         limitSilence,
	}
	return dialer.DialContext(ctx, network, address)
}
