package messagetemplate

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/render"
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
	pass.InForce(message)
	reportFindings(pass, object, planned.findings)
}

// maxWarnings of a template are listed, and maxTold of them stand in its condition.
const (
	maxWarnings = 30
	maxTold     = 3
)

// reportFindings lists what a reader would stumble over. That the text is made from the HTML is listed, and alone it is no
// reason to worry.
func reportFindings(pass *reconciling.Pass, object *v1alpha1.MessageTemplate, findings []render.Finding) {
	object.Status.Warnings = nil
	var told []string
	for _, f := range findings[:min(len(findings), maxWarnings)] {
		object.Status.Warnings = append(object.Status.Warnings, v1alpha1.TemplateWarning{
			Reason: string(f.Reason), Locale: v1alpha1.Locale(f.Locale), Part: f.Part,
			Line: int32(f.Line), Column: int32(f.Column), Message: f.Message, //nolint:gosec // of at most half a megabyte of source
		})
		if f.Reason != render.TextFromHTML && len(told) < maxTold {
			told = append(told, place(object.Spec, f))
		}
	}
	if len(told) == 0 {
		pass.Condition(v1alpha1.CheckedCondition, metav1.ConditionTrue, v1alpha1.NothingFoundReason, "Nothing was found that a reader would stumble over.")
		return
	}
	pass.Condition(v1alpha1.CheckedCondition, metav1.ConditionFalse, v1alpha1.ContentWarningsReason,
		strings.Join(told, "; ")+". All that was found is in status.warnings.")
}

// place says where a finding is, in the object or in the ConfigMap that holds the part.
func place(spec v1alpha1.MessageTemplateSpec, f render.Finding) string {
	source := origin(spec, &f.Error)
	if source == nil || f.Line == 0 {
		return f.Error.Error()
	}
	return fmt.Sprintf("ConfigMap %q, key %q, line %d, column %d: %s", source.Name, source.Key, f.Line, f.Column, f.Message)
}
