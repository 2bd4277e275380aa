package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// The namespaces of a second tenant, and of one that claims to be the first.
const (
	rival    = "rival"
	impostor = "impostor"
)

// rivals are a second tenant with an administrator of its own and a pod to look around from, and an impostor.
const rivals = `
apiVersion: v1
kind: Namespace
metadata: {name: rival, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: Namespace
metadata: {name: impostor}
---
apiVersion: crm.tertulia.dev/v1alpha1
kind: CRMTenant
metadata: {name: default, namespace: rival}
spec:
  id: rival-demo
  displayName: Rival
  timeZone: Europe/Madrid
  locales: [en]
  publicURL: http://crm.rival.example
---
apiVersion: crm.tertulia.dev/v1alpha1
kind: CRMTenant
metadata: {name: default, namespace: impostor}
spec: {id: velo-demo, displayName: Impostor, timeZone: Europe/Madrid, locales: [en], publicURL: "http://crm.impostor.example"}
---
apiVersion: crm.tertulia.dev/v1alpha1
kind: Segment
metadata: {name: all-there-are, namespace: rival}
spec: {description: Whoever there is., match: 'consented("newsletter") || !consented("newsletter")'}
---
apiVersion: crm.tertulia.dev/v1alpha1
kind: Segment
metadata: {name: theirs, namespace: rival}
spec: {description: Club members of the other tenant., match: 'contact.plan == "club"'}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: admin, namespace: rival}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: rival-admin}]
---
apiVersion: v1
kind: Pod
metadata: {name: probe, namespace: rival, labels: {app: probe}}
spec:
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  terminationGracePeriodSeconds: 1
  containers:
  - name: probe
    image: tertulia-probe:e2e
    imagePullPolicy: Never
    readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`

var apart = drill{
	name: "apart",
	done: "a second tenant tries to read the first: by SQL, Secret, token, expression, identity and network",
	run:  runApart,
}

// runApart tries each way, and that the same way is open to who has the right to it: a door that is always shut proves nothing.
func runApart(ctx context.Context, s *stage, _ *result) (err error) {
	if err := s.apply(ctx, rivals); err != nil {
		return err
	}
	defer func() {
		_, cleared := s.kubectl(ctx, "", "delete", "namespace", rival, impostor, "--timeout=120s")
		err = errors.Join(err, cleared)
	}()
	for _, component := range []string{"worker", "server"} {
		if err := s.awaitPods(ctx, rival, component, 1); err != nil {
			return err
		}
	}
	var errs []error
	for _, try := range []struct {
		way string
		try func(context.Context) error
	}{
		{"SQL", s.tryDatabase},
		{"Secret", s.tryObjects},
		{"token", s.tryToken},
		{"expression", s.tryExpressions},
		{"identity", s.tryIdentity},
		{"network", s.tryNetwork},
	} {
		if err := try.try(ctx); err != nil {
			errs = append(errs, fmt.Errorf("by %s: %w", try.way, err))
			continue
		}
		s.show.note("by %s: no", try.way)
	}
	return errors.Join(errs...)
}

// tryDatabase takes the rival's credentials to the first tenant's database.
func (s *stage) tryDatabase(ctx context.Context) error {
	var secret corev1.Secret
	if err := s.client.Get(ctx, client.ObjectKey{Namespace: rival, Name: "tertulia-runtime"}, &secret); err != nil {
		return fmt.Errorf("read the rival's credentials: %w", err)
	}
	own := string(secret.Data["database-url"])
	if err := reaches(ctx, own, "select 1"); err != nil {
		return fmt.Errorf("its own database is shut to the rival: %w", err)
	}
	theirs, err := url.Parse(own)
	if err != nil {
		return errors.New("the rival's database URL cannot be read")
	}
	theirs.Path = "/tertulia_velo_demo"
	if reaches(ctx, theirs.String(), "select 1") == nil {
		return errors.New("the first tenant's database let the rival in")
	}
	if reaches(ctx, own, "set role tertulia_velo_demo_runtime") == nil {
		return errors.New("the rival could take the first tenant's role")
	}
	return nil
}

func reaches(ctx context.Context, database, statement string) error {
	db, err := store.Open(ctx, database, store.Options{MaxConns: 1, ApplicationName: "e2e"})
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Pool.Exec(ctx, statement)
	return err
}

// tryObjects acts as the administrator of the rival's namespace, and as a pod in it.
func (s *stage) tryObjects(ctx context.Context) error {
	config := s.node.ControlPlane().Config()
	config.Impersonate = rest.ImpersonationConfig{UserName: "rival-admin", Groups: []string{"system:authenticated"}}
	person, err := client.New(config, client.Options{Scheme: s.client.Scheme()})
	if err != nil {
		return err
	}
	for _, list := range []client.ObjectList{&corev1.SecretList{}, &v1alpha1.CampaignList{}, &v1alpha1.SegmentList{}} {
		if err := person.List(ctx, list, client.InNamespace(rival)); err != nil {
			return fmt.Errorf("its own objects are shut to the rival: %w", err)
		}
		if err := person.List(ctx, list, client.InNamespace(velo)); !apierrors.IsForbidden(err) {
			return fmt.Errorf("the API server answered the rival about %T of the first tenant with %w", list, err)
		}
	}
	eye, err := s.eye(ctx)
	if err != nil {
		return err
	}
	for path, want := range map[string]string{"/version": "200 ", "/api/v1/namespaces/" + velo + "/secrets": "403 "} {
		said, err := eye.asks(ctx, path)
		if err != nil || !strings.HasPrefix(said, want) {
			return fmt.Errorf("the API server answered a pod of the rival about %s with %q (%w), want %s", path, said, err, want)
		}
	}
	return nil
}

// tryToken takes the rival's admin token to the first tenant's server, and asks the rival's own server about the first tenant.
func (s *stage) tryToken(ctx context.Context) error {
	address, token, err := s.server(ctx, velo)
	if err != nil {
		return err
	}
	rivalAddress, rivalToken, err := s.server(ctx, rival)
	if err != nil {
		return err
	}
	for _, ask := range []struct {
		who, url, token string
		want            int
	}{
		{"the first tenant, of its own server,", address + "/t/velo-demo/v1/tokens", token, http.StatusOK},
		{"the rival, of its own server,", rivalAddress + "/t/rival-demo/v1/tokens", rivalToken, http.StatusOK},
		{"the rival, of the first tenant's server,", address + "/t/velo-demo/v1/tokens", rivalToken, http.StatusUnauthorized},
		{"the rival, of its own server about the first tenant,", rivalAddress + "/t/velo-demo/v1/tokens", rivalToken, http.StatusNotFound},
	} {
		if got, err := get(ctx, ask.url, ask.token); err != nil || got != ask.want {
			return fmt.Errorf("%s got %d (%w), want %d", ask.who, got, err, ask.want)
		}
	}
	return nil
}

// tryExpressions looks at the rival's segments: one of everybody there is, and one that names what only the first tenant has
// declared.
func (s *stage) tryExpressions(ctx context.Context) error {
	return await(ctx, time.Minute, func(ctx context.Context) (string, error) {
		var all, theirs v1alpha1.Segment
		if err := s.client.Get(ctx, client.ObjectKey{Namespace: rival, Name: "all-there-are"}, &all); err != nil {
			return "", err
		}
		if err := s.client.Get(ctx, client.ObjectKey{Namespace: rival, Name: "theirs"}, &theirs); err != nil {
			return "", err
		}
		if all.Status.Members == nil || notReady(&all) != "" {
			return "the rival's own segment has not been built", nil
		}
		if *all.Status.Members != 0 {
			return "", fmt.Errorf("an expression of the rival, who has no contacts, found %d", *all.Status.Members)
		}
		switch ready := meta.FindStatusCondition(theirs.Status.Conditions, v1alpha1.ReadyCondition); {
		case ready == nil:
			return "the rival's expression over the first tenant's attribute has not been looked at", nil
		case ready.Status != "False":
			return "", errors.New("an expression of the rival may name an attribute of the first tenant")
		}
		return "", nil
	})
}

// tryIdentity looks at the impostor, who declares the first tenant's id.
func (s *stage) tryIdentity(ctx context.Context) error {
	err := await(ctx, time.Minute, func(ctx context.Context) (string, error) {
		var tenant v1alpha1.CRMTenant
		if err := s.client.Get(ctx, client.ObjectKey{Namespace: impostor, Name: v1alpha1.TenantName}, &tenant); err != nil {
			return "", err
		}
		ready := meta.FindStatusCondition(tenant.Status.Conditions, v1alpha1.ReadyCondition)
		if ready == nil || ready.Reason != v1alpha1.IDTakenReason {
			return fmt.Sprintf("the impostor is told %+v", ready), nil
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	var secrets corev1.SecretList
	if err := s.client.List(ctx, &secrets, client.InNamespace(impostor)); err != nil {
		return err
	}
	for _, secret := range secrets.Items {
		if strings.HasPrefix(secret.Name, "tertulia-") {
			return fmt.Errorf("the impostor got the Secret %s", secret.Name)
		}
	}
	return nil
}

// The ports of the tenant's pods.
const (
	publicPort  = 8080
	healthPort  = 8081
	metricsPort = 9090
)

// tryNetwork dials the first tenant's pods from the rival's. The metrics' port is opened for the rival's namespace and shut
// again, to see that it is the policy that shuts it.
func (s *stage) tryNetwork(ctx context.Context) error {
	eye, err := s.eye(ctx)
	if err != nil {
		return err
	}
	err = errors.Join(eye.sees(ctx, "server", publicPort, true), eye.sees(ctx, "server", healthPort, false), eye.sees(ctx, "server", metricsPort, false),
		eye.sees(ctx, "worker", healthPort, false), eye.sees(ctx, "worker", metricsPort, false))
	if err != nil {
		return err
	}
	if err := s.letScrape(ctx, `["`+rival+`"]`); err != nil {
		return err
	}
	opened := errors.Join(eye.sees(ctx, "worker", metricsPort, true), eye.sees(ctx, "server", metricsPort, true), eye.sees(ctx, "worker", healthPort, false))
	return errors.Join(opened, s.letScrape(ctx, "[]"), eye.sees(ctx, "worker", metricsPort, false))
}

// eye is the rival's pod, and where the first tenant's are.
type eye struct {
	probe   string
	targets map[string]string // by component
}

func (s *stage) eye(ctx context.Context) (eye, error) {
	e := eye{targets: map[string]string{}}
	err := await(ctx, time.Minute, func(ctx context.Context) (string, error) {
		var probe corev1.Pod
		if err := s.client.Get(ctx, client.ObjectKey{Namespace: rival, Name: "probe"}, &probe); err != nil {
			return "", err
		}
		if !isReady(probe) {
			return "the probe is not ready", nil
		}
		e.probe = probe.Status.PodIP
		return "", nil
	})
	if err != nil {
		return e, err
	}
	for _, component := range []string{"worker", "server"} {
		pod, err := s.anyPod(ctx, velo, component)
		if err != nil {
			return e, err
		}
		e.targets[component] = pod.Status.PodIP
	}
	return e, nil
}

// asks lets the rival's pod ask the API server, with its own ServiceAccount, and returns the answer.
func (e eye) asks(ctx context.Context, path string) (string, error) {
	_, body, err := ask(ctx, fmt.Sprintf("http://%s:8080/api?path=%s", e.probe, url.QueryEscape(path)), "")
	return string(body), err
}

// sees waits until a port is open to the rival, or shut.
func (e eye) sees(ctx context.Context, component string, port int, open bool) error {
	err := await(ctx, 30*time.Second, func(ctx context.Context) (string, error) {
		code, err := get(ctx, fmt.Sprintf("http://%s:8080/dial?address=%s:%d", e.probe, e.targets[component], port), "")
		if err == nil && (code == http.StatusOK) != open {
			return fmt.Sprintf("it answers %d", code), nil
		}
		return "", err
	})
	if err != nil {
		return fmt.Errorf("port %d of a %s, open to the rival: want %t: %w", port, component, open, err)
	}
	return nil
}

// letScrape says from which namespaces, a list in JSON, tenants' metrics may be reached.
func (s *stage) letScrape(ctx context.Context, namespaces string) error {
	_, err := s.helm(ctx, "upgrade", release, s.chart(), "--namespace", system, "--reuse-values",
		"--set-json", "tenants.metricsFromNamespaces="+namespaces)
	if err != nil {
		return err
	}
	return s.awaitPods(ctx, system, "operator", operators)
}
