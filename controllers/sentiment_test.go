package controllers_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// TestTenantNamesAServerOfSentiment: a Secret that is missing keeps nothing else from being in force.
func TestTenantNamesAServerOfSentiment(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.CRMTenant{}
	token := func(g gomega.Gomega) string {
		tenant, err := credentials.Read(filepath.Join(h.root, h.id))
		g.Expect(err).NotTo(gomega.HaveOccurred())
		return tenant.SentimentToken
	}
	edit(h, object, "default", func(o *v1alpha1.CRMTenant) {
		o.Spec.Sentiment = &v1alpha1.TenantSentiment{
			Protocol: v1alpha1.ChatSentiment, URL: "https://inference.example", Model: "small", SecretRef: &v1alpha1.LocalReference{Name: "model"},
		}
	})
	expectParts(t, h.condition(object, "default", v1alpha1.SentimentEngineCondition, "False", "SecretNotFound"), `"model"`, "words and rules")
	h.current(object, "default")
	row, err := h.db.LoadTenant(t.Context())
	want := &store.SentimentServer{Protocol: "Chat", URL: "https://inference.example", Model: "small"}
	if diff := cmp.Diff(want, row.Sentiment); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	secret := h.labelled("model", v1alpha1.UseChannel, map[string]string{"token": "secret-1"})
	h.create(secret)
	h.condition(object, "default", v1alpha1.SentimentEngineCondition, "False", v1alpha1.SecretNotLabelled)
	secret.Labels = map[string]string{v1alpha1.UseLabel: v1alpha1.UseSentiment}
	if err := h.api.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	h.condition(object, "default", v1alpha1.SentimentEngineCondition, "True", v1alpha1.ServerAskedReason)
	h.eventually(func(g gomega.Gomega) { g.Expect(token(g)).To(gomega.Equal("secret-1")) })
	secret.StringData = map[string]string{"token": "secret-2"}
	if err := h.api.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	h.eventually(func(g gomega.Gomega) { g.Expect(token(g)).To(gomega.Equal("secret-2")) })
	if text := ask[string](h, "select tenant::text from tenant"); strings.Contains(text, "secret-") {
		t.Errorf("a token is in a row: %s", text)
	}
	edit(h, object, "default", func(o *v1alpha1.CRMTenant) { o.Spec.Sentiment = nil })
	h.eventually(func(g gomega.Gomega) {
		g.Expect(token(g)).To(gomega.BeEmpty())
		g.Expect(h.api.Get(t.Context(), h.key("default"), object)).To(gomega.Succeed())
		g.Expect(meta.FindStatusCondition(object.Status.Conditions, v1alpha1.SentimentEngineCondition)).To(gomega.BeNil())
	})
	becomes(h, true, "select sentiment is null from tenant")
}

// TestSourcesSleepWithTheirTenant: what reads for a tenant that is gone has lost its lease.
func TestSourcesSleepWithTheirTenant(t *testing.T) {
	h := newHome(t)
	h.create(h.feed("blog"), h.monitor("brand"))
	h.current(&v1alpha1.SocialSource{}, "blog")
	h.current(&v1alpha1.Monitor{}, "brand")
	if leased, err := h.db.LeaseSources(t.Context(), "a-worker", 1<<40, 1); err != nil || len(leased) != 1 {
		t.Fatalf("%d sources are leased, %v", len(leased), err)
	}
	h.delete(&v1alpha1.CRMTenant{}, "default")
	h.gone(&v1alpha1.CRMTenant{}, "default")
	if !ask[bool](h, "select s.dormant_since is not null and t.worker is null from social_source s join social_source_state t on t.source_id = s.id") {
		t.Error("the source is still read")
	}
	h.expectTopics()
	h.create(h.tenant())
	h.current(&v1alpha1.SocialSource{}, "blog")
	h.current(&v1alpha1.Monitor{}, "brand")
	h.eventually(func(g gomega.Gomega) {
		g.Expect(ask[bool](h, "select dormant_since is null from social_source")).To(gomega.BeTrue())
	})
	h.eventually(func(g gomega.Gomega) { // the monitor's status may be the one from before its tenant went
		g.Expect(h.topics()).To(gomega.Equal([]string{"brand/velo"}))
	})
}
