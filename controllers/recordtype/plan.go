package recordtype

import (
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/crm"
)

// planAttributes is what a RecordType declares, in the order of names.
func planAttributes(spec v1alpha1.RecordTypeSpec) ([]crm.Attribute, error) {
	attributes := make([]crm.Attribute, 0, len(spec.Attributes))
	for _, a := range spec.Attributes {
		if crm.ValueType(a.Type).SQLType() == "" {
			return nil, reconciling.UnknownToOperator("The type of attribute "+string(a.Name), string(a.Type))
		}
		attributes = append(attributes, crm.Attribute{
			Name: string(a.Name), Type: crm.ValueType(a.Type), Enum: a.Enum, Indexed: a.Indexed, Personal: a.Personal,
			Role: crm.Role(a.Role),
		})
	}
	slices.SortFunc(attributes, func(a, b crm.Attribute) int { return strings.Compare(a.Name, b.Name) })
	return attributes, nil
}
