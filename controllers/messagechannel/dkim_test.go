package messagechannel

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

func signed(change func(*v1alpha1.EmailSettings)) v1alpha1.MessageChannelSpec {
	email := &v1alpha1.EmailSettings{
		From: "Velo <hola@velo.example>", SMTP: v1alpha1.SMTPServer{Host: "smtp.velo.example", Port: 587, TLS: v1alpha1.StartTLS}, DKIM: v1alpha1.SelfDKIM,
		DKIMSignature: &v1alpha1.DKIMSignature{Selector: "spring", SecretRef: v1alpha1.LocalReference{Name: "dkim"}},
	}
	if change != nil {
		change(email)
	}
	return v1alpha1.MessageChannelSpec{Type: v1alpha1.EmailChannel, Email: email}
}

func TestPlanDKIM(t *testing.T) {
	for name, tc := range map[string]struct {
		why    string
		change func(*v1alpha1.EmailSettings)
		domain string
		words  string // of the error
	}{
		"the author's": {"the default", nil, "velo.example", ""},
		"a parent": {"of the same organisation", func(e *v1alpha1.EmailSettings) {
			e.From, e.DKIMSignature.Domain = "a@news.velo.example", "velo.example"
		}, "velo.example", ""},
		"another":      {"receivers would not believe it", func(e *v1alpha1.EmailSettings) { e.DKIMSignature.Domain = "relay.example" }, "", `"relay.example" does not speak for`},
		"no signature": {"an object from before the rule", func(e *v1alpha1.EmailSettings) { e.DKIMSignature = nil }, "", "spec.email.dkimSignature"},
	} {
		t.Run(name, func(t *testing.T) {
			row, err := planChannel(&v1alpha1.MessageChannel{Spec: signed(tc.change)})
			if tc.words != "" {
				if err == nil || !strings.Contains(err.Error(), tc.words) {
					t.Errorf("%s: got %v", tc.why, err)
				}
				return
			}
			if err != nil || row.Email.DKIMDomain != tc.domain || row.Email.DKIMSelector != "spring" || !row.Email.Signed() {
				t.Errorf("%s: %+v, %v", tc.why, row.Email, err)
			}
		})
	}
}

func TestDKIMKey(t *testing.T) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	good := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for name, tc := range map[string]struct {
		value []byte
		words string
	}{
		"a key":   {good, ""},
		"no key":  {[]byte("hunter2"), `Key "dkim-private-key" of Secret "dkim" cannot sign mail: it holds no private key in PEM`},
		"missing": {nil, "lacks the key"},
	} {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Name: "dkim", Labels: map[string]string{v1alpha1.UseLabel: v1alpha1.UseChannel}},
				Data:       map[string][]byte{dkimKey: tc.value},
			}
			has, err := planCredentials(references(signed(nil)), map[string]*corev1.Secret{"dkim": secret})
			if tc.words == "" {
				if err != nil || has == nil || has.DKIMPrivateKey != string(good) {
					t.Errorf("got %+v, %v", has, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.words) || strings.Contains(err.Error(), "hunter2") || has != nil {
				t.Errorf("got %+v, %v", has, err)
			}
		})
	}
}
