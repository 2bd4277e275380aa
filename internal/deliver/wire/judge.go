package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tertulia-crm/tertulia/internal/deliver"
	"github.com/tertulia-crm/tertulia/internal/egress"
	"github.com/tertulia-crm/tertulia/internal/retryafter"
)

const (
	maxReply = 200 // characters of a server's words
	// usualWait is how long to wait after a 429 that does not say.
	usualWait = time.Minute
)

// remember reads for how long the server takes no more of the same.
func (c *Client) remember(path string, a *Answer) {
	wait := time.Duration(0)
	switch {
	case a.Status == http.StatusTooManyRequests:
		wait = a.Wait(c.Now())
	case a.limit("Remaining") == "0":
		wait = a.untilReset(c.Now())
	}
	if wait <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.rest) > 100 { // paths of what is read have ids in them
		clear(c.rest)
	}
	c.rest[path] = c.Now().Add(wait)
}

// Resting is for how long the server takes no more requests to a path, as it said; zero where it takes them.
func (c *Client) Resting(path string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.rest[path].Sub(c.Now()))
}

// limit is one of the headers that count requests, which have two spellings.
func (a *Answer) limit(name string) string {
	if text := a.Header.Get("X-RateLimit-" + name); text != "" {
		return text
	}
	return a.Header.Get("RateLimit-" + name)
}

// untilReset reads when the server counts anew: a time, a moment in Unix seconds, or seconds from now.
func (a *Answer) untilReset(now time.Time) time.Duration {
	text := a.limit("Reset")
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		seconds, err := strconv.ParseInt(text, 10, 64)
		switch {
		case err != nil || seconds < 0:
			return 0
		case seconds <= int64(retryafter.Longest/time.Second):
			return time.Duration(seconds) * time.Second
		}
		at = time.Unix(seconds, 0)
	}
	return min(max(0, at.Sub(now)), retryafter.Longest)
}

// Wait is for how long the server wants to be left alone, a day at most: by Retry-After, or by its count of requests.
func (a *Answer) Wait(now time.Time) time.Duration {
	if wait, said := retryafter.Read(a.Header, now); said {
		return wait
	}
	if a.Status != http.StatusTooManyRequests {
		return 0
	}
	if wait := a.untilReset(now); wait > 0 {
		return wait
	}
	return usualWait
}

// Unreachable makes a Trouble of what kept an answer from coming: nil where the server may have the request, because then it was reached.
func (c *Client) Unreachable(stage string, err error) error {
	var failure *Failure
	if !errors.As(err, &failure) {
		return err // ctx's cause
	}
	var (
		forbidden   *egress.ForbiddenError
		certificate *tls.CertificateVerificationError
		name        *net.DNSError
		timeout     net.Error
	)
	reason, cause := "the server cannot be reached: check the address, and that it runs", failure.Err
	switch {
	case errors.Is(err, errClosed):
		reason, cause = errClosed.Error(), nil
	case errors.Is(err, errClear):
		reason, cause = errClear.Error(), nil
	case errors.As(err, &forbidden):
		reason, cause = forbidden.Error()+": choose another host, or have the operator allow its network", nil
	case errors.As(err, &certificate):
		reason, cause = "the connection cannot be protected: the certificate does not hold for the host", nil
	case errors.As(err, &name) && name.IsNotFound:
		reason, cause = "there is no host of that name: check the address", nil
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		reason, cause = "the server does not answer in time", nil
	}
	return c.Trouble(stage, 0, reason, cause)
}

// Trouble is one of the channel.
func (c *Client) Trouble(stage string, code int, reason string, cause error) *deliver.Trouble {
	return &deliver.Trouble{Server: c.Host(), Stage: stage, Code: code, Reason: reason, Err: cause}
}

// Moved is that the server leads elsewhere: nothing is sent there, because nobody said that the credentials are for it.
func (c *Client) Moved(stage string, a *Answer) *deliver.Trouble {
	where := "elsewhere"
	if to, err := url.Parse(a.Header.Get("Location")); err == nil && to.Host != "" && len(to.Host) < 254 && to.Host == strings.Map(visible, to.Host) {
		where = "to " + to.Host
	}
	return c.Trouble(stage, a.Status, fmt.Sprintf("the server leads %s (%d): write the address of the server itself", where, a.Status), nil)
}

func visible(r rune) rune {
	if r <= ' ' || r > '~' {
		return -1
	}
	return r
}

// Words are what a server said, behind its status, as one line of 200 characters at most.
func Words(status int, said string) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(said, ""))
	words := []rune(strings.TrimSpace(strconv.Itoa(status) + " " + strings.Join(strings.Fields(text), " ")))
	return string(words[:min(len(words), maxReply)])
}
