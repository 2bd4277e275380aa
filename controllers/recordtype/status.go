package recordtype

import (
	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
)

// report writes what is known of attributes in force.
func report(pass *reconciling.Pass, object *v1alpha1.RecordType, columns int) {
	object.Status.Columns = int32(columns) //nolint:gosec // at most 200
	pass.InForce("Every attribute is a column of the database.")
}
