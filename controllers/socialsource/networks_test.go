package socialsource

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/listen/bluesky"
	"github.com/tertulia-crm/tertulia/internal/listen/feed"
	"github.com/tertulia-crm/tertulia/internal/listen/mailbox"
	"github.com/tertulia-crm/tertulia/internal/listen/mastodon"
	"github.com/tertulia-crm/tertulia/internal/listen/networks"
	"github.com/tertulia-crm/tertulia/internal/listen/webhook"
)

// fields are those of a type as JSON has them, in order of their names.
func fields(of any) []string {
	found := []string{}
	for t, i := reflect.TypeOf(of), 0; i < t.NumField(); i++ {
		if name := strings.Split(t.Field(i).Tag.Get("json"), ",")[0]; name != "secretRef" {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// TestSettingsAreTheNetworks compares what can be declared with what connectors read: a field that only one of them has is a mistake.
func TestSettingsAreTheNetworks(t *testing.T) {
	for name, pair := range map[string][2]any{
		"Feed":     {v1alpha1.FeedSettings{}, feed.Settings{}},
		"Mastodon": {v1alpha1.MastodonSettings{}, mastodon.Settings{}},
		"Bluesky":  {v1alpha1.BlueskySettings{}, bluesky.Settings{}},
		"Mailbox":  {v1alpha1.MailboxSettings{}, mailbox.Settings{}},
		"Webhook":  {v1alpha1.WebhookSourceSettings{}, webhook.Settings{}},
	} {
		if diff := cmp.Diff(fields(pair[1]), fields(pair[0])); diff != "" {
			t.Errorf("%s: -network +kind:\n%s", name, diff)
		}
	}
}

// TestWhatIsStoredOpens makes connectors of planned sources, as workers do.
func TestWhatIsStoredOpens(t *testing.T) {
	yes := true
	data := map[string][]byte{}
	for key, value := range map[string]string{
		"username": "u", "password": "p", "access-token": "t", "identifier": "velo.example", "app-password": "aaaa-bbbb-cccc-dddd",
		"signing-key": "a-key-of-24-bytes-or-more",
	} {
		data[key] = []byte(value)
	}
	made := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{v1alpha1.UseLabel: v1alpha1.UseSource}}, Data: data}
	opened := map[string]bool{}
	for name, spec := range map[string]v1alpha1.SocialSourceSpec{
		"a feed":            {Type: "Feed", Feed: &v1alpha1.FeedSettings{URL: "https://blog.velo.example/feed", WebSub: &yes}},
		"a feed with login": {Type: "Feed", Feed: &v1alpha1.FeedSettings{URL: "https://blog.velo.example/feed", SecretRef: &secret}},
		"hashtags":          {Type: "Mastodon", Mastodon: &v1alpha1.MastodonSettings{Instance: "https://mastodon.example", Hashtags: []v1alpha1.Hashtag{"#velo"}}},
		"an account": {Type: "Mastodon", Mastodon: &v1alpha1.MastodonSettings{
			Instance: "https://mastodon.example/", Mentions: true, Lists: []v1alpha1.ListID{"7"}, SecretRef: &secret,
		}},
		"keywords": {Type: "Bluesky", Bluesky: &v1alpha1.BlueskySettings{Keywords: []v1alpha1.TopicTerm{{Word: "velo", Case: true}, {Hashtag: "velociclismo"}}}},
		"mentions": {Type: "Bluesky", Bluesky: &v1alpha1.BlueskySettings{
			Service: "https://pds.example", Jetstream: "wss://jetstream.example/subscribe", AppView: "https://api.example", Mentions: true, SecretRef: &secret,
		}},
		"a mailbox": {Type: "Mailbox", Mailbox: &v1alpha1.MailboxSettings{Host: "imap.velo.example", Port: 993, TLS: "Implicit", Mailbox: "Care", SecretRef: secret}},
		"a webhook": {Type: "Webhook", Webhook: &v1alpha1.WebhookSourceSettings{SecretRef: secret}},
	} {
		t.Run(name, func(t *testing.T) {
			row, err := planSource(&v1alpha1.SocialSource{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: spec})
			if err != nil {
				t.Fatal(err)
			}
			var login credentials.Source
			if w := reference(&spec); w != nil {
				if login, err = planLogin(w, made); err != nil {
					t.Fatal(err)
				}
			}
			connector, err := networks.Open(row.Type, listen.Options{
				Source: row.Name, Settings: row.Settings, Credentials: login, Callback: "https://crm.velo.example/sources/x", Languages: row.Languages,
				UserAgent: "Tertulia/test", Client: http.DefaultClient, Now: time.Now,
			})
			if err != nil {
				t.Fatalf("%s: %v", row.Settings, err)
			}
			if err := connector.Close(); err != nil {
				t.Error(err)
			}
			opened[row.Type] = true
			const public = "https://crm.velo.example/t/velo"
			if address := planAddress(&v1alpha1.SocialSource{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: spec}, public); address != "" && address != networks.Callback(public, "x") {
				t.Errorf("the status says %s", address)
			}
		})
	}
	for _, known := range networks.Types() {
		if !opened[known] {
			t.Errorf("no source of type %s was opened", known)
		}
	}
}
