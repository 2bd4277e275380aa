// Package sns fetches the certificates by which Amazon's notification service signs, and confirms its subscriptions. It
// speaks to the service's own host of a topic's region and to Amazon's certificate authority, and to nobody else, whatever a
// message says.
package sns

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/tertulia-crm/tertulia/internal/egress"
	"github.com/tertulia-crm/tertulia/internal/inbound"
)

// The bounds of what is fetched.
const (
	fetchTimeout = 8 * time.Second
	maxDocument  = 64 << 10
	maxIssuers   = 3 // between a certificate and a root
	confirmEvery = 20 * time.Second
	confirmBurst = 5
)

// ErrUnavailable means that the service could not be asked just now.
var ErrUnavailable = errors.New("amazon's notification service cannot be asked just now")

// Options tell how the service is reached. The zero value is right but for tests.
type Options struct {
	// Dial connects. Default: to public addresses only.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Roots are trusted. Default: the system's.
	Roots *x509.CertPool
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Client is what one tenant has for its topics. It is made by New and safe for concurrent use.
type Client struct {
	http  *http.Client
	roots *x509.CertPool
	now   func() time.Time
	// confirms bounds how often subscriptions are confirmed: a message that SNS signed can be posted again by whoever has read it.
	confirms *rate.Limiter
	certificates
}

// New makes a client.
func New(o Options) *Client {
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, _, address string) (net.Conn, error) {
			return egress.Dialer{Timeout: fetchTimeout}.DialContext(ctx, address)
		}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Client{
		http: &http.Client{
			Timeout: fetchTimeout,
			Transport: &http.Transport{
				DialContext: o.Dial, TLSClientConfig: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
				MaxResponseHeaderBytes: maxDocument,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		roots: o.Roots, now: o.Now, confirms: rate.NewLimiter(rate.Every(confirmEvery), confirmBurst),
		certificates: certificates{known: map[string]*attempt{}},
	}
}

// Verify checks that a message is of this topic and that SNS signed it lately. It gives inbound.ErrSignature where it did
// not, and ErrUnavailable where that cannot be told just now.
func (c *Client) Verify(ctx context.Context, topicARN string, message inbound.SNS) error {
	host, names, ok := inbound.SNSHost(topicARN)
	if !ok || message.TopicARN != topicARN {
		return fmt.Errorf("%w: it is of another topic", inbound.ErrSignature)
	}
	if err := inbound.CheckSNSCertificateURL(host, message.SigningCertURL); err != nil {
		return err
	}
	certificate, err := c.certificate(ctx, message.SigningCertURL, names)
	if err != nil {
		return err
	}
	return message.Verify(certificate, c.now())
}

// Confirm confirms the subscription that a verified message asks for.
func (c *Client) Confirm(ctx context.Context, message inbound.SNS) error {
	host, _, ok := inbound.SNSHost(message.TopicARN)
	if !ok {
		return fmt.Errorf("%w: it is of no topic", inbound.ErrSignature)
	}
	if !c.confirms.AllowN(c.now(), 1) {
		return ErrUnavailable
	}
	_, err := c.fetch(ctx, message.ConfirmURL(host))
	return err
}

// obtain fetches the certificate at an address that was checked, good for one of the names.
func (c *Client) obtain(ctx context.Context, address string, names []string) (*x509.Certificate, error) {
	text, err := c.fetch(ctx, address)
	if err != nil {
		return nil, err
	}
	chain, err := readChain(text)
	if err != nil {
		return nil, err
	}
	if err := c.check(ctx, chain, names); err != nil {
		return nil, err
	}
	return chain[0], nil
}

func readChain(text []byte) ([]*x509.Certificate, error) {
	var chain []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil && len(chain) <= maxIssuers; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%w: what SigningCertURL holds is no certificate", inbound.ErrSignature)
		}
		chain = append(chain, certificate)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("%w: SigningCertURL holds no certificate", inbound.ErrSignature)
	}
	return chain, nil
}

// check tells whether a root that is trusted vouches for a certificate, and for one of the names. Issuers that do not stand
// beside it are fetched from where it says, as long as that is Amazon's authority.
func (c *Client) check(ctx context.Context, chain []*x509.Certificate, names []string) error {
	between := x509.NewCertPool()
	for _, issuer := range chain[1:] {
		between.AddCert(issuer)
	}
	last := chain[len(chain)-1]
	for range maxIssuers {
		_, err := chain[0].Verify(x509.VerifyOptions{
			Roots: c.roots, Intermediates: between, CurrentTime: c.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		})
		if err == nil {
			return checkName(chain[0], names)
		}
		var unknown x509.UnknownAuthorityError
		address, ok := issuerURL(last)
		if !errors.As(err, &unknown) || !ok {
			return fmt.Errorf("%w: nobody who is trusted vouches for the certificate", inbound.ErrSignature)
		}
		der, err := c.fetch(ctx, address)
		if err != nil {
			return err
		}
		if last, err = x509.ParseCertificate(der); err != nil {
			return fmt.Errorf("%w: its certificate's issuer cannot be read", inbound.ErrSignature)
		}
		between.AddCert(last)
	}
	return fmt.Errorf("%w: nobody who is trusted vouches for the certificate", inbound.ErrSignature)
}

func checkName(certificate *x509.Certificate, names []string) error {
	for _, name := range names {
		if certificate.VerifyHostname(name) == nil {
			return nil
		}
	}
	return fmt.Errorf("%w: the certificate is not of Amazon's notification service", inbound.ErrSignature)
}

// issuerURL is where the issuer of a certificate is found. It is fetched without TLS, as it is anywhere: what it holds is
// checked by its own issuer's signature.
func issuerURL(certificate *x509.Certificate) (string, bool) {
	for _, address := range certificate.IssuingCertificateURL {
		u, err := url.Parse(address)
		if err == nil && u.Scheme == "http" && u.User == nil && u.Port() == "" && strings.HasSuffix(u.Host, ".amazontrust.com") {
			return address, true
		}
	}
	return "", false
}

// fetch reads a document. The addresses are made or checked by the caller.
func (c *Client) fetch(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, ErrUnavailable
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, ErrUnavailable // the error repeats the address, which may hold a token
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxDocument))
	if err != nil || response.StatusCode != http.StatusOK {
		return nil, ErrUnavailable
	}
	return text, nil
}
