package examples_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// TestSegmentsCompile compiles every segment of the example against the attributes and events that the example declares.
func TestSegmentsCompile(t *testing.T) {
	var schema crm.Schema
	var segments []v1alpha1.Segment
	for _, object := range objectsOf(t, "velo/crm") {
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
		case "Segment":
			segments = append(segments, typed[v1alpha1.Segment](t, object))
		}
	}
	if len(segments) != 3 {
		t.Errorf("%d segments, want 3", len(segments))
	}
	for _, segment := range segments {
		if _, err := expr.Compile(schema, segment.Spec.Match); err != nil {
			t.Errorf("segment %s: %v", segment.Name, err)
		}
	}
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
