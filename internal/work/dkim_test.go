package work_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	verifier "github.com/emersion/go-msgauth/dkim"

	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/deliver/dkim"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Mail is signed by the workers where the channel says so; while the key cannot sign, nothing leaves, and the channel says why.
func TestMailIsSigned(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	record, err := dkim.Record(key)
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t, 5)
	h.channel(func(e *store.EmailSettings) {
		e.DKIM, e.DKIMDomain, e.DKIMSelector = store.SelfDKIM, "velo.example", "spring"
	})
	h.credentials(map[string]credentials.Channel{"newsletter": {DKIMPrivateKey: "nonsense"}})
	h.campaign(nil)
	h.worker(h.options())
	h.eventually("the channel should be in trouble", func() bool { return strings.Contains(h.trouble(), "no message can be signed") })
	h.becomes("Sending planned 5 sent 0 failed 0 ambiguous 0 pending 5")
	h.credentials(map[string]credentials.Channel{"newsletter": {
		DKIMPrivateKey: string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}})
	h.becomes("Completed planned 5 sent 5 failed 0 ambiguous 0 pending 0")
	for _, m := range h.relay.Messages() {
		found, err := verifier.VerifyWithOptions(bytes.NewReader(m.Data), &verifier.VerifyOptions{
			LookupTXT: func(string) ([]string, error) { return []string{record}, nil },
		})
		if err != nil || len(found) != 1 || found[0].Err != nil || found[0].Domain != "velo.example" {
			t.Errorf("the signature does not hold: %+v, %v\n%s", found, err, m.Data)
		}
		if !bytes.Contains(m.Data, []byte("List-Unsubscribe-Post: List-Unsubscribe=One-Click")) {
			t.Error("signed mail may offer to unsubscribe by one click")
		}
	}
}
