package render

import (
	"time"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// samples are typical values of attributes that many tenants have; others show their name.
var samples = map[string]string{
	"first_name": "Alejandra", "last_name": "Fernández Ruiz", "name": "Alejandra Fernández Ruiz", "city": "Zaragoza", "country": "ES", "company": "Ciclos Ebro",
}

// SampleValues are typical values for attributes, in their order, as Recipient.Values has them.
func SampleValues(attributes []crm.Attribute) []any {
	out := make([]any, len(attributes))
	for i, a := range attributes {
		out[i] = sampleValue(a)
	}
	return out
}

func sampleValue(a crm.Attribute) any {
	switch a.Type {
	case crm.String:
		if len(a.Enum) > 0 {
			return a.Enum[0]
		}
		if v, ok := samples[a.Name]; ok {
			return v
		}
		return a.Name
	case crm.Integer:
		return int64(1234)
	case crm.Decimal:
		return 1234.5
	case crm.Boolean:
		return true
	case crm.Date:
		return "1990-05-17"
	case crm.Timestamp:
		return time.Date(2027, 3, 21, 9, 0, 0, 0, time.UTC)
	}
	return nil
}

// SampleRecipient is somebody who has all attributes.
func SampleRecipient(attributes []crm.Attribute) Recipient {
	return Recipient{
		Address: "alejandra@example.com", Seq: 1, Contact: 1, Tags: []string{"sample", "example"}, TimeZone: "Europe/Madrid",
		Values: SampleValues(attributes),
	}
}

// VarsOf are a recipient's variables for Template.Render. names are those of its values; unsubscribe is where it would
// unsubscribe.
func VarsOf(r Recipient, names []string, tenant map[string]any, unsubscribe string) Vars {
	contact := make(map[string]any, len(names)+3)
	for i, name := range names {
		if i < len(r.Values) && r.Values[i] != nil {
			contact[name] = r.Values[i]
		}
	}
	contact["tags"] = r.Tags
	if r.Locale != "" {
		contact["locale"] = r.Locale
	}
	if r.TimeZone != "" {
		contact["time_zone"] = r.TimeZone
	}
	vars := Vars{"contact": contact, "tenant": tenant, UnsubscribeURL: unsubscribe}
	if r.ConfirmURL != "" {
		vars[ConfirmURL] = r.ConfirmURL
	}
	return vars
}
