package messagetemplate

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/api/v1alpha1"
	"github.com/tertulia-crm/tertulia/controllers/reconciling"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/render"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// plannedTemplate is a template that has been compiled.
type plannedTemplate struct {
	row       store.Template
	variables []string
	findings  []render.Finding
}

// planTemplate compiles a template and checks what it reads against the tenant's schema.
func planTemplate(object *v1alpha1.MessageTemplate, texts files, schema crm.Schema, tenant store.Tenant) (plannedTemplate, error) {
	row := store.Template{Name: object.Name, DefaultLocale: string(object.Spec.DefaultLocale), Suspended: object.Spec.Suspend}
	var contents []render.Content
	for _, c := range object.Spec.Content {
		content := store.TemplateContent{
			Locale: string(c.Locale), Subject: c.Subject,
			HTML: text(c.HTML, c.HTMLFrom, texts), Text: text(c.Text, c.TextFrom, texts),
		}
		row.Content = append(row.Content, content)
		contents = append(contents, render.Content(content))
	}
	compiled, err := render.Compile(row.DefaultLocale, contents)
	if err == nil {
		err = compiled.Unknown(knownVariables(schema))
	}
	if err != nil {
		return plannedTemplate{}, refuse(object.Spec, err)
	}
	row.Digest, err = digest(row)
	if err != nil {
		return plannedTemplate{}, err
	}
	findings := compiled.Check(tenant.Locales, sampleOf(schema, tenant))
	return plannedTemplate{row: row, variables: compiled.Variables(), findings: findings}, nil
}

// sampleOf are typical values of all that a template can read.
func sampleOf(schema crm.Schema, tenant store.Tenant) render.Vars {
	names := make([]string, len(schema.Attributes))
	for i, a := range schema.Attributes {
		names[i] = a.Name
	}
	address := tenant.PublicURL + "/u/" + strings.Repeat("x", typicalToken)
	recipient := render.SampleRecipient(schema.Attributes)
	recipient.ConfirmURL = address
	return render.VarsOf(recipient, names, map[string]any{"display_name": tenant.DisplayName}, address)
}

// typicalToken is how long the signed part of an address for unsubscribing usually is.
const typicalToken = 32

func text(inline string, source *v1alpha1.ContentSource, texts files) string {
	if source == nil {
		return inline
	}
	return texts[source.ConfigMapKeyRef]
}

// knownVariables are what the sender gives a template.
func knownVariables(schema crm.Schema) []string {
	known := []string{"contact.locale", "contact.tags", "contact.time_zone", "tenant.display_name", render.ConfirmURL, render.UnsubscribeURL}
	for _, a := range schema.Attributes {
		known = append(known, "contact."+a.Name)
	}
	slices.Sort(known)
	return known
}

// digest identifies content: the SHA-256, in hexadecimal, of its JSON.
func digest(row store.Template) (string, error) {
	content, err := json.Marshal([]any{row.DefaultLocale, row.Content})
	if err != nil {
		return "", fmt.Errorf("write the content of template %q: %w", row.Name, err)
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:]), nil
}

// maxProblems bounds what an author is told at once; the rest shows when these are mended.
const maxProblems = 5

// refuse says what is wrong with a template and where. A text in a ConfigMap is mended there: the object itself needs no
// edit and is not Stalled.
func refuse(spec v1alpha1.MessageTemplateSpec, err error) error {
	var wrong render.Errors
	if !errors.As(err, &wrong) {
		return err
	}
	elsewhere := true
	var problems []string
	for _, problem := range wrong {
		source := origin(spec, problem)
		if source == nil {
			elsewhere = false
			problems = append(problems, problem.Error())
			continue
		}
		problems = append(problems, fmt.Sprintf("ConfigMap %q, key %q, line %d, column %d: %s",
			source.Name, source.Key, problem.Line, problem.Column, problem.Message))
	}
	message := strings.Join(problems[:min(len(problems), maxProblems)], "; ")
	if elsewhere {
		return reconciling.Wait(v1alpha1.TemplateInvalidReason, "%s", message)
	}
	return reconciling.Stall(v1alpha1.TemplateInvalidReason, "%s", message)
}

// origin is the ConfigMap's key from which the part with a problem came, and nil for one that the object itself holds.
func origin(spec v1alpha1.MessageTemplateSpec, problem *render.Error) *v1alpha1.ConfigMapKeyReference {
	for _, c := range spec.Content {
		if string(c.Locale) != problem.Locale {
			continue
		}
		switch {
		case problem.Part == render.PartHTML && c.HTMLFrom != nil:
			return &c.HTMLFrom.ConfigMapKeyRef
		case problem.Part == render.PartText && c.TextFrom != nil:
			return &c.TextFrom.ConfigMapKeyRef
		}
	}
	return nil
}

// references are the keys of ConfigMaps that a template names.
func references(spec v1alpha1.MessageTemplateSpec) []v1alpha1.ConfigMapKeyReference {
	var list []v1alpha1.ConfigMapKeyReference
	for _, c := range spec.Content {
		for _, source := range []*v1alpha1.ContentSource{c.HTMLFrom, c.TextFrom} {
			if source != nil {
				list = append(list, source.ConfigMapKeyRef)
			}
		}
	}
	return list
}

func configMapNames(spec v1alpha1.MessageTemplateSpec) []string {
	var names []string
	for _, reference := range references(spec) {
		names = append(names, reference.Name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
