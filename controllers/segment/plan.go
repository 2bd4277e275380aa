package segment

import (
	"errors"
	"fmt"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// planDefinition checks an expression against the tenant's schema and compiles it.
func planDefinition(object *v1alpha1.Segment, schema crm.Schema) (store.SegmentDefinition, error) {
	compiled, err := expr.Compile(schema, object.Spec.Match)
	var wrong *expr.Error
	if errors.As(err, &wrong) {
		return store.SegmentDefinition{}, reconciling.Stall(v1alpha1.ExpressionInvalidReason, "spec.match: %s", wrong)
	}
	if err != nil {
		return store.SegmentDefinition{}, fmt.Errorf("compile segment %q: %w", object.Name, err)
	}
	return store.SegmentDefinition{
		Name: object.Name, Match: object.Spec.Match, Suspended: object.Spec.Suspend,
		Digest: compiled.Digest, Predicate: compiled.Predicate, Arguments: compiled.Arguments,
		Dependencies: &compiled.Dependencies,
	}, nil
}
