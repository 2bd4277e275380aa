package crmtenant

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
)

// gather reads the Secrets that say where the database is.
func (r *Reconciler) gather(ctx context.Context, object *v1alpha1.CRMTenant) (facts, error) {
	var found facts
	if r.Cluster != nil {
		found.clusters = r.Cluster
	}
	saved, err := r.fetchSecret(ctx, object.Namespace, runtimeSecret)
	if err != nil {
		return facts{}, err
	}
	if saved != nil {
		found.saved = string(saved.Data[uriKey])
	}
	if object.Spec.Database == nil {
		return found, nil
	}
	name := object.Spec.Database.SecretRef.Name
	secret, err := r.fetchSecret(ctx, object.Namespace, name)
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

// fetchSecret reads a Secret past the cache, and returns nil where there is none.
func (r *Reconciler) fetchSecret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := r.Live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, secret)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %q: %w", name, err)
	}
	return secret, nil
}

// savedToken is the administrator's token of an earlier pass, and "" where there is none.
func (r *Reconciler) savedToken(ctx context.Context, object *v1alpha1.CRMTenant) (string, error) {
	secret, err := r.fetchSecret(ctx, object.Namespace, adminSecret)
	if err != nil || secret == nil || !metav1.IsControlledBy(secret, object) {
		return "", err
	}
	return string(secret.Data[tokenKey]), nil
}

// saveSecret makes a Secret of ours hold exactly this, and writes it only when it does not. A Secret of the same name
// that somebody else made is not ours to overwrite.
func (r *Reconciler) saveSecret(ctx context.Context, object *v1alpha1.CRMTenant, name string, values map[string]string) error {
	data := make(map[string][]byte, len(values))
	for key, value := range values {
		data[key] = []byte(value)
	}
	present, err := r.fetchSecret(ctx, object.Namespace, name)
	if err != nil {
		return err
	}
	if present == nil {
		return r.createSecret(ctx, object, name, data)
	}
	if !metav1.IsControlledBy(present, object) {
		return reconciling.Wait(v1alpha1.SecretNotOursReason,
			"Secret %q belongs to somebody else: delete or rename it, so that the operator can make its own.", name)
	}
	if maps.EqualFunc(present.Data, data, func(a, b []byte) bool { return string(a) == string(b) }) {
		return nil
	}
	present.Data = data
	if err := r.Client.Update(ctx, present, client.DisableReadYourWritesConsistency); err != nil {
		return fmt.Errorf("write Secret %q: %w", name, err)
	}
	return nil
}

func (r *Reconciler) createSecret(ctx context.Context, object *v1alpha1.CRMTenant, name string, data map[string][]byte) error {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: object.Namespace, Name: name,
			Labels: map[string]string{"app.kubernetes.io/managed-by": "tertulia"},
		},
		Data: data,
	}
	if err := controllerutil.SetControllerReference(object, secret, r.Client.Scheme()); err != nil {
		return fmt.Errorf("make Secret %q the tenant's: %w", name, err)
	}
	if err := r.Client.Create(ctx, secret, client.DisableReadYourWritesConsistency); err != nil {
		return fmt.Errorf("create Secret %q: %w", name, err)
	}
	return nil
}

// randomText is 256 random bits as text that is safe in URLs.
func randomText() (string, error) {
	random := make([]byte, 32)
	if _, err := rand.Read(random); err != nil {
		return "", fmt.Errorf("draw random bytes: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(random), nil
}
