package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/config/crd"
	"github.com/tertulia-crm/tertulia/internal/local/controlplane"
	"github.com/tertulia-crm/tertulia/internal/overview"
)

// startCluster gives a test an API server of its own that knows our kinds.
func startCluster(t *testing.T) (plane *controlplane.ControlPlane, api client.Client) {
	t.Helper()
	plane, err := controlplane.Start(t.Context(), controlplane.Options{Dir: t.TempDir(), Volatile: true, WithoutControllers: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := controlplane.InstallCRDs(t.Context(), plane.Config(), crd.Files); err != nil {
		t.Fatal(err)
	}
	if api, err = clusterClient(plane.Config()); err != nil {
		t.Fatal(err)
	}
	return plane, api
}

// aTenant is a namespace with a tenant that is in force, or not for a reason.
func aTenant(t *testing.T, api client.Client, namespace, trouble string) {
	t.Helper()
	tenant := &v1alpha1.CRMTenant{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.TenantName},
		Spec: v1alpha1.CRMTenantSpec{
			ID: namespace, DisplayName: "Velo", Locales: []v1alpha1.Locale{"es"}, PublicURL: "https://" + namespace + ".example",
		},
	}
	for _, o := range []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, tenant} {
		if err := api.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	ready := metav1.Condition{Type: v1alpha1.ReadyCondition, Status: metav1.ConditionTrue, Reason: v1alpha1.InForceReason, LastTransitionTime: metav1.Now()}
	if trouble != "" {
		ready.Status, ready.Reason = metav1.ConditionFalse, trouble
	}
	tenant.Status.ObservedGeneration, tenant.Status.Conditions = tenant.Generation, []metav1.Condition{ready}
	if err := api.Status().Update(t.Context(), tenant); err != nil {
		t.Fatal(err)
	}
}

func TestStatusSaysHowItIsByItsExitStatus(t *testing.T) {
	plane, api := startCluster(t)
	aTenant(t, api, "velo", "")
	aTenant(t, api, "malo", v1alpha1.DatabaseRefusedReason)
	at := func(arguments ...string) []string {
		return append([]string{"status", "--kubeconfig", plane.Kubeconfig()}, arguments...)
	}
	for name, c := range map[string]struct {
		arguments []string
		status    int
		shows     string
	}{
		"all is well":                {at("-n", "velo"), 0, "all well"},
		"something is wrong":         {at("-n", "malo"), 1, "→ Correct the Secret"},
		"one of many is wrong":       {at("-A"), 1, "malo       malo"},
		"no tenant":                  {at("-n", "nobody-s"), 2, `tertulia: namespace "nobody-s" has no CRMTenant`},
		"no cluster":                 {[]string{"status", "--kubeconfig", "/nowhere"}, 2, "tertulia: read the kubeconfig"},
		"a flag that does not exist": {at("--colour"), 2, "unknown flag: --colour; tertulia status --help lists the flags"},
		"an output that is none":     {at("--output", "yaml"), 2, "--output must be"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if status := runVerb(t, &out, c.arguments...); status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			if !strings.Contains(out.String(), c.shows) {
				t.Errorf("the output does not hold %q:\n%s", c.shows, &out)
			}
		})
	}

	t.Run("json", func(t *testing.T) {
		var out bytes.Buffer
		runVerb(t, &out, at("-n", "malo", "--output", "json")...)
		var seen overview.Overview
		if err := json.Unmarshal(out.Bytes(), &seen); err != nil {
			t.Fatal(err)
		}
		if seen.Well() || seen.Tenants[0].Problems[0].Reason != v1alpha1.DatabaseRefusedReason {
			t.Errorf("a program reads %+v", seen)
		}
	})

	t.Run("watching goes on until it is interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		root := NewCommand()
		root.SetArgs(at("-n", "velo", "--watch"))
		root.SetOut(writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil }))
		if err := root.ExecuteContext(ctx); err != nil {
			t.Errorf("an interrupt is no failure: %v", err)
		}
	})
}

// runVerb runs the command as Main does.
func runVerb(t *testing.T, out io.Writer, arguments ...string) int {
	t.Helper()
	root := NewCommand()
	root.SetArgs(arguments)
	root.SetOut(out)
	root.SetErr(out)
	return exitStatus(root.ExecuteContext(t.Context()), out)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestExitStatus(t *testing.T) {
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		err    error
		status int
		says   string
	}{
		"nothing went wrong":          {nil, 0, ""},
		"what went wrong is said":     {broken, 1, "tertulia: broken\n"},
		"a status of its own":         {failure{2, broken}, 2, "tertulia: broken\n"},
		"an answer that is a verdict": {&verdictError{1}, 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if status := exitStatus(c.err, &out); status != c.status || out.String() != c.says {
				t.Errorf("got %d and %q, want %d and %q", status, &out, c.status, c.says)
			}
		})
	}
}

// TestAsAPluginItIsCalledAsPeopleWroteIt: help texts are copied.
func TestAsAPluginItIsCalledAsPeopleWroteIt(t *testing.T) {
	for program, want := range map[string]string{
		"/usr/local/bin/kubectl-tertulia": "kubectl tertulia status",
		"kubectl-tertulia.exe":            "kubectl tertulia status",
		"/usr/local/bin/tertulia":         "tertulia status",
	} {
		root := &cobra.Command{Use: "tertulia"}
		status := NewStatusCommand()
		root.AddCommand(status)
		asPlugin(root, program)
		if got := status.CommandPath(); got != want {
			t.Errorf("%s calls itself %q, want %q", program, got, want)
		}
	}
}
