// Package socket looks at connections that transports keep.
package socket

import (
	"net"
	"syscall"
)

// Of is the socket under a TCP connection. It is nil where there is none to look at.
func Of(c net.Conn) syscall.RawConn {
	if tcp, ok := c.(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}
