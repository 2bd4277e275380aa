package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// kinds are all of ours, as kubectl takes them.
const kinds = "crm"

var reapplied = drill{
	name: "reapplied",
	done: "every object of the tenant's namespace is deleted and applied again",
	run: func(ctx context.Context, s *stage, r *result) error {
		return s.sendDisturbed(ctx, r, disturbance{perSecond: 50, do: func(ctx context.Context) error {
			return s.reapply(ctx, r.Drill)
		}})
	},
}

func (s *stage) reapply(ctx context.Context, campaign string) error {
	if _, err := s.kubectl(ctx, "", "delete", kinds, "--all", "--namespace", velo, "--timeout=120s"); err != nil {
		return err
	}
	for _, component := range []string{"worker", "server"} {
		if err := s.awaitPods(ctx, velo, component, 0); err != nil {
			return err
		}
	}
	return s.applyAll(ctx, campaign)
}

// applyAll applies what Git has: the tenant's configuration, the campaign that is being sent, and every campaign that ever was.
func (s *stage) applyAll(ctx context.Context, campaign string) error {
	if _, err := s.kubectl(ctx, "", "apply", "--server-side", "--force-conflicts", "-k", s.path("manifests")); err != nil {
		return err
	}
	if err := s.declare(ctx, campaign); err != nil {
		return err
	}
	for _, earlier := range s.sends {
		if err := s.declare(ctx, earlier.Drill); err != nil {
			return err
		}
	}
	if s.example != nil {
		if err := s.applyExample(ctx); err != nil {
			return err
		}
	}
	return s.applyTenant(ctx)
}

var uninstalled = drill{
	name: "uninstalled",
	done: "helm uninstall, then helm install: kinds, objects, people and pods stay, and sending goes on",
	run: func(ctx context.Context, s *stage, r *result) error {
		return s.sendDisturbed(ctx, r, disturbance{perSecond: 50, do: s.reinstall})
	},
}

func (s *stage) reinstall(ctx context.Context) error {
	objects := func() (n int, err error) {
		var kinds apiextensionsv1.CustomResourceDefinitionList
		if err := s.client.List(ctx, &kinds); err != nil {
			return 0, fmt.Errorf("list the kinds: %w", err)
		}
		n = len(kinds.Items)
		for _, list := range []client.ObjectList{&v1alpha1.CRMTenantList{}, &v1alpha1.CampaignList{}, &v1alpha1.SegmentList{}} {
			if err := s.client.List(ctx, list, client.InNamespace(velo)); err != nil {
				return 0, fmt.Errorf("list the tenant's objects: %w", err)
			}
			n += meta.LenList(list)
		}
		return n, nil
	}
	before, err := objects()
	if err != nil {
		return err
	}
	if _, err := s.helm(ctx, "uninstall", release, "--namespace", system, "--wait", "--timeout=2m"); err != nil {
		return err
	}
	if err := s.awaitPods(ctx, system, "operator", 0); err != nil {
		return err
	}
	after, err := objects()
	if err != nil {
		return err
	}
	if after != before {
		return fmt.Errorf("helm uninstall took kinds or objects with it: %d before, %d after", before, after)
	}
	if err := s.goesOn(ctx, 3*time.Second); err != nil {
		return err
	}
	velo, err := s.db.ledgers(ctx)
	if err != nil {
		return err
	}
	var contacts int
	if err := velo.Pool.QueryRow(ctx, "select count(*) from contact").Scan(&contacts); err != nil {
		return fmt.Errorf("count the contacts: %w", err)
	}
	if contacts != len(s.people.Contacts) {
		return fmt.Errorf("%d contacts are left of %d", contacts, len(s.people.Contacts))
	}
	return s.installChart(ctx)
}

var etcdWiped = drill{
	name: "etcd-wiped",
	done: "etcd's data is deleted; everything is installed and applied again, against the same database",
	run: func(ctx context.Context, s *stage, r *result) error {
		// The kubelet ends pods that nobody asks for any more, and gives them a second, as it cannot know how long they were to have.
		return s.sendDisturbed(ctx, r, disturbance{perSecond: 50, mayLose: workers * perKill, do: func(ctx context.Context) error {
			return s.wipe(ctx, r.Drill)
		}})
	},
}

func (s *stage) wipe(ctx context.Context, campaign string) error {
	plane := s.node.ControlPlane()
	if err := errors.Join(plane.StopAPIServer(ctx), plane.StopEtcd(ctx)); err != nil {
		return err
	}
	if err := plane.WipeEtcd(); err != nil {
		return err
	}
	if err := plane.StartEtcd(ctx); err != nil {
		return err
	}
	if err := plane.StartAPIServer(ctx); err != nil {
		return err
	}
	if err := s.node.Rejoin(ctx); err != nil {
		return err
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	if err := s.installChart(ctx); err != nil {
		return err
	}
	return s.applyAll(ctx, campaign)
}
