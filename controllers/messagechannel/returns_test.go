package messagechannel

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/store"
)

const arn = "arn:aws:sns:eu-west-1:123456789012:velo-bounces"

func TestPlanReturns(t *testing.T) {
	mailbox := func(tls v1alpha1.TLSMode, name string) *v1alpha1.ReturnMailbox {
		return &v1alpha1.ReturnMailbox{Host: "imap.velo.example", Port: 993, TLS: tls, Mailbox: name, SecretRef: v1alpha1.LocalReference{Name: "inbox"}}
	}
	for name, tc := range map[string]struct {
		declared *v1alpha1.ReturnSettings
		want     store.ReturnSettings
		refused  string
	}{
		"nothing": {},
		"a mailbox": {
			declared: &v1alpha1.ReturnSettings{Address: "bounces@velo.example", IMAP: mailbox(v1alpha1.ImplicitTLS, "")},
			want: store.ReturnSettings{
				Address: "bounces@velo.example", IMAP: store.MailboxSettings{Host: "imap.velo.example", Port: 993, TLS: "Implicit", Mailbox: "INBOX"},
			},
		},
		"another mailbox": {
			declared: &v1alpha1.ReturnSettings{Address: "b@velo.example", IMAP: mailbox(v1alpha1.NoTLS, "Bounces")},
			want: store.ReturnSettings{
				Address: "b@velo.example", IMAP: store.MailboxSettings{Host: "imap.velo.example", Port: 993, TLS: "None", Mailbox: "Bounces"},
			},
		},
		"a hook": {
			declared: &v1alpha1.ReturnSettings{Hook: &v1alpha1.ReturnHook{Type: v1alpha1.MailgunHook, SecretRef: &v1alpha1.LocalReference{Name: "hook"}}},
			want:     store.ReturnSettings{Hook: store.HookSettings{Type: "Mailgun"}},
		},
		"a topic": {
			declared: &v1alpha1.ReturnSettings{Address: "bounces@velo.example", Hook: &v1alpha1.ReturnHook{Type: v1alpha1.SESHook, TopicARN: arn}},
			want:     store.ReturnSettings{Address: "bounces@velo.example", Hook: store.HookSettings{Type: "SES", TopicARN: arn}},
		},
		"no room for a token": {
			declared: &v1alpha1.ReturnSettings{Address: strings.Repeat("b", 30) + "@velo.example", IMAP: mailbox(v1alpha1.NoTLS, "")},
			refused:  "spec.email.returns.address: the return address",
		},
		"TLS of a newer operator": {
			declared: &v1alpha1.ReturnSettings{Address: "b@velo.example", IMAP: mailbox("Quantum", "")}, refused: "spec.email.returns.imap.tls",
		},
		"a hook of a newer operator": {
			declared: &v1alpha1.ReturnSettings{Hook: &v1alpha1.ReturnHook{Type: "Pigeon"}}, refused: "spec.email.returns.hook.type",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := planReturns(tc.declared)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if (err != nil) != (tc.refused != "") || err != nil && !strings.Contains(err.Error(), tc.refused) {
				t.Errorf("refused: %v, want %q", err, tc.refused)
			}
		})
	}
}

func TestCredentialsOfReturns(t *testing.T) {
	secrets := map[string]*corev1.Secret{"one": {
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.UseLabel: v1alpha1.UseChannel}},
		Data:       map[string][]byte{"username": []byte("u"), "password": []byte("p"), "hook-key": []byte("a-key-of-mailgun")},
	}}
	ref := v1alpha1.LocalReference{Name: "one"}
	hook := func(kind v1alpha1.HookType) *v1alpha1.ReturnSettings {
		return &v1alpha1.ReturnSettings{Hook: &v1alpha1.ReturnHook{Type: kind, SecretRef: &ref}}
	}
	for name, tc := range map[string]struct {
		declared *v1alpha1.ReturnSettings
		want     *credentials.Channel
		refused  string
	}{
		"nothing":     {},
		"a mailbox":   {&v1alpha1.ReturnSettings{IMAP: &v1alpha1.ReturnMailbox{SecretRef: ref}}, &credentials.Channel{InboxUsername: "u", InboxPassword: "p"}, ""},
		"Mailgun":     {hook(v1alpha1.MailgunHook), &credentials.Channel{HookKey: "a-key-of-mailgun"}, ""},
		"a topic":     {&v1alpha1.ReturnSettings{Hook: &v1alpha1.ReturnHook{Type: v1alpha1.SESHook, TopicARN: arn}}, nil, ""},
		"a short key": {hook(v1alpha1.GenericHook), nil, `Key "hook-key" of Secret "one" cannot sign reports`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := planCredentials(returnReferences(tc.declared), secrets)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if (err != nil) != (tc.refused != "") || err != nil && (!strings.Contains(err.Error(), tc.refused) || strings.Contains(err.Error(), "a-key-of")) {
				t.Errorf("refused: %v, want %q", err, tc.refused)
			}
		})
	}
}
