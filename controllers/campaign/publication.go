package campaign

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/compose"
	"github.com/tertulia-crm/tertulia/internal/publication"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// serverWait is after how long it is looked again whether a worker has asked a channel's server what it takes.
const serverWait = 30 * time.Second

// planKind tells whether a campaign and its channel are of one kind: people are written to over some channels, and posts published over others.
func planKind(object *v1alpha1.Campaign, found facts) error {
	social := found.kind == v1alpha1.MastodonChannel || found.kind == v1alpha1.BlueskyChannel
	switch {
	case object.Spec.Publication != nil && !social && found.kind != "":
		return reconciling.Stall(v1alpha1.InvalidSpecReason,
			"spec.channelRef: channel %q is of type %s, and posts are published over one of type Mastodon or Bluesky: name such a channel.",
			found.channel.name, found.kind)
	case object.Spec.Publication == nil && social:
		return reconciling.Stall(v1alpha1.InvalidSpecReason,
			"spec.channelRef: channel %q is of type %s, over which nobody of an audience is reached: name one of type Email or Webhook, or write another "+
				"Campaign with spec.publication.", found.channel.name, found.kind)
	}
	return nil
}

// checkSubjects tells whether what is mailed has subjects: what was written for social networks has none.
func checkSubjects(ctx context.Context, tenant tenancy.Tenant, found facts) error {
	if found.kind != v1alpha1.EmailChannel || found.over() {
		return nil
	}
	for _, t := range found.templates {
		stored, err := tenant.DB.LoadTemplate(ctx, t.name)
		if err != nil {
			return err
		}
		compiled, err := compose.Template(stored)
		if err != nil {
			return err
		}
		if missing := compiled.WithoutSubject(); len(missing) > 0 {
			return reconciling.Stall(v1alpha1.InvalidSpecReason,
				"spec.variants: template %q has no subject in %s, and a mail needs one: write it, or name another template.",
				t.name, strings.Join(missing, ", "))
		}
	}
	return nil
}

// over tells whether nothing that a campaign declares has an effect any more.
func (f facts) over() bool {
	return f.send != nil && !f.send.Recurs && (f.send.State.Frozen() || f.send.State.Final()) && f.send.State != campaign.Expired
}

// where a campaign leaves, for people.
func (f facts) where() string {
	if f.kind == "" {
		return f.channel.name
	}
	return f.channel.name + " (" + string(f.kind) + ")"
}

// planWhat is what a campaign says, for people.
func planWhat(spec v1alpha1.CampaignSpec) string {
	var templates []string
	for _, v := range spec.Variants {
		if !slices.Contains(templates, v.TemplateRef.Name) {
			templates = append(templates, v.TemplateRef.Name)
		}
	}
	what := strings.Join(templates, ", ")
	if spec.Publication == nil || len(spec.Publication.Locales) == 0 {
		return what
	}
	locales := make([]string, len(spec.Publication.Locales))
	for i, l := range spec.Publication.Locales {
		locales[i] = string(l)
	}
	return what + " [" + strings.Join(locales, ", ") + "]"
}

// planPublication is what a campaign publishes, but for the digests of its images.
func planPublication(spec *v1alpha1.Publication) *publication.Plan {
	plan := &publication.Plan{Visibility: string(spec.Visibility)}
	for _, l := range spec.Locales {
		plan.Locales = append(plan.Locales, string(l))
	}
	for i := range spec.Images {
		image := publication.Image{Part: spec.Images[i].PartOrDefault(), Alt: map[string]string{}}
		for _, alt := range spec.Images[i].Alt {
			image.Alt[string(alt.Locale)] = strings.TrimSpace(alt.Text)
		}
		plan.Images = append(plan.Images, image)
	}
	return plan
}

// planPosts are the posts that are on the network.
func planPosts(send store.SendStatus) []v1alpha1.PublishedPost {
	var posts []v1alpha1.PublishedPost
	for _, p := range send.Posts {
		posts = append(posts, v1alpha1.PublishedPost{Locale: v1alpha1.Locale(p.Locale), URL: p.URL, At: *seconds(&p.At)})
	}
	return posts
}

// preparePublication adds the images to a declaration, and refuses posts that the network would refuse at their time. unsure says that its server has
// not been asked yet what it takes, so that the verdict may change.
func (r *Reconciler) preparePublication(ctx context.Context, object *v1alpha1.Campaign, tenant tenancy.Tenant, found facts, config *store.SendConfig) (
	unsure bool, err error,
) {
	if found.over() {
		config.Publication = found.send.Publication
		return false, nil
	}
	if config.Images, err = r.fetchImages(ctx, object, config.Publication); err != nil {
		return false, err
	}
	takes, err := tenant.DB.ChannelTakes(ctx, config.Channel)
	if err != nil {
		return false, err
	}
	declared, err := tenant.DB.LoadTenant(ctx)
	if err != nil {
		return false, err
	}
	for _, v := range config.Variants {
		stored, err := tenant.DB.LoadTemplate(ctx, v.Template)
		if err != nil {
			return false, err
		}
		posts, err := compose.Posts(config.Publication, stored, declared.DisplayName)
		if err == nil {
			err = compose.CheckPosts(string(found.kind), takes.Takes, config.Publication, posts, config.Images)
		}
		var flaw compose.FlawError
		switch {
		case errors.As(err, &flaw) && !takes.Known && found.kind == v1alpha1.MastodonChannel:
			return true, reconciling.Wait(v1alpha1.DependencyNotReady,
				"Variant %q: %s. Its server may take more: that is not known before a worker has logged in there.", v.Name, flaw)
		case errors.As(err, &flaw):
			return false, reconciling.Stall(v1alpha1.PostInvalidReason, "Variant %q: %s.", v.Name, flaw)
		case err != nil:
			return false, err
		}
	}
	return false, nil
}

// fetchImages reads the images past the cache and writes their digests into the plan.
func (r *Reconciler) fetchImages(ctx context.Context, object *v1alpha1.Campaign, plan *publication.Plan) (map[string][]byte, error) {
	maps := map[string]*corev1.ConfigMap{}
	for _, name := range imageNames(object.Spec.Publication) {
		found := &corev1.ConfigMap{}
		err := r.Live.Get(ctx, types.NamespacedName{Namespace: object.Namespace, Name: name}, found)
		if apierrors.IsNotFound(err) {
			return nil, reconciling.Wait(v1alpha1.NotFoundReason("ConfigMap"),
				"ConfigMap %q is not there: apply it, or correct the reference in spec.publication.images.", name)
		}
		if err != nil {
			return nil, fmt.Errorf("read ConfigMap %q: %w", name, err)
		}
		maps[name] = found
	}
	images := map[string][]byte{}
	for i := range plan.Images {
		reference := object.Spec.Publication.Images[i].ConfigMapKeyRef
		data, ok := maps[reference.Name].BinaryData[reference.Key]
		if !ok {
			return nil, reconciling.Wait(v1alpha1.ConfigMapKeyMissingReason, "ConfigMap %q lacks the key %q in its binaryData.", reference.Name, reference.Key)
		}
		sum := sha256.Sum256(data)
		plan.Images[i].Digest = hex.EncodeToString(sum[:])
		images[plan.Images[i].Digest] = data
	}
	return images, nil
}

// imageNames are the ConfigMaps that a publication takes images from.
func imageNames(p *v1alpha1.Publication) []string {
	if p == nil {
		return nil
	}
	var list []string
	for i := range p.Images {
		list = append(list, p.Images[i].ConfigMapKeyRef.Name)
	}
	return unique(list)
}
