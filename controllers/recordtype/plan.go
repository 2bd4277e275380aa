package recordtype

import (
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/internal/crm"
)

// planAttributes is what a RecordType declares, in the order of names.
func planAttributes(spec v1alpha1.RecordTypeSpec) []crm.Attribute {
	attributes := make([]crm.Attribute, 0, len(spec.Attributes))
	for _, a := range spec.Attributes {
		attributes = append(attributes, crm.Attribute{
			Name: string(a.Name), Type: crm.ValueType(a.Type), Enum: a.Enum, Indexed: a.Indexed, Personal: a.Personal,
		})
	}
	slices.SortFunc(attributes, func(a, b crm.Attribute) int { return strings.Compare(a.Name, b.Name) })
	return attributes
}
