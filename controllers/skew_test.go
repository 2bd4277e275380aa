package controllers_test

import (
	"context"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/config/crd"
	"github.com/tertulia-crm/tertulia/internal/local/controlplane"
	"github.com/tertulia-crm/tertulia/internal/local/controlplanetest"
)

// The kinds are of a later version than the operator: each has a field more in spec and in status, and a channel may be of a
// type that this operator has never heard of.
func TestAnOperatorOlderThanItsKinds(t *testing.T) {
	h := withReferences(t)
	h.create(h.campaign("spring-2027"))
	h.current(&v1alpha1.Campaign{}, "spring-2027")
	objects := map[string]string{
		"CRMTenant": "default", "MessageChannel": "news", "MessageTemplate": "spring", "Segment": "all", "Campaign": "spring-2027",
	}
	h.laterKinds(objects)

	for kind, name := range objects {
		t.Run(kind, func(t *testing.T) {
			// An author uses the later field, and a later operator has written its part of the status.
			h.merge(kind, name, `{"metadata": {"labels": {"team": "cycling"}}, "spec": {"later": "tomorrow"}}`)
			h.mergeStatus(kind, name, `{"status": {"later": "known"}}`)
			// This operator looks at the object and writes its own part: of the new generation, and of a suspension after it.
			for _, suspend := range []string{"true", "false"} {
				h.merge(kind, name, `{"spec": {"suspend": `+suspend+`}}`)
				object := h.settled(kind, name)
				got := map[string]string{}
				got["spec"], _, _ = unstructured.NestedString(object.Object, "spec", "later")
				got["status"], _, _ = unstructured.NestedString(object.Object, "status", "later")
				if diff := cmp.Diff(map[string]string{"spec": "tomorrow", "status": "known"}, got); diff != "" {
					t.Errorf("suspend: %s: what this operator does not know, -as it was +now:\n%s", suspend, diff)
				}
			}
		})
	}

	channel := h.loose("MessageChannel")
	channel.SetName("crow")
	channel.Object["spec"] = map[string]any{"type": "Telepathy", "later": "tomorrow"}
	h.create(channel)
	expectParts(t, h.verdict(&v1alpha1.MessageChannel{}, "crow", v1alpha1.UnknownToOperatorReason, "InProgress"), `"Telepathy"`, "upgrade")
	becomes(h, int64(0), "select count(*) from channel where name = 'crow'")
	h.create(h.event("sighting", v1alpha1.Property{Name: "plumage", Type: "Color"}))
	expectParts(t, h.verdict(&v1alpha1.EventType{}, "sighting", v1alpha1.UnknownToOperatorReason, "InProgress"), "plumage", `"Color"`, "upgrade")
	h.create(h.contact(v1alpha1.Attribute{Name: "eyes", Type: "Color"}))
	expectParts(t, h.verdict(&v1alpha1.RecordType{}, "contact", v1alpha1.UnknownToOperatorReason, "InProgress"), "eyes", `"Color"`, "upgrade")
	h.delete(&v1alpha1.MessageChannel{}, "crow")
	h.gone(&v1alpha1.MessageChannel{}, "crow")

	// A roll-back: the database has been migrated by a later version, too. What it holds stays in force.
	h.sql("insert into schema_version (version_id, is_applied) values (99999, true)")
	h.merge("CRMTenant", "default", `{"spec": {"displayName": "Velo Club"}}`)
	h.verdict(&v1alpha1.CRMTenant{}, "default", v1alpha1.DatabaseNewerReason, "InProgress")
	becomes(h, false, "select suspended from send")
	becomes(h, "Velo", "select display_name from tenant")
	h.sql("delete from schema_version where version_id = 99999")
	h.merge("CRMTenant", "default", `{"metadata": {"labels": {"upgraded": "again"}}, "spec": {"displayName": "Velo Ciclismo"}}`)
	h.current(&v1alpha1.CRMTenant{}, "default")
	becomes(h, "Velo Ciclismo", "select display_name from tenant")
}

// laterKinds replaces the kinds by those of a later version until the test ends. The objects, by kind, are there.
func (h *home) laterKinds(objects map[string]string) {
	h.t.Helper()
	plane := controlplanetest.Shared(h.t)
	if err := controlplane.InstallCRDs(h.t.Context(), plane.Config(), laterDefinitions(h.t)); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if err := controlplane.InstallCRDs(context.Background(), plane.Config(), crd.Files); err != nil {
			h.t.Error(err)
		}
	})
	// The API server takes over a definition a moment after it was replaced, one after the other.
	probe := h.loose("MessageChannel")
	probe.SetName("probe")
	probe.Object["spec"] = map[string]any{"type": "Telepathy"}
	h.eventually(func(g gomega.Gomega) {
		event := h.event("probe", v1alpha1.Property{Name: "plumage", Type: "Color"})
		record := h.contact(v1alpha1.Attribute{Name: "eyes", Type: "Color"})
		for _, o := range []client.Object{probe.DeepCopy(), event, record} {
			g.Expect(h.api.Create(h.t.Context(), o, client.DryRunAll)).To(gomega.Succeed())
		}
		for kind, name := range objects {
			object := h.loose(kind)
			object.SetName(name)
			patch := client.RawPatch(types.MergePatchType, []byte(`{"spec": {"later": "tomorrow"}}`))
			g.Expect(h.api.Patch(h.t.Context(), object, patch, client.DryRunAll)).To(gomega.Succeed())
			later, _, _ := unstructured.NestedString(object.Object, "spec", "later")
			g.Expect(later).To(gomega.Equal("tomorrow"), kind)
		}
	})
}

func laterDefinitions(t *testing.T) fs.FS {
	t.Helper()
	files := fstest.MapFS{}
	names, err := fs.Glob(crd.Files, "*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(crd.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		definition := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &definition.Object); err != nil {
			t.Fatal(err)
		}
		version := at(definition.Object, "spec", "versions").([]any)[0].(map[string]any)
		fields := at(version, "schema", "openAPIV3Schema", "properties").(map[string]any)
		for _, part := range []string{"spec", "status"} {
			at(fields, part, "properties").(map[string]any)["later"] = map[string]any{"type": "string"}
		}
		switch at(definition.Object, "spec", "names", "kind") {
		case "EventType":
			typed := at(fields, "spec", "properties", "properties", "items", "properties", "type").(map[string]any)
			typed["enum"] = append(typed["enum"].([]any), "Color")
		case "RecordType":
			typed := at(fields, "spec", "properties", "attributes", "items", "properties", "type").(map[string]any)
			typed["enum"] = append(typed["enum"].([]any), "Color")
		case "MessageChannel":
			spec := fields["spec"].(map[string]any)
			kind := at(spec, "properties", "type").(map[string]any)
			kind["enum"] = append(kind["enum"].([]any), "Telepathy")
			delete(spec, "x-kubernetes-validations") // which ask for the member of each type that there is now
		}
		if text, err = yaml.Marshal(definition.Object); err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: text}
	}
	return files
}

func at(object map[string]any, path ...string) any {
	var value any = object
	for _, name := range path {
		value = value.(map[string]any)[name]
	}
	return value
}

// loose is an object of a kind whose fields this program need not know.
func (h *home) loose(kind string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	object.SetNamespace(h.namespace)
	return object
}

func (h *home) merge(kind, name, patch string) {
	h.t.Helper()
	object := h.loose(kind)
	object.SetName(name)
	if err := h.api.Patch(h.t.Context(), object, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		h.t.Fatal(err)
	}
}

func (h *home) mergeStatus(kind, name, patch string) {
	h.t.Helper()
	object := h.loose(kind)
	object.SetName(name)
	if err := h.api.Status().Patch(h.t.Context(), object, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		h.t.Fatal(err)
	}
}

// settled waits until the operator has seen the object's last edit, and returns it with all its fields.
func (h *home) settled(kind, name string) *unstructured.Unstructured {
	h.t.Helper()
	object := h.loose(kind)
	h.eventually(func(g gomega.Gomega) {
		g.Expect(h.api.Get(h.t.Context(), h.key(name), object)).To(gomega.Succeed())
		observed, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
		g.Expect(observed).To(gomega.Equal(object.GetGeneration()))
	})
	return object
}
