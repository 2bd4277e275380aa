package crmtenant

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// fence decides whether the tenant's ledger may be sent from: whether it is the one that was, and knows all that the cluster
// remembers. It runs before the namespace's other objects get the database, so that what their statuses remember of a ledger
// that was lost is still there to be written down.
func (r *Reconciler) fence(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.CRMTenant, db *store.DB) error {
	found, err := db.LoadFence(ctx)
	if err != nil {
		return explainFence(err)
	}
	known := object.Status.LedgerMark
	decision := planFence(factsOfFence(found, known))
	if decision != keepPermit {
		// What changes anything is decided by what is stored: the cache may be behind, and a mark that is too low permits too much.
		if known, err = r.storedMark(ctx, object); err != nil {
			return err
		}
		decision = planFence(factsOfFence(found, known))
	}
	facts := factsOfFence(found, known)
	switch decision {
	case keepPermit:
	case adoptMark:
		object.Status.LedgerMark = &found.Mark
	case forgetMark:
		// Before the permit: a crash in between leaves a release that is put in force by the next pass.
		if err := writeMark(ctx, r.Client, object, found.Mark); err != nil {
			return err
		}
		err = r.permit(ctx, pass, facts, db)
	case permitSending:
		if known == nil {
			object.Status.LedgerMark = &found.Mark
		}
		err = r.permit(ctx, pass, facts, db)
	case quarantineHere:
		err = r.quarantine(ctx, pass, object, facts, found, db)
	}
	if err != nil {
		return err
	}
	r.reportFence(ctx, pass, object, facts, decision)
	replication, err := db.LoadReplication(ctx)
	if err != nil {
		return err
	}
	safety := planFailover(replication)
	pass.Condition(v1alpha1.FailoverSafeCondition, safety.status, safety.reason, safety.message)
	return nil
}

// explainFence tells an owner that it lacks a right without which nothing can be compared.
func explainFence(err error) error {
	if store.IsRefused(err) {
		return reconciling.Wait(v1alpha1.MayNotIdentifyReason,
			"The database's owner may not ask PostgreSQL which server it is: "+
				"grant execute on pg_control_system(), pg_current_wal_lsn() and pg_walfile_name(pg_lsn).")
	}
	return err
}

// storedMark reads the mark past the cache.
func (r *Reconciler) storedMark(ctx context.Context, object *v1alpha1.CRMTenant) (*int64, error) {
	stored := &v1alpha1.CRMTenant{}
	if err := r.Stored.Get(ctx, client.ObjectKeyFromObject(object), stored); err != nil {
		return nil, fmt.Errorf("read the ledger's mark: %w", err)
	}
	return stored.Status.LedgerMark, nil
}

// writeMark writes what the cluster remembers of the ledger, and nothing else.
func writeMark(ctx context.Context, c client.Client, object *v1alpha1.CRMTenant, mark int64) error {
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"ledgerMark": mark}})
	if err != nil {
		return fmt.Errorf("encode the ledger's mark: %w", err)
	}
	if err := c.Status().Patch(ctx, object.DeepCopy(), client.RawPatch(types.MergePatchType, patch)); err != nil {
		return fmt.Errorf("write the ledger's mark: %w", err)
	}
	return nil
}

func (r *Reconciler) permit(ctx context.Context, pass *reconciling.Pass, facts fenceFacts, db *store.DB) error {
	err := db.PermitSending(ctx, facts.here)
	if errors.Is(err, store.ErrOtherLedger) {
		return &reconciling.Interrupted{Reason: v1alpha1.ProgressingReason, Message: "The database was replaced a moment ago.", Err: err}
	}
	if err != nil {
		return err
	}
	switch {
	case facts.released:
		pass.Happened(corev1.EventTypeNormal, v1alpha1.QuarantineReleasedReason,
			"The quarantine was released, and sending goes on as was decided: `tertulia quarantine show` tells how.")
	case facts.permit != nil:
		pass.Happened(corev1.EventTypeNormal, v1alpha1.FailedOverReason,
			"The database's server has failed over and its ledger knows all that the cluster remembers: sending goes on.")
	}
	return nil
}

// quarantine stops all sending from this ledger and writes down what the cluster knows, once.
func (r *Reconciler) quarantine(
	ctx context.Context, pass *reconciling.Pass, object *v1alpha1.CRMTenant, facts fenceFacts, found store.Fence, db *store.DB,
) error {
	if found.Quarantine != nil && found.Quarantine.Identity == found.Identity {
		return nil
	}
	campaigns, err := r.knownCampaigns(ctx, object.Namespace)
	if err != nil {
		return err
	}
	err = db.OpenQuarantine(ctx, store.Quarantine{
		Identity: facts.here, Why: fenceDifferences(facts), KnownMark: facts.known, LedgerMark: facts.ledger, Campaigns: campaigns,
	})
	if err != nil {
		return err
	}
	pass.Happened(corev1.EventTypeWarning, v1alpha1.QuarantinedReason, quarantineMessage(fenceReason(facts)))
	return nil
}

// knownCampaigns is what the namespace's Campaigns say of how their sends went.
func (r *Reconciler) knownCampaigns(ctx context.Context, namespace string) ([]store.KnownCampaign, error) {
	list := &v1alpha1.CampaignList{}
	if err := r.Client.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list the campaigns: %w", err)
	}
	var known []store.KnownCampaign
	for i := range list.Items {
		known = append(known, planKnown(&list.Items[i])...)
	}
	return known, nil
}

// planKnown is what a Campaign's status says of its sends: of one that recurs, how its last occurrence went, and apart from that
// whether it goes on.
func planKnown(c *v1alpha1.Campaign) []store.KnownCampaign {
	s := &c.Status
	if s.Phase == "" {
		return nil
	}
	declared := store.KnownCampaign{Campaign: c.Name, SendKey: c.Spec.SendKey, Phase: string(s.Phase)}
	counted := declared
	counted.Occurrence = s.Occurrence
	counted.Planned, counted.Sent, counted.Failed = ptr.Deref(s.Planned, 0), ptr.Deref(s.Sent, 0), ptr.Deref(s.Failed, 0)
	counted.Ambiguous, counted.Skipped = ptr.Deref(s.Ambiguous, 0), ptr.Deref(s.Skipped, 0)
	if s.Occurrence == "" {
		return []store.KnownCampaign{counted}
	}
	counted.Phase = string(s.LastPhase)
	return []store.KnownCampaign{declared, counted}
}

// reportFence tells in the tenant's conditions whether its ledger may be sent from, and has the other objects look again when
// that has changed: what they declared may be gone from a database that was restored.
func (r *Reconciler) reportFence(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.CRMTenant, facts fenceFacts, decision fenceDecision) {
	before := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.QuarantinedCondition)
	wasQuarantined := before != nil && before.Status == metav1.ConditionTrue
	quarantined := decision == quarantineHere
	if quarantined {
		reason := fenceReason(facts)
		pass.Condition(v1alpha1.QuarantinedCondition, metav1.ConditionTrue, reason, quarantineMessage(reason))
	} else {
		pass.Condition(v1alpha1.QuarantinedCondition, metav1.ConditionFalse, v1alpha1.PermittedReason, "The ledger is the one that the cluster knows.")
	}
	if quarantined != wasQuarantined && before != nil || decision == permitSending && facts.permit != nil {
		r.Tenants.WakeAll(ctx, object.Namespace)
	}
}

func quarantineMessage(reason string) string {
	what := "The database holds another copy of the ledger than the one that was sent from, such as a restored backup"
	if reason == v1alpha1.LedgerBehindReason {
		what = "The ledger has forgotten messages that the cluster remembers, as a restored backup or a failover to a standby that lagged behind does"
	}
	return what + ": nothing is sent until a person decides. `tertulia quarantine show` tells what is missing, `tertulia quarantine release` goes on."
}
