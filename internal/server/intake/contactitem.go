package intake

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// ContactItem is what a source says of a person, as JSON. What is absent, null or empty stays as it is.
type ContactItem struct {
	ExternalID string           `json:"external_id" doc:"The source's own id of the person." example:"C1042"`
	Email      string           `json:"email,omitempty" doc:"It identifies the person where email_verified says so." example:"ana@example.com"`
	Phone      string           `json:"phone,omitempty" doc:"In international form, such as +34600111222." example:"+34600111222"`
	Locale     string           `json:"locale,omitempty" doc:"A BCP 47 language tag, such as es-MX." example:"es-MX"`
	TimeZone   string           `json:"time_zone,omitempty" doc:"A zone of the IANA database, such as Europe/Madrid." example:"Europe/Madrid"`
	Tags       []string         `json:"tags,omitempty" doc:"They are added to those that the contact has."`
	Attributes map[string]Value `json:"attributes,omitempty" doc:"What the RecordType contact declares."`
	Consents   map[string]bool  `json:"consents,omitempty" doc:"By purpose. What the contact decided themself stays."`
}

// ContactItems checks items that come together. Its columns are all attributes, and the purposes that the items name.
type ContactItems struct {
	Columns store.ContactColumns
	checks  *checks
}

// NewContactItems prepares for items of one request.
func NewContactItems(attributes []crm.Attribute, items []ContactItem, emailVerified, phoneVerified bool) *ContactItems {
	purposes := map[string]bool{}
	for _, item := range items {
		for purpose := range item.Consents {
			if crm.IsPurpose(purpose) {
				purposes[purpose] = true
			}
		}
	}
	return &ContactItems{checks: newChecks(), Columns: store.ContactColumns{
		Attributes: attributes, Purposes: slices.Sorted(maps.Keys(purposes)), EmailVerified: emailVerified, PhoneVerified: phoneVerified,
	}}
}

// Row checks an item. The error names what is wrong and how to mend it.
func (c *ContactItems) Row(item ContactItem) (store.ContactRow, error) {
	row := store.ContactRow{
		Attributes: make([]string, len(c.Columns.Attributes)), Consents: make([]store.Decision, len(c.Columns.Purposes)),
	}
	if strings.ContainsRune(item.ExternalID+item.Email+item.Phone+item.Locale+item.TimeZone+strings.Join(item.Tags, ""), 0) {
		return row, fmt.Errorf("a text contains a NUL character")
	}
	for _, set := range []struct {
		name, value string
		into        *string
		check       func(string) (string, error)
	}{
		{"external_id", item.ExternalID, &row.ExternalID, crm.NormalizeExternalID},
		{"email", item.Email, &row.Email, crm.NormalizeEmail},
		{"phone", item.Phone, &row.Phone, crm.NormalizePhone},
		{"locale", item.Locale, &row.Locale, c.checks.locale},
		{"time_zone", item.TimeZone, &row.TimeZone, c.checks.zone},
	} {
		if set.value == "" && set.name != "external_id" {
			continue
		}
		value, err := set.check(set.value)
		if err != nil {
			return row, named(set.name, err)
		}
		*set.into = value
	}
	var err error
	if row.Tags, err = checkTags(item.Tags); err != nil {
		return row, named("tags", err)
	}
	if err := c.attributes(&row, item.Attributes); err != nil {
		return row, fmt.Errorf("attributes.%w", err)
	}
	if err := c.consents(&row, item.Consents); err != nil {
		return row, fmt.Errorf("consents.%w", err)
	}
	return row, nil
}

func (c *ContactItems) attributes(row *store.ContactRow, values map[string]Value) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		at := slices.IndexFunc(c.Columns.Attributes, func(a crm.Attribute) bool { return a.Name == name })
		if at < 0 {
			names := make([]string, len(c.Columns.Attributes))
			for i, a := range c.Columns.Attributes {
				names[i] = a.Name
			}
			return fmt.Errorf("%s: the RecordType contact has no such attribute%s", clip(name), crm.DidYouMean(name, names))
		}
		if values[name].isNull() {
			continue
		}
		text, err := values[name].text(c.Columns.Attributes[at].Type)
		if err != nil {
			return named(name, err)
		}
		if text == "" {
			continue
		}
		if len(text) > MaxCell {
			return fmt.Errorf("%s: is longer than %d KiB", name, MaxCell>>10)
		}
		if row.Attributes[at], err = checkAttribute(c.Columns.Attributes[at], text); err != nil {
			return named(name, err)
		}
	}
	return nil
}

func (c *ContactItems) consents(row *store.ContactRow, decisions map[string]bool) error {
	for purpose, granted := range decisions {
		at, ok := slices.BinarySearch(c.Columns.Purposes, purpose)
		if !ok {
			return fmt.Errorf("%s: a purpose is written in lower-case letters, digits, - and _, such as newsletter", clip(purpose))
		}
		row.Consents[at] = store.Refused
		if granted {
			row.Consents[at] = store.Granted
		}
	}
	return nil
}
