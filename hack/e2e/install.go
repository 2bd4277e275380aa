package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/hack/people/invent"
)

const (
	system      = "tertulia-system" // where the operator is
	release     = "tertulia"
	velo        = "velo" // the example's namespace
	workers     = 2      // of the example's tenant
	connections = 4      // of its channel
	operators   = 2
)

// restricted is the strictest of Kubernetes' Pod Security Standards.
const restricted = "pod-security.kubernetes.io/enforce: restricted"

// installChart makes the operator's namespace and Secret and installs the chart, as docs/platform.md tells.
func (s *stage) installChart(ctx context.Context) error {
	s.show.note("helm install %s %s", release, relative(s.chart()))
	manifest := fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s, labels: {%[2]s}}
---
apiVersion: v1
kind: Secret
metadata: {name: tertulia-database, namespace: %[1]s}
stringData: {url: %[3]q}
`, system, restricted, s.db.url())
	if err := s.apply(ctx, manifest); err != nil {
		return err
	}
	if _, err := s.helm(ctx, append([]string{"install", release, s.chart()}, helmValues(s.tag())...)...); err != nil {
		return err
	}
	if err := s.awaitPods(ctx, system, "operator", operators); err != nil {
		return err
	}
	s.show.note("%d operators are ready", operators)
	return nil
}

// helmValues are the values of every install and upgrade.
func helmValues(tag string) []string {
	return []string{
		"--namespace", system, "--wait=false", "--set", "image.repository=tertulia", "--set", "image.tag=" + tag, "--set", "image.pullPolicy=Never",
		"--set", "database.existingSecret=tertulia-database", "--set", "resources.requests.cpu=20m",
	}
}

// overlay puts the example into this cluster: its mail goes to our mailbox, several workers share the work, and drills write to the same
// people again and again.
const overlay = `
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [crm, everybody.yaml]
patches:
- target: {kind: Namespace}
  patch: |
    - {op: add, path: /metadata/labels, value: {%s}}
- target: {kind: CRMTenant}
  patch: |
    - {op: replace, path: /spec/publicURL, value: "http://crm.velo.example"}
    - {op: add, path: /spec/worker, value: {replicas: %d, resources: {requests: {cpu: 20m}}}}
    - {op: add, path: /spec/server, value: {resources: {requests: {cpu: 20m}}}}
- target: {kind: SendPolicy}
  patch: |
    - {op: add, path: /spec/suspend, value: true}
- target: {kind: MessageChannel}
  patch: |
    - {op: replace, path: /spec/email/smtp/host, value: 10.77.0.1}
    - {op: replace, path: /spec/email/smtp/port, value: %d}
`

// everybody is whom the drills' campaigns go to.
const everybody = `
apiVersion: crm.tertulia.dev/v1alpha1
kind: Segment
metadata: {name: everybody, namespace: velo}
spec:
  description: Everybody who wants the newsletter.
  match: consented("newsletter")
`

// declareTenant applies the example's standing configuration and waits until it is in force.
func (s *stage) declareTenant(ctx context.Context) error {
	s.show.begin("kubectl apply -k examples/velo")
	folder := s.path("manifests")
	if err := os.CopyFS(filepath.Join(folder, "crm"), os.DirFS("examples/velo/crm")); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("copy the example: %w", err)
	}
	for name, content := range map[string]string{"kustomization.yaml": fmt.Sprintf(overlay, restricted, workers, smtpPort), "everybody.yaml": everybody} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			return fmt.Errorf("write the example's overlay: %w", err)
		}
	}
	if err := s.applyTenant(ctx); err != nil {
		return err
	}
	s.show.done("everything is in force; %d workers and a server run", workers)
	return nil
}

// applyTenant applies what declareTenant has written, which may be there already, and waits.
func (s *stage) applyTenant(ctx context.Context) error {
	if _, err := s.kubectl(ctx, "", "apply", "--server-side", "--force-conflicts", "-k", s.path("manifests")); err != nil {
		return err
	}
	if err := s.awaitInForce(ctx, velo); err != nil {
		return err
	}
	for component, n := range map[string]int{"worker": workers, "server": 1} {
		if err := s.awaitPods(ctx, velo, component, n); err != nil {
			return err
		}
	}
	return nil
}

// standing are lists of all kinds that a tenant's configuration consists of while nothing is sent.
func standing() []client.ObjectList {
	return []client.ObjectList{
		&v1alpha1.CRMTenantList{}, &v1alpha1.RecordTypeList{}, &v1alpha1.EventTypeList{}, &v1alpha1.MessageChannelList{}, &v1alpha1.MessageTemplateList{},
		&v1alpha1.SegmentList{}, &v1alpha1.ConsentPolicyList{}, &v1alpha1.SendPolicyList{}, &v1alpha1.SocialSourceList{}, &v1alpha1.MonitorList{},
	}
}

// awaitInForce waits until every object of the tenant's configuration is Ready.
func (s *stage) awaitInForce(ctx context.Context, namespace string) error {
	err := await(ctx, 3*time.Minute, func(ctx context.Context) (string, error) {
		for _, list := range standing() {
			if err := s.client.List(ctx, list, client.InNamespace(namespace)); err != nil {
				return err.Error(), nil
			}
			items, err := meta.ExtractList(list)
			if err != nil {
				return "", err
			}
			for _, item := range items {
				object, ok := item.(v1alpha1.Object)
				if !ok {
					return "", fmt.Errorf("%T is none of our kinds", item)
				}
				if missing := notReady(object); missing != "" {
					return missing, nil
				}
			}
		}
		return "", nil
	})
	if err != nil {
		return fmt.Errorf("wait for the configuration of %s: %w", namespace, err)
	}
	return nil
}

// notReady says why an object is not in force; "" when it is.
func notReady(o v1alpha1.Object) string {
	name := strings.TrimPrefix(fmt.Sprintf("%T", o), "*v1alpha1.") + "/" + o.GetName()
	status := o.CommonStatus()
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ReadyCondition)
	switch {
	case status.ObservedGeneration != o.GetGeneration():
		return name + " has not been looked at"
	case ready == nil:
		return name + " has no condition"
	case ready.Status != metav1.ConditionTrue:
		return fmt.Sprintf("%s is not ready (%s): %s", name, ready.Reason, ready.Message)
	}
	return ""
}

// importPeople brings invented customers and what they did to the tenant's server, by its HTTP API.
func (s *stage) importPeople(ctx context.Context) error {
	s.show.begin("tertulia import contacts, events")
	s.people = invent.New(invent.Options{Contacts: s.contacts, Events: 6 * s.contacts, Seed: 1, Until: time.Now()})
	folder := s.path("people")
	if err := s.people.WriteFiles(folder); err != nil {
		return err
	}
	address, token, err := s.server(ctx, velo)
	if err != nil {
		return err
	}
	for what, file := range map[string]string{"contacts": invent.ContactsFile, "events": invent.EventsFile} {
		cmd := exec.CommandContext(ctx, s.built.program, "import", what, filepath.Join(folder, file), "--source", invent.Source, "--output", "json")
		cmd.Env = append(os.Environ(), "TERTULIA_SERVER="+address+"/t/velo-demo", "TERTULIA_TOKEN="+token)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("import %s: %w: %s", what, err, out)
		}
	}
	err = await(ctx, 2*time.Minute, func(ctx context.Context) (string, error) {
		var segment v1alpha1.Segment
		if err := s.client.Get(ctx, client.ObjectKey{Namespace: velo, Name: "everybody"}, &segment); err != nil {
			return "", err
		}
		if want, got := int64(len(s.consenting())), segment.Status.Members; got == nil || *got < want {
			return fmt.Sprintf("the segment everybody does not have %d members yet", want), nil
		}
		return "", nil
	})
	if err != nil {
		return fmt.Errorf("build segments: %w", err)
	}
	s.show.done("%d contacts", len(s.people.Contacts))
	return nil
}

// server is where a tenant's server is reached within the cluster, and its admin token. It answers there: a Service leads to
// its pods only some time after they are ready.
func (s *stage) server(ctx context.Context, namespace string) (address, token string, err error) {
	var secret corev1.Secret
	if err := s.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "tertulia-admin"}, &secret); err != nil {
		return "", "", fmt.Errorf("read the admin token of %s: %w", namespace, err)
	}
	var service corev1.Service
	if err := s.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "tertulia-server"}, &service); err != nil {
		return "", "", fmt.Errorf("find the server of %s: %w", namespace, err)
	}
	for _, port := range service.Spec.Ports {
		if port.Name == "http" {
			address = fmt.Sprintf("http://%s:%d", service.Spec.ClusterIP, port.Port)
		}
	}
	err = await(ctx, time.Minute, func(ctx context.Context) (string, error) {
		if _, err := get(ctx, address, ""); err != nil {
			return err.Error(), nil
		}
		return "", nil
	})
	if err != nil {
		return "", "", fmt.Errorf("reach the server of %s: %w", namespace, err)
	}
	return address, string(secret.Data["token"]), nil
}

// consenting are the addresses of the customers who want the newsletter. Some share one.
func (s *stage) consenting() map[string]bool {
	addresses := map[string]bool{}
	for _, contact := range s.people.Contacts {
		if contact.Newsletter == "true" && contact.Email != "" {
			addresses[strings.ToLower(contact.Email)] = true
		}
	}
	return addresses
}
