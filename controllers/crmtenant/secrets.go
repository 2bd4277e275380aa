package crmtenant

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
)

// gather reads the Secrets that say where the database is.
func (r *Reconciler) gather(ctx context.Context, object *v1alpha1.CRMTenant) (facts, error) {
	var found facts
	if r.Cluster != nil {
		found.clusters = r.Cluster
	}
	saved, _, err := r.Handover.Saved(ctx, object.Namespace)
	if err != nil {
		return facts{}, err
	}
	found.saved = saved.DatabaseURL
	if object.Spec.Database == nil {
		return found, nil
	}
	name := object.Spec.Database.SecretRef.Name
	secret, err := r.Handover.Fetch(ctx, object.Namespace, name)
	if err != nil {
		return facts{}, err
	}
	if secret == nil {
		return facts{}, reconciling.Wait(v1alpha1.NotFoundReason("Secret"),
			"Secret %q, which spec.database names, is not there: create it, or correct the name.", name)
	}
	found.brought, found.uri, found.runtime = true, string(secret.Data[uriKey]), string(secret.Data[runtimeURIKey])
	if found.uri == "" {
		return facts{}, reconciling.Wait(v1alpha1.SecretKeyMissing, `Secret %q lacks the key "uri", a PostgreSQL URL of the database's owner.`, name)
	}
	return found, nil
}

// ownToken is the administrator's token of an earlier pass, and "" where there is none.
func ownToken(present *corev1.Secret, object *v1alpha1.CRMTenant) string {
	if present == nil || !metav1.IsControlledBy(present, object) {
		return ""
	}
	return string(present.Data[tokenKey])
}

// randomText is 256 random bits as text that is safe in URLs.
func randomText() (string, error) {
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return "", fmt.Errorf("draw random bytes: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(random), nil
}
