//go:build !unix

package socket

import "syscall"

// Peek cannot look at a socket here: a connection that the other side closed is noticed when it is next used.
func Peek(syscall.RawConn) (closed, pending bool) { return false, false }
