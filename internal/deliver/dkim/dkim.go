// Package dkim signs mail (RFC 6376) with a key of the tenant's own, for relays that do not.
package dkim

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/emersion/go-msgauth/dkim"
	"golang.org/x/net/idna"
	"golang.org/x/net/publicsuffix"
)

// Bounds of RSA keys: shorter ones are not believed by receivers (RFC 8301), longer ones do not fit into a TXT record and
// cost more than all the rest of a message.
const (
	leastBits = 2048
	mostBits  = 4096
)

// headers are signed where a message has them. Receivers want what one-click unsubscription stands on to be covered
// (RFC 8058, section 4). From, Subject and Date are named once more than they occur, so that nobody can add another.
var headers = []string{
	"From", "From", "To", "Reply-To", "Subject", "Subject", "Date", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding",
}

// Signer signs messages. It is safe for concurrent use.
type Signer struct{ options dkim.SignOptions }

// New makes a signer. key is a private key in PEM, as ParseKey reads it.
func New(domain, selector, key string) (*Signer, error) {
	private, err := ParseKey(key)
	if err != nil {
		return nil, err
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil {
		return nil, fmt.Errorf("the domain of the DKIM signature: %w", err)
	}
	return &Signer{dkim.SignOptions{
		Domain: ascii, Selector: selector, Signer: private, HeaderKeys: headers,
		HeaderCanonicalization: dkim.CanonicalizationRelaxed, BodyCanonicalization: dkim.CanonicalizationRelaxed,
	}}, nil
}

// Sign gives the message with its signature before it.
func (s *Signer) Sign(message []byte) ([]byte, error) {
	var signed bytes.Buffer
	signed.Grow(len(message) + 1024)
	if err := dkim.Sign(&signed, bytes.NewReader(message), &s.options); err != nil {
		return nil, fmt.Errorf("sign the message: %w", err)
	}
	return signed.Bytes(), nil
}

// errKey tells how a key must be written; it repeats nothing of what was read.
var errKey = errors.New(`it holds no private key in PEM: make one with "openssl genrsa 2048", or "openssl genpkey -algorithm ed25519"`)

// ParseKey reads a private key in PEM: RSA (PKCS #1 or #8) of 2048 to 4096 bits, or Ed25519 (PKCS #8). The error says how to
// mend it and holds nothing of the key.
func ParseKey(text string) (crypto.Signer, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errKey
	}
	if strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "" {
		return nil, errors.New("the private key is encrypted: store it without a passphrase")
	}
	var key any
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		if key, err = x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
			return nil, errKey
		}
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		if bits := key.N.BitLen(); bits < leastBits || bits > mostBits {
			return nil, fmt.Errorf("the RSA key has %d bits: use one of %d to %d", bits, leastBits, mostBits)
		}
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, errors.New("the private key is neither RSA nor Ed25519, which are all that DKIM knows")
}

// Record is the text of the TXT record at <selector>._domainkey.<domain> that lets receivers verify what a key signs.
func Record(key crypto.Signer) (string, error) {
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return "", fmt.Errorf("encode the public key: %w", err)
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), nil
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(public), nil
	}
	return "", errors.New("the key is neither RSA nor Ed25519")
}

// Aligned tells whether a signature of a domain speaks for an author's domain: both belong to one organisation, as DMARC's
// relaxed alignment has it (RFC 7489, section 3.1.1).
func Aligned(signing, author string) bool {
	a, errA := organisation(signing)
	b, errB := organisation(author)
	return errA == nil && errB == nil && a == b
}

func organisation(domain string) (string, error) {
	ascii, err := idna.Lookup.ToASCII(strings.ToLower(domain))
	if err != nil {
		return "", fmt.Errorf("read the domain: %w", err)
	}
	return publicsuffix.EffectiveTLDPlusOne(ascii)
}
