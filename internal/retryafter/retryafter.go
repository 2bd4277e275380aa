// Package retryafter reads for how long an HTTP server wants to be left alone.
package retryafter

import (
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Longest bounds what a server asks for: it could be a mistake.
const Longest = 24 * time.Hour

// Read reads Retry-After (RFC 9110, 10.2.3): seconds, or a date. The answer is between nothing and Longest; said is false where the server
// does not say, or not in words that mean something.
func Read(h http.Header, now time.Time) (wait time.Duration, said bool) {
	text := h.Get("Retry-After")
	// A number that is too large is read as the largest that there is.
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(max(seconds, 0), int64(Longest/time.Second))) * time.Second, true
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), Longest), true
	}
	return 0, false
}
