package dkim_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	verifier "github.com/emersion/go-msgauth/dkim"

	"github.com/tertulia-crm/tertulia/internal/deliver/dkim"
)

const message = "From: Velo <hola@velo.example>\r\nTo: <ana@example.com>\r\nSubject: Hola\r\nDate: Sun, 21 Mar 2027 09:00:00 +0100\r\n" +
	"Message-ID: <1.2.3@velo.example>\r\nList-Unsubscribe: <https://crm.velo.example/u/abc>\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" +
	"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nHola,=\r\n Ana.\r\n"

func pkcs8(tb testing.TB, key any) string {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func rsaKey(tb testing.TB, bits int) *rsa.PrivateKey {
	tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func edKey(tb testing.TB) ed25519.PrivateKey {
	tb.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// verify verifies a signed message by the record that the domain would publish.
func verify(t *testing.T, signed []byte, key crypto.Signer) (*verifier.Verification, error) {
	t.Helper()
	record, err := dkim.Record(key)
	if err != nil {
		t.Fatal(err)
	}
	found, err := verifier.VerifyWithOptions(bytes.NewReader(signed), &verifier.VerifyOptions{LookupTXT: func(name string) ([]string, error) {
		if name != "spring._domainkey.velo.example" {
			t.Errorf("asked for %s", name)
		}
		return []string{record}, nil
	}})
	if err != nil || len(found) != 1 {
		t.Fatalf("one signature: %v, %v", found, err)
	}
	return found[0], found[0].Err
}

func TestSign(t *testing.T) {
	long := rsaKey(t, 2048)
	short := edKey(t)
	for name, tc := range map[string]struct {
		key  crypto.Signer
		text string
	}{
		"RSA":          {long, pkcs8(t, long)},
		"RSA, PKCS #1": {long, string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(long)}))},
		"Ed25519":      {short, pkcs8(t, short)},
	} {
		t.Run(name, func(t *testing.T) {
			signer, err := dkim.New("velo.example", "spring", tc.text)
			if err != nil {
				t.Fatal(err)
			}
			signed, err := signer.Sign([]byte(message))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasSuffix(signed, []byte(message)) {
				t.Errorf("the message changed:\n%s", signed)
			}
			found, err := verify(t, signed, tc.key)
			if err != nil || found.Domain != "velo.example" {
				t.Fatalf("%+v: %v\n%s", found, err, signed)
			}
			covered := strings.ToLower(strings.Join(found.HeaderKeys, " "))
			for _, header := range []string{"from", "subject", "list-unsubscribe", "list-unsubscribe-post"} {
				if !strings.Contains(" "+covered+" ", " "+header+" ") {
					t.Errorf("%s is not signed: %s", header, covered)
				}
			}
			for what, change := range map[string][2]string{
				"another page for unsubscribing": {"crm.velo.example/u/abc", "evil.example/u/abc"},
				"no one-click":                   {"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", ""},
				"another author":                 {"From: Velo", "From: evil@evil.example\r\nFrom: Velo"},
				"another body":                   {"Ana.", "Eva."},
			} {
				changed := strings.Replace(string(signed), change[0], change[1], 1)
				if changed == string(signed) {
					t.Fatalf("%s: nothing changed", what)
				}
				if _, err := verify(t, []byte(changed), tc.key); err == nil {
					t.Errorf("%s: the signature still holds", what)
				}
			}
			for what, change := range map[string][2]string{
				"blanks at the end of a line": {"Ana.\r\n", "Ana. \t\r\n"},
				"a header folded anew":        {"Subject: Hola", "Subject:\r\n  Hola"},
			} {
				if _, err := verify(t, []byte(strings.Replace(string(signed), change[0], change[1], 1)), tc.key); err != nil {
					t.Errorf("%s, as relays do, breaks the signature: %v", what, err)
				}
			}
		})
	}
}

func TestParseKeyRefuses(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ key, words string }{
		"nothing":     {"", "openssl genrsa"},
		"a password":  {"secret", "openssl genrsa"},
		"a public":    {string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("secret")})), "no private key"},
		"encrypted":   {string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("secret")})), "without a passphrase"},
		"1024 bits":   {pkcs8(t, rsaKey(t, 1024)), "has 1024 bits"},
		"another art": {pkcs8(t, curve), "neither RSA nor Ed25519"},
	} {
		_, err := dkim.ParseKey(tc.key)
		if err == nil || !strings.Contains(err.Error(), tc.words) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := dkim.New("velo.example", "s", tc.key); err == nil {
			t.Errorf("%s: a signer was made of it", name)
		}
	}
}

func TestAligned(t *testing.T) {
	for name, tc := range map[string]struct {
		signing, author string
		want            bool
	}{
		"the same":          {"velo.example", "velo.example", true},
		"in capitals":       {"Velo.example", "velo.EXAMPLE", true},
		"the parent":        {"velo.example", "news.velo.example", true},
		"a child":           {"mail.velo.example", "velo.example", true},
		"another":           {"relay.example", "velo.example", false},
		"an ending":         {"elo.example", "velo.example", false},
		"a public suffix":   {"co.uk", "velo.co.uk", false},
		"beside each other": {"a.co.uk", "b.co.uk", false},
		"nothing":           {"", "velo.example", false},
		"an umlaut":         {"münchen.example", "xn--mnchen-3ya.example", true},
	} {
		if got := dkim.Aligned(tc.signing, tc.author); got != tc.want {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	for name, key := range map[string]string{"RSA 2048": pkcs8(b, rsaKey(b, 2048)), "Ed25519": pkcs8(b, edKey(b))} {
		signer, err := dkim.New("velo.example", "spring", key)
		if err != nil {
			b.Fatal(err)
		}
		mail := []byte(message + strings.Repeat("Warm days, dry roads and long evenings: time to ride.\r\n", 160))
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := signer.Sign(mail); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
