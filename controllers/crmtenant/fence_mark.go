package crmtenant

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// markInterval is how often a ledger's mark is looked at: what is lost within it is not noticed.
const markInterval = 10 * time.Second

// markTimeout bounds one look, so that a database that does not answer holds up nobody else's.
const markTimeout = 5 * time.Second

// markKeeper keeps in each tenant's status how many intents its ledger holds, so that the cluster knows when the database
// forgets some. It writes that one number, and only when it has grown; all else it leaves to the tenant's own controller,
// which it wakes when a ledger or its standbys are not as the conditions say.
type markKeeper struct {
	client   client.Client
	tenants  *tenancy.Registry
	interval time.Duration
}

func (r *Reconciler) setupMarks(mgr ctrl.Manager) error {
	k := &markKeeper{client: r.Client, tenants: r.Tenants, interval: r.MarkInterval}
	if k.interval == 0 {
		k.interval = markInterval
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("ledgermark").
		For(&v1alpha1.CRMTenant{}, builder.WithPredicates(reconciling.Edited())).
		WithOptions(reconciling.Options("CRMTenant")).
		Complete(k)
}

// Reconcile looks at one tenant's ledger, and again after the interval for as long as the tenant is there.
func (k *markKeeper) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	object := &v1alpha1.CRMTenant{}
	if err := k.client.Get(ctx, request.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !object.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, nil
	}
	again := ctrl.Result{RequeueAfter: k.interval}
	tenant, err := k.tenants.Tenant(ctx, object.Namespace)
	if err != nil {
		return again, nil // it is not in force: its own conditions say why
	}
	limited, cancel := context.WithTimeout(ctx, markTimeout)
	defer cancel()
	found, err := tenant.DB.LoadFence(limited)
	if err != nil {
		return again, nil // the registry's poll notices a database that is away, and tells
	}
	replication, err := tenant.DB.LoadReplication(limited)
	if err != nil {
		return again, nil
	}
	switch {
	case !reported(object, found, replication):
		k.tenants.Wake(store.TenantKind, object.Namespace, object.Name)
	case found.Permitted && object.Status.LedgerMark != nil && found.Mark > *object.Status.LedgerMark:
		if err := writeMark(ctx, k.client, object, found.Mark); client.IgnoreNotFound(err) != nil {
			return ctrl.Result{}, err
		}
	}
	return again, nil
}

// reported tells whether the tenant's conditions say what would be decided now.
func reported(object *v1alpha1.CRMTenant, found store.Fence, replication store.Replication) bool {
	quarantined := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.QuarantinedCondition)
	failover := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.FailoverSafeCondition)
	if quarantined == nil || failover == nil {
		return false
	}
	safety := planFailover(replication)
	if failover.Status != safety.status || failover.Reason != safety.reason {
		return false
	}
	switch planFence(factsOfFence(found, object.Status.LedgerMark)) {
	case keepPermit:
		return quarantined.Status == metav1.ConditionFalse
	case quarantineHere:
		return quarantined.Status == metav1.ConditionTrue && !found.Permitted
	case adoptMark, permitSending, forgetMark:
	}
	return false
}
