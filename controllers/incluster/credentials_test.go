package incluster_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// has waits until the tenant's processes know these logins and no others.
func (h *home) has(want map[string]credentials.Channel) {
	h.t.Helper()
	h.eventually(func(g gomega.Gomega) {
		secret := &corev1.Secret{}
		g.Expect(h.api.Get(h.t.Context(), h.key("tertulia-runtime"), secret)).To(gomega.Succeed())
		told, err := credentials.Parse(secret.Data)
		g.Expect(err).NotTo(gomega.HaveOccurred())
		g.Expect(cmp.Diff(want, told.Channels)).To(gomega.BeEmpty())
	})
}

func velo(password string) credentials.Channel {
	return credentials.Channel{Username: "velo", Password: password}
}

// versions collects what every version of a Secret tells, from the one of now on. The function that it returns waits for the version
// that it is given.
func (h *home) versions(name string) func(last string) []credentials.Tenant {
	h.t.Helper()
	typed, err := kubernetes.NewForConfig(h.config)
	if err != nil {
		h.t.Fatal(err)
	}
	// From this very version: a watch that is asked for none may begin with an older one.
	secret := get(h, &corev1.Secret{}, name)
	watch, err := typed.CoreV1().Secrets(h.namespace).Watch(h.t.Context(), metav1.SingleObject(secret.ObjectMeta))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(watch.Stop)
	return func(last string) (told []credentials.Tenant) {
		for {
			version, err := credentials.Parse(secret.Data)
			if err != nil {
				h.t.Errorf("a version is not whole: %v", err)
			}
			told = append(told, version)
			if secret.ResourceVersion == last {
				return told
			}
			event, open := <-watch.ResultChan()
			var ok bool
			if secret, ok = event.Object.(*corev1.Secret); !open || !ok {
				h.t.Fatalf("watching the Secret ended: %v", event.Object)
			}
		}
	}
}

// TestALoginsLife follows the Secret of a channel: it is rotated, taken back, deleted, made again, and its channel goes.
func TestALoginsLife(t *testing.T) {
	h := newHome(t)
	channel := &v1alpha1.MessageChannel{}
	h.create(h.channel("news", "smtp"), h.login("other", "stays"), h.channel("other", "other"))
	says := func(reason, part string) {
		t.Helper()
		message := h.condition(channel, "news", v1alpha1.ReadyCondition, metav1.ConditionFalse, reason)
		if !strings.Contains(message, `"smtp"`) || !strings.Contains(message, part) {
			t.Errorf("%s: the message does not name the Secret and how to mend it: %s", reason, message)
		}
		h.has(map[string]credentials.Channel{"other": velo("stays")})
	}
	says(v1alpha1.NotFoundReason("Secret"), "create it")

	h.create(h.login("smtp", "first"))
	h.current(channel, "news")
	h.has(map[string]credentials.Channel{"news": velo("first"), "other": velo("stays")})
	before := h.told().Digest

	edit(h, &corev1.Secret{}, "smtp", func(s *corev1.Secret) { s.StringData = map[string]string{"password": "second"} })
	h.has(map[string]credentials.Channel{"news": velo("second"), "other": velo("stays")})
	if h.told().Digest == before {
		t.Error("processes cannot tell that a password was rotated")
	}

	edit(h, &corev1.Secret{}, "smtp", func(s *corev1.Secret) { delete(s.Labels, v1alpha1.UseLabel) })
	says(v1alpha1.SecretNotLabelled, v1alpha1.UseLabel+": channel")
	edit(h, &corev1.Secret{}, "smtp", func(s *corev1.Secret) { s.Labels = map[string]string{v1alpha1.UseLabel: "source"} })
	says(v1alpha1.SecretNotLabelled, v1alpha1.UseLabel+": channel")
	edit(h, &corev1.Secret{}, "smtp", func(s *corev1.Secret) { s.Labels = map[string]string{v1alpha1.UseLabel: v1alpha1.UseChannel} })
	h.has(map[string]credentials.Channel{"news": velo("second"), "other": velo("stays")})

	edit(h, &corev1.Secret{}, "smtp", func(s *corev1.Secret) { s.StringData = map[string]string{"password": strings.Repeat("x", 5000)} })
	says(v1alpha1.SecretKeyTooLong, `"password"`)
	edit(h, &corev1.Secret{}, "smtp", func(s *corev1.Secret) { delete(s.Data, "password") })
	says(v1alpha1.SecretKeyMissing, `"password"`)
	h.delete(&corev1.Secret{}, "smtp")
	says(v1alpha1.NotFoundReason("Secret"), "create it")
	h.create(h.login("smtp", "third"))
	h.has(map[string]credentials.Channel{"news": velo("third"), "other": velo("stays")})

	h.delete(channel, "news")
	h.gone(channel, "news")
	h.has(map[string]credentials.Channel{"other": velo("stays")})
}

// TestChannelsAtOnceLoseNoLogin has many channels come and rotate at the same moment: they share one Secret.
func TestChannelsAtOnceLoseNoLogin(t *testing.T) {
	h := newHome(t)
	const many = 12
	each := func(do func(i int) error) {
		t.Helper()
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() {
				if err := do(i); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	name := func(i int) string { return fmt.Sprintf("channel-%d", i) }
	want := map[string]credentials.Channel{}
	each(func(i int) error { return h.api.Create(t.Context(), h.login(name(i), "first")) })
	each(func(i int) error { return h.api.Create(t.Context(), h.channel(name(i), name(i))) })
	for i := range many {
		want[name(i)] = velo("first")
	}
	h.has(want)
	versions := h.versions("tertulia-runtime")
	each(func(i int) error {
		secret := &corev1.Secret{ObjectMeta: h.named(name(i))}
		return h.api.Patch(t.Context(), secret, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"stringData":{"password":"rotated-%d"}}`, i)))
	})
	for i := range many {
		want[name(i)] = velo(fmt.Sprintf("rotated-%d", i))
	}
	h.has(want)
	// Not even for a moment: a node may bring any version of the Secret to its pods.
	passed := versions(get(h, &corev1.Secret{}, "tertulia-runtime").ResourceVersion)
	if len(passed) < 2 {
		t.Errorf("%d versions of the Secret were seen: nothing was tried", len(passed))
	}
	before := map[string]credentials.Channel{}
	for _, version := range passed {
		for i := range many {
			channel, known := version.Channels[name(i)]
			if known && channel == velo("first") && before[name(i)] == want[name(i)] || !known {
				t.Errorf("a version has lost the login of %s, or has the one of before: %+v", name(i), channel)
			}
			before[name(i)] = channel
		}
	}

	// What somebody takes out of the Secret comes back, and so does the Secret, whole.
	edit(h, &corev1.Secret{}, "tertulia-runtime", func(s *corev1.Secret) {
		delete(s.Data, "channel.channel-3.password")
		s.Data["channel.channel-4.password"] = []byte("forged")
		s.Data["channel.stranger.username"] = []byte("forged")
	})
	h.has(want)
	h.delete(&corev1.Secret{}, "tertulia-runtime")
	h.has(want)
	// A new password is kept before it is in force.
	h.eventually(func(g gomega.Gomega) {
		g.Expect(store.CheckLogin(t.Context(), h.told().DatabaseURL)).To(gomega.Succeed(), "workers cannot log in")
	})
}

// TestAnotherOperatorKeepsLogins has an operator begin that has heard of no channel yet: what was told stays meanwhile.
func TestAnotherOperatorKeepsLogins(t *testing.T) {
	h := newHome(t)
	h.create(h.login("smtp", "first"), h.channel("news", "smtp"))
	h.has(map[string]credentials.Channel{"news": velo("first")})
	before := get(h, &corev1.Secret{}, "tertulia-runtime").ResourceVersion
	h.replaceOperator(t, v1Workloads())
	h.eventually(func(g gomega.Gomega) {
		_, err := h.tenants.Tenant(t.Context(), h.namespace)
		g.Expect(err).NotTo(gomega.HaveOccurred())
	})
	edit(h, &corev1.Secret{}, "smtp", func(s *corev1.Secret) { s.StringData = map[string]string{"username": "velo", "password": "second"} })
	h.has(map[string]credentials.Channel{"news": velo("second")})
	if get(h, &corev1.Secret{}, "tertulia-runtime").ResourceVersion == before {
		t.Error("nothing was written")
	}
}

// TestWhoScrapesIsTheSameForAll deletes the token with which metrics are scraped: every tenant is told of the next.
func TestWhoScrapesIsTheSameForAll(t *testing.T) {
	first, second := newHome(t), newHome(t)
	token := func() string {
		secret := &corev1.Secret{}
		if err := first.api.Get(t.Context(), types.NamespacedName{Namespace: operatorNamespace, Name: "tertulia-metrics"}, secret); err != nil {
			return ""
		}
		return string(secret.Data["token"])
	}
	same := func() {
		t.Helper()
		for _, h := range []*home{first, second} {
			h.eventually(func(g gomega.Gomega) {
				hash := sha256.Sum256([]byte(token()))
				g.Expect(h.told().MetricsTokenSHA256).To(gomega.Equal(hex.EncodeToString(hash[:])))
			})
		}
	}
	same()
	old := token()
	lost := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "tertulia-metrics"}}
	if err := first.api.Delete(t.Context(), lost); err != nil {
		t.Fatal(err)
	}
	first.eventually(func(g gomega.Gomega) { g.Expect(token()).NotTo(gomega.BeElementOf("", old)) })
	same()
	for _, h := range []*home{first, second} {
		for key, value := range get(h, &corev1.Secret{}, "tertulia-runtime").Data {
			if strings.Contains(string(value), token()) {
				t.Errorf("key %s tells the tenant how to scrape its neighbours", key)
			}
		}
	}
}

// TestWhoUsesWhatWasRotated has a worker that goes on with the credentials of before for a while.
func TestWhoUsesWhatWasRotated(t *testing.T) {
	h := settled(t)
	h.create(h.login("smtp", "first"), h.channel("news", "smtp"))
	h.has(map[string]credentials.Channel{"news": velo("first")})
	db, err := store.Open(t.Context(), h.told().DatabaseURL, store.Options{MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	uses := func(digest string) {
		t.Helper()
		if err := db.SaveProcess(t.Context(), store.Process{ID: "worker-1", Kind: store.WorkerProcess, Version: "v1", Digest: digest}); err != nil {
			t.Fatal(err)
		}
	}
	uses(h.told().Digest)
	h.workloads(metav1.ConditionTrue, v1alpha1.RunningReason)
	edit(h, &corev1.Secret{}, "smtp", func(s *corev1.Secret) { s.StringData = map[string]string{"password": "second"} })
	h.has(map[string]credentials.Channel{"news": velo("second")})
	h.workloads(metav1.ConditionFalse, v1alpha1.CredentialsNotYetInUse)
	uses(h.told().Digest)
	h.workloads(metav1.ConditionTrue, v1alpha1.RunningReason)
}
