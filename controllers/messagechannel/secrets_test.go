package messagechannel

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/credentials"
)

func TestCredentialsAreThoseThatAreNamed(t *testing.T) {
	secret := func(label string, data map[string]string) *corev1.Secret {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.UseLabel: label}}, Data: map[string][]byte{}}
		for key, value := range data {
			s.Data[key] = []byte(value)
		}
		return s
	}
	relay := reference{field: "spec.email.smtp.secretRef", secret: "smtp", keys: []credential{
		{key: "username", is: credentials.Username, of: "a relay"}, {key: "password", is: credentials.Password, of: "a relay"},
	}}
	inbox := reference{field: "spec.x.secretRef", secret: "inbox", keys: []credential{
		{key: "username", is: credentials.InboxUsername, of: "a mailbox"}, {key: "password", is: credentials.InboxPassword, of: "a mailbox"},
	}}
	login := map[string]string{"username": "u", "password": "p", "other": "never copied"}
	for name, tc := range map[string]struct {
		named   []reference
		secrets map[string]*corev1.Secret
		want    *credentials.Channel
		refused string
	}{
		"none is named":        {},
		"one":                  {[]reference{relay}, map[string]*corev1.Secret{"smtp": secret("channel", login)}, &credentials.Channel{Username: "u", Password: "p"}, ""},
		"not there":            {[]reference{relay}, nil, nil, "spec.email.smtp.secretRef"},
		"not labelled":         {[]reference{relay}, map[string]*corev1.Secret{"smtp": secret("", login)}, nil, "crm.tertulia.dev/use: channel"},
		"meant for a database": {[]reference{relay}, map[string]*corev1.Secret{"smtp": secret("database", login)}, nil, "crm.tertulia.dev/use: channel"},
		"a key lacks":          {[]reference{relay}, map[string]*corev1.Secret{"smtp": secret("channel", map[string]string{"username": "u"})}, nil, `"password"`},
		"a key is too long":    {[]reference{relay}, map[string]*corev1.Secret{"smtp": secret("channel", map[string]string{"username": "u", "password": strings.Repeat("x", maxCredential+1)})}, nil, "no password of a relay"},
		"two":                  {[]reference{relay, inbox}, map[string]*corev1.Secret{"smtp": secret("channel", login), "inbox": secret("channel", map[string]string{"username": "i", "password": "j"})}, &credentials.Channel{Username: "u", Password: "p", InboxUsername: "i", InboxPassword: "j"}, ""},
		"one of two lacks":     {[]reference{relay, inbox}, map[string]*corev1.Secret{"inbox": secret("channel", login)}, &credentials.Channel{InboxUsername: "u", InboxPassword: "p"}, `Secret "smtp"`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := planCredentials(tc.named, tc.secrets)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if (err != nil) != (tc.refused != "") || err != nil && !strings.Contains(err.Error(), tc.refused) {
				t.Errorf("refused: %v, want %q", err, tc.refused)
			}
		})
	}
}
