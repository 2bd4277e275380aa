package eventtype

import (
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// planEventType is the row of an event type. Its properties stand in the order of names, so that an author who sorts
// them changes nothing.
func planEventType(object *v1alpha1.EventType) (store.EventType, error) {
	properties := make([]crm.Property, 0, len(object.Spec.Properties))
	for _, p := range object.Spec.Properties {
		if crm.ValueType(p.Type).SQLType() == "" {
			return store.EventType{}, reconciling.UnknownToOperator("The type of property "+string(p.Name), string(p.Type))
		}
		properties = append(properties, crm.Property{Name: string(p.Name), Type: crm.ValueType(p.Type)})
	}
	slices.SortFunc(properties, func(a, b crm.Property) int { return strings.Compare(a.Name, b.Name) })
	return store.EventType{
		EventType: crm.EventType{Name: object.Name, Properties: properties},
		Suspended: object.Spec.Suspend,
	}, nil
}
