package crmtenant

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// How long until we look again at what no watch tells: another process's migration, and a person's release of a
// database that is another tenant's.
const (
	migrationWait = 5 * time.Second
	releaseWait   = time.Minute
)

// migrationError marks what went wrong in a migration.
type migrationError struct{ err error }

func (e *migrationError) Error() string { return "migrate the database: " + e.err.Error() }
func (e *migrationError) Unwrap() error { return e.err }

// explain turns what can go wrong with a database into words for the author of a CRMTenant.
func explain(err error) error {
	var foreign *store.ErrForeignDatabase
	var taken *credentials.TakenError
	var host *credentials.HostTakenError
	var migration *migrationError
	var newer *store.ErrNewerSchema
	switch {
	case err == nil:
		return nil
	case errors.As(err, &newer):
		return &reconciling.Waiting{
			Reason: v1alpha1.DatabaseNewerReason, After: releaseWait,
			Message: "A newer version of Tertulia has migrated the database, and migrations only go forward: what runs goes on, " +
				"and nothing new is put in force until the operator is of that version again.",
		}
	case errors.As(err, &foreign):
		return &reconciling.Stalled{
			Reason: v1alpha1.ForeignDatabaseReason, After: releaseWait,
			Message: fmt.Sprintf("The database belongs to tenant %q of namespace %q: name another database, or let a person release this one.",
				foreign.ID, foreign.Namespace),
		}
	case errors.As(err, &taken):
		return &reconciling.Stalled{
			Reason: v1alpha1.IDTakenReason, After: releaseWait,
			Message: fmt.Sprintf("spec.id %q is the tenant's of namespace %q: write a CRMTenant with another id.", taken.ID, taken.Namespace),
		}
	case errors.As(err, &host):
		return &reconciling.Stalled{
			Reason: v1alpha1.PublicURLTakenReason, After: releaseWait,
			Message: fmt.Sprintf("The tenant of namespace %q is reached at the host of spec.publicURL already: name a host of this tenant's own.",
				host.Namespace),
		}
	case errors.Is(err, store.ErrMigrating):
		return &reconciling.Waiting{
			Reason: v1alpha1.MigratingReason, Message: "Another process is migrating the database.", Progressing: true, After: migrationWait,
		}
	case store.IsUnavailable(err):
		reason, message := reconciling.DatabaseTrouble(err)
		return &reconciling.Failed{Reason: reason, Message: message, Err: err}
	case errors.Is(err, store.ErrLoginRefused):
		return &reconciling.Failed{
			Reason: v1alpha1.DatabaseRefusedReason, Message: "The database's server refuses the login: check the user and the password.", Err: err,
		}
	case errors.Is(err, store.ErrNoDatabase):
		return &reconciling.Failed{
			Reason: v1alpha1.DatabaseRefusedReason, Message: "The database's server has no database of this name: create it or name another.", Err: err,
		}
	case errors.As(err, &migration):
		return &reconciling.Failed{
			Reason: v1alpha1.MigrationFailedReason, Message: "The database could not be migrated. The operator tries again, and its log tells more.", Err: err,
		}
	}
	return err
}

// tellNeighbours says to the other objects of the namespace why their tenant cannot be used. An interruption of the
// operator's own is none of their business.
func (r *Reconciler) tellNeighbours(ctx context.Context, namespace string, err error) {
	var stalled *reconciling.Stalled
	var waiting *reconciling.Waiting
	var failed *reconciling.Failed
	switch {
	case errors.As(err, &stalled) && stalled.Reason == v1alpha1.ForeignDatabaseReason:
		r.Tenants.Refuse(ctx, namespace, "The CRMTenant's database belongs to another tenant.")
	case errors.As(err, &stalled) && stalled.Reason == v1alpha1.IDTakenReason:
		r.Tenants.Refuse(ctx, namespace, "The CRMTenant's id belongs to another tenant.")
	case errors.As(err, &stalled):
		r.tellTrouble(ctx, namespace, stalled.Reason)
	case errors.As(err, &waiting):
		r.tellTrouble(ctx, namespace, waiting.Reason)
	case errors.As(err, &failed) && store.IsUnavailable(failed.Err):
		r.Tenants.Trouble(ctx, namespace, failed.Reason, failed.Message)
	case errors.As(err, &failed):
		r.tellTrouble(ctx, namespace, failed.Reason)
	}
}

func (r *Reconciler) tellTrouble(ctx context.Context, namespace, reason string) {
	r.Tenants.Trouble(ctx, namespace, v1alpha1.TenantNotReadyReason, fmt.Sprintf("The CRMTenant is not ready: %s.", reason))
}

// report writes what is known of a tenant in force.
func report(pass *reconciling.Pass, object *v1alpha1.CRMTenant, place tenancy.Place, way login) {
	// The URL was read before.
	object.Status.Database, _ = store.DatabaseName(place.URL)
	object.Status.PublicURL = object.Spec.PublicURL
	owner, _ := store.LoginOf(place.URL)
	if way.role == owner {
		pass.Condition(v1alpha1.RuntimeRoleCondition, metav1.ConditionFalse, v1alpha1.OwnerRunsReason,
			"Workers and servers use the owner's login, because the owner may not create roles: "+
				`add the key "runtime-uri" to the Secret to give them one of their own.`)
	} else {
		pass.Condition(v1alpha1.RuntimeRoleCondition, metav1.ConditionTrue, v1alpha1.SeparateReason, "Workers and servers have a login that owns nothing.")
	}
	if object.Spec.Suspend {
		pass.InForce("The database is ready. Nothing is sent and no segment is evaluated while spec.suspend is true.")
		return
	}
	pass.InForce("The database is ready.")
}
