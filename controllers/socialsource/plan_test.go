package socialsource

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/store"
)

var secret = v1alpha1.LocalReference{Name: "key"}

func TestPlanSource(t *testing.T) {
	no := false
	for name, tc := range map[string]struct {
		why     string
		spec    v1alpha1.SocialSourceSpec
		want    store.Source // without its name and type
		address string
		refused string
	}{
		"a feed": {
			"as few requests as do",
			v1alpha1.SocialSourceSpec{Type: "Feed", Feed: &v1alpha1.FeedSettings{URL: "https://blog.velo.example/feed"}},
			store.Source{Settings: []byte(`{"url":"https://blog.velo.example/feed"}`), Interval: 10 * time.Minute, Keep: 400 * day},
			"https://crm.velo.example/sources/x", "",
		},
		"a feed without a hub": {
			"and without the name of its Secret",
			v1alpha1.SocialSourceSpec{
				Type: "Feed", Feed: &v1alpha1.FeedSettings{URL: "https://blog.velo.example/feed", WebSub: &no, SecretRef: &secret},
				Languages: []v1alpha1.LanguageCode{"es", "en"}, Interval: "1h30m", Keep: "30d", Suspend: true,
			},
			store.Source{
				Settings: []byte(`{"url":"https://blog.velo.example/feed","webSub":false}`), Languages: []string{"es", "en"},
				Interval: 90 * time.Minute, Keep: 30 * day, Suspended: true,
			},
			"", "",
		},
		"Mastodon": {
			"",
			v1alpha1.SocialSourceSpec{Type: "Mastodon", Mastodon: &v1alpha1.MastodonSettings{
				Instance: "https://mastodon.example", Hashtags: []v1alpha1.Hashtag{"velo"}, Mentions: true, Lists: []v1alpha1.ListID{"7"}, SecretRef: &secret,
			}},
			store.Source{
				Settings: []byte(`{"hashtags":["velo"],"instance":"https://mastodon.example","lists":["7"],"mentions":true}`), Interval: time.Minute, Keep: 400 * day,
			},
			"", "",
		},
		"Bluesky": {
			"",
			v1alpha1.SocialSourceSpec{
				Type: "Bluesky", Bluesky: &v1alpha1.BlueskySettings{Keywords: []v1alpha1.TopicTerm{{Word: "velo", Case: true}}},
				ReplyChannelRef: &v1alpha1.LocalReference{Name: "bluesky"},
			},
			store.Source{Settings: []byte(`{"keywords":[{"word":"velo","case":true}]}`), Interval: time.Minute, Keep: 400 * day, ReplyChannel: "bluesky"},
			"", "",
		},
		"a mailbox": {
			"",
			v1alpha1.SocialSourceSpec{Type: "Mailbox", Mailbox: &v1alpha1.MailboxSettings{Host: "imap.velo.example", Port: 993, TLS: "Implicit", SecretRef: secret}},
			store.Source{Settings: []byte(`{"host":"imap.velo.example","port":993,"tls":"Implicit"}`), Interval: time.Minute, Keep: 400 * day},
			"", "",
		},
		"a webhook": {
			"nothing is asked",
			v1alpha1.SocialSourceSpec{Type: "Webhook", Webhook: &v1alpha1.WebhookSourceSettings{SecretRef: secret}},
			store.Source{Settings: []byte(`{}`), Interval: time.Hour, Keep: 400 * day},
			"https://crm.velo.example/sources/x", "",
		},
		"a network of tomorrow": {"", v1alpha1.SocialSourceSpec{Type: "Pigeon"}, store.Source{}, "", `spec.type "Pigeon" is of a later version`},
		"a member that is not the type's": {
			"", v1alpha1.SocialSourceSpec{Type: "Feed", Webhook: &v1alpha1.WebhookSourceSettings{}}, store.Source{}, "", "later version",
		},
		"TLS of tomorrow": {
			"", v1alpha1.SocialSourceSpec{Type: "Mailbox", Mailbox: &v1alpha1.MailboxSettings{Host: "h", Port: 1, TLS: "Quantum"}}, store.Source{}, "", "spec.mailbox.tls",
		},
		"too often": {
			"", v1alpha1.SocialSourceSpec{Type: "Feed", Feed: &v1alpha1.FeedSettings{}, Interval: "5s"}, store.Source{}, "", "spec.interval is not between 30s and 1d",
		},
		"for ever": {
			"", v1alpha1.SocialSourceSpec{Type: "Feed", Feed: &v1alpha1.FeedSettings{}, Keep: "9999d"}, store.Source{}, "", "spec.keep is not between 1d and 3660d",
		},
		"no duration": {
			"", v1alpha1.SocialSourceSpec{Type: "Feed", Feed: &v1alpha1.FeedSettings{}, Keep: "1w"}, store.Source{}, "", "spec.keep: ",
		},
		"a keyword that cannot be found": {
			"",
			v1alpha1.SocialSourceSpec{Type: "Bluesky", Bluesky: &v1alpha1.BlueskySettings{Keywords: []v1alpha1.TopicTerm{{Word: "velo"}, {Hashtag: "a b"}}}},
			store.Source{},
			"", `spec.bluesky: topic "keywords": any 2, hashtag "a b"`,
		},
		"a keyword of tomorrow": {
			"",
			v1alpha1.SocialSourceSpec{Type: "Bluesky", Bluesky: &v1alpha1.BlueskySettings{Keywords: []v1alpha1.TopicTerm{{Word: "velo", Letters: "Phonetic"}}}},
			store.Source{},
			"", "spec.bluesky.keywords: letters",
		},
	} {
		t.Run(name, func(t *testing.T) {
			object := &v1alpha1.SocialSource{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Spec: tc.spec}
			got, err := planSource(object)
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Errorf("refused: %v, want %q", err, tc.refused)
				}
				return
			}
			tc.want.Name, tc.want.Type = "x", string(tc.spec.Type)
			if diff := cmp.Diff(tc.want, got); err != nil || diff != "" {
				t.Errorf("%s: %v, -want +got:\n%s", tc.why, err, diff)
			}
			if address := planAddress(object, "https://crm.velo.example"); address != tc.address {
				t.Errorf("address %q, want %q", address, tc.address)
			}
		})
	}
}

func TestPlanLogin(t *testing.T) {
	made := func(label string, data map[string]string) *corev1.Secret {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "key", Labels: map[string]string{v1alpha1.UseLabel: label}}, Data: map[string][]byte{}}
		for key, value := range data {
			s.Data[key] = []byte(value)
		}
		return s
	}
	mailbox := v1alpha1.SocialSourceSpec{Mailbox: &v1alpha1.MailboxSettings{SecretRef: secret}}
	webhook := v1alpha1.SocialSourceSpec{Webhook: &v1alpha1.WebhookSourceSettings{SecretRef: secret}}
	login := map[string]string{"username": "u", "password": "hunter2", "other": "never copied"}
	for name, tc := range map[string]struct {
		spec    v1alpha1.SocialSourceSpec
		secret  *corev1.Secret
		want    credentials.Source
		refused string
	}{
		"a mailbox":     {mailbox, made("source", login), credentials.Source{"username": "u", "password": "hunter2"}, ""},
		"a feed":        {v1alpha1.SocialSourceSpec{Feed: &v1alpha1.FeedSettings{SecretRef: &secret}}, made("source", login), credentials.Source{"username": "u", "password": "hunter2"}, ""},
		"Mastodon":      {v1alpha1.SocialSourceSpec{Mastodon: &v1alpha1.MastodonSettings{SecretRef: &secret}}, made("source", map[string]string{"access-token": "t"}), credentials.Source{"access-token": "t"}, ""},
		"Bluesky":       {v1alpha1.SocialSourceSpec{Bluesky: &v1alpha1.BlueskySettings{SecretRef: &secret}}, made("source", map[string]string{"identifier": "i", "app-password": "a"}), credentials.Source{"identifier": "i", "app-password": "a"}, ""},
		"a webhook":     {webhook, made("source", map[string]string{"signing-key": "a-key-of-24-bytes-or-more"}), credentials.Source{"signing-key": "a-key-of-24-bytes-or-more"}, ""},
		"a short key":   {webhook, made("source", map[string]string{"signing-key": "hunter2"}), nil, `Key "signing-key" of Secret "key" cannot sign posts`},
		"not there":     {mailbox, nil, nil, "spec.mailbox.secretRef"},
		"not labelled":  {mailbox, made("", login), nil, "crm.tertulia.dev/use: source"},
		"of a channel":  {mailbox, made("channel", login), nil, "crm.tertulia.dev/use: source"},
		"a key lacks":   {mailbox, made("source", map[string]string{"username": "u"}), nil, `"password"`},
		"a key is long": {mailbox, made("source", map[string]string{"username": "u", "password": strings.Repeat("x", 5000)}), nil, "no password of a source"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := planLogin(reference(&tc.spec), tc.secret)
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if (err != nil) != (tc.refused != "") || err != nil && (!strings.Contains(err.Error(), tc.refused) || strings.Contains(err.Error(), "hunter2")) {
				t.Errorf("refused: %v, want %q", err, tc.refused)
			}
		})
	}
	if reference(&v1alpha1.SocialSourceSpec{Feed: &v1alpha1.FeedSettings{}}) != nil {
		t.Error("a feed for everybody names no Secret")
	}
}

// TestReasonsAreTheNetworks: what a network says stands in a condition, and people are told what to do about each of the kinds' reasons.
func TestReasonsAreTheNetworks(t *testing.T) {
	for of, reason := range map[listen.Reason]string{
		listen.Throttled: v1alpha1.SourceThrottledReason, listen.Unauthorized: v1alpha1.SourceUnauthorizedReason,
		listen.Forbidden: v1alpha1.SourceForbiddenReason, listen.NotFound: v1alpha1.SourceNotFoundReason,
		listen.Unreachable: v1alpha1.SourceUnreachableReason, listen.Malformed: v1alpha1.SourceMalformedReason,
		listen.Misdeclared: v1alpha1.SourceMisdeclaredReason,
	} {
		if string(of) != reason {
			t.Errorf("the port says %q, the kind %q", of, reason)
		}
	}
}

func TestPlanReplyChannel(t *testing.T) {
	channel := func(kind v1alpha1.ChannelType) *v1alpha1.MessageChannel {
		return &v1alpha1.MessageChannel{ObjectMeta: metav1.ObjectMeta{Name: "out"}, Spec: v1alpha1.MessageChannelSpec{Type: kind}}
	}
	instance := func(url string) *v1alpha1.MessageChannel {
		c := channel("Mastodon")
		c.Spec.Mastodon = &v1alpha1.MastodonChannelSettings{Instance: url}
		return c
	}
	going := channel("Bluesky")
	going.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	for name, tc := range map[string]struct {
		source v1alpha1.SourceType
		there  *v1alpha1.MessageChannel
		want   string
	}{
		"Mastodon":             {"Mastodon", instance("https://Social.example/"), ""},
		"another instance":     {"Mastodon", instance("https://other.example"), "InvalidSpec: spec.replyChannelRef: MessageChannel \"out\" posts on another instance"},
		"Bluesky":              {"Bluesky", channel("Bluesky"), ""},
		"a mailbox":            {"Mailbox", channel("Email"), ""},
		"another system":       {"Webhook", channel("Webhook"), ""},
		"nothing there":        {"Bluesky", nil, "MessageChannelNotFound: MessageChannel \"out\""},
		"about to go":          {"Bluesky", going, "MessageChannelNotFound: "},
		"a mail for a post":    {"Bluesky", channel("Email"), "InvalidSpec: spec.replyChannelRef: MessageChannel \"out\" is of type Email"},
		"a post for a mail":    {"Mailbox", channel("Mastodon"), "over one of type Email"},
		"of another network":   {"Mastodon", channel("Bluesky"), "over one of type Mastodon"},
		"a feed":               {"Feed", channel("Email"), "nobody can be answered over a source of type Feed"},
		"a source of tomorrow": {"Pigeon", channel("Email"), "nobody can be answered over a source of type Pigeon"},
	} {
		object := &v1alpha1.SocialSource{Spec: v1alpha1.SocialSourceSpec{Type: tc.source, ReplyChannelRef: &v1alpha1.LocalReference{Name: "out"}}}
		if tc.source == "Mastodon" {
			object.Spec.Mastodon = &v1alpha1.MastodonSettings{Instance: "https://social.example"}
		}
		err := planReplyChannel(object, tc.there)
		if (err != nil) != (tc.want != "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}
