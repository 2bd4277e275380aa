package controllers_test

import (
	"bytes"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// picture is a PNG.
func picture(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := png.Encode(&out, image.NewGray(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func (h *home) posts(name string, texts map[v1alpha1.Locale]string) *v1alpha1.MessageTemplate {
	template := &v1alpha1.MessageTemplate{ObjectMeta: h.named(name), Spec: v1alpha1.MessageTemplateSpec{DefaultLocale: "es"}}
	for _, locale := range []v1alpha1.Locale{"es", "en"} {
		if text, ok := texts[locale]; ok {
			template.Spec.Content = append(template.Spec.Content, v1alpha1.LocalizedContent{Locale: locale, Text: text})
		}
	}
	return template
}

func (h *home) publication(name string) *v1alpha1.Campaign {
	return &v1alpha1.Campaign{ObjectMeta: h.named(name), Spec: v1alpha1.CampaignSpec{
		SendKey: name, ChannelRef: v1alpha1.LocalReference{Name: "velo"},
		Publication: &v1alpha1.Publication{Locales: []v1alpha1.Locale{"es", "en"}},
		Variants:    []v1alpha1.Variant{{Name: "a", TemplateRef: v1alpha1.LocalReference{Name: "tour"}}},
		Schedule:    v1alpha1.Schedule{At: "2027-03-21T09:00:00"},
	}}
}

// withNetwork makes a channel and a template that a publication names. What its server takes is known.
func withNetwork(t *testing.T) *home {
	t.Helper()
	h := newHome(t)
	h.create(h.labelled("token", v1alpha1.UseChannel, map[string]string{"access-token": "t"}), &v1alpha1.MessageChannel{
		ObjectMeta: h.named("velo"), Spec: v1alpha1.MessageChannelSpec{Type: v1alpha1.MastodonChannel, Mastodon: &v1alpha1.MastodonChannelSettings{
			Instance: "https://mastodon.example", SecretRef: v1alpha1.LocalReference{Name: "token"},
		}},
	}, h.posts("tour", map[v1alpha1.Locale]string{"es": "La vuelta\n---\nempieza", "en": "The tour begins"}))
	h.current(&v1alpha1.MessageChannel{}, "velo")
	h.current(&v1alpha1.MessageTemplate{}, "tour")
	h.sql(`update channel set takes = '{"characters": 500, "perURL": 23, "images": 4, "imageBytes": 1000000}'`)
	return h
}

func TestAPublicationIsDeclared(t *testing.T) {
	h := withNetwork(t)
	object := h.publication("tour-2027")
	object.Spec.Publication.Images = []v1alpha1.PostImage{{
		ConfigMapKeyRef: v1alpha1.ConfigMapKeyReference{Name: "pictures", Key: "tour.png"}, Part: 1,
		Alt: []v1alpha1.AltText{{Locale: "es", Text: "Una bici"}, {Locale: "en", Text: "A bike"}},
	}}
	h.create(object)
	h.verdict(object, "tour-2027", v1alpha1.NotFoundReason("ConfigMap"), "InProgress")
	h.create(&corev1.ConfigMap{ObjectMeta: h.named("pictures"), Data: map[string]string{"tour.png": "no image"}})
	expectParts(t, h.verdict(object, "tour-2027", v1alpha1.ConfigMapKeyMissingReason, "InProgress"), "tour.png", "binaryData")
	edit(h, &corev1.ConfigMap{}, "pictures", func(c *corev1.ConfigMap) { c.Data, c.BinaryData = nil, map[string][]byte{"tour.png": picture(t)} })
	h.current(object, "tour-2027")
	if object.Status.Phase != v1alpha1.CampaignScheduled || object.Status.Where != "velo (Mastodon)" || object.Status.What != "tour [es, en]" {
		t.Errorf("the calendar's line: %q %q %q", object.Status.Phase, object.Status.Where, object.Status.What)
	}
	if got := ask[string](h, "select octet_length(data) || ' ' || (select publication ->> 'locales' from send) from publication_image"); !strings.HasSuffix(got, ` ["es", "en"]`) {
		t.Errorf("what is stored: %s", got)
	}

	// A picture that nobody describes in a language of the post is told before its time.
	edit(h, object, "tour-2027", func(o *v1alpha1.Campaign) { o.Spec.Publication.Images[0].Alt = o.Spec.Publication.Images[0].Alt[:1] })
	expectParts(t, h.verdict(object, "tour-2027", v1alpha1.PostInvalidReason, "Failed"), "image 1 has no alt in locale en")
	becomes(h, true, "select suspended from send")
	edit(h, object, "tour-2027", func(o *v1alpha1.Campaign) { o.Spec.Publication.Images = nil })
	h.current(object, "tour-2027")
	becomes(h, false, "select suspended from send")

	h.sql(`insert into ledger (send_id, seq, step, state) select id, 1, 'es', 'sent' from send`)
	h.sql(`insert into publication_part (send_id, seq, part, channel, network, native_id, url, at)
		select id, 1, 1, 'velo', 'mastodon:mastodon.example', '11', 'https://mastodon.example/@velo/11', '2027-03-21T08:00:01Z' from send`)
	h.sql(`insert into send_tally select id, 0, o, n from send, (values ('planned', 2), ('sent', 1), ('failed', 1)) t (o, n)`)
	h.sending("tour-2027", "state = 'Completed', audience = 2, frozen_at = now(), finished_at = now()")
	object = h.phase("tour-2027", v1alpha1.CampaignCompleted)
	if len(object.Status.Posts) != 1 || object.Status.Posts[0].URL != "https://mastodon.example/@velo/11" || object.Status.Progress != "1/2" {
		t.Errorf("what was published: %+v", object.Status)
	}
	expectParts(t, h.condition(object, "tour-2027", v1alpha1.HealthyCondition, "False", v1alpha1.PostsRefusedReason), "1 of 2 posts")
}

// refuses waits until a campaign is not ready for a reason, in words that have parts.
func (h *home) refuses(name, reason string, parts ...string) {
	h.t.Helper()
	h.eventually(func(g gomega.Gomega) {
		object := &v1alpha1.Campaign{}
		g.Expect(h.api.Get(h.t.Context(), h.key(name), object)).To(gomega.Succeed())
		ready := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ReadyCondition)
		g.Expect(ready).NotTo(gomega.BeNil())
		g.Expect(ready.Reason).To(gomega.Equal(reason), ready.Message)
		for _, part := range parts {
			g.Expect(ready.Message).To(gomega.ContainSubstring(part))
		}
	})
}

func TestATextThatIsTooLongIsToldBeforeItsTime(t *testing.T) {
	h := withNetwork(t)
	object := &v1alpha1.Campaign{}
	h.create(h.publication("tour-2027"))
	h.current(object, "tour-2027")
	edit(h, &v1alpha1.MessageTemplate{}, "tour", func(o *v1alpha1.MessageTemplate) { o.Spec.Content[1].Text = strings.Repeat("a", 501) })
	h.refuses("tour-2027", v1alpha1.PostInvalidReason, `Variant "a"`, "locale en", "501 characters", "takes 500")
	becomes(h, true, "select suspended from send")
	// Addresses count as the server counts them.
	edit(h, &v1alpha1.MessageTemplate{}, "tour", func(o *v1alpha1.MessageTemplate) {
		o.Spec.Content[1].Text = "https://velo.example/" + strings.Repeat("a", 600)
	})
	h.current(object, "tour-2027")
	edit(h, &v1alpha1.MessageTemplate{}, "tour", func(o *v1alpha1.MessageTemplate) { o.Spec.Content[1].Text = "Hi {{ contact.locale }}" })
	h.refuses("tour-2027", v1alpha1.PostInvalidReason, "contact.locale", "nobody in particular")
	edit(h, &v1alpha1.MessageTemplate{}, "tour", func(o *v1alpha1.MessageTemplate) { o.Spec.Content = o.Spec.Content[:1] })
	h.refuses("tour-2027", v1alpha1.PostInvalidReason, "no content in locale en")

	// A server that nobody has asked may take more.
	h.sql("update channel set takes = null")
	edit(h, &v1alpha1.MessageTemplate{}, "tour", func(o *v1alpha1.MessageTemplate) {
		o.Spec.Content = append(o.Spec.Content, v1alpha1.LocalizedContent{Locale: "en", Text: strings.Repeat("a", 600)})
	})
	h.refuses("tour-2027", v1alpha1.DependencyNotReady, "600 characters", "may take more")
}

func TestAPublicationNeedsANetworkAndAMailAnAudience(t *testing.T) {
	h := withReferences(t)
	object := &v1alpha1.Campaign{}
	publication := h.publication("tour-2027")
	publication.Spec.ChannelRef.Name, publication.Spec.Variants[0].TemplateRef.Name = "news", "spring"
	h.create(publication)
	expectParts(t, h.verdict(object, "tour-2027", v1alpha1.InvalidSpecReason, "Failed"), `"news" is of type Email`, "Mastodon or Bluesky")

	h.create(h.posts("tour", map[v1alpha1.Locale]string{"es": "Hola"}))
	h.current(&v1alpha1.MessageTemplate{}, "tour")
	mail := h.campaign("spring-2027")
	mail.Spec.Variants[0].TemplateRef.Name = "tour"
	h.create(mail)
	expectParts(t, h.verdict(object, "spring-2027", v1alpha1.InvalidSpecReason, "Failed"), `template "tour" has no subject in es`)

	h.create(h.labelled("token", v1alpha1.UseChannel, map[string]string{"access-token": "t"}), &v1alpha1.MessageChannel{
		ObjectMeta: h.named("velo"), Spec: v1alpha1.MessageChannelSpec{Type: v1alpha1.MastodonChannel, Mastodon: &v1alpha1.MastodonChannelSettings{
			Instance: "https://mastodon.example", SecretRef: v1alpha1.LocalReference{Name: "token"},
		}},
	})
	edit(h, object, "spring-2027", func(o *v1alpha1.Campaign) { o.Spec.ChannelRef.Name = "velo" })
	h.refuses("spring-2027", v1alpha1.InvalidSpecReason, `"velo" is of type Mastodon`, "spec.publication")
}

// TestPoliciesSayNothingOfPublications: they are about people.
func TestPoliciesSayNothingOfPublications(t *testing.T) {
	h := withNetwork(t)
	h.create(&v1alpha1.SendPolicy{ObjectMeta: h.named("careful"), Spec: v1alpha1.SendPolicySpec{
		Rules: []v1alpha1.CampaignRule{{Name: "press", Expression: `"press" in campaign.exclude`, Message: "Leave the press out."}},
	}})
	h.current(&v1alpha1.SendPolicy{}, "careful")
	h.create(h.publication("tour-2027"))
	h.current(&v1alpha1.Campaign{}, "tour-2027")
	policy := &v1alpha1.SendPolicy{}
	h.current(policy, "careful")
	if len(policy.Status.CampaignsInViolation) > 0 {
		t.Errorf("a publication breaks a policy: %+v", policy.Status.CampaignsInViolation)
	}
}

func TestWhatAPublicationCannotSay(t *testing.T) {
	h := newHome(t)
	const begin = "kind: Campaign\nmetadata: {name: c}\nspec: {sendKey: k, channelRef: {name: c}, "
	const variant, variants = "variants: [{name: a, templateRef: {name: t}}]", "variants: [{name: a, templateRef: {name: t}}, {name: b, templateRef: {name: t}}]"
	const once, daily = "schedule: {at: '2027-03-21T09:00:00'}", "schedule: {cron: 0 9 * * *}"
	tests := map[string]struct{ manifest, want string }{
		"neither":              {begin + variant + ", " + once + "}", "either whom to write to"},
		"both":                 {begin + "purpose: p, audience: {maxRecipients: 1, segments: [{name: s}]}, publication: {}, " + variant + ", " + once + "}", "either whom to write to"},
		"a purpose":            {begin + "purpose: p, publication: {}, " + variant + ", " + once + "}", "remove spec.purpose"},
		"mail without one":     {begin + "audience: {maxRecipients: 1, segments: [{name: s}]}, " + variant + ", " + once + "}", "spec.purpose is required"},
		"tracking":             {begin + "publication: {}, tracking: {opens: true}, " + variant + ", " + once + "}", "which a publication does not have"},
		"a hold-out":           {begin + "publication: {}, holdOut: 10, " + variant + ", " + once + "}", "which a publication does not have"},
		"two variants once":    {begin + "publication: {}, " + variants + ", " + once + "}", "take turns"},
		"a weight":             {begin + "publication: {}, variants: [{name: a, weight: 2, templateRef: {name: t}}], " + once + "}", "have no weight"},
		"everybody's clock":    {begin + "publication: {}, " + variant + ", schedule: {at: '2027-03-21T09:00:00', timeZone: Recipient}}", "leaves at its time"},
		"hours":                {begin + "publication: {}, " + variant + ", schedule: {at: '2027-03-21T09:00:00', hours: {open: [{from: '09:00', to: '10:00'}]}}}", "leaves at its time"},
		"a silent image":       {begin + "publication: {images: [{configMapKeyRef: {name: a, key: b}, alt: [{locale: es, text: ' '}]}]}, " + variant + ", " + once + "}", "say in words what the image shows"},
		"an image without":     {begin + "publication: {images: [{configMapKeyRef: {name: a, key: b}}]}, " + variant + ", " + once + "}", "alt"},
		"whom it is for":       {begin + "publication: {visibility: Direct}, " + variant + ", " + once + "}", "visibility"},
		"a template of no use": {"kind: MessageTemplate\nmetadata: {name: t}\nspec: {defaultLocale: es, content: [{locale: es, subject: s}]}", "there is nothing to say"},
		"a mail without subject": {
			"kind: MessageTemplate\nmetadata: {name: t}\nspec: {defaultLocale: es, content: [{locale: es, html: h}]}", "a mail needs a subject",
		},
		"it is fine": {begin + "publication: {locales: [es]}, " + variants + ", " + daily + "}", ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			object := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(tc.manifest), &object.Object); err != nil {
				t.Fatal(err)
			}
			object.SetAPIVersion(v1alpha1.GroupVersion.String())
			object.SetNamespace(h.namespace)
			message := refusal(client.WithFieldValidation(h.api, "Strict").Create(t.Context(), object, client.DryRunAll))
			if tc.want == "" && message != "" || !strings.Contains(message, tc.want) {
				t.Errorf("got %q, want a refusal with %q", message, tc.want)
			}
		})
	}
}

func TestACampaignStaysWhatItIs(t *testing.T) {
	h := withNetwork(t)
	h.create(h.publication("tour-2027"))
	h.current(&v1alpha1.Campaign{}, "tour-2027")
	err := h.change(t.Context(), &v1alpha1.Campaign{}, "tour-2027",
		`{"spec":{"publication":null,"purpose":"newsletter","audience":{"maxRecipients":1,"segments":[{"name":"all"}]}}}`)
	if message := refusal(err); !strings.Contains(message, "cannot become a publication, nor the other way") {
		t.Errorf("got %q", message)
	}
}
