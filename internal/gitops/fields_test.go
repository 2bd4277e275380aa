package gitops

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
)

// keepsToItsFields proves that the operator manages nothing of an object but its status and its finalizer, that both are
// there, and that the spec is what the repository says, without a default or a normalised value.
func (v *team) keepsToItsFields() {
	v.t.Helper()
	for _, o := range v.manifests {
		found := v.live(o)
		if found == nil {
			v.t.Errorf("%s is gone", o.GetKind())
			continue
		}
		for _, entry := range found.GetManagedFields() {
			if entry.Manager == operatorManager && (!ours(o) || !onlyOurs(v.t, entry)) {
				v.t.Errorf("the operator manages fields of a %s that are not its own: %s", o.GetKind(), entry.FieldsV1)
			}
		}
		if !ours(o) {
			continue
		}
		if !slices.Contains(found.GetFinalizers(), v1alpha1.Finalizer) {
			v.t.Errorf("%s has lost our finalizer: %q", o.GetKind(), found.GetFinalizers())
		}
		if observed, _, _ := unstructured.NestedInt64(found.Object, "status", "observedGeneration"); observed != found.GetGeneration() {
			v.t.Errorf("%s has lost its status: generation %d was observed, want %d", o.GetKind(), observed, found.GetGeneration())
		}
		if diff := cmp.Diff(o.Object["spec"], found.Object["spec"]); diff != "" {
			v.t.Errorf("the spec of %s: -repository +cluster:\n%s", o.GetKind(), diff)
		}
	}
}

// onlyOurs tells whether what the operator manages by an entry is its own: all of the status, or the finalizer.
func onlyOurs(t *testing.T, entry metav1.ManagedFieldsEntry) bool {
	t.Helper()
	var fields map[string]map[string]json.RawMessage
	if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
		t.Fatal(err)
	}
	for field, below := range fields {
		switch {
		case field == "f:status" && entry.Subresource == "status":
		case field == "f:metadata" && len(below) == 1 && below["f:finalizers"] != nil:
		default:
			return false
		}
	}
	return true
}

// versions are the resource versions of all objects.
func (v *team) versions() map[string]string {
	v.t.Helper()
	list := map[string]string{}
	for _, o := range v.manifests {
		if found := v.live(o); found != nil {
			list[o.GetKind()] = found.GetResourceVersion()
		}
	}
	return list
}

// TestTwoFieldManagers has Flux and a person share every kind of object.
func TestTwoFieldManagers(t *testing.T) {
	v := newTeam(t)
	flux := v.kustomization("velo")
	v.halfSent(func(objects ...*unstructured.Unstructured) { flux.reconcile(objects...) })
	v.gate.open.Store(true)
	v.phase(v1alpha1.CampaignCompleted) // so that no status moves by itself
	v.keepsToItsFields()

	// A field that the repository does not say is the person's, and Flux lets it be.
	suspended := func(o *unstructured.Unstructured) *unstructured.Unstructured {
		part := &unstructured.Unstructured{}
		part.SetGroupVersionKind(o.GroupVersionKind())
		part.SetName(o.GetName())
		_ = unstructured.SetNestedField(part.Object, true, "spec", "suspend")
		return part
	}
	person := []string{"apply", "--server-side", "--field-manager=rosa", "-f", "-"}
	for _, kind := range v.kinds() {
		v.must([]*unstructured.Unstructured{suspended(v.manifest(kind))}, person...)
		found := v.reads(v.manifest(kind), status.CurrentStatus)
		if on, _, _ := unstructured.NestedBool(found.Object, "spec", "suspend"); !on {
			t.Errorf("%s: what the person said is not there", kind)
		}
	}
	v.settled()
	expectActions(t, flux.reconcile(v.all()...), v.every("unchanged"))
	before := v.versions()
	for range 3 {
		flux.reconcile(v.all()...)
		for _, kind := range v.kinds() {
			v.must([]*unstructured.Unstructured{suspended(v.manifest(kind))}, person...)
		}
	}
	if diff := cmp.Diff(before, v.versions()); diff != "" {
		t.Errorf("two who agree write again and again: -before +after:\n%s", diff)
	}

	// What both say is a conflict of theirs, never of ours: the person may force it, and Flux takes it back.
	for _, o := range v.manifests {
		if ours(o) {
			_ = unstructured.SetNestedField(o.Object, false, "spec", "suspend")
		}
	}
	flux.reconcile(v.all()...)
	for _, kind := range v.kinds() {
		output, err := v.kubectl([]*unstructured.Unstructured{suspended(v.manifest(kind))}, person...)
		if err == nil || !strings.Contains(output, `conflict with "kustomize-controller"`) || strings.Contains(output, operatorManager) {
			t.Errorf("%s: a conflict with Flux, and with Flux alone, was to be told: %v\n%s", kind, err, output)
		}
		v.must([]*unstructured.Unstructured{suspended(v.manifest(kind))}, append(person, "--force-conflicts")...)
		v.reads(v.manifest(kind), status.CurrentStatus)
	}
	v.settled()
	expectActions(t, flux.reconcile(v.all()...), v.every("configured"))
	v.settled()
	expectActions(t, flux.reconcile(v.all()...), v.every("unchanged"))
	v.keepsToItsFields()
	v.completes()
}

// TestPausedByHand has a person pause a campaign of which the repository does not say whether it is suspended.
func TestPausedByHand(t *testing.T) {
	v := newTeam(t)
	flux := v.kustomization("velo")
	v.halfSent(func(objects ...*unstructured.Unstructured) { flux.reconcile(objects...) })
	pause := []string{"patch", "campaign", "spring-2027", "--type", "merge", "-p", `{"spec":{"suspend":true}}`}
	v.must(nil, append(pause, "--field-manager=on-call")...)
	v.phase(v1alpha1.CampaignPaused)
	expectActions(t, flux.reconcile(v.all()...), map[string]string{"Campaign": "unchanged"})
	v.silent()
	v.must(v.all(), "apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", "-")
	v.phase(v1alpha1.CampaignPaused)
	v.must(nil, append(slices.Clone(pause[:len(pause)-1]), `{"spec":{"suspend":null}}`, "--field-manager=on-call")...)
	v.phase(v1alpha1.CampaignSending)

	// What is written as kubectl's is taken back.
	v.must(nil, pause...)
	v.phase(v1alpha1.CampaignPaused)
	expectActions(t, flux.reconcile(v.all()...), map[string]string{"Campaign": "configured"})
	v.phase(v1alpha1.CampaignSending)
	v.completes()
}

// TestHelmKubectlAndArgo has Helm, kubectl and Argo CD, which applies with kubectl's library, write the same objects one
// after the other, on the client's side and on the server's.
func TestHelmKubectlAndArgo(t *testing.T) {
	v := newTeam(t)
	v.halfSent(v.applied)
	before := v.memory()
	release := v.newRelease()
	renamed := func(name string) {
		for _, o := range v.manifests {
			if o.GetKind() == "CRMTenant" {
				_ = unstructured.SetNestedField(o.Object, name, "spec", "displayName")
			}
		}
	}
	argo := []string{"apply", "--field-manager=argocd-controller", "-f", "-"}
	argoServerSide := append(argo, "--server-side", "--force-conflicts")
	steps := []struct {
		name string
		do   func() (string, error)
	}{
		{"helm takes over what kubectl applied", func() (string, error) {
			return release.upgrade("--server-side=true", "--take-ownership", "--force-conflicts")
		}},
		{"kubectl apply after helm upgrade", func() (string, error) { return v.kubectl(v.all(), "apply", "-f", "-") }},
		{"helm upgrade after kubectl apply", func() (string, error) { return release.upgrade("--server-side=true", "--force-conflicts") }},
		{"helm upgrade with patches of the client", func() (string, error) { return release.upgrade("--server-side=false") }},
		{"kubectl apply again", func() (string, error) { return v.kubectl(v.all(), "apply", "-f", "-") }},
		{"Argo CD on the client's side", func() (string, error) { return v.kubectl(v.all(), argo...) }},
		{"Argo CD on the server's side", func() (string, error) { return v.kubectl(v.all(), argoServerSide...) }},
		{"helm upgrade after Argo CD", func() (string, error) { return release.upgrade("--server-side=true", "--force-conflicts") }},
		{"kubectl replace, which sends no finalizer", v.replaced},
	}
	for i, step := range steps {
		renamed("Velo Ciclismo " + strings.Repeat("I", i+1))
		output, err := step.do()
		if err != nil || strings.Contains(output, operatorManager) {
			t.Fatalf("%s: %v\n%s", step.name, err, output)
		}
		v.settled()
		v.eventually(v.finalized)
		v.keepsToItsFields()
		v.unchanged(step.name)
	}
	v.phase(v1alpha1.CampaignSending)
	v.remembers(before)

	// Without force a conflict names the two who disagree, and not us.
	renamed("Velo")
	output, err := release.upgrade("--server-side=true")
	if err == nil || !strings.Contains(output, "conflict") || strings.Contains(output, operatorManager) {
		t.Errorf("helm was to tell a conflict with kubectl: %v\n%s", err, output)
	}
	if output, err := release.upgrade("--server-side=true", "--take-ownership", "--force-conflicts"); err != nil {
		t.Fatalf("helm upgrade: %v\n%s", err, output)
	}
	if output, err := v.helm("uninstall", "velo"); err != nil {
		t.Fatalf("helm uninstall: %v\n%s", err, output)
	}
	v.gone(v.all()...)
	v.silent()
	v.must(v.all(), "apply", "-f", "-")
	v.settled()
	v.completes()
	v.remembers(before)
}

// replaced runs kubectl replace, until no status of the running campaign is written between its reading and its writing.
func (v *team) replaced() (output string, err error) {
	for range 20 {
		output, err = v.kubectl(without(v.all(), "Secret"), "replace", "-f", "-")
		if err == nil || !strings.Contains(output, "(Conflict)") {
			break
		}
	}
	return output, err
}

// unchanged proves that no tool sees a difference once the operator has done its work. kubectl cannot compare a Secret's
// stringData.
func (v *team) unchanged(step string) {
	v.t.Helper()
	objects := without(v.all(), "Secret")
	for _, arguments := range [][]string{
		{"diff", "-f", "-"},
		{"diff", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", "-"},
	} {
		if output, err := v.kubectl(objects, arguments...); err != nil && !onlyBookkeeping(output) {
			v.t.Errorf("after %q, kubectl %s sees: %v\n%s", step, strings.Join(arguments, " "), err, output)
		}
	}
}

// onlyBookkeeping tells whether a difference is in kubectl's own annotation alone.
func onlyBookkeeping(diff string) bool {
	for line := range strings.Lines(diff) {
		added := strings.HasPrefix(line, "+ ") || strings.HasPrefix(line, "- ")
		if added && !strings.Contains(line, "annotations:") && !strings.Contains(line, "kubectl.kubernetes.io/last-applied-configuration") &&
			!strings.Contains(line, `{"apiVersion"`) {
			return false
		}
	}
	return true
}
