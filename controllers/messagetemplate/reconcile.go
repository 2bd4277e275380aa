package messagetemplate

import (
	"context"
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Reconcile brings one template into force, or says why it cannot. Content that was in force stays so until new content
// is sound.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	return tenancy.Reconcile(ctx, r.Controller, request, &v1alpha1.MessageTemplate{}, r.enforce, sleep)
}

func (r *Reconciler) enforce(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.MessageTemplate, tenant tenancy.Tenant) error {
	schema, err := tenant.DB.LoadSchema(ctx)
	if err != nil {
		return err
	}
	files, err := r.fetchFiles(ctx, object)
	if err != nil {
		return err
	}
	declared, err := tenant.DB.LoadTenant(ctx)
	if err != nil {
		return err
	}
	planned, err := planTemplate(object, files, schema, declared)
	if err != nil {
		return r.explain(ctx, object.Namespace, tenant.DB, schema, err)
	}
	if _, err := tenant.DB.SaveTemplate(ctx, planned.row); err != nil {
		return err
	}
	report(pass, object, planned)
	return nil
}

func sleep(ctx context.Context, object *v1alpha1.MessageTemplate, tenant tenancy.Tenant) error {
	return tenant.DB.DormantTemplate(ctx, object.Name)
}

// files are the texts that a template takes from ConfigMaps.
type files map[v1alpha1.ConfigMapKeyReference]string

// fetchFiles reads the ConfigMaps past the cache.
func (r *Reconciler) fetchFiles(ctx context.Context, object *v1alpha1.MessageTemplate) (files, error) {
	maps := map[string]*corev1.ConfigMap{}
	for _, name := range configMapNames(object.Spec) {
		found := &corev1.ConfigMap{}
		err := r.Live.Get(ctx, types.NamespacedName{Namespace: object.Namespace, Name: name}, found)
		if apierrors.IsNotFound(err) {
			return nil, reconciling.Wait(v1alpha1.NotFoundReason("ConfigMap"),
				"ConfigMap %q is not there: apply it, or correct the reference in spec.content.", name)
		}
		if err != nil {
			return nil, fmt.Errorf("read ConfigMap %q: %w", name, err)
		}
		maps[name] = found
	}
	texts := files{}
	for _, reference := range references(object.Spec) {
		text, ok := maps[reference.Name].Data[reference.Key]
		if !ok {
			return nil, reconciling.Wait(v1alpha1.ConfigMapKeyMissingReason, "ConfigMap %q lacks the key %q.", reference.Name, reference.Key)
		}
		texts[reference] = text
	}
	return texts, nil
}

// explain tells what is wrong with a template, unless that may be only that the attributes it uses are still on their
// way: manifests arrive in any order.
func (r *Reconciler) explain(ctx context.Context, namespace string, db *store.DB, checked crm.Schema, wrong error) error {
	underWay, err := reconciling.AnyUnderWay(ctx, r.Client, namespace, &v1alpha1.RecordTypeList{})
	if err != nil {
		return err
	}
	if underWay {
		return errSchemaUnderWay
	}
	// What came into force since the schema was read wakes this object: to stall on it meanwhile would be wrong, and a tool
	// that applies manifests gives up on what stalls.
	schema, err := db.LoadSchema(ctx)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(schema.Attributes, checked.Attributes) {
		return errSchemaUnderWay
	}
	return wrong
}

var errSchemaUnderWay error = &reconciling.Waiting{
	Reason: v1alpha1.DependencyNotReady, Progressing: true, Message: "The attributes of contacts are not in force yet.",
}
