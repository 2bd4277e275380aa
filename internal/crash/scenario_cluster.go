package crash

import (
	"context"
	"fmt"

	"github.com/tertulia-crm/tertulia/config/crd"
	"github.com/tertulia-crm/tertulia/internal/local/controlplane"
)

var clusterScenarios = []Scenario{
	{
		Name: "api-server-away", Done: "API server and etcd are stopped until the send has ended", Cluster: true,
		run: sendWithoutAPIServer,
	},
	{
		Name: "operator-killed", Done: "kill -9 of the operator, twice at random; another takes its place", Cluster: true,
		run: killOperator,
	},
	{
		Name: "manifests-reapplied", Cluster: true, run: reapply,
		Done: "everything is applied again, edited; the campaign is deleted and comes back, then the whole tenant is",
	},
	{
		Name: "etcd-emptied", Done: "etcd's data is deleted, and everything is applied again against the same database", Cluster: true,
		run: emptyEtcd,
	},
	{
		Name: "campaign-recurs", Cluster: true, Recurs: true, run: recurThroughFailures, Allows: Allowance{WorkerDeaths: 2},
		Done: "a daily campaign while the API server is away: kill -9 of its worker in two occurrences and between them, one begun late, one missed",
	},
}

// told is the end of a scenario in a cluster: the campaign's status tells what came of it.
func (w *world) told(ctx context.Context) error {
	if err := w.awaitEnd(ctx); err != nil {
		return err
	}
	return w.cluster.awaitStatus(ctx)
}

func sendWithoutAPIServer(ctx context.Context, w *world) error {
	if _, err := w.begin(ctx, 2); err != nil {
		return err
	}
	err := w.disturb(ctx, w.shares(1)[0], func() error {
		return w.cluster.away(ctx, func() error { return w.awaitEnd(ctx) })
	})
	if err != nil {
		return err
	}
	return w.told(ctx)
}

func killOperator(ctx context.Context, w *world) error {
	if _, err := w.begin(ctx, 2); err != nil {
		return err
	}
	for _, share := range w.shares(2) {
		err := w.disturb(ctx, share, func() error {
			if err := w.cluster.operator.Kill(); err != nil {
				return fmt.Errorf("kill the operator: %w", err)
			}
			return w.cluster.startOperator(ctx)
		})
		if err != nil {
			return err
		}
	}
	return w.told(ctx)
}

func reapply(ctx context.Context, w *world) error {
	if _, err := w.begin(ctx, 2); err != nil {
		return err
	}
	c := w.cluster
	for i, again := range []func() error{
		func() error { return c.apply(ctx, all, "again") },
		func() error {
			if err := c.remove(ctx, onlyCampaign); err != nil {
				return err
			}
			return c.applyCampaign(ctx)
		},
		func() error {
			if err := c.remove(ctx, ours); err != nil {
				return err
			}
			return c.apply(ctx, all, "once more")
		},
	} {
		if err := w.disturb(ctx, w.shares(3)[i], again); err != nil {
			return err
		}
	}
	return w.told(ctx)
}

func emptyEtcd(ctx context.Context, w *world) error {
	if _, err := w.begin(ctx, 2); err != nil {
		return err
	}
	c := w.cluster
	err := w.disturb(ctx, w.shares(1)[0], func() error {
		// With the objects of a cluster its pods are gone, the operator's too.
		if err := c.operator.Kill(); err != nil {
			return fmt.Errorf("kill the operator: %w", err)
		}
		if err := c.away(ctx, c.plane.WipeEtcd); err != nil {
			return err
		}
		if err := controlplane.InstallCRDs(ctx, c.plane.Config(), crd.Files); err != nil {
			return err
		}
		if err := c.startOperator(ctx); err != nil {
			return err
		}
		return c.apply(ctx, all, "")
	})
	if err != nil {
		return err
	}
	return w.told(ctx)
}
