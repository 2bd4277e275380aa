package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// What must never leave, in the forms in which it comes: each stands in several places of a cluster.
var delicate = []string{
	"ana.garcia", "mail.example", "ana_garcia", "Anastasia", "612 345 678", "612345678",
	"hunter2", "s3cret-of-the-relay", "ttl_Zm9vYmFyMTIzNDU2", "AQIDBAUGBwgJCgsMDQ4PEBESExQ", "dear-reader",
}

const (
	person      = "ana.garcia@mail.example"
	databaseURL = "postgres://tertulia:hunter2@db.velo.example:5432/velo?sslmode=require"
)

// logOfAWorker is a log in which everything has gone wrong that can.
const logOfAWorker = `2026-11-22T00:25:13Z I "Sending" campaign="spring" sent=1200
2026-11-22T00:25:14Z E "Refused" recipient="Anastasia <ana.garcia@mail.example>" phone="+34 612 345 678" plain=612345678
2026-11-22T00:25:15Z E "Mentioned" by="@ana_garcia@mail.example" error="open postgres://tertulia:hunter2@db/velo: refused"
2026-11-22T00:25:16Z I "Clicked" url="https://velo.example/u/AQIDBAUGBwgJCgsMDQ4PEBESExQ?to=ana.garcia%40mail.example"
2026-11-22T00:25:17Z I "Asked" header="Authorization: Bearer ttl_Zm9vYmFyMTIzNDU2" password=s3cret-of-the-relay
`

// seed puts people and secrets everywhere where somebody may have put them.
func seed(t *testing.T, api client.Client, namespace string) {
	t.Helper()
	named := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{"note": "ask " + person}}
	}
	labelled := named("tertulia-worker-0")
	labelled.Labels = map[string]string{"app.kubernetes.io/name": "tertulia", "app.kubernetes.io/component": "worker"}
	refused := `spec.match: "Anastasia" singles somebody out, as ` + person + ` does`
	segment := &v1alpha1.Segment{ObjectMeta: named("one-person"), Spec: v1alpha1.SegmentSpec{
		Match: `contact.first_name == "Anastasia" && events("purchase").within("90d").count() > 0`, Description: "Written for " + person,
	}}
	pod := &corev1.Pod{ObjectMeta: labelled, Spec: corev1.PodSpec{
		NodeName: "one",
		Containers: []corev1.Container{{
			Name: "worker", Image: "tertulia:1.4.0", Args: []string{"worker", "--database-url", databaseURL},
			Env: []corev1.EnvVar{{Name: "RELAY", Value: "s3cret-of-the-relay"}},
		}},
	}}
	for _, o := range []client.Object{
		&corev1.ServiceAccount{ObjectMeta: named("default")}, // no controller makes it here
		&corev1.Secret{ObjectMeta: named("smtp"), StringData: map[string]string{"username": person, "password": "s3cret-of-the-relay"}},
		&corev1.Secret{ObjectMeta: named("velo-db"), StringData: map[string]string{"uri": databaseURL}},
		&corev1.ConfigMap{ObjectMeta: named("spring"), Data: map[string]string{"es.html": "dear-reader " + person}},
		&v1alpha1.MessageTemplate{ObjectMeta: named("spring"), Spec: v1alpha1.MessageTemplateSpec{DefaultLocale: "es", Content: []v1alpha1.LocalizedContent{
			{Locale: "es", Subject: "dear-reader", HTML: "<p>dear-reader: " + person + "</p>", Text: "dear-reader"},
		}}},
		&v1alpha1.MessageChannel{ObjectMeta: named("newsletter"), Spec: v1alpha1.MessageChannelSpec{Type: v1alpha1.EmailChannel, Email: &v1alpha1.EmailSettings{
			From: "Velo <hola@velo.example>", ReplyTo: person,
			SMTP: v1alpha1.SMTPServer{Host: "smtp.velo.example", Port: 587, TLS: v1alpha1.StartTLS, SecretRef: &v1alpha1.LocalReference{Name: "smtp"}},
		}}},
		segment, pod,
		&corev1.Event{
			ObjectMeta: named("refused"), Type: corev1.EventTypeWarning, Reason: v1alpha1.ExpressionInvalidReason, Message: refused,
			InvolvedObject: corev1.ObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Segment", Namespace: namespace, Name: "one-person"},
		},
	} {
		if err := api.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	segment.Status.ObservedGeneration = segment.Generation
	for kind, status := range map[string]metav1.ConditionStatus{v1alpha1.ReadyCondition: metav1.ConditionFalse, v1alpha1.StalledCondition: metav1.ConditionTrue} {
		segment.Status.Conditions = append(segment.Status.Conditions, metav1.Condition{
			Type: kind, Status: status, Reason: v1alpha1.ExpressionInvalidReason, Message: refused, LastTransitionTime: metav1.Now(),
		})
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "worker", RestartCount: 1, State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: "back-off after " + person},
	}}}
	for _, o := range []client.Object{segment, pod} {
		if err := api.Status().Update(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

// aNode makes a node whose kubelet is this handler.
func aNode(t *testing.T, api client.Client, kubelet http.HandlerFunc) {
	t.Helper()
	server := httptest.NewTLSServer(kubelet)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseInt(u.Port(), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "one"}}
	if err := api.Create(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	node.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: u.Hostname()}}
	node.Status.DaemonEndpoints.KubeletEndpoint.Port = int32(port)
	if err := api.Status().Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
}

// TestSupportBundleHoldsNoPeopleAndNoSecrets: wherever they are.
func TestSupportBundleHoldsNoPeopleAndNoSecrets(t *testing.T) {
	plane, api := startCluster(t)
	aTenant(t, api, "velo", "")
	seed(t, api, "velo")
	aNode(t, api, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("previous") == "true" {
			http.Error(w, "the log of "+person+" is gone", http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, logOfAWorker)
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer ttl_Zm9vYmFyMTIzNDU2" || r.URL.Path != "/v1/diagnosis" {
			http.Error(w, "{}", http.StatusUnauthorized)
			return
		}
		fmt.Fprintf(w, `{"schema_version":4,"tables":[{"name":"contact","rows":12345678901}],"connections":{"psql of %s":1}}`, person)
	}))
	defer server.Close()
	admin := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "velo", Name: adminSecret}, StringData: map[string]string{
		"token": "ttl_Zm9vYmFyMTIzNDU2", "server": server.URL,
	}}
	if err := api.Create(t.Context(), admin); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "bundle.tar.gz")
	var out bytes.Buffer
	if status := runVerb(t, &out, "support-bundle", "--kubeconfig", plane.Kubeconfig(), "-n", "velo", "--output", name); status != 0 {
		t.Fatalf("exit status %d: %s", status, &out)
	}
	files := unpack(t, name)

	for file, content := range files {
		for _, text := range append(delicate, person, databaseURL) {
			if strings.Contains(content, text) || strings.Contains(file, text) {
				t.Errorf("%s holds %q:\n%s", file, text, content)
			}
		}
	}
	for file, want := range map[string]string{
		"objects/velo/CRMTenant/default.yaml":         `id: velo`,
		"objects/velo/MessageTemplate/spring.yaml":    `subject: sha256:[0-9a-f]{12} \(11 bytes\)`,
		"objects/velo/MessageChannel/newsletter.yaml": `fromDomain: velo.example`,
		"objects/velo/Segment/one-person.yaml":        `contact.first_name == "\[9 letters\]" && events\("purchase"\).within\("90d"\)`,
		"tenants/velo/secrets.yaml":                   `- password\n  - username`,
		"tenants/velo/configmaps.yaml":                `es.html: 35`,
		"tenants/velo/pods.yaml":                      `name: RELAY\n        value: '\[not shown\]'`,
		"tenants/velo/events.yaml":                    `singles somebody out, as \[address\] does`,
		"databases/velo.yaml":                         `rows: 12345678901`,
		"logs/velo/tertulia-worker-0/worker.log":      `"Sending" campaign="spring" sent=1200`,
		"kubernetes.yaml":                             `gitVersion: v1`,
		"status.yaml":                                 `reason: ExpressionInvalid`,
		"manifest.yaml":                               `worker.previous.log: `,
	} {
		if !regexp.MustCompile(want).MatchString(files[file]) {
			t.Errorf("%s does not hold %s:\n%s", file, want, files[file])
		}
	}
	for file := range files {
		if strings.HasSuffix(file, ".yaml") {
			var value any
			if err := yaml.Unmarshal([]byte(files[file]), &value); err != nil {
				t.Errorf("%s is no YAML: %v", file, err)
			}
		}
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read the bundle: %v, %v", info.Mode(), err)
	}
}

// TestSupportBundleOfHalfACluster: what does not answer is named, and the rest is there.
func TestSupportBundleOfHalfACluster(t *testing.T) {
	plane, api := startCluster(t)
	aTenant(t, api, "velo", "")
	seed(t, api, "velo")
	aNode(t, api, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) })
	dir := t.TempDir()
	collect := func(namespace string, flags ...string) (map[string]string, string) {
		var out bytes.Buffer
		name := filepath.Join(dir, "bundle.tar.gz")
		arguments := append([]string{"support-bundle", "--kubeconfig", plane.Kubeconfig(), "-n", namespace, "--output", name}, flags...)
		if status := runVerb(t, &out, arguments...); status != 0 {
			t.Fatalf("exit status %d: %s", status, &out)
		}
		return unpack(t, name), out.String()
	}
	t.Run("neither logs nor a server", func(t *testing.T) {
		files, _ := collect("velo")
		for _, missing := range []string{"logs/velo/tertulia-worker-0/worker.log: ", "the database of namespace velo"} {
			if !strings.Contains(files["manifest.yaml"], missing) {
				t.Errorf("the manifest does not name %q:\n%s", missing, files["manifest.yaml"])
			}
		}
		if files["tenants/velo/pods.yaml"] == "" {
			t.Error("pods are missing because their logs are")
		}
	})
	t.Run("no tenant", func(t *testing.T) {
		files, _ := collect("default")
		if !strings.Contains(files["manifest.yaml"], `namespace "default" has no CRMTenant`) || files["kubernetes.yaml"] == "" {
			t.Errorf("the manifest says:\n%s", files["manifest.yaml"])
		}
	})
	t.Run("no logs wanted", func(t *testing.T) {
		files, _ := collect("velo", "--log-lines", "0", "--without-databases")
		if strings.Contains(files["manifest.yaml"], "errors:") {
			t.Errorf("what nobody wants is missing:\n%s", files["manifest.yaml"])
		}
	})
	t.Run("nowhere to write", func(t *testing.T) {
		var out bytes.Buffer
		status := runVerb(t, &out, "support-bundle", "--kubeconfig", plane.Kubeconfig(), "-n", "velo", "--output", filepath.Join(dir, "none", "b.tar.gz"))
		if status != 1 || !strings.Contains(out.String(), "make the bundle") {
			t.Errorf("exit status %d: %s", status, &out)
		}
	})
	if left, err := filepath.Glob(filepath.Join(dir, ".tertulia-*")); err != nil || len(left) > 0 {
		t.Errorf("files were left behind: %v, %v", left, err)
	}
}

// unpack reads a bundle: its files, without the directory that they are all in.
func unpack(t *testing.T, name string) map[string]string {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	zip, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(zip); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(header.Name, "tertulia-support/")] = string(content)
	}
}
