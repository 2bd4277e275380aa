package crash

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/credentials"
	"github.com/tertulia-crm/tertulia/internal/store"
)

//go:embed manifests/tenant.yaml
var tenantManifests string

// clusterTenant is a scenario's tenant in a cluster.
type clusterTenant struct {
	*cluster
	w *world
}

// joinCluster makes the scenario's tenant in the cluster: its team applies its manifests, but for the campaign, and brings people.
func (w *world) joinCluster(ctx context.Context, s *Suite) error {
	c, err := s.ensureCluster(ctx)
	if err != nil {
		return err
	}
	c.tenants++
	w.id = fmt.Sprintf("velo-%d", c.tenants)
	w.cluster = &clusterTenant{cluster: c, w: w}
	w.tenant = c.path("tenants") + "/" + w.id
	if err := w.cluster.apply(ctx, notCampaign, ""); err != nil {
		return err
	}
	if err := w.cluster.awaitReady(ctx); err != nil {
		return err
	}
	if err := w.openTenant(ctx); err != nil {
		return err
	}
	return w.bringPeople(ctx)
}

// openTenant opens the database that the operator has made, as who may read everything there.
func (w *world) openTenant(ctx context.Context) error {
	t, err := credentials.Read(w.tenant)
	if err != nil {
		return err
	}
	u, err := url.Parse(t.DatabaseURL)
	if err != nil {
		return errors.New("read the tenant's database URL: it is none")
	}
	w.db, err = store.Open(ctx, w.cluster.database.server.URL(strings.TrimPrefix(u.Path, "/")),
		store.Options{MaxConns: 4, ApplicationName: "crash suite"})
	return err
}

// bringPeople imports the audience through the tenant's server.
func (w *world) bringPeople(ctx context.Context) error {
	s, err := w.startServer(ctx)
	if err != nil {
		return err
	}
	return s.importWave(ctx, 1, w.parameters.Size)
}

// selector tells which manifests are meant.
type selector func(*unstructured.Unstructured) bool

func all(*unstructured.Unstructured) bool { return true }

// ours are those of Tertulia's kinds.
func ours(o *unstructured.Unstructured) bool {
	return o.GroupVersionKind().Group == v1alpha1.GroupVersion.Group
}

func onlyCampaign(o *unstructured.Unstructured) bool { return o.GetKind() == "Campaign" }

func notCampaign(o *unstructured.Unstructured) bool { return !onlyCampaign(o) }

// manifests are those of the tenant's team, with a description that differs between edits.
func (c *clusterTenant) manifests(which selector, description string) ([]*unstructured.Unstructured, error) {
	_, port := c.w.relay.place()
	text := strings.NewReplacer("NAMESPACE", c.w.id, "SMTP_PORT", strconv.Itoa(port), "CONNECTIONS", strconv.Itoa(connections),
		"SCHEDULE", c.w.schedule(), "SIZE", strconv.Itoa(c.w.parameters.Size), "DESCRIPTION", "Everybody "+description).Replace(tenantManifests)
	var found []*unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewBufferString(text), 4096); ; {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the tenant's manifests: %w", err)
		}
		if which(object) {
			found = append(found, object)
		}
	}
}

// apply applies manifests as kubectl apply --server-side does.
func (c *clusterTenant) apply(ctx context.Context, which selector, description string) error {
	list, err := c.manifests(which, description)
	if err != nil {
		return err
	}
	for _, o := range list {
		err := c.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), client.FieldOwner("team"), client.ForceOwnership)
		if err != nil {
			return fmt.Errorf("apply %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return nil
}

func (c *clusterTenant) applyCampaign(ctx context.Context) error {
	return c.apply(ctx, onlyCampaign, "")
}

// remove deletes objects and waits until they are gone.
func (c *clusterTenant) remove(ctx context.Context, which selector) error {
	list, err := c.manifests(which, "")
	if err != nil {
		return err
	}
	for _, o := range list {
		if err := client.IgnoreNotFound(c.client.Delete(ctx, o)); err != nil {
			return fmt.Errorf("delete %s %s: %w", o.GetKind(), o.GetName(), err)
		}
	}
	return c.w.await(ctx, "the deleted objects are gone", func() (bool, string, error) {
		for _, o := range list {
			err := c.client.Get(ctx, client.ObjectKeyFromObject(o), o)
			if !apierrors.IsNotFound(err) {
				return false, fmt.Sprintf("%s %s is there", o.GetKind(), o.GetName()), err
			}
		}
		return true, "", nil
	})
}

// awaitReady waits until everything but the campaign is in force.
func (c *clusterTenant) awaitReady(ctx context.Context) error {
	list, err := c.manifests(func(o *unstructured.Unstructured) bool { return ours(o) && notCampaign(o) }, "")
	if err != nil {
		return err
	}
	return c.w.await(ctx, "the tenant's objects are in force", func() (bool, string, error) {
		for _, o := range list {
			// No worker runs yet, and a segment is ready when one has counted it.
			if o.GetKind() == "Segment" {
				continue
			}
			if err := c.client.Get(ctx, client.ObjectKeyFromObject(o), o); err != nil {
				return false, "", err
			}
			if !isReady(o) {
				return false, fmt.Sprintf("%s %s: %v", o.GetKind(), o.GetName(), o.Object["status"]), nil
			}
		}
		return true, "", nil
	})
}

func isReady(o *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		condition, _ := c.(map[string]any)
		if condition["type"] == "Ready" && condition["status"] == "True" && condition["observedGeneration"] == o.GetGeneration() {
			return true
		}
	}
	return false
}

// awaitStatus waits until the campaign's status says what the ledger says.
func (c *clusterTenant) awaitStatus(ctx context.Context) error {
	return c.w.await(ctx, "the campaign's status says what the ledger says", func() (bool, string, error) {
		s, err := c.w.db.SendStatus(ctx, campaignName)
		if err != nil {
			return false, "", err
		}
		var campaign v1alpha1.Campaign
		if err := c.client.Get(ctx, client.ObjectKey{Namespace: c.w.id, Name: campaignName}, &campaign); err != nil {
			return false, err.Error(), nil
		}
		said := func(n *int64) int64 {
			if n == nil {
				return -1
			}
			return *n
		}
		t := campaign.Status
		ledger := fmt.Sprint(s.State, s.Planned, s.Sent, s.Failed, s.Ambiguous, s.Skipped, s.Pending)
		status := fmt.Sprint(t.Phase, said(t.Planned), said(t.Sent), said(t.Failed), said(t.Ambiguous), said(t.Skipped), said(t.Pending))
		return ledger == status, fmt.Sprintf("the ledger says %s and the status %s", ledger, status), nil
	})
}

// adminToken is the token that the operator has written for the tenant's administrator.
func (c *clusterTenant) adminToken(ctx context.Context) (token string, err error) {
	err = c.w.await(ctx, "the operator has written the administrator's token", func() (bool, string, error) {
		var secret corev1.Secret
		if err := c.client.Get(ctx, client.ObjectKey{Namespace: c.w.id, Name: "tertulia-admin"}, &secret); err != nil {
			return false, err.Error(), nil
		}
		token = string(secret.Data["token"])
		return token != "", "it is empty", nil
	})
	return token, err
}
