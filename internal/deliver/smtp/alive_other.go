//go:build !unix

package smtp

import "syscall"

// peek cannot look at a socket here: a connection that the other side closed is noticed when it is next used.
func peek(syscall.RawConn) (closed, pending bool) { return false, false }
