package fetch

import (
	"context"
	"time"

	"github.com/coder/websocket"
)

// KeepAlive ends a connection at whose other end is nobody any more: a stream without posts is silent too. Whoever reads it is told by that.
// It asks every so often, waits as long for the answer, and returns when ctx ends or the connection has.
func KeepAlive(ctx context.Context, conn *websocket.Conn, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		pinging, cancel := context.WithTimeout(ctx, every)
		err := conn.Ping(pinging)
		cancel()
		if err != nil {
			_ = conn.CloseNow() // the reader tells
			return
		}
	}
}
