package controllers_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func (h *home) feed(name string) *v1alpha1.SocialSource {
	return &v1alpha1.SocialSource{ObjectMeta: h.named(name), Spec: v1alpha1.SocialSourceSpec{
		Type: v1alpha1.FeedSource, Feed: &v1alpha1.FeedSettings{URL: "https://blog.velo.example/feed.xml"},
	}}
}

// labelled is a Secret whose owner lets it be used for this.
func (h *home) labelled(name, use string, data map[string]string) *corev1.Secret {
	secret := &corev1.Secret{ObjectMeta: h.named(name), StringData: data}
	secret.Labels = map[string]string{v1alpha1.UseLabel: use}
	return secret
}

// logins are what workers and servers are told that sources log in with.
func (h *home) logins(g gomega.Gomega) map[string]credentials.Source {
	tenant, err := credentials.Read(filepath.Join(h.root, h.id))
	g.Expect(err).NotTo(gomega.HaveOccurred())
	return tenant.Sources
}

func TestSourceTakesItsCredentials(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.SocialSource{}
	secret := &corev1.Secret{ObjectMeta: h.named("care"), StringData: map[string]string{"username": "velo"}}
	h.create(&v1alpha1.SocialSource{ObjectMeta: h.named("care"), Spec: v1alpha1.SocialSourceSpec{Type: v1alpha1.MailboxSource, Mailbox: &v1alpha1.MailboxSettings{
		Host: "imap.velo.example", Port: 993, TLS: v1alpha1.ImplicitTLS, SecretRef: v1alpha1.LocalReference{Name: "care"},
	}}})
	expectParts(t, h.verdict(object, "care", v1alpha1.NotFoundReason("Secret"), "InProgress"), `"care"`, "spec.mailbox.secretRef")
	h.create(secret)
	expectParts(t, h.verdict(object, "care", v1alpha1.SecretNotLabelled, "InProgress"), "crm.tertulia.dev/use: source")
	edit(h, secret, "care", func(s *corev1.Secret) { s.Labels = map[string]string{v1alpha1.UseLabel: v1alpha1.UseChannel} })
	expectParts(t, h.verdict(object, "care", v1alpha1.SecretNotLabelled, "InProgress"), "crm.tertulia.dev/use: source")
	edit(h, secret, "care", func(s *corev1.Secret) { s.Labels = map[string]string{v1alpha1.UseLabel: v1alpha1.UseSource} })
	expectParts(t, h.verdict(object, "care", v1alpha1.SecretKeyMissing, "InProgress"), `"password"`)
	if ask[int64](h, "select count(*) from social_source") != 0 {
		t.Error("a source without credentials is in force")
	}
	edit(h, secret, "care", func(s *corev1.Secret) { s.StringData = map[string]string{"password": "secret-1"} })
	h.current(object, "care")
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.logins(g)).To(gomega.Equal(map[string]credentials.Source{"care": {"username": "velo", "password": "secret-1"}}))
	})
	epoch := ask[int64](h, "select epoch from social_source_state")
	edit(h, secret, "care", func(s *corev1.Secret) { s.StringData = map[string]string{"password": "secret-2"} })
	h.eventually(func(g gomega.Gomega) { g.Expect(h.logins(g)["care"]["password"]).To(gomega.Equal("secret-2")) })
	if got := ask[int64](h, "select epoch from social_source_state"); got != epoch {
		t.Error("a rotation took the source from who reads it")
	}
	if text := ask[string](h, "select social_source::text from social_source"); strings.Contains(text, "secret") {
		t.Errorf("a credential, or where it is, is in a row: %s", text)
	}
	// A channel's login is another Secret's, and both stand side by side.
	h.create(h.labelled("smtp", v1alpha1.UseChannel, map[string]string{"username": "u", "password": "p"}), h.channel("news", "smtp"))
	h.current(&v1alpha1.MessageChannel{}, "news")
	h.eventually(func(g gomega.Gomega) {
		tenant, err := credentials.Read(filepath.Join(h.root, h.id))
		g.Expect(err).NotTo(gomega.HaveOccurred())
		g.Expect(tenant.Channels["news"].Password).To(gomega.Equal("p"))
		g.Expect(tenant.Sources["care"]["password"]).To(gomega.Equal("secret-2"))
	})
	// A label that is taken away takes the login along, and what is in force stays so.
	edit(h, secret, "care", func(s *corev1.Secret) { s.Labels = nil })
	h.verdict(object, "care", v1alpha1.SecretNotLabelled, "InProgress")
	h.eventually(func(g gomega.Gomega) { g.Expect(h.logins(g)).To(gomega.BeEmpty()) })
	edit(h, secret, "care", func(s *corev1.Secret) { s.Labels = map[string]string{v1alpha1.UseLabel: v1alpha1.UseSource} })
	h.current(object, "care")
	h.delete(&v1alpha1.SocialSource{}, "care")
	h.gone(object, "care")
	h.eventually(func(g gomega.Gomega) { g.Expect(h.logins(g)).To(gomega.BeEmpty()) })
	becomes(h, true, "select dormant_since is not null from social_source")
}

func TestSourceIsDeclaredEditedAndComesBack(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.SocialSource{}
	h.create(h.feed("blog"))
	h.current(object, "blog")
	row := func() store.Source {
		t.Helper()
		found, err := h.db.LoadSource(t.Context(), "blog")
		if err != nil {
			t.Fatal(err)
		}
		return found.Source
	}
	settings := `{"url": "https://blog.velo.example/feed.xml"}`
	want := store.Source{Name: "blog", Type: "Feed", Settings: []byte(settings), Languages: []string{}, Interval: 10 * time.Minute, Keep: 400 * 24 * time.Hour}
	if diff := cmp.Diff(want, row()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if object.Status.Address != h.publicURL()+"/sources/blog" || object.Status.State != v1alpha1.SourceWaiting {
		t.Errorf("status: %+v", object.Status)
	}
	h.condition(object, "blog", v1alpha1.HealthyCondition, "True", v1alpha1.NotReadYetReason)

	edit(h, object, "blog", func(o *v1alpha1.SocialSource) { o.Spec.Interval = "5s" })
	expectParts(t, h.verdict(object, "blog", v1alpha1.InvalidSpecReason, "Failed"), "spec.interval", "30s", "1d")
	if row().Interval != 10*time.Minute {
		t.Error("a refused edit is in force")
	}
	edit(h, object, "blog", func(o *v1alpha1.SocialSource) {
		o.Spec.Interval, o.Spec.Languages, o.Spec.Keep = "1h", []v1alpha1.LanguageCode{"es"}, "30d"
	})
	h.current(object, "blog")
	want.Interval, want.Languages, want.Keep = time.Hour, []string{"es"}, 30*24*time.Hour
	if diff := cmp.Diff(want, row()); diff != "" {
		t.Errorf("after an edit: -want +got:\n%s", diff)
	}
	edit(h, object, "blog", func(o *v1alpha1.SocialSource) { o.Spec.Suspend = true })
	h.condition(object, "blog", v1alpha1.ReadyCondition, "True", v1alpha1.SuspendedReason)
	if !row().Suspended || object.Status.State != v1alpha1.SourceSuspended {
		t.Errorf("suspended: %+v", object.Status)
	}
	// The address follows the tenant's.
	edit(h, &v1alpha1.CRMTenant{}, "default", func(o *v1alpha1.CRMTenant) { o.Spec.PublicURL = h.publicURL() + "/t/" + h.id })
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(t.Context(), h.key("blog"), object)).To(gomega.Succeed())
		g.Expect(object.Status.Address).To(gomega.Equal(h.publicURL() + "/t/" + h.id + "/sources/blog"))
	})

	h.delete(&v1alpha1.SocialSource{}, "blog")
	h.gone(object, "blog")
	becomes(h, true, "select dormant_since is not null from social_source")
	h.sql("update social_source_state set cursor = '{}', stored = 7")
	h.create(h.feed("blog"))
	h.current(object, "blog")
	if !ask[bool](h, "select s.dormant_since is null and t.cursor is not null from social_source s join social_source_state t on t.source_id = s.id") {
		t.Error("what comes back does not go on where it stopped")
	}
	if *object.Status.Brought != 7 {
		t.Errorf("brought: %d", *object.Status.Brought)
	}
}

func TestSourceShowsHowItIsRead(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.SocialSource{}
	h.create(h.feed("blog"))
	h.current(object, "blog")
	lease := func() store.SourceLease {
		t.Helper()
		leased, err := h.db.LeaseSources(t.Context(), "a-worker", time.Minute, 1)
		if err != nil || len(leased) != 1 {
			t.Fatalf("%d sources are leased, %v", len(leased), err)
		}
		return leased[0]
	}
	rest := func(r store.SourceRest) {
		t.Helper()
		if err := h.db.ReleaseSource(t.Context(), lease(), r); err != nil {
			t.Fatal(err)
		}
	}
	rest(store.SourceRest{Reason: "Unauthorized", Message: "blog.velo.example refuses the credentials (401)."})
	expectParts(t, h.condition(object, "blog", v1alpha1.HealthyCondition, "False", "Unauthorized"), "401")
	if h.current(object, "blog"); object.Status.State != v1alpha1.SourceFailing {
		t.Errorf("state: %q", object.Status.State)
	}
	shown := h.columnsOf("socialsources", "blog")
	want := map[string]string{"Name": "blog", "Type": "Feed", "State": "Failing", "Brought": "0", "Ready": "True", "Healthy": "False", "Reason": "Unauthorized", "Gaps": "0"}
	delete(shown, "Age")
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("columns: -want +got:\n%s", diff)
	}
	rest(store.SourceRest{Reason: "Throttled", Message: "blog.velo.example was asked too often."})
	h.condition(object, "blog", v1alpha1.HealthyCondition, "True", "Throttled")
	if object.Status.State != v1alpha1.SourceWaiting {
		t.Errorf("state: %q", object.Status.State)
	}
	rest(store.SourceRest{})
	h.condition(object, "blog", v1alpha1.HealthyCondition, "True", v1alpha1.ListeningReason)
	if object.Status.State != v1alpha1.SourceListening {
		t.Errorf("state: %q", object.Status.State)
	}
	here, elsewhere := "", "https://elsewhere.example/feed?…"
	rest(store.SourceRest{Moved: &elsewhere})
	expectParts(t, h.condition(object, "blog", v1alpha1.HealthyCondition, "True", v1alpha1.SourceMovedReason), elsewhere, "write that", "is not shown")
	rest(store.SourceRest{Moved: &here})
	h.condition(object, "blog", v1alpha1.HealthyCondition, "True", v1alpha1.ListeningReason)

	// Numbers are written when they have come to rest, and not again within a minute.
	stored := func(n int64) {
		t.Helper()
		h.sql("update social_source_state set stored = $1, stored_at = now()", n)
		if err := h.db.NoteStatusChange(t.Context(), store.SourceKind, "blog"); err != nil {
			t.Fatal(err)
		}
	}
	stored(7)
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(t.Context(), h.key("blog"), object)).To(gomega.Succeed())
		g.Expect(object.Status.Brought).NotTo(gomega.BeNil())
		g.Expect(*object.Status.Brought).To(gomega.Equal(int64(7)))
		g.Expect(object.Status.LastBrought).NotTo(gomega.BeNil())
	})
	if shown := h.columnsOf("socialsources", "blog"); shown["Brought"] != "7" || shown["Last"] == "" || shown["Reason"] != "" {
		t.Errorf("columns of a source that is well: %v", shown)
	}
	version := object.ResourceVersion
	stored(8)
	becomes(h, int64(0), "select count(*) from status_change")
	if h.current(object, "blog"); *object.Status.Brought == 8 || object.ResourceVersion != version {
		t.Error("a number was written twice within a minute")
	}
}

func TestSourceThatIsRefusedShowsWhatGoesOn(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.SocialSource{}
	h.create(h.feed("blog"))
	h.current(object, "blog")
	edit(h, object, "blog", func(o *v1alpha1.SocialSource) { o.Spec.Interval = "5s" })
	h.verdict(object, "blog", v1alpha1.InvalidSpecReason, "Failed")
	leased, err := h.db.LeaseSources(t.Context(), "a-worker", time.Minute, 1)
	if err != nil || len(leased) != 1 {
		t.Fatalf("%d sources are leased, %v", len(leased), err)
	}
	if err := h.db.ReleaseSource(t.Context(), leased[0], store.SourceRest{Reason: "NotFound", Message: "blog.velo.example has no feed (404)."}); err != nil {
		t.Fatal(err)
	}
	expectParts(t, h.condition(object, "blog", v1alpha1.HealthyCondition, "False", "NotFound"), "404")
	h.verdict(object, "blog", v1alpha1.InvalidSpecReason, "Failed")
	if object.Status.State != v1alpha1.SourceFailing {
		t.Errorf("state: %q", object.Status.State)
	}
}

func TestSuspendedTenantDoesNotListen(t *testing.T) {
	h := newHome(t)
	object, monitor := &v1alpha1.SocialSource{}, &v1alpha1.Monitor{}
	h.create(h.feed("blog"), h.monitor("brand"))
	h.current(object, "blog")
	edit(h, &v1alpha1.CRMTenant{}, "default", func(o *v1alpha1.CRMTenant) { o.Spec.Suspend = true })
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(t.Context(), h.key("blog"), object)).To(gomega.Succeed())
		g.Expect(object.Status.State).To(gomega.Equal(v1alpha1.SourceSuspended))
		ready := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ReadyCondition)
		g.Expect(ready.Message).To(gomega.ContainSubstring("CRMTenant is suspended"))
		g.Expect(meta.FindStatusCondition(object.Status.Conditions, v1alpha1.HealthyCondition)).To(gomega.BeNil())
		g.Expect(h.api.Get(t.Context(), h.key("brand"), monitor)).To(gomega.Succeed())
		ready = meta.FindStatusCondition(monitor.Status.Conditions, v1alpha1.ReadyCondition)
		g.Expect(ready).NotTo(gomega.BeNil())
		g.Expect(ready.Message).To(gomega.ContainSubstring("CRMTenant is suspended"))
	})
}

// TestSourceIsAnsweredOverItsChannel: the channel may come later, and has to be of the source's network.
func TestSourceIsAnsweredOverItsChannel(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.SocialSource{}
	h.create(h.labelled("care", v1alpha1.UseSource, map[string]string{"username": "velo", "password": "secret-1"}))
	h.create(&v1alpha1.SocialSource{ObjectMeta: h.named("care"), Spec: v1alpha1.SocialSourceSpec{
		Type: v1alpha1.MailboxSource, ReplyChannelRef: &v1alpha1.LocalReference{Name: "answers"},
		Mailbox: &v1alpha1.MailboxSettings{Host: "imap.velo.example", Port: 993, TLS: v1alpha1.ImplicitTLS, SecretRef: v1alpha1.LocalReference{Name: "care"}},
	}})
	expectParts(t, h.verdict(object, "care", v1alpha1.NotFoundReason("MessageChannel"), "InProgress"), `"answers"`, "spec.replyChannelRef")
	h.create(h.webhook("answers"))
	expectParts(t, h.verdict(object, "care", v1alpha1.InvalidSpecReason, "Failed"), "of type Webhook", "over one of type Email")
	edit(h, object, "care", func(o *v1alpha1.SocialSource) { o.Spec.ReplyChannelRef.Name = "mail" })
	h.verdict(object, "care", v1alpha1.NotFoundReason("MessageChannel"), "InProgress")
	h.create(h.channel("mail", ""))
	h.current(object, "care")
	becomes(h, "mail", "select reply_channel from social_source")
	epoch := ask[int64](h, "select epoch from social_source_state")

	// It goes: the source is listened to as it was, and what it brings waits.
	h.delete(&v1alpha1.MessageChannel{}, "mail")
	h.verdict(object, "care", v1alpha1.NotFoundReason("MessageChannel"), "InProgress")
	becomes(h, true, "select dormant_since is null and reply_channel = 'mail' from social_source")
	h.gone(&v1alpha1.MessageChannel{}, "mail")
	h.create(h.channel("mail", ""))
	h.current(object, "care")
	edit(h, object, "care", func(o *v1alpha1.SocialSource) { o.Spec.ReplyChannelRef = nil })
	becomes(h, "", "select reply_channel from social_source")
	h.current(object, "care")
	if got := ask[int64](h, "select epoch from social_source_state"); got != epoch {
		t.Error("over which channel is answered took the source from who reads it")
	}
}
