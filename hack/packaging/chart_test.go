package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestHelmFindsNothingToSayAboutTheChart(t *testing.T) {
	for name, args := range valuesFiles(t) {
		t.Run(name, func(t *testing.T) {
			if out, stderr, err := tool(t, "helm", append([]string{"lint", "--strict", chart}, args...)...); err != nil {
				t.Fatalf("helm lint: %v\n%s%s", err, out, stderr)
			}
		})
	}
}

func TestValuesThatAreRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		values string
		want   string // part of the message: the place, and what is wrong with it
	}{
		"a mistyped key":               {"replica: 2", "additional properties 'replica' not allowed"},
		"a mistyped key further down":  {"metrics: {serviceMonitors: {}}", "/metrics"},
		"a number for a name":          {"image: {tag: 1.2}", "/image/tag"},
		"a half-copied digest":         {"image: {digest: sha256:abc}", "/image/digest"},
		"another pull policy":          {"image: {pullPolicy: Sometimes}", "/image/pullPolicy"},
		"no image":                     {"image: {repository: ''}", "/image/repository"},
		"namespaces as one text":       {"watchNamespaces: team-a,team-b", "/watchNamespaces"},
		"a namespace twice":            {"watchNamespaces: [team-a, team-a]", "/watchNamespaces"},
		"a name that no namespace has": {"watchNamespaces: ['*']", "/watchNamespaces/0"},
		"less than no operator":        {"replicas: -1", "/replicas"},
		"a password in the values":     {"database: {url: 'postgres://a:b@c/d'}", "/database"},
		"a variable of the chart":      {"env: [{name: TERTULIA_DATABASE_URL, value: x}]", "/env/0/name"},
		"a variable with two values":   {"env: [{name: A, value: x, valueFrom: {}}]", "/env/0"},
		"a label of the chart":         {"podLabels: {app.kubernetes.io/name: other}", "invalid propertyName 'app.kubernetes.io/name'"},
		"a quantity with a word":       {"resources: {limits: {memory: 512 megabytes}}", "/resources/limits/memory"},
		"a reader without a namespace": {"metrics: {readers: [{name: prometheus}]}", "/metrics/readers/0"},
		"an interval without a unit":   {"metrics: {podMonitor: {interval: '30'}}", "/metrics/podMonitor/interval"},
		"another form of logs":         {"logFormat: xml", "/logFormat"},
		"a monitor without metrics":    {"metrics: {enabled: false, serviceMonitor: {enabled: true}}", "/metrics/enabled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "values.yaml")
			if err := os.WriteFile(file, []byte(tt.values), 0o600); err != nil {
				t.Fatal(err)
			}
			_, stderr, err := tool(t, "helm", "template", "tertulia", chart, "--values", file)
			if err == nil {
				t.Fatalf("%s: accepted, want a refusal", tt.values)
			}
			if !strings.Contains(stderr, tt.want) {
				t.Errorf("%s: got the message\n%s\nwant %q in it", tt.values, stderr, tt.want)
			}
		})
	}
}

// TestEachValueIsDocumented compares the values with their schema, both ways, and looks for a comment at each value.
func TestEachValueIsDocumented(t *testing.T) {
	text, err := os.ReadFile(chart + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var values map[string]any
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(chart + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct{ Properties, Definitions map[string]any }
	if err := json.Unmarshal(content, &schema); err != nil {
		t.Fatal(err)
	}
	delete(schema.Properties, "global") // Helm's own
	inSchema := schemaPaths("", schema.Properties, schema.Definitions)
	inValues := valuePaths("", values, inSchema)
	slices.Sort(inSchema)
	slices.Sort(inValues)
	if diff := cmp.Diff(inSchema, inValues); diff != "" {
		t.Errorf("values.yaml and values.schema.json differ (-schema +values):\n%s", diff)
	}
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		name, _, isKey := strings.Cut(strings.TrimSpace(line), ":")
		if !isKey || strings.HasPrefix(name, "#") || strings.HasPrefix(name, "-") || slices.Contains(undocumented, name) {
			continue
		}
		before := strings.TrimSpace(lines[max(0, i-1)])
		if !strings.HasPrefix(before, "#") && !strings.HasSuffix(line, ":") {
			t.Errorf("values.yaml:%d: %s has no comment above it", i+1, name)
		}
	}
}

// undocumented are values whose name is the one that Kubernetes gives to the same thing, or whose neighbour tells.
var undocumented = []string{
	"requests", "limits", "podAnnotations", "podLabels", "priorityClassName", "nodeSelector", "tolerations", "topologySpreadConstraints",
	"enabled", "labels", "interval",
}

// schemaPaths are the paths of all values that a schema names.
func schemaPaths(prefix string, properties, definitions map[string]any) []string {
	var paths []string
	for name, p := range properties {
		property := p.(map[string]any)
		path := prefix + name
		inner, ok := property["properties"].(map[string]any)
		if !ok {
			paths = append(paths, path)
			continue
		}
		paths = append(paths, schemaPaths(path+".", inner, definitions)...)
	}
	return paths
}

// valuePaths are the paths of all values, down to where the schema ends.
func valuePaths(prefix string, values map[string]any, ends []string) []string {
	var paths []string
	for name, value := range values {
		path := prefix + name
		inner, ok := value.(map[string]any)
		if !ok || slices.Contains(ends, path) {
			paths = append(paths, path)
			continue
		}
		paths = append(paths, valuePaths(path+".", inner, ends)...)
	}
	return paths
}

func TestOperatorReadsSecretsOnlyWhereItWorks(t *testing.T) {
	rendered := byKey(t, helmTemplate(t, "--values", "testdata/values/namespaces.yaml"))
	cluster := typed[rbacv1.ClusterRole](t, rendered["ClusterRole.rbac.authorization.k8s.io /tertulia-operator"])
	for _, rule := range cluster.Rules {
		for _, group := range rule.APIGroups {
			if !slices.Contains(clusterScoped, group) {
				t.Errorf("the ClusterRole allows %v of %v, which namespaces have", rule.Verbs, rule.Resources)
			}
		}
	}
	whole := typed[rbacv1.ClusterRole](t, byKey(t, helmTemplate(t))["ClusterRole.rbac.authorization.k8s.io /tertulia-operator"])
	for _, namespace := range []string{"team-a", "team-b"} {
		role := typed[rbacv1.Role](t, rendered["Role.rbac.authorization.k8s.io "+namespace+"/tertulia-operator-tenants"])
		anyOrder := cmpopts.SortSlices(func(a, b rbacv1.PolicyRule) int { return strings.Compare(a.String(), b.String()) })
		if diff := cmp.Diff(whole.Rules, append(slices.Clone(cluster.Rules), role.Rules...), anyOrder); diff != "" {
			t.Errorf("in %s the operator may do something else than in the whole cluster (-cluster +namespace):\n%s", namespace, diff)
		}
		binding := typed[rbacv1.RoleBinding](t, rendered["RoleBinding.rbac.authorization.k8s.io "+namespace+"/tertulia-operator-tenants"])
		if got, want := binding.Subjects[0].Namespace, systemNamespace; got != want {
			t.Errorf("the binding in %s is for an account of %s, want %s", namespace, got, want)
		}
	}
	operator := typed[appsv1.Deployment](t, rendered["Deployment.apps tertulia-system/tertulia-operator"]).Spec.Template.Spec.Containers[0]
	if !slices.Contains(operator.Args, "--watch-namespaces=team-a,team-b") {
		t.Errorf("the operator is called with %q and looks at every namespace", operator.Args)
	}
}

func TestEverythingThatCanBeTurnedOnIsThere(t *testing.T) {
	rendered := byKey(t, helmTemplate(t, "--values", "testdata/values/everything.yaml"))
	for _, want := range []string{
		"ServiceMonitor.monitoring.coreos.com tertulia-system/crm", "PodMonitor.monitoring.coreos.com tertulia-system/crm-tenants",
		"ClusterRoleBinding.rbac.authorization.k8s.io /crm-metrics-reader", "PodDisruptionBudget.policy tertulia-system/crm",
		"NetworkPolicy.networking.k8s.io tertulia-system/crm", "CustomResourceDefinition.apiextensions.k8s.io /campaigns.crm.tertulia.dev",
	} {
		if rendered[want] == nil {
			t.Errorf("there is no %s", want)
		}
	}
	deployment := typed[appsv1.Deployment](t, rendered["Deployment.apps tertulia-system/crm"])
	pod := deployment.Spec.Template
	operator := pod.Spec.Containers[0]
	const image = "registry.example.com/team/tertulia@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	want := []string{
		"operator", "--image=" + image, "--image-pull-policy=Always", "--http-from-namespaces=ingress", "--metrics-from-namespaces=monitoring",
		"--webhook-networks=10.20.0.0/16", "--listen-allow-network=10.30.0.0/16", "--log-format=json", "--leader-elect", "--health-listen=:8081", "--metrics-listen=:8443", "--metrics-secure", "--metrics-cert-dir=/etc/tertulia/metrics",
	}
	if diff := cmp.Diff(want, operator.Args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
	if operator.Image != image {
		t.Errorf("image: got %q, want %q", operator.Image, image)
	}
	if got := pod.Annotations["example.com/note"]; got != "{{ braces }}" {
		t.Errorf("annotation: got %q", got)
	}
	url := slices.IndexFunc(operator.Env, func(e corev1.EnvVar) bool { return e.Name == databaseURLVariable })
	if url < 0 || operator.Env[url].ValueFrom.SecretKeyRef.Name != "cluster" || operator.Env[url].ValueFrom.SecretKeyRef.Key != "uri" {
		t.Errorf("the database's URL does not come from the Secret: %+v", operator.Env)
	}
}

// TestTheOperatorCollectsHarderBeforeItIsKilled reads what Go is told of a limit of memory, however that is written.
func TestTheOperatorCollectsHarderBeforeItIsKilled(t *testing.T) {
	for values, want := range map[string]string{
		"{}":                                         "483183820",
		"{resources: {limits: {memory: 1Gi}}}":       "966367641",
		"{resources: {limits: {memory: 1.5G}}}":      "1350000000",
		"{resources: {limits: {memory: 600000000}}}": "540000000",
		"{resources: {limits: {memory: null}}}":      "",
		"{env: [{name: GOMEMLIMIT, value: 100MiB}]}": "100MiB",
	} {
		file := filepath.Join(t.TempDir(), "values.yaml")
		if err := os.WriteFile(file, []byte(values), 0o600); err != nil {
			t.Fatal(err)
		}
		deployment := typed[appsv1.Deployment](t, byKey(t, helmTemplate(t, "--values", file))["Deployment.apps tertulia-system/tertulia-operator"])
		var told []string
		for _, variable := range deployment.Spec.Template.Spec.Containers[0].Env {
			if variable.Name == "GOMEMLIMIT" {
				told = append(told, variable.Value)
			}
		}
		if got := strings.Join(told, " and "); got != want {
			t.Errorf("%s: Go is told %q, want %q", values, got, want)
		}
	}
}

func TestTheAlertsAreThoseOfTheConfiguration(t *testing.T) {
	files, err := filepath.Glob(root + "/config/monitoring/rules/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no alerts: %v", err)
	}
	var want []any
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rules struct{ Groups []any }
		if err := yaml.Unmarshal(content, &rules); err != nil {
			t.Fatal(err)
		}
		want = append(want, rules.Groups...)
	}
	rule := byKey(t, helmTemplate(t, "--set", "metrics.rules.enabled=true"))["PrometheusRule.monitoring.coreos.com tertulia-system/tertulia-operator"]
	if rule == nil {
		t.Fatal("there is no PrometheusRule")
	}
	got, _, err := unstructured.NestedSlice(rule.Object, "spec", "groups")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alerts (-configuration +chart):\n%s", diff)
	}
}

func TestLeastOfTheChart(t *testing.T) {
	var kinds []string
	for _, o := range helmTemplate(t, "--values", "testdata/values/least.yaml") {
		kinds = append(kinds, o.GetKind())
	}
	slices.Sort(kinds)
	want := []string{"ClusterRole", "ClusterRoleBinding", "Deployment", "Role", "RoleBinding", "ServiceAccount"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("what is left when everything is turned off (-want +got):\n%s", diff)
	}
}

func TestTheKindsStayWhenTheReleaseGoes(t *testing.T) {
	kinds, err := readKinds(root + "/config/crd")
	if err != nil {
		t.Fatal(err)
	}
	rendered := byKey(t, helmTemplate(t))
	for _, k := range kinds {
		name := strings.TrimSuffix(strings.TrimPrefix(k.name, "crm.tertulia.dev_"), ".yaml") + ".crm.tertulia.dev"
		crd := rendered["CustomResourceDefinition.apiextensions.k8s.io /"+name]
		if crd == nil {
			t.Fatalf("the chart has no %s", name)
		}
		if crd.GetAnnotations()["helm.sh/resource-policy"] != "keep" {
			t.Errorf("helm uninstall deletes %s, and every object of it", name)
		}
	}
}
