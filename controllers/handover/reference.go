package handover

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
)

// Reference is a Secret that an author's object names, so that what it holds is handed over.
type Reference struct {
	Field string // that names it: the path in the spec
	Name  string
	Use   string // for which its owner has to have labelled it
	Whom  string // who uses it, in words: channels
}

// Check tells what keeps a Secret, nil where there is none, from being read out: one that its owner has not labelled for this use is
// not, because it would go to a stranger's host.
func (r Reference) Check(secret *corev1.Secret) error {
	if secret == nil {
		return reconciling.Wait(v1alpha1.NotFoundReason("Secret"),
			"Secret %q, which %s names, is not there: create it, or correct the name.", r.Name, r.Field)
	}
	if secret.Labels[v1alpha1.UseLabel] != r.Use {
		return reconciling.Wait(v1alpha1.SecretNotLabelled, "Secret %q is not meant for %s: label it %s: %s.", r.Name, r.Whom, v1alpha1.UseLabel, r.Use)
	}
	return nil
}

// Value is what a Secret that was checked holds under a key, at most longest bytes. is names what that is, for the author of a Secret
// that holds something else.
func (r Reference) Value(secret *corev1.Secret, key string, longest int, is string) ([]byte, error) {
	value := secret.Data[key]
	switch {
	case len(value) == 0:
		return nil, reconciling.Wait(v1alpha1.SecretKeyMissing, "Secret %q lacks the key %q: add it.", r.Name, key)
	case len(value) > longest:
		return nil, reconciling.Wait(v1alpha1.SecretKeyTooLong, "Key %q of Secret %q is longer than %d bytes: it is no %s.", key, r.Name, longest, is)
	}
	return value, nil
}
