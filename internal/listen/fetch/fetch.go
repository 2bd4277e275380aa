// Package fetch asks strangers' servers over HTTP: every answer is bounded in size and time, every connection goes where egress allows,
// every request says who asks, and what a server refuses becomes a *listen.Trouble that says for how long to leave it alone.
package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/tertulia-crm/tertulia/internal/egress"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/retryafter"
)

// Options say how strangers are asked. The zero value asks public hosts alone.
type Options struct {
	Dialer egress.Dialer
	TLS    *tls.Config
	// Timeout of a request with its answer. Default: 30 s.
	Timeout time.Duration
}

const (
	defaultTimeout = 30 * time.Second
	maxRedirects   = 5
	maxHeader      = 64 << 10
)

// NewClient makes a client for strangers' servers. It follows a few redirects, never from https to http, and never takes credentials
// to another host.
func NewClient(o Options) *http.Client {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return o.Dialer.DialContext(ctx, address)
		},
		TLSClientConfig:        o.TLS,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  o.Timeout,
		MaxResponseHeaderBytes: maxHeader,
		MaxIdleConnsPerHost:    2,
		IdleConnTimeout:        90 * time.Second,
		ForceAttemptHTTP2:      true,
	}
	return &http.Client{Transport: transport, Timeout: o.Timeout, CheckRedirect: checkRedirect}
}

// redirectError is that a redirect is not followed. Its text completes "the server …".
type redirectError string

func (e redirectError) Error() string { return string(e) }

// checkRedirect follows a few redirects. Who is asked next is not told who asked before, nor anything by which we are known to another host
// or at another port: net/http takes that along to the same name's other ports, and below it.
func checkRedirect(r *http.Request, via []*http.Request) error {
	switch last := via[len(via)-1]; {
	case len(via) > maxRedirects:
		return redirectError(fmt.Sprintf("redirects more than %d times", maxRedirects))
	case r.URL.Scheme != "https" && r.URL.Scheme != "http":
		return redirectError("redirects to what is neither http nor https")
	case last.URL.Scheme == "https" && r.URL.Scheme == "http":
		return redirectError("redirects from https to http")
	}
	r.Header.Del("Referer")
	if r.URL.Host != via[0].URL.Host {
		for _, name := range []string{
			"Authorization", "Cookie", "Proxy-Authorization", "Www-Authenticate", "Sec-Websocket-Protocol", // some have a token there
		} {
			r.Header.Del(name)
		}
	}
	return nil
}

// Answer is what a server answered, whole.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// URL is where it came from, after redirects; Moved says that all of those are for ever.
	URL   *url.URL
	Moved bool
}

// ErrTooLarge is the cause of a trouble for an answer that is longer than the limit: less can be asked for.
var ErrTooLarge = errors.New("the answer is too large")

// Do asks and reads an answer of at most limit bytes. Statuses from 200 to 399 are answers, others a *listen.Trouble, as is whatever
// keeps an answer from coming, but for the end of ctx.
func Do(client listen.HTTPClient, r *http.Request, limit int64) (*Answer, error) {
	response, err := client.Do(r)
	if err != nil {
		return nil, Unreachable(r.Context(), r.URL, err)
	}
	defer response.Body.Close() //nolint:errcheck // read as far as is wanted
	if trouble := Refused(response, time.Now()); trouble != nil {
		return nil, trouble
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	switch {
	case err != nil:
		return nil, Unreachable(r.Context(), r.URL, err)
	case int64(len(body)) > limit:
		return nil, &listen.Trouble{Reason: listen.Malformed, Err: ErrTooLarge, Message: fmt.Sprintf("%s answers with more than %d bytes.", r.URL.Host, limit)}
	}
	return &Answer{
		Status: response.StatusCode, Header: response.Header, Body: body, URL: response.Request.URL, Moved: movedForEver(response),
	}, nil
}

// movedForEver says that an answer came by redirects that are all permanent (RFC 9110, 15.4.2 and 15.4.9).
func movedForEver(response *http.Response) bool {
	r := response.Request.Response
	if r == nil {
		return false
	}
	for ; r != nil; r = r.Request.Response {
		if r.StatusCode != http.StatusMovedPermanently && r.StatusCode != http.StatusPermanentRedirect {
			return false
		}
	}
	return true
}

// Unreachable tells why a connection could not be made, or broke; where ctx ended, that.
func Unreachable(ctx context.Context, at *url.URL, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var forbidden *egress.ForbiddenError
	if errors.As(err, &forbidden) {
		return &listen.Trouble{Reason: listen.Forbidden, Err: err, Message: fmt.Sprintf("%s leads to an address that is not public: "+
			"name another host, or have the operator allow its network (--listen-allow-network).", at.Host)}
	}
	return &listen.Trouble{Reason: listen.Unreachable, Err: err, Message: at.Host + " " + because(err) + "."}
}

// because says why nothing came, in words for who can mend it. It completes "the host …".
func because(err error) string {
	var (
		redirect    redirectError
		timeout     net.Error
		certificate *tls.CertificateVerificationError
		name        *net.DNSError
	)
	switch {
	case errors.As(err, &redirect):
		return redirect.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return "does not answer in time"
	case errors.As(err, &certificate):
		return "has a certificate that does not hold for it"
	case errors.As(err, &name) && name.IsNotFound:
		return "is the name of no host"
	}
	return "cannot be reached"
}

// Refused tells what a status means, and nil for one from 200 to 399.
func Refused(response *http.Response, now time.Time) *listen.Trouble {
	host, status := response.Request.URL.Host, response.StatusCode
	if status >= 200 && status < 400 {
		return nil
	}
	wait := RetryAfter(response.Header, now)
	switch status {
	case http.StatusTooManyRequests:
		return &listen.Trouble{Reason: listen.Throttled, Wait: max(wait, time.Second), Message: host + " was asked too often."}
	case http.StatusUnauthorized:
		return &listen.Trouble{
			Reason: listen.Unauthorized, Wait: wait,
			Message: host + " refuses the credentials (401): they are missing, wrong or revoked.",
		}
	case http.StatusForbidden:
		return &listen.Trouble{Reason: listen.Forbidden, Wait: wait, Message: host + " does not allow it (403)."}
	case http.StatusNotFound, http.StatusGone:
		return &listen.Trouble{Reason: listen.NotFound, Wait: wait, Message: fmt.Sprintf("%s has nothing at that address (%d).", host, status)}
	}
	reason := listen.Unreachable
	if status < 500 {
		reason = listen.Malformed
	}
	return &listen.Trouble{Reason: reason, Wait: wait, Message: fmt.Sprintf("%s answers with status %d.", host, status)}
}

// RetryAfter reads for how long a server wants to be left alone (RFC 9110, 10.2.3), a day at most; zero where it does not say.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	wait, _ := retryafter.Read(h, now)
	return wait
}
