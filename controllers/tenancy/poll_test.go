package tenancy

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

func request(name string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "velo", Name: name}}
}

// TestADatabaseFloodsNoQueue has a database say of more objects than there are that they have changed.
func TestADatabaseFloodsNoQueue(t *testing.T) {
	r := New(Options{})
	queues := map[string]workqueue.TypedRateLimitingInterface[reconcile.Request]{}
	for _, kind := range []string{"CRMTenant", store.SegmentKind, store.CampaignKind} {
		queues[kind] = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		t.Cleanup(queues[kind].ShutDown)
		all := func(context.Context, string) []reconcile.Request {
			return []reconcile.Request{request("all"), request("quiet")}
		}
		if kind == "CRMTenant" {
			all = nil
		}
		if err := r.Source(kind, all).Start(t.Context(), queues[kind]); err != nil {
			t.Fatal(err)
		}
	}
	changes := []store.StatusChange{{Kind: "CRMTenant", Name: v1alpha1.TenantName}, {Kind: store.SegmentKind, Name: "all"}, {Kind: "Nothing", Name: "all"}}
	for i := range 10_000 {
		changes = append(changes, store.StatusChange{Kind: store.SegmentKind, Name: fmt.Sprint(i)}, store.StatusChange{Kind: "CRMTenant", Name: fmt.Sprint(i)})
	}
	r.wakeChanged(t.Context(), "velo", changes)
	got := map[string][]string{}
	for kind, queue := range queues {
		for range min(queue.Len(), 10) {
			item, _ := queue.Get()
			got[kind] = append(got[kind], item.Name)
		}
		slices.Sort(got[kind])
	}
	want := map[string][]string{"CRMTenant": {v1alpha1.TenantName}, store.SegmentKind: {"all"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("woken: -want +got:\n%s", diff)
	}
}
