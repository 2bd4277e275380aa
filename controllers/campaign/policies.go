package campaign

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/governing"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/policy"
)

// +kubebuilder:rbac:groups=crm.tertulia.dev,resources=sendpolicies;consentpolicies,verbs=list;watch

// judge tells how a campaign breaks the policies in force, unless one of them is being looked at. Nothing counts for a send
// that is over. Policies are about messages to people, and say nothing of publications.
func (r *Reconciler) judge(ctx context.Context, object *v1alpha1.Campaign, tenant tenancy.Tenant, found facts) error {
	if object.Spec.Publication != nil {
		return nil
	}
	if found.send != nil && governing.Over(&v1alpha1.Campaign{Status: v1alpha1.CampaignStatus{Phase: v1alpha1.CampaignPhase(found.send.State)}}) {
		return nil
	}
	if err := r.awaitPolicies(ctx, object.Namespace); err != nil {
		return err
	}
	purposes, err := tenant.DB.Purposes(ctx)
	if err != nil {
		return err
	}
	if message := policy.JudgePurpose(object.Spec.Purpose, purposes); message != "" {
		return reconciling.Stall(v1alpha1.PurposeUnknownReason, "%s", message)
	}
	policies, err := tenant.DB.SendPolicies(ctx)
	if err != nil {
		return err
	}
	view := governing.View(object, tenant.TimeZone)
	var broken []policy.Violation
	for _, p := range policies {
		broken = append(broken, p.Judge(view)...)
	}
	if len(broken) > 0 {
		return reconciling.Stall(v1alpha1.PolicyViolatedReason, "%s", governing.Tell(broken, true))
	}
	return nil
}

// awaitPolicies waits for a policy whose newest version has not been looked at. A moment later it has an answer, and the campaign
// is woken by it; what is in force goes on until then.
func (r *Reconciler) awaitPolicies(ctx context.Context, namespace string) error {
	sends, consents := &v1alpha1.SendPolicyList{}, &v1alpha1.ConsentPolicyList{}
	for _, list := range []client.ObjectList{sends, consents} {
		if err := r.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return fmt.Errorf("list the policies: %w", err)
		}
	}
	for i := range sends.Items {
		if err := awaited("SendPolicy", &sends.Items[i]); err != nil {
			return err
		}
	}
	for i := range consents.Items {
		if err := awaited("ConsentPolicy", &consents.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

func awaited(kind string, object v1alpha1.Object) error {
	if object.CommonStatus().ObservedGeneration == object.GetGeneration() || !object.GetDeletionTimestamp().IsZero() {
		return nil
	}
	return &reconciling.Interrupted{
		Reason: v1alpha1.DependencyNotReady, Message: fmt.Sprintf("%s %q is being looked at.", kind, object.GetName()),
	}
}
