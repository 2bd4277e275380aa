package messagetemplate

import (
	"strings"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
)

// digestDigits of a digest are shown; people compare them by eye.
const digestDigits = 12

// report writes what is known of a template in force.
func report(pass *reconciling.Pass, object *v1alpha1.MessageTemplate, planned plannedTemplate) {
	object.Status.Digest = planned.row.Digest[:digestDigits]
	object.Status.Variables = planned.variables
	object.Status.Locales = nil
	for _, content := range object.Spec.Content {
		object.Status.Locales = append(object.Status.Locales, content.Locale)
	}
	message := "The content compiles and is stored."
	if object.Spec.Suspend {
		message = "Nothing is sent with this template while spec.suspend is true."
	}
	if len(planned.silent) > 0 {
		message += " Readers find no {{ unsubscribe_url }} in: " + strings.Join(planned.silent, ", ") + "."
	}
	pass.InForce(message)
}
