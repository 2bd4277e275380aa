package monitor

import (
	"context"
	"errors"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/controllers/tenancy"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Reconcile brings one monitor into force, or says why it cannot. What was in force stays so until a new version is sound.
func (r *Reconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	return tenancy.Reconcile(ctx, r.Controller, request, &v1alpha1.Monitor{}, r.enforce, sleep)
}

func (r *Reconciler) enforce(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.Monitor, tenant tenancy.Tenant) error {
	pass.Count(counts)
	planned, fed, err := r.plan(ctx, object)
	if reconciling.IsVerdict(err) {
		return reportBefore(ctx, pass, object, tenant.DB, err)
	}
	if err != nil {
		return err
	}
	_, state, err := tenant.DB.SaveMonitor(ctx, planned)
	if err != nil {
		return err
	}
	report(pass, object, state, fed, tenant.Suspended)
	return nil
}

// plan is what a monitor puts in force, and whether there is a source to hear anything by.
func (r *Reconciler) plan(ctx context.Context, object *v1alpha1.Monitor) (planned store.Monitor, fed bool, err error) {
	if planned, err = planMonitor(object); err != nil {
		return planned, false, err
	}
	var sources v1alpha1.SocialSourceList
	if err := r.Client.List(ctx, &sources, client.InNamespace(object.Namespace)); err != nil {
		return planned, false, fmt.Errorf("list the sources: %w", err)
	}
	if err := planSources(object, sources.Items); err != nil {
		return planned, false, err
	}
	var monitors v1alpha1.MonitorList
	if err := r.Client.List(ctx, &monitors, client.InNamespace(object.Namespace)); err != nil {
		return planned, false, fmt.Errorf("list the monitors: %w", err)
	}
	return planned, len(sources.Items) > 0, planShare(object, monitors.Items)
}

// reportBefore shows how it goes with the monitor as it was declared before, which counts and raises alarms although it is refused
// as it is declared now.
func reportBefore(ctx context.Context, pass *reconciling.Pass, object *v1alpha1.Monitor, db *store.DB, refused error) error {
	before, err := db.LoadMonitorState(ctx, object.Name)
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && !before.InForce: // it never was, or was deleted meanwhile
		return refused
	case err != nil:
		return err
	}
	reportCounts(pass, object, before)
	return refused
}

func sleep(ctx context.Context, object *v1alpha1.Monitor, tenant tenancy.Tenant) error {
	return tenant.DB.DormantMonitor(ctx, object.Name)
}
