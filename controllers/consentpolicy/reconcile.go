package consentpolicy

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Reconcile brings one policy into force, or says why it cannot. What was in force stays so until a new version is sound.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	return tenancy.Reconcile(ctx, r.Controller, request, &v1alpha1.ConsentPolicy{}, r.enforce, sleep)
}

func (r *Reconciler) enforce(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.ConsentPolicy, tenant tenancy.Tenant) error {
	planned, err := planPolicy(object)
	if err != nil {
		return err
	}
	if err := r.checkMail(ctx, object); err != nil {
		return err
	}
	if _, err := tenant.DB.SaveConsentPolicy(ctx, planned); err != nil {
		return explain(err)
	}
	report(pass, object, planned)
	return nil
}

func sleep(ctx context.Context, object *v1alpha1.ConsentPolicy, tenant tenancy.Tenant) error {
	return tenant.DB.DormantConsentPolicy(ctx, object.Name)
}

// checkMail tells whether the mail that the policy names can be written.
func (r *Reconciler) checkMail(ctx context.Context, object *v1alpha1.ConsentPolicy) error {
	c := object.Spec.Confirmation
	if c == nil {
		return nil
	}
	template, channel := &v1alpha1.MessageTemplate{}, &v1alpha1.MessageChannel{}
	found, err := r.look(ctx, object.Namespace, c.TemplateRef.Name, template)
	if err != nil {
		return err
	}
	if !found {
		template = nil
	}
	if found, err = r.look(ctx, object.Namespace, c.ChannelRef.Name, channel); err != nil {
		return err
	}
	if !found {
		channel = nil
	}
	return planMail(template, channel, c)
}

func (r *Reconciler) look(ctx context.Context, namespace, name string, into client.Object) (bool, error) {
	err := r.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, into)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %T %q: %w", into, name, err)
	}
	return true, nil
}

// explain says in the author's words why the database did not take a policy.
func explain(err error) error {
	var taken *store.PurposeTakenError
	var changed *store.TextChangedError
	switch {
	case errors.As(err, &taken):
		return reconciling.Stall(v1alpha1.PurposeTakenReason,
			"spec.purposes: ConsentPolicy %q has the purpose %q: declare it in one of them.", taken.Policy, taken.Purpose)
	case errors.As(err, &changed):
		return reconciling.Stall(v1alpha1.TextChangedReason,
			"spec.purposes %q: the text of version %q in %q differs from what was asked under that version: give the new wording a version of its own.",
			changed.Purpose, changed.Version, changed.Locale)
	}
	return err
}
