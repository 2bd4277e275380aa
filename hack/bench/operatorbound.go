package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/local/postgres"
)

// page is how many objects a list asks for at a time, as informers did before watch lists.
const page = 500

// ourKinds are lists of everything that the operator looks after.
func ourKinds() []client.ObjectList {
	return []client.ObjectList{
		&v1alpha1.CRMTenantList{}, &v1alpha1.RecordTypeList{}, &v1alpha1.EventTypeList{}, &v1alpha1.MessageChannelList{},
		&v1alpha1.MessageTemplateList{}, &v1alpha1.SegmentList{}, &v1alpha1.CampaignList{},
	}
}

// eachObject lists everything and shows every object.
func eachObject(ctx context.Context, api client.Client, see func(v1alpha1.Object)) error {
	for _, list := range ourKinds() {
		next := ""
		for {
			if err := api.List(ctx, list, client.Limit(page), client.Continue(next)); err != nil {
				return fmt.Errorf("list the objects: %w", err)
			}
			err := meta.EachListItem(list, func(o runtime.Object) error {
				see(o.(v1alpha1.Object))
				return nil
			})
			if err != nil {
				return err
			}
			if next = list.GetContinue(); next == "" {
				break
			}
		}
	}
	return nil
}

// unready tells how many objects are not accepted and in force, and one of them.
func unready(ctx context.Context, api client.Client, want int) (missing int, example string, err error) {
	seen := 0
	err = eachObject(ctx, api, func(o v1alpha1.Object) {
		seen++
		ready := meta.FindStatusCondition(o.CommonStatus().Conditions, v1alpha1.ReadyCondition)
		if ready != nil && ready.Status == metav1.ConditionTrue && ready.ObservedGeneration == o.GetGeneration() {
			return
		}
		missing++
		example = fmt.Sprintf("%T %s/%s", o, o.GetNamespace(), o.GetName())
		if ready != nil {
			example += " (" + ready.Reason + ": " + ready.Message + ")"
		}
	})
	return missing + want - seen, example, err
}

// bareRestart is the bound of a restart: it lists the same objects and asks each tenant's database one question over a
// connection of its own, with nothing to decide.
func bareRestart(ctx context.Context, api client.Client, server *postgres.Server, tenants int) (time.Duration, error) {
	started := time.Now()
	if err := eachObject(ctx, api, func(v1alpha1.Object) {}); err != nil {
		return 0, err
	}
	for n := range tenants {
		if err := askOnce(ctx, server.URL(tenantDatabase(n))); err != nil {
			return 0, err
		}
	}
	return time.Since(started), nil
}

func askOnce(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return fmt.Errorf("connect to a tenant's database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var id string
	if err := conn.QueryRow(ctx, "select id from tertulia.tenant").Scan(&id); err != nil {
		return fmt.Errorf("ask a tenant's database: %w", err)
	}
	return nil
}
