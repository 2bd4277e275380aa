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
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// expectParts fails when a message does not contain every part.
func expectParts(t *testing.T, message string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(message, part) {
			t.Errorf("the message lacks %q: %s", part, message)
		}
	}
}

var plan = v1alpha1.Attribute{Name: "plan", Type: v1alpha1.StringType, Enum: []string{"free", "club"}}

func TestObjectsWaitForTheirTenant(t *testing.T) {
	w := inWorld(t)
	h := &home{world: w, t: t, namespace: controlplanetest.Namespace(t)}
	h.id = "t-" + h.namespace
	h.create(h.event("purchase"))
	h.verdict(&v1alpha1.EventType{}, "purchase", v1alpha1.NotFoundReason("CRMTenant"), "InProgress")
	h.create(h.tenant())
	h.current(&v1alpha1.EventType{}, "purchase")
}

func TestRecordTypeMakesColumnsAndRefusesLosses(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.RecordType{}
	h.create(h.contact(plan, v1alpha1.Attribute{Name: "spent", Type: v1alpha1.DecimalType}))
	h.current(object, "contact")
	if object.Status.Columns != 2 {
		t.Errorf("columns: got %d, want 2", object.Status.Columns)
	}
	h.sql("insert into contact (attr_plan) values ('club')")

	edit(h, object, "contact", func(o *v1alpha1.RecordType) {
		o.Spec.Attributes = []v1alpha1.Attribute{{Name: "plan", Type: v1alpha1.IntegerType}}
	})
	message := h.verdict(object, "contact", v1alpha1.LossyChangeReason, "Failed")
	expectParts(t, message, `"plan"`, "String", "Integer", "restore type String")

	edit(h, object, "contact", func(o *v1alpha1.RecordType) {
		o.Spec.Attributes = []v1alpha1.Attribute{{Name: "plan", Type: v1alpha1.StringType, Enum: []string{"free"}}}
	})
	expectParts(t, h.verdict(object, "contact", v1alpha1.LossyChangeReason, "Failed"), `"plan"`, "enum")

	edit(h, object, "contact", func(o *v1alpha1.RecordType) { o.Spec.Attributes = []v1alpha1.Attribute{plan} })
	h.current(object, "contact")
	if got := ask[string](h, "select attr_plan from contact"); got != "club" {
		t.Errorf("a refused change touched a value: %q", got)
	}

	edit(h, object, "contact", func(o *v1alpha1.RecordType) { o.Spec.Suspend, o.Spec.Attributes = true, nil })
	h.condition(object, "contact", v1alpha1.ReadyCondition, "True", v1alpha1.SuspendedReason)
	h.current(object, "contact")
	if !ask[bool](h, "select declared from attribute where name = 'plan'") {
		t.Error("a suspended RecordType changed a column")
	}
	h.delete(&v1alpha1.RecordType{}, "contact")
	h.gone(&v1alpha1.RecordType{}, "contact")
	if ask[bool](h, "select declared from attribute where name = 'plan'") {
		t.Error("an attribute is in force though its object is deleted")
	}
	if got := ask[string](h, "select attr_plan from contact"); got != "club" {
		t.Errorf("deleting the object touched a value: %q", got)
	}
}

func TestEventTypeComesAndGoes(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.EventType{}
	h.create(h.event("purchase", v1alpha1.Property{Name: "amount", Type: v1alpha1.DecimalType}))
	h.current(object, "purchase")
	becomes(h, `[{"name": "amount", "type": "Decimal"}]`, "select properties::text from event_type where name = 'purchase'")
	edit(h, object, "purchase", func(o *v1alpha1.EventType) { o.Spec.Suspend = true })
	h.condition(object, "purchase", v1alpha1.ReadyCondition, "True", v1alpha1.SuspendedReason)
	h.current(object, "purchase")
	becomes(h, true, "select suspended from event_type")
	h.delete(&v1alpha1.EventType{}, "purchase")
	h.gone(object, "purchase")
	becomes(h, true, "select dormant_since is not null from event_type")
	h.create(h.event("purchase"))
	h.current(object, "purchase")
	becomes(h, false, "select dormant_since is not null from event_type")
}

func TestSegmentIsCheckedCompiledAndShown(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.Segment{}
	h.create(h.segment("club", `contact.plann == "club"`))
	expectParts(t, h.verdict(object, "club", v1alpha1.ExpressionInvalidReason, "Failed"), "1:9", "plann")

	// What an expression speaks of may come later than the segment.
	h.create(h.contact(plan))
	h.eventually(func(g gomega.Gomega) {
		expect := h.verdict(object, "club", v1alpha1.ExpressionInvalidReason, "Failed")
		g.Expect(expect).To(gomega.ContainSubstring(`did you mean "plan"`))
	})
	edit(h, object, "club", func(o *v1alpha1.Segment) { o.Spec.Match = `contact.plan == "club"` })
	h.verdict(object, "club", v1alpha1.BuildingReason, "InProgress")
	h.built("club", 7)
	h.current(object, "club")
	if object.Status.Members == nil || *object.Status.Members != 7 || len(object.Status.Definition) != 12 || object.Status.LastBuilt == nil {
		t.Errorf("status: %+v", object.Status)
	}

	// The first change of a number shows when it has come to rest; the next has to wait a minute.
	h.built("club", 8)
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(t.Context(), h.key("club"), object)).To(gomega.Succeed())
		g.Expect(*object.Status.Members).To(gomega.Equal(int64(8)))
	})
	version := object.ResourceVersion
	h.built("club", 9)
	becomes(h, int64(0), "select count(*) from status_change")
	h.current(object, "club")
	if *object.Status.Members == 9 || object.ResourceVersion != version {
		t.Error("a number was written twice within a minute")
	}

	edit(h, object, "club", func(o *v1alpha1.Segment) { o.Spec.Suspend = true })
	h.condition(object, "club", v1alpha1.ReadyCondition, "True", v1alpha1.SuspendedReason)
	h.current(object, "club")
	h.delete(&v1alpha1.Segment{}, "club")
	h.gone(object, "club")
	becomes(h, true, "select dormant_since is not null from segment")
}

func TestSegmentFollowsItsSchema(t *testing.T) {
	h := newHome(t)
	h.create(h.event("purchase"), h.segment("buyers", `events("purchase").count() > 0`))
	h.verdict(&v1alpha1.Segment{}, "buyers", v1alpha1.BuildingReason, "InProgress")
	h.built("buyers", 1)
	h.current(&v1alpha1.Segment{}, "buyers")
	h.delete(&v1alpha1.EventType{}, "purchase")
	expectParts(t, h.verdict(&v1alpha1.Segment{}, "buyers", v1alpha1.ExpressionInvalidReason, "Failed"), "purchase")
	h.gone(&v1alpha1.EventType{}, "purchase")
	h.create(h.event("purchase"))
	h.current(&v1alpha1.Segment{}, "buyers")
}

func TestChannelTakesItsCredentials(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.MessageChannel{}
	secret := &corev1.Secret{ObjectMeta: h.named("smtp"), StringData: map[string]string{"username": "velo"}}
	h.create(h.channel("news", "smtp"))
	expectParts(t, h.verdict(object, "news", v1alpha1.NotFoundReason("Secret"), "InProgress"), `"smtp"`)
	h.create(secret)
	expectParts(t, h.verdict(object, "news", v1alpha1.SecretNotLabelled, "InProgress"), "crm.tertulia.dev/use: channel")
	edit(h, secret, "smtp", func(s *corev1.Secret) { s.Labels = map[string]string{v1alpha1.UseLabel: v1alpha1.UseChannel} })
	expectParts(t, h.verdict(object, "news", v1alpha1.SecretKeyMissing, "InProgress"), `"password"`)
	edit(h, secret, "smtp", func(s *corev1.Secret) { s.StringData = map[string]string{"password": "secret-1"} })
	h.current(object, "news")
	logins := func(g gomega.Gomega) map[string]credentials.Channel {
		tenant, err := credentials.Read(filepath.Join(h.root, h.id))
		g.Expect(err).NotTo(gomega.HaveOccurred())
		return tenant.Channels
	}
	h.eventually(func(g gomega.Gomega) {
		g.Expect(logins(g)).To(gomega.Equal(map[string]credentials.Channel{"news": {Username: "velo", Password: "secret-1"}}))
	})
	edit(h, secret, "smtp", func(s *corev1.Secret) { s.StringData = map[string]string{"password": "secret-2"} })
	h.eventually(func(g gomega.Gomega) { g.Expect(logins(g)["news"].Password).To(gomega.Equal("secret-2")) })
	if text := ask[string](h, "select channel::text from channel"); strings.Contains(text, "secret-") {
		t.Errorf("a credential is in a row: %s", text)
	}
	h.delete(&v1alpha1.MessageChannel{}, "news")
	h.gone(object, "news")
	h.eventually(func(g gomega.Gomega) { g.Expect(logins(g)).To(gomega.BeEmpty()) })
	becomes(h, true, "select dormant_since is not null from channel")
}

func TestWebhookTakesItsKey(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.MessageChannel{}
	h.create(&v1alpha1.MessageChannel{ObjectMeta: h.named("hook"), Spec: v1alpha1.MessageChannelSpec{
		Type: v1alpha1.WebhookChannel,
		Webhook: &v1alpha1.WebhookSettings{
			URL: "https://hooks.velo.example/messages", SecretRef: v1alpha1.LocalReference{Name: "hook"}, Timeout: "10s",
		},
	}})
	expectParts(t, h.verdict(object, "hook", v1alpha1.NotFoundReason("Secret"), "InProgress"), `"hook"`, "spec.webhook.secretRef")
	secret := &corev1.Secret{ObjectMeta: h.named("hook"), StringData: map[string]string{"signing-key": "secret-of-24-bytes-or-more"}}
	secret.Labels = map[string]string{v1alpha1.UseLabel: v1alpha1.UseChannel}
	h.create(secret)
	h.current(object, "hook")
	h.eventually(func(g gomega.Gomega) {
		tenant, err := credentials.Read(filepath.Join(h.root, h.id))
		g.Expect(err).NotTo(gomega.HaveOccurred())
		g.Expect(tenant.Channels["hook"]).To(gomega.Equal(credentials.Channel{SigningKey: "secret-of-24-bytes-or-more"}))
	})
	row, err := h.db.LoadChannel(t.Context(), "hook")
	want := store.Channel{Name: "hook", Type: store.WebhookType, Webhook: store.WebhookSettings{URL: "https://hooks.velo.example/messages", Connections: 4, Timeout: 10}}
	if diff := cmp.Diff(want, row); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	edit(h, object, "hook", func(o *v1alpha1.MessageChannel) { o.Spec.Webhook.Timeout = "2m" })
	expectParts(t, h.verdict(object, "hook", v1alpha1.InvalidSpecReason, "Failed"), "spec.webhook.timeout")
}

func TestChannelShowsItsHealth(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.MessageChannel{}
	h.create(h.channel("news", ""))
	h.current(object, "news")
	h.condition(object, "news", v1alpha1.HealthyCondition, "True", v1alpha1.DeliveringReason)
	if err := h.db.SetChannelTrouble(t.Context(), "news", "The relay refuses AUTH: check the Secret."); err != nil {
		t.Fatal(err)
	}
	expectParts(t, h.condition(object, "news", v1alpha1.HealthyCondition, "False", v1alpha1.ChannelTroubleReason), "refuses AUTH")
	h.current(object, "news")
	if err := h.db.SetChannelTrouble(t.Context(), "news", ""); err != nil {
		t.Fatal(err)
	}
	h.condition(object, "news", v1alpha1.HealthyCondition, "True", v1alpha1.DeliveringReason)

	edit(h, object, "news", func(o *v1alpha1.MessageChannel) { o.Spec.Email.From = "Velo, S.L. <hola@velo.example>" })
	expectParts(t, h.verdict(object, "news", v1alpha1.InvalidSpecReason, "Failed"), "spec.email.from")
	edit(h, object, "news", func(o *v1alpha1.MessageChannel) { o.Spec.Email.From = `"Velo, S.L." <hola@velo.example>` })
	h.current(object, "news")
}

func TestTemplateProblemsNameTheirPlace(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.MessageTemplate{}
	h.create(h.contact(v1alpha1.Attribute{Name: "first_name", Type: v1alpha1.StringType}))
	h.current(&v1alpha1.RecordType{}, "contact")

	h.create(h.template("spring", "<p>\n  {% if contact.first_name %}Hola</p>"))
	expectParts(t, h.verdict(object, "spring", v1alpha1.TemplateInvalidReason, "Failed"), "es html", "line 2, column 3")

	edit(h, object, "spring", func(o *v1alpha1.MessageTemplate) { o.Spec.Content[0].HTML = "{{ contact.fist_name }}" })
	expectParts(t, h.verdict(object, "spring", v1alpha1.TemplateInvalidReason, "Failed"), "contact.fist_name", `did you mean "contact.first_name"`)

	edit(h, object, "spring", func(o *v1alpha1.MessageTemplate) {
		o.Spec.Content[0].HTML = "<p>{{ contact.first_name }} {{ unsubscribe_url }}</p>"
	})
	h.current(object, "spring")
	if diff := cmp.Diff([]string{"contact.first_name", "unsubscribe_url"}, object.Status.Variables); diff != "" {
		t.Errorf("variables: -want +got:\n%s", diff)
	}
	if len(object.Status.Digest) != 12 || !strings.HasPrefix(ask[string](h, "select digest from template"), object.Status.Digest) {
		t.Errorf("digest: %q", object.Status.Digest)
	}
}

func TestTemplateFollowsItsConfigMap(t *testing.T) {
	h := newHome(t)
	object := &v1alpha1.MessageTemplate{}
	template := h.template("spring", "")
	template.Spec.Content[0].HTMLFrom = &v1alpha1.ContentSource{ConfigMapKeyRef: v1alpha1.ConfigMapKeyReference{Name: "texts", Key: "es.html"}}
	h.create(template)
	expectParts(t, h.verdict(object, "spring", v1alpha1.NotFoundReason("ConfigMap"), "InProgress"), `"texts"`)
	texts := &corev1.ConfigMap{ObjectMeta: h.named("texts"), Data: map[string]string{"other": "x"}}
	h.create(texts)
	expectParts(t, h.verdict(object, "spring", v1alpha1.ConfigMapKeyMissingReason, "InProgress"), `"es.html"`)
	write := func(html string) {
		t.Helper()
		edit(h, texts, "texts", func(c *corev1.ConfigMap) { c.Data = map[string]string{"es.html": html} })
	}
	write("<p>uno {{ unsubscribe_url }}</p>")
	h.current(object, "spring")
	first := object.Status.Digest
	generation := object.Generation

	// The mistake is in the file, so that no edit of this object is asked for: it is not stalled.
	write("<p>\n{{ contact. }}</p>")
	expectParts(t, h.verdict(object, "spring", v1alpha1.TemplateInvalidReason, "InProgress"), `"texts"`, `"es.html"`, "line 2")
	if !strings.Contains(ask[string](h, "select content::text from template"), "uno") {
		t.Error("sound content was replaced by broken content")
	}
	write("<p>dos {{ unsubscribe_url }}</p>")
	h.eventually(func(g gomega.Gomega) {
		h.current(object, "spring")
		g.Expect(object.Status.Digest).NotTo(gomega.Equal(first))
	})
	if object.Generation != generation {
		t.Error("the object was edited")
	}
	becomes(h, true, "select content::text like '%dos%' from template")
}
