package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// stuck is the namespace of a tenant that cannot finish deleting: something in it has a finalizer that nobody removes.
const stuck = "stuck"

const stuckTenant = `
apiVersion: v1
kind: Namespace
metadata: {name: stuck}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: held, namespace: stuck, finalizers: [example.com/nobody-removes-it]}
---
apiVersion: crm.tertulia.dev/v1alpha1
kind: CRMTenant
metadata: {name: default, namespace: stuck}
spec:
  id: stuck-demo
  displayName: Stuck
  timeZone: Europe/Madrid
  locales: [en]
  publicURL: http://crm.stuck.example
`

var namespaceStuck = drill{
	name: "namespace-stuck",
	done: "another tenant's namespace cannot finish deleting; its tenant lets go, and the first one's sending goes on",
	run: func(ctx context.Context, s *stage, r *result) error {
		return s.sendDisturbed(ctx, r, disturbance{perSecond: 80, do: s.getStuck})
	},
}

func (s *stage) getStuck(ctx context.Context) error {
	if err := s.apply(ctx, stuckTenant); err != nil {
		return err
	}
	if err := s.awaitPods(ctx, stuck, "worker", 1); err != nil {
		return err
	}
	s.show.note("the namespace has a tenant; deleting it")
	if _, err := s.kubectl(ctx, "", "delete", "namespace", stuck, "--wait=false"); err != nil {
		return err
	}
	err := await(ctx, time.Minute, func(ctx context.Context) (string, error) {
		err := s.client.Get(ctx, client.ObjectKey{Namespace: stuck, Name: v1alpha1.TenantName}, &v1alpha1.CRMTenant{})
		if err == nil {
			return "the tenant is still there", nil
		}
		return "", client.IgnoreNotFound(err)
	})
	var namespace corev1.Namespace
	if gone := s.client.Get(ctx, client.ObjectKey{Name: stuck}, &namespace); err == nil && gone != nil {
		err = fmt.Errorf("the namespace was to be stuck: %w", gone)
	}
	s.show.note("its tenant has let go; letting the namespace go")
	// Whatever came of it, the namespace is let go.
	_, freed := s.kubectl(ctx, "", "patch", "configmap", "held", "--namespace", stuck,
		"--type=json", "--patch", `[{"op": "remove", "path": "/metadata/finalizers"}]`)
	if err := errors.Join(err, freed); err != nil {
		return err
	}
	return await(ctx, 2*time.Minute, func(ctx context.Context) (string, error) {
		err := s.client.Get(ctx, client.ObjectKey{Name: stuck}, &corev1.Namespace{})
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		return "the namespace is still there", client.IgnoreNotFound(err)
	})
}
