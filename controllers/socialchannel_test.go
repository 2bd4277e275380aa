package controllers_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// TestAMastodonChannelSpeaksAsAnAccount: its token goes to the workers, and what they learn by it is shown.
func TestAMastodonChannelSpeaksAsAnAccount(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.MessageChannel{}
	h.create(&v1alpha1.MessageChannel{ObjectMeta: h.named("fediverse"), Spec: v1alpha1.MessageChannelSpec{
		Type: v1alpha1.MastodonChannel,
		Mastodon: &v1alpha1.MastodonChannelSettings{
			Instance: "https://mastodon.example/", SecretRef: v1alpha1.LocalReference{Name: "fediverse"},
		},
	}})
	expectParts(t, h.verdict(object, "fediverse", v1alpha1.NotFoundReason("Secret"), "InProgress"), `"fediverse"`, "spec.mastodon.secretRef")
	secret := &corev1.Secret{ObjectMeta: h.named("fediverse"), StringData: map[string]string{"access-token": "token of 2 words"}}
	secret.Labels = map[string]string{v1alpha1.UseLabel: v1alpha1.UseSource}
	h.create(secret)
	expectParts(t, h.verdict(object, "fediverse", v1alpha1.SecretNotLabelled, "InProgress"), "crm.tertulia.dev/use: channel")
	edit(h, secret, "fediverse", func(s *corev1.Secret) { s.Labels = map[string]string{v1alpha1.UseLabel: v1alpha1.UseChannel} })
	words := h.verdict(object, "fediverse", v1alpha1.SecretKeyInvalid, "InProgress")
	expectParts(t, words, `"access-token"`)
	if strings.Contains(words, "token of 2 words") {
		t.Errorf("it tells the token: %s", words)
	}
	edit(h, secret, "fediverse", func(s *corev1.Secret) { s.StringData = map[string]string{"access-token": "token-1\n"} })
	h.current(object, "fediverse")
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.login(g, "fediverse")).To(gomega.Equal(credentials.Channel{AccessToken: "token-1"}))
	})
	row, err := h.db.LoadChannel(t.Context(), "fediverse")
	want := store.Channel{Name: "fediverse", Type: store.MastodonType, Social: store.SocialSettings{Server: "https://mastodon.example"}}
	if diff := cmp.Diff(want, row); err != nil || diff != "" {
		t.Fatalf("%v, -want +got:\n%s", err, diff)
	}
	if object.Status.Account != "" {
		t.Errorf("it speaks as %q before anybody has logged in", object.Status.Account)
	}

	// A worker logs in, the token is revoked, another one is written, and the channel leads elsewhere.
	account := store.ChannelAccount{Handle: "@velo@mastodon.example", ID: "109", Takes: map[string]int{"characters": 500}}
	if err := h.db.SetChannelAccount(t.Context(), row, account); err != nil {
		t.Fatal(err)
	}
	h.speaksAs("fediverse", "@velo@mastodon.example")
	h.condition(object, "fediverse", v1alpha1.HealthyCondition, "True", v1alpha1.DeliveringReason)
	if err := h.db.SetChannelTrouble(t.Context(), "fediverse", "The server refuses the access token."); err != nil {
		t.Fatal(err)
	}
	h.condition(object, "fediverse", v1alpha1.HealthyCondition, "False", v1alpha1.ChannelTroubleReason)
	h.current(object, "fediverse")
	if err := h.db.SetChannelTrouble(t.Context(), "fediverse", ""); err != nil {
		t.Fatal(err)
	}
	h.condition(object, "fediverse", v1alpha1.HealthyCondition, "True", v1alpha1.DeliveringReason)
	edit(h, object, "fediverse", func(o *v1alpha1.MessageChannel) { o.Spec.Mastodon.Instance = "https://other.example" })
	h.speaksAs("fediverse", "")
	if err := h.db.SetChannelAccount(t.Context(), row, account); err != nil {
		t.Fatal(err)
	}
	if got := ask[string](h, "select coalesce(account, '') from channel"); got != "" {
		t.Errorf("an answer of the server before is %q of this one", got)
	}

	h.delete(&v1alpha1.MessageChannel{}, "fediverse")
	h.gone(object, "fediverse")
	h.eventually(func(g gomega.Gomega) { g.Expect(h.login(g, "fediverse")).To(gomega.BeZero()) })
}

func TestABlueskyChannelHandsItsAppPasswordOver(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.MessageChannel{}
	secret := &corev1.Secret{ObjectMeta: h.named("sky"), StringData: map[string]string{"identifier": "velo.example", "app-password": "abcd-efgh-ijkl-mnop"}}
	secret.Labels = map[string]string{v1alpha1.UseLabel: v1alpha1.UseChannel}
	h.create(secret)
	h.create(&v1alpha1.MessageChannel{ObjectMeta: h.named("sky"), Spec: v1alpha1.MessageChannelSpec{
		Type: v1alpha1.BlueskyChannel, Bluesky: &v1alpha1.BlueskyChannelSettings{SecretRef: v1alpha1.LocalReference{Name: "sky"}},
	}})
	h.current(object, "sky")
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.login(g, "sky")).To(gomega.Equal(credentials.Channel{Identifier: "velo.example", AppPassword: "abcd-efgh-ijkl-mnop"}))
	})
	row, err := h.db.LoadChannel(t.Context(), "sky")
	want := store.Channel{Name: "sky", Type: store.BlueskyType, Social: store.SocialSettings{Server: "https://bsky.social"}}
	if diff := cmp.Diff(want, row); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	edit(h, secret, "sky", func(s *corev1.Secret) { delete(s.Data, "app-password") })
	expectParts(t, h.verdict(object, "sky", v1alpha1.SecretKeyMissing, "InProgress"), `"app-password"`)
	h.eventually(func(g gomega.Gomega) { g.Expect(h.login(g, "sky")).To(gomega.BeZero()) })
}

// speaksAs waits until a channel shows its account.
func (h *home) speaksAs(name, want string) {
	h.t.Helper()
	h.eventually(func(g gomega.Gomega) {
		object := &v1alpha1.MessageChannel{}
		g.Expect(h.api.Get(h.t.Context(), h.key(name), object)).To(gomega.Succeed())
		g.Expect(object.Status.Account).To(gomega.Equal(want))
	})
}

// login is what workers know of a channel's credentials.
func (h *home) login(g gomega.Gomega, channel string) credentials.Channel {
	tenant, err := credentials.Read(filepath.Join(h.root, h.id))
	g.Expect(err).NotTo(gomega.HaveOccurred())
	return tenant.Channels[channel]
}
