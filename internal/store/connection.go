package store

import (
	"errors"
	"io"
	"strings"
	"syscall"
)

// isLostConnection recognises a connection that ended in the middle of a conversation. pgx reports some of these as
// plain text.
func isLostConnection(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNREFUSED) ||
		strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "closed pool")
}
