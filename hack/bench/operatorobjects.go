package main

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// What a tenant has: a hundred objects of our kinds, as a marketing team has them after a year or two. Beside them stand
// a ConfigMap for each template and a Secret for each channel.
const (
	tenantEvents    = 20
	tenantChannels  = 6
	tenantTemplates = 22
	tenantSegments  = 30
	tenantCampaigns = 20
	tenantObjects   = 2 + tenantEvents + tenantChannels + tenantTemplates + tenantSegments + tenantCampaigns
)

// writers is how many requests the manifests are applied with at a time.
const writers = 8

func tenantNamespace(n int) string { return fmt.Sprintf("tenant-%03d", n) }

// applyTenants makes the namespaces and everything in them, as a GitOps tool would after a cluster was rebuilt.
func applyTenants(ctx context.Context, api client.Client, tenants int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writers)
	for n := range tenants {
		group.Go(func() error {
			for _, object := range tenantManifests(tenantNamespace(n)) {
				if err := api.Create(ctx, object); err != nil {
					return fmt.Errorf("create %T %s/%s: %w", object, object.GetNamespace(), object.GetName(), err)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// tenantManifests are a namespace and all that is in it.
func tenantManifests(namespace string) []client.Object {
	named := func(format string, arguments ...any) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf(format, arguments...)}
	}
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&v1alpha1.CRMTenant{ObjectMeta: named(v1alpha1.TenantName), Spec: v1alpha1.CRMTenantSpec{
			ID: namespace, DisplayName: "Velo " + namespace, TimeZone: "Europe/Madrid", Locales: []v1alpha1.Locale{"es", "en"},
			PublicURL: "https://" + namespace + ".example",
		}},
		&v1alpha1.RecordType{ObjectMeta: named("contact"), Spec: v1alpha1.RecordTypeSpec{Attributes: []v1alpha1.Attribute{
			{Name: "first_name", Type: v1alpha1.StringType, Personal: true},
			{Name: "city", Type: v1alpha1.StringType},
			{Name: "plan", Type: v1alpha1.StringType, Enum: []string{"free", "club", "pro"}, Indexed: true},
			{Name: "lifetime_value", Type: v1alpha1.DecimalType},
		}}},
	}
	for i := range tenantEvents {
		objects = append(objects, &v1alpha1.EventType{ObjectMeta: named("event-%d", i), Spec: v1alpha1.EventTypeSpec{Properties: []v1alpha1.Property{
			{Name: "amount", Type: v1alpha1.DecimalType}, {Name: "sku", Type: v1alpha1.StringType},
		}}})
	}
	for i := range tenantChannels {
		objects = append(objects, channelManifests(named("channel-%d", i))...)
	}
	for i := range tenantTemplates {
		objects = append(objects, templateManifests(named("template-%d", i))...)
	}
	for i := range tenantSegments {
		objects = append(objects, &v1alpha1.Segment{ObjectMeta: named("segment-%d", i), Spec: v1alpha1.SegmentSpec{
			Description: "Club members who have bought before, but not for a while.",
			Match: fmt.Sprintf(`contact.plan == "club" && contact.lifetime_value > %d.5 && events("event-%d").count() > 0`, i, i%tenantEvents) +
				fmt.Sprintf(` && events("event-%d").within("90d").count() == 0`, i%tenantEvents),
		}})
	}
	for i := range tenantCampaigns {
		objects = append(objects, campaignManifest(named("campaign-%d", i), i))
	}
	return objects
}

func channelManifests(meta metav1.ObjectMeta) []client.Object {
	secret := meta
	secret.Labels = map[string]string{v1alpha1.UseLabel: v1alpha1.UseChannel}
	return []client.Object{
		&corev1.Secret{ObjectMeta: secret, StringData: map[string]string{"username": "velo", "password": "benchmarks-only"}},
		&v1alpha1.MessageChannel{ObjectMeta: meta, Spec: v1alpha1.MessageChannelSpec{
			Type: v1alpha1.EmailChannel,
			Email: &v1alpha1.EmailSettings{
				From: "Velo <hola@velo.example>",
				SMTP: v1alpha1.SMTPServer{Host: "smtp.velo.example", Port: 587, TLS: v1alpha1.StartTLS, SecretRef: &v1alpha1.LocalReference{Name: meta.Name}},
			},
		}},
	}
}

// What templates are made of: about 10 kB, as mail designed in an editor has, that greet by name and are signed.
const (
	greeting  = "<h1>{{ contact.first_name | default: 'Hola' }}</h1>\n{% if contact.plan == 'club' %}<p>Gracias por ser del club.</p>{% endif %}\n"
	paragraph = "<p style=\"font: 16px sans-serif; color: #222\">Vuelve la primavera y con ella las salidas de los domingos por la ribera.</p>\n"
	signature = `<p>{{ tenant.display_name }} · <a href="{{ unsubscribe_url }}">Baja</a></p>`
)

func templateManifests(meta metav1.ObjectMeta) []client.Object {
	html := greeting + strings.Repeat(paragraph, 80) + signature
	return []client.Object{
		&corev1.ConfigMap{ObjectMeta: meta, Data: map[string]string{"es.html": html}},
		&v1alpha1.MessageTemplate{ObjectMeta: meta, Spec: v1alpha1.MessageTemplateSpec{
			DefaultLocale: "es",
			Content: []v1alpha1.LocalizedContent{
				{Locale: "es", Subject: "Vuelve la primavera", HTMLFrom: &v1alpha1.ContentSource{
					ConfigMapKeyRef: v1alpha1.ConfigMapKeyReference{Name: meta.Name, Key: "es.html"},
				}},
				{Locale: "en", Subject: "Spring is back", HTML: greeting + strings.Repeat(paragraph, 20) + signature},
			},
		}},
	}
}

func campaignManifest(meta metav1.ObjectMeta, n int) client.Object {
	reference := func(kind string, count int) v1alpha1.LocalReference {
		return v1alpha1.LocalReference{Name: fmt.Sprintf("%s-%d", kind, n%count)}
	}
	return &v1alpha1.Campaign{ObjectMeta: meta, Spec: v1alpha1.CampaignSpec{
		SendKey: meta.Name, Purpose: "newsletter", ChannelRef: reference("channel", tenantChannels),
		Audience: v1alpha1.Audience{Segments: []v1alpha1.LocalReference{reference("segment", tenantSegments)}, MaxRecipients: 50_000},
		Variants: []v1alpha1.Variant{{Name: "a", TemplateRef: reference("template", tenantTemplates)}},
		// Far enough away that no campaign begins while we measure.
		Schedule: v1alpha1.Schedule{At: "2098-03-21T09:00:00"},
	}}
}
