package examples_test

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/compose"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
	"github.com/tertulia-crm/tertulia/internal/publication"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// TestPublicationsFit: what is published is taken by both networks, in each language.
func TestPublicationsFit(t *testing.T) {
	var texts corev1.ConfigMap
	var template v1alpha1.MessageTemplate
	var campaign v1alpha1.Campaign
	for _, object := range objectsOf(t, "velo/campaigns/tour-2027") {
		switch object.GetKind() {
		case "ConfigMap":
			texts = typed[corev1.ConfigMap](t, object)
		case "MessageTemplate":
			template = typed[v1alpha1.MessageTemplate](t, object)
		case "Campaign":
			campaign = typed[v1alpha1.Campaign](t, object)
		}
	}
	row := store.Template{Name: template.Name, DefaultLocale: string(template.Spec.DefaultLocale)}
	for _, c := range template.Spec.Content {
		row.Content = append(row.Content, store.TemplateContent{Locale: string(c.Locale), Text: texts.Data[c.TextFrom.ConfigMapKeyRef.Key]})
	}
	plan := &publication.Plan{}
	images := map[string][]byte{}
	for _, l := range campaign.Spec.Publication.Locales {
		plan.Locales = append(plan.Locales, string(l))
	}
	for _, i := range campaign.Spec.Publication.Images {
		data := texts.BinaryData[i.ConfigMapKeyRef.Key]
		sum := sha256.Sum256(data)
		image := publication.Image{Digest: hex.EncodeToString(sum[:]), Part: i.PartOrDefault(), Alt: map[string]string{}}
		for _, alt := range i.Alt {
			image.Alt[string(alt.Locale)] = alt.Text
		}
		images[image.Digest] = data
		plan.Images = append(plan.Images, image)
	}
	posts, err := compose.Posts(plan, row, "Velo Ciclismo")
	if err != nil {
		t.Fatal(err)
	}
	if len(posts) != 2 || len(posts[0].Parts) != 2 || len(posts[0].Parts[0].Images) != 1 || len(posts[1].Parts) != 2 {
		t.Errorf("what is published: %+v", posts)
	}
	for _, network := range []string{store.MastodonType, store.BlueskyType} {
		if err := compose.CheckPosts(network, post.Takes{}, plan, posts, images); err != nil {
			t.Error(err)
		}
	}
}
