// Package snstest is Amazon's notification service for tests: it serves the certificate by which it signs, over TLS and under
// its real name, and notes who confirms a subscription.
package snstest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tertulia-crm/tertulia/internal/server/sns"
)

// Where the service is found, and one of its topics.
const (
	Host  = "sns.eu-west-1.amazonaws.com"
	Topic = "arn:aws:sns:eu-west-1:123456789012:velo-bounces"
)

// CertificateURL is where its certificate is found.
var CertificateURL = "https://" + Host + "/SimpleNotificationService-" + strings.Repeat("0a", 16) + ".pem"

// Service is made by New.
type Service struct {
	// Signer is the name in the certificate that it serves. It may be changed before the first request.
	Signer string
	// Alone leaves the issuer of the certificate to be fetched from the authority.
	Alone bool
	// Hold keeps who asks for a certificate that is not there waiting until it is closed; nil: nobody. It may be set before the first request.
	Hold chan struct{}

	t            testing.TB
	root, issuer authority
	key          *rsa.PrivateKey
	front        *httptest.Server // with TLS
	authority    *httptest.Server

	mu       sync.Mutex
	requests []url.URL
}

// authority is who issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// New starts a service that ends with the test.
func New(t testing.TB) *Service {
	t.Helper()
	s := &Service{t: t, Signer: "sns.amazonaws.com"}
	s.root = s.authorize("Root", authority{})
	s.issuer = s.authorize("Amazon Test", s.root)
	var err error
	if s.key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	s.front = httptest.NewUnstartedServer(http.HandlerFunc(s.serve))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.front.TLS = &tls.Config{Certificates: []tls.Certificate{{
		Certificate: [][]byte{s.issue(Host, &key.PublicKey), s.issuer.certificate.Raw}, PrivateKey: key,
	}}, MinVersion: tls.VersionTLS12}
	s.front.StartTLS()
	s.authority = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.note(r)
		_, _ = w.Write(s.issuer.certificate.Raw)
	}))
	t.Cleanup(s.front.Close)
	t.Cleanup(s.authority.Close)
	return s
}

// Options reach the service under its real name, and nobody else.
func (s *Service) Options() sns.Options {
	roots := x509.NewCertPool()
	roots.AddCert(s.root.certificate)
	return sns.Options{Roots: roots, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		to, ok := map[string]string{
			Host + ":443": s.front.Listener.Addr().String(), "crt.test.amazontrust.com:80": s.authority.Listener.Addr().String(),
		}[address]
		if !ok {
			s.t.Errorf("somebody connects to %s", address)
			return nil, net.ErrClosed
		}
		return (&net.Dialer{}).DialContext(ctx, network, to)
	}}
}

// Sign makes what the service posts of these fields, signed now.
func (s *Service) Sign(fields map[string]string) string {
	s.t.Helper()
	if fields["Timestamp"] == "" {
		fields["Timestamp"] = time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	}
	if fields["SigningCertURL"] == "" {
		fields["SigningCertURL"] = CertificateURL
	}
	fields["SignatureVersion"] = "2"
	var text strings.Builder
	for _, name := range []string{"Message", "MessageId", "SubscribeURL", "Subject", "Timestamp", "Token", "TopicArn", "Type"} {
		if value, ok := fields[name]; ok {
			text.WriteString(name + "\n" + value + "\n")
		}
	}
	sum := sha256.Sum256([]byte(text.String()))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		s.t.Fatal(err)
	}
	fields["Signature"] = base64.StdEncoding.EncodeToString(signature)
	body, err := json.Marshal(fields)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(body)
}

// Requests are the addresses that were asked for, without their hosts.
func (s *Service) Requests() []url.URL {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]url.URL(nil), s.requests...)
}

func (s *Service) note(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, *r.URL)
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request) {
	s.note(r)
	if r.URL.Path == "/" {
		return
	}
	if !strings.HasSuffix(CertificateURL, r.URL.Path) {
		if s.Hold != nil {
			<-s.Hold
		}
		http.NotFound(w, r)
		return
	}
	_ = pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: s.issue(s.Signer, &s.key.PublicKey)})
	if !s.Alone {
		_ = pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: s.issuer.certificate.Raw})
	}
}

// issue makes a certificate for a host.
func (s *Service) issue(name string, key crypto.PublicKey) []byte {
	return s.sign(&x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IssuingCertificateURL: []string{"http://crt.test.amazontrust.com/test.cer"},
	}, s.issuer, key)
}

func (s *Service) authorize(name string, by authority) authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if by.certificate == nil {
		by = authority{template, key}
	}
	certificate, err := x509.ParseCertificate(s.sign(template, by, &key.PublicKey))
	if err != nil {
		s.t.Fatal(err)
	}
	return authority{certificate, key}
}

func (s *Service) sign(template *x509.Certificate, by authority, key crypto.PublicKey) []byte {
	der, err := x509.CreateCertificate(rand.Reader, template, by.certificate, key, by.key)
	if err != nil {
		s.t.Fatal(err)
	}
	return der
}
