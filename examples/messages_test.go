package examples_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/render"
)

const unsubscribeURL = "http://127.0.0.1:8080/t/velo-demo/u/abc"

// TestMessagesRender renders the campaign's message for people of whom much and little is known.
func TestMessagesRender(t *testing.T) {
	template := winterMessage(t)
	for name, c := range map[string]struct {
		locale   string
		contact  map[string]any
		subject  string
		contains []string
		lacks    []string
	}{
		"somebody known, in Spanish": {
			locale: "es-MX",
			contact: map[string]any{
				"first_name": "Lucía", "plan": "club", "city": "Ciudad de México", "jersey_size": "M", "tags": []string{"road", "gravel"},
			},
			subject:  "Lucía, el frío ya no es excusa",
			contains: []string{"Hola, Lucía", "socio del club", "Ciudad de México", "Monegros", "carretera, gravel.", "en tu talla, la M"},
			lacks:    []string{"Angliru", "equipo pro"},
		},
		"somebody of whom nothing is known but the language": {
			locale: "en-GB", contact: map[string]any{},
			subject:  "Hello, the cold is no excuse",
			contains: []string{"Hello there,", "with free shipping until Sunday.", "Angliru"},
			lacks:    []string{"Chosen for what you ride", "collection in size", "As a member", "Monegros"},
		},
		"a name that is not HTML": {
			locale: "en", contact: map[string]any{"first_name": `<b>O'Connor`, "plan": "pro"},
			subject:  `<b>O'Connor, the cold is no excuse`,
			contains: []string{"&lt;b&gt;", "pro team"},
			lacks:    []string{"<b>"},
		},
		"another language falls back to the default": {
			locale: "fr", contact: map[string]any{"first_name": "Zoé"},
			subject:  "Zoé, el frío ya no es excusa",
			contains: []string{"Darme de baja"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			message, err := template.Render(c.locale, render.Vars{
				"contact": c.contact, "tenant": map[string]any{"display_name": "Velo Ciclismo"}, "unsubscribe_url": unsubscribeURL,
			})
			if err != nil {
				t.Fatal(err)
			}
			if message.Subject != c.subject {
				t.Errorf("subject %q, want %q", message.Subject, c.subject)
			}
			for _, want := range append(c.contains, unsubscribeURL, "Velo Ciclismo") {
				if !strings.Contains(message.HTML, want) {
					t.Errorf("the HTML lacks %q", want)
				}
			}
			for _, unwanted := range append(c.lacks, "{{", "{%") {
				if strings.Contains(message.HTML, unwanted) {
					t.Errorf("the HTML contains %q", unwanted)
				}
			}
			if !strings.Contains(message.Text, unsubscribeURL) {
				t.Error("the text lacks the unsubscribe link")
			}
		})
	}
}

// winterMessage compiles the campaign's template with the texts that its ConfigMap holds.
func winterMessage(t *testing.T) *render.Template {
	t.Helper()
	var texts corev1.ConfigMap
	var template v1alpha1.MessageTemplate
	for _, object := range objectsOf(t, "velo/campaigns/winter-2026") {
		switch object.GetKind() {
		case "ConfigMap":
			texts = typed[corev1.ConfigMap](t, object)
		case "MessageTemplate":
			template = typed[v1alpha1.MessageTemplate](t, object)
		}
	}
	var contents []render.Content
	for _, c := range template.Spec.Content {
		for _, source := range []*v1alpha1.ContentSource{c.HTMLFrom, c.TextFrom} {
			if source.ConfigMapKeyRef.Name != texts.Name {
				t.Fatalf("content %s refers to ConfigMap %s, and there is only %s", c.Locale, source.ConfigMapKeyRef.Name, texts.Name)
			}
		}
		contents = append(contents, render.Content{
			Locale: string(c.Locale), Subject: c.Subject,
			HTML: texts.Data[c.HTMLFrom.ConfigMapKeyRef.Key], Text: texts.Data[c.TextFrom.ConfigMapKeyRef.Key],
		})
	}
	compiled, err := render.Compile(string(template.Spec.DefaultLocale), contents)
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}
