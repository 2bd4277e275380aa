package crmtenant

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/credentials"
)

// claims gives an id, and the host of a public URL, to the first tenant that asks. What a tenant has stands in its status
// (status.publicURL), and here until it stands there: so an operator that begins knows who was first, however old the
// objects are, and a tenant that changes its URL does not take another's host.
type claims struct {
	mu   sync.Mutex
	made map[string]claim // by namespace
}

// claim is what a tenant has.
type claim struct {
	uid  types.UID // of the CRMTenant: another of its namespace claims anew
	id   string
	host string // in lower case; "" for a public URL with a path, which names its tenant by that
}

// claim takes a tenant's id and host for it, or returns a *credentials.TakenError or a *credentials.HostTakenError.
func (r *Reconciler) claim(ctx context.Context, object *v1alpha1.CRMTenant, told credentials.Tenant) error {
	r.claims.mu.Lock()
	defer r.claims.mu.Unlock()
	var tenants v1alpha1.CRMTenantList
	if err := r.Client.List(ctx, &tenants, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the tenants: %w", err)
	}
	if err := planClaim(object, tenants.Items, r.claims.made); err != nil {
		return err
	}
	// A directory of this machine may belong to a tenant that is no object any more.
	if err := r.Handover.Check(told); err != nil {
		return err
	}
	if r.claims.made == nil {
		r.claims.made = map[string]claim{}
	}
	r.claims.made[object.Namespace] = claim{uid: object.UID, id: object.Spec.ID, host: hostOf(object.Spec.PublicURL)}
	return nil
}

// forget gives up what a namespace has asked for.
func (c *claims) forget(namespace string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.made, namespace)
}

// planClaim tells whether another tenant has what this one asks for. Claims of objects that are no more count nothing.
func planClaim(asking *v1alpha1.CRMTenant, tenants []v1alpha1.CRMTenant, made map[string]claim) error {
	host := hostOf(asking.Spec.PublicURL)
	for i := range tenants {
		other := &tenants[i]
		if other.Namespace == asking.Namespace {
			continue
		}
		for _, has := range []claim{made[other.Namespace], inForce(other)} {
			if has.uid != other.UID {
				continue
			}
			if has.id == asking.Spec.ID {
				return &credentials.TakenError{ID: has.id, Namespace: other.Namespace}
			}
			if host != "" && has.host == host {
				return &credentials.HostTakenError{Namespace: other.Namespace}
			}
		}
	}
	return nil
}

// inForce is what a tenant has by its status: nothing before it was accepted for the first time.
func inForce(t *v1alpha1.CRMTenant) claim {
	if t.Status.PublicURL == "" {
		return claim{}
	}
	return claim{uid: t.UID, id: t.Spec.ID, host: hostOf(t.Status.PublicURL)}
}

// hostOf is the host by which a public URL names its tenant.
func hostOf(publicURL string) string { return strings.ToLower(credentials.HostOf(publicURL)) }
