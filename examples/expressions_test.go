package examples_test

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// TestSegmentsCompile compiles every segment of the example against the attributes and events that the example declares.
func TestSegmentsCompile(t *testing.T) {
	objects := slices.Concat(objectsOf(t, "velo/crm"), objectsOf(t, "velo/rules"))
	schema, compiled := schemaOf(t, objects), 0
	for _, object := range objects {
		if object.GetKind() != "Segment" {
			continue
		}
		compiled++
		if _, err := expr.Compile(schema, typed[v1alpha1.Segment](t, object).Spec.Match); err != nil {
			t.Errorf("segment %s: %v", object.GetName(), err)
		}
	}
	if compiled != 5 {
		t.Errorf("%d segments, want 5", compiled)
	}
}

// schemaOf is what expressions are checked against where these objects are in force.
func schemaOf(t *testing.T, objects []*unstructured.Unstructured) (schema crm.Schema) {
	t.Helper()
	for _, object := range objects {
		switch object.GetKind() {
		case "RecordType":
			for _, a := range typed[v1alpha1.RecordType](t, object).Spec.Attributes {
				schema.Attributes = append(schema.Attributes, crm.Attribute{
					Name: string(a.Name), Type: crm.ValueType(a.Type), Enum: a.Enum, Indexed: a.Indexed, Personal: a.Personal,
				})
			}
		case "EventType":
			event := crm.EventType{Name: object.GetName()}
			for _, p := range typed[v1alpha1.EventType](t, object).Spec.Properties {
				event.Properties = append(event.Properties, crm.Property{Name: string(p.Name), Type: crm.ValueType(p.Type)})
			}
			schema.Events = append(schema.Events, event)
		}
	}
	return schema
}

// typed reads an object as its kind.
func typed[T any](t *testing.T, object *unstructured.Unstructured) T {
	t.Helper()
	var into T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &into); err != nil {
		t.Fatalf("read %s %s: %v", object.GetKind(), object.GetName(), err)
	}
	return into
}
