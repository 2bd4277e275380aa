package crmtenant

import (
	"context"
	"errors"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// calendar is how often the monthly partitions are looked at. They are made months ahead.
const calendar = 12 * time.Hour

// Reconcile brings one tenant to where its object says, or says why it cannot.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (result ctrl.Result, err error) {
	object := &v1alpha1.CRMTenant{}
	if err := r.Client.Get(ctx, request.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	pass := r.Passes.Begin(object)
	defer func() { result, err = pass.End(ctx, err) }()

	if !object.DeletionTimestamp.IsZero() {
		return ctrl.Result{}, explain(r.release(ctx, pass, object))
	}
	if err := pass.KeepUntilReleased(ctx); err != nil {
		return ctrl.Result{}, err
	}
	settled := explain(r.settle(ctx, pass, object))
	if settled != nil {
		r.tellNeighbours(ctx, object.Namespace, settled)
	} else {
		r.Tenants.Open(ctx, object.Namespace, tenancy.Tenant{
			ID: object.Spec.ID, TimeZone: object.Spec.TimeZoneOrDefault(), Suspended: object.Spec.Suspend, PublicURL: object.Spec.PublicURL,
		})
		pass.LookAgainAfter(calendar)
	}
	return ctrl.Result{}, errors.Join(settled, r.runWorkloads(ctx, pass, object, settled == nil))
}

// settle goes from facts to a database in use.
func (r *Reconciler) settle(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.CRMTenant) error {
	row, err := planTenant(object)
	if err != nil {
		return err
	}
	// Before anything that is named after the id: roles, and what workers and servers are told.
	told := credentials.Tenant{ID: object.Spec.ID, Namespace: object.Namespace, PublicURL: object.Spec.PublicURL}
	if r.Workloads != nil {
		told.MetricsTokenSHA256 = r.Workloads.Metrics.SHA256()
	}
	if err := r.claim(ctx, object, told); err != nil {
		return err
	}
	if told.SentimentToken, err = r.sentimentToken(ctx, pass, object); err != nil {
		return err
	}
	found, err := r.gather(ctx, object)
	if err != nil {
		return err
	}
	place, err := planPlace(object.Spec, found)
	if err != nil {
		return err
	}
	db, err := r.prepareDatabase(ctx, object, place, row)
	if err != nil {
		return err
	}
	if err := r.fence(ctx, pass, object, db); err != nil {
		return err
	}
	way, err := r.prepareLogin(ctx, object, place, found, db, told)
	if err != nil {
		return err
	}
	if err := r.ensureAdmin(ctx, object, db); err != nil {
		return err
	}
	if err := r.tell(ctx, object, told, way); err != nil {
		return err
	}
	report(pass, object, place, way)
	return nil
}

// tell hands to workers and servers what they must know of the tenant.
func (r *Reconciler) tell(ctx context.Context, object *v1alpha1.CRMTenant, told credentials.Tenant, way login) error {
	told.DatabaseURL = way.url
	if _, err := r.Handover.SaveTenant(ctx, object, told); err != nil {
		return fmt.Errorf("hand the database's login to workers and servers: %w", err)
	}
	return nil
}

// prepareDatabase makes, migrates and claims the database. Another tenant's is left before anything in it is touched.
func (r *Reconciler) prepareDatabase(ctx context.Context, object *v1alpha1.CRMTenant, place tenancy.Place, row store.Tenant) (*store.DB, error) {
	if place.Role != "" {
		if err := r.Cluster.EnsureDatabase(ctx, row.ID); err != nil {
			return nil, err
		}
	}
	db, err := r.Tenants.Connect(ctx, object.Namespace, place)
	if err != nil {
		return nil, err
	}
	if _, err := db.CheckClaim(ctx, row.ID, row.Namespace); err != nil {
		return nil, err
	}
	if err := r.migrate(ctx, object, place); err != nil {
		return nil, err
	}
	if _, err := db.SaveTenant(ctx, row); err != nil {
		return nil, err
	}
	if err := db.EnsureEventPartitions(ctx, r.Clock()); err != nil {
		return nil, err
	}
	if err := db.EnsureEngagementPartitions(ctx, r.Clock()); err != nil {
		return nil, err
	}
	if err := db.PruneEngagement(ctx, r.Clock()); err != nil {
		return nil, err
	}
	return db, nil
}

// migrate brings the schema up to date, which takes as long as its tables are large.
func (r *Reconciler) migrate(ctx context.Context, object *v1alpha1.CRMTenant, place tenancy.Place) error {
	patient, cancel := reconciling.Patiently(ctx)
	defer cancel()
	version, err := store.Migrate(patient, place.URL, store.Options{
		Role: place.Role, ApplicationName: "tertulia-operator", MaxAnswer: tenancy.MaxAnswer,
	})
	if err != nil {
		return &migrationError{err}
	}
	object.Status.SchemaVersion = version
	if ctx.Err() != nil { // the time of this pass is over, and the next one has nothing to migrate
		return tryAgain(ctx.Err())
	}
	return nil
}

// prepareLogin gives workers and servers a login of their own, with rights of its own. A database's owner who may not
// create roles has to share theirs.
func (r *Reconciler) prepareLogin(
	ctx context.Context, object *v1alpha1.CRMTenant, place tenancy.Place, found facts, db *store.DB, told credentials.Tenant,
) (login, error) {
	password, err := randomText()
	if err != nil {
		return login{}, err
	}
	way, err := planLogin(object.Spec, place, found, password)
	if err != nil {
		return login{}, err
	}
	owner, err := store.LoginOf(place.URL)
	if err != nil {
		return login{}, err
	}
	if way.role == owner {
		return way, checkLogin(ctx, object, way)
	}
	if way.password != "" {
		if place.Role != "" {
			// A new password is kept before it is in force: where the Secret cannot be written, as in a namespace that ends,
			// workers keep the login that they have.
			if err := r.tell(ctx, object, told, way); err != nil {
				return login{}, err
			}
		}
		if way, err = r.ensureLogin(ctx, place, db, way); err != nil || way.role == owner {
			return way, err
		}
		if place.Role == "" { // only now is it known that the role can be made
			if err := r.tell(ctx, object, told, way); err != nil {
				return login{}, err
			}
		}
	}
	if err := db.EnsureGrants(ctx, way.role); err != nil {
		return login{}, err
	}
	return way, checkLogin(ctx, object, way)
}

// checkLogin tries the login of workers and servers. One that was brought must lead into the database that was claimed: in
// another one they would take somebody else's people for the tenant's.
func checkLogin(ctx context.Context, object *v1alpha1.CRMTenant, way login) error {
	if way.password != "" {
		return store.CheckLogin(ctx, way.url)
	}
	db, err := store.Open(ctx, way.url, store.Options{MaxConns: 1, ApplicationName: "tertulia-operator", MaxAnswer: tenancy.MaxAnswer})
	if err != nil {
		return err
	}
	defer db.Close()
	claimed, err := db.CheckClaim(ctx, object.Spec.ID, object.Namespace)
	var foreign *store.ErrForeignDatabase
	if errors.As(err, &foreign) || err == nil && !claimed {
		return reconciling.Wait(v1alpha1.InvalidDatabaseURLReason,
			"Key %q of Secret %q leads to another database than key %q: both must name the tenant's.",
			runtimeURIKey, object.Spec.Database.SecretRef.Name, uriKey)
	}
	return err
}

// ensureLogin makes the login work, and returns what does. One that works already is left alone, so that a settled tenant costs
// no write. The owner of a database that was brought shares its login where it may not create roles; that of the default
// cluster opens every tenant's database, and is handed to none.
func (r *Reconciler) ensureLogin(ctx context.Context, place tenancy.Place, db *store.DB, way login) (login, error) {
	err := store.CheckLogin(ctx, way.url)
	if err == nil || !errors.Is(err, store.ErrLoginRefused) {
		return way, err
	}
	if place.Role != "" {
		err := r.Cluster.EnsureLogin(ctx, way.role, way.password)
		if errors.Is(err, store.ErrMayNotCreateRoles) {
			err = &reconciling.Failed{
				Reason:  v1alpha1.DatabaseRefusedReason,
				Message: "The operator's login on its default cluster may not create roles: grant it CREATEROLE.", Err: err,
			}
		}
		return way, err
	}
	err = db.EnsureLogin(ctx, way.role, way.password)
	if !errors.Is(err, store.ErrMayNotCreateRoles) {
		return way, err
	}
	owner, err := store.LoginOf(place.URL)
	return login{url: place.URL, role: owner}, err
}

// ensureAdmin keeps the administrator's token in its Secret, and its hash in the database.
func (r *Reconciler) ensureAdmin(ctx context.Context, object *v1alpha1.CRMTenant, db *store.DB) error {
	present, err := r.Handover.Fetch(ctx, object.Namespace, adminSecret)
	if err != nil {
		return err
	}
	token := ownToken(present, object)
	if token == "" {
		token = store.NewToken()
	}
	data := map[string]string{tokenKey: token, serverKey: planServer(object.Spec, r.ServerURL)}
	if _, err := r.Handover.Save(ctx, object, present, adminSecret, data); err != nil {
		return err
	}
	_, err = db.EnsureAdminToken(ctx, store.HashToken(token))
	return err
}
