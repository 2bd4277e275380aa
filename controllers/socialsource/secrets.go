package socialsource

import (
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/handover"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/signature"
)

// signingKey is the key of the Secret by which other systems sign what they post.
const signingKey = "signing-key"

// wanted is the Secret that a source names, and which of its keys workers and servers need.
type wanted struct {
	field  string // the path in the spec
	secret string // its name
	keys   []string
}

// reference is the Secret that a source names; nil where it names none.
func reference(spec *v1alpha1.SocialSourceSpec) *wanted {
	optional := func(field string, ref *v1alpha1.LocalReference, keys ...string) *wanted {
		if ref == nil {
			return nil
		}
		return &wanted{field: field, secret: ref.Name, keys: keys}
	}
	switch {
	case spec.Feed != nil:
		return optional("spec.feed.secretRef", spec.Feed.SecretRef, "username", "password")
	case spec.Mastodon != nil:
		return optional("spec.mastodon.secretRef", spec.Mastodon.SecretRef, "access-token")
	case spec.Bluesky != nil:
		return optional("spec.bluesky.secretRef", spec.Bluesky.SecretRef, "identifier", "app-password")
	case spec.Mailbox != nil:
		return optional("spec.mailbox.secretRef", &spec.Mailbox.SecretRef, "username", "password")
	case spec.Webhook != nil:
		return optional("spec.webhook.secretRef", &spec.Webhook.SecretRef, signingKey)
	}
	return nil
}

// secretNames are the Secrets that a source names.
func secretNames(o client.Object) []string {
	if w := reference(&o.(*v1alpha1.SocialSource).Spec); w != nil {
		return []string{w.secret}
	}
	return nil
}

// planLogin is what a source logs in with, or what is amiss with the Secret that it names.
func planLogin(w *wanted, secret *corev1.Secret) (credentials.Source, error) {
	named := handover.Reference{Field: w.field, Name: w.secret, Use: v1alpha1.UseSource, Whom: "sources"}
	if err := named.Check(secret); err != nil {
		return nil, err
	}
	login := credentials.Source{}
	for _, key := range w.keys {
		value, err := named.Value(secret, key, credentials.MaxSourceKeyLength, key+" of a source")
		if err != nil {
			return nil, err
		}
		if key == signingKey {
			if _, err := signature.ParseKeys(string(value)); err != nil {
				return nil, reconciling.Wait(v1alpha1.SecretKeyInvalid, "Key %q of Secret %q cannot sign posts: %s.", key, w.secret, err)
			}
		}
		login[key] = string(value)
	}
	return login, nil
}
