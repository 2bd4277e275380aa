package intake

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/identity"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// ContactItem is what a source says of a person, as JSON. What is absent, null or empty stays as it is.
type ContactItem struct {
	ExternalID string `json:"external_id" doc:"The source's own id of the person." example:"C1042"`
	Email      string `json:"email,omitempty" doc:"It identifies the person where email_verified says so." example:"ana@example.com"`
	Phone      string `json:"phone,omitempty" doc:"In international form, such as +34600111222." example:"+34600111222"`
	// Identifiers of other types, each of which may be verified.
	Identifiers map[string]string `json:"identifiers,omitempty" doc:"Others, by type: mastodon (the URI of an actor), bluesky (a DID) or handle; with :verified behind the type where the source has verified that it is the person's." example:"{\"bluesky:verified\":\"did:web:ana.example\"}"`
	Locale      string            `json:"locale,omitempty" doc:"A BCP 47 language tag, such as es-MX." example:"es-MX"`
	TimeZone    string            `json:"time_zone,omitempty" doc:"A zone of the IANA database, such as Europe/Madrid." example:"Europe/Madrid"`
	Tags        []string          `json:"tags,omitempty" doc:"They are added to those that the contact has."`
	Accounts    []string          `json:"accounts,omitempty" doc:"The source's ids of the accounts that the person belongs to, the primary one first. They are all that the source says of that."`
	AccountRole string            `json:"account_role,omitempty" maxLength:"100" doc:"What the person is in the first of accounts." example:"purchaser"`
	Attributes  map[string]Value  `json:"attributes,omitempty" doc:"What the RecordType contact declares."`
	Consents    map[string]bool   `json:"consents,omitempty" doc:"By purpose. What the contact decided themself stays."`
	// How the consents were given.
	ConsentProofs map[string]ConsentProof `json:"consent_proofs,omitempty" doc:"How consents were given, by purpose of those in consents."`
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
	proofs := slices.ContainsFunc(items, func(item ContactItem) bool { return len(item.ConsentProofs) > 0 })
	accounts := slices.ContainsFunc(items, func(item ContactItem) bool { return len(item.Accounts) > 0 })
	return &ContactItems{checks: newChecks(), Columns: store.ContactColumns{
		Accounts:    accounts,
		Identifiers: itemIdentifiers(items), Attributes: attributes, Purposes: slices.Sorted(maps.Keys(purposes)), Proofs: proofs,
		EmailVerified: emailVerified, PhoneVerified: phoneVerified,
	}}
}

// itemIdentifiers are the types of further identifiers that items name, verified or not.
func itemIdentifiers(items []ContactItem) (columns []store.IdentifierColumn) {
	for _, kind := range identity.Extra() {
		for _, verified := range []bool{true, false} {
			name := kind
			if verified {
				name += ":verified"
			}
			if slices.ContainsFunc(items, func(item ContactItem) bool { return item.Identifiers[name] != "" }) {
				columns = append(columns, store.IdentifierColumn{Type: kind, Verified: verified})
			}
		}
	}
	return columns
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
		{"external_id", item.ExternalID, &row.ExternalID, normalExternal},
		{"email", item.Email, &row.Email, normalEmail},
		{"phone", item.Phone, &row.Phone, normalPhone},
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
	if err := c.identifiers(&row, item.Identifiers); err != nil {
		return row, fmt.Errorf("identifiers.%w", err)
	}
	var err error
	if row.Tags, err = checkTags(item.Tags); err != nil {
		return row, named("tags", err)
	}
	if row.Accounts, err = checkAccounts(item.Accounts); err != nil {
		return row, named("accounts", err)
	}
	if row.AccountRole, err = checkRole(item.AccountRole); err != nil {
		return row, named("account_role", err)
	}
	if row.AccountRole != "" && len(row.Accounts) == 0 {
		return row, fmt.Errorf("account_role: accounts names no account that it could be about")
	}
	if err := c.attributes(&row, item.Attributes); err != nil {
		return row, fmt.Errorf("attributes.%w", err)
	}
	if err := c.consents(&row, item.Consents); err != nil {
		return row, fmt.Errorf("consents.%w", err)
	}
	if err := c.proofs(&row, item); err != nil {
		return row, fmt.Errorf("consent_proofs.%w", err)
	}
	return row, nil
}

func (c *ContactItems) identifiers(row *store.ContactRow, values map[string]string) error {
	row.Identifiers = make([]string, len(c.Columns.Identifiers))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		kind := strings.TrimSuffix(name, ":verified")
		at := slices.IndexFunc(c.Columns.Identifiers, func(i store.IdentifierColumn) bool { return i.Type == kind && i.Verified == (name != kind) })
		if at < 0 {
			return fmt.Errorf("%s: is none of %s%s", clip(name), strings.Join(identity.Extra(), ", "), crm.DidYouMean(kind, identity.Extra()))
		}
		if values[name] == "" {
			continue
		}
		var err error
		if row.Identifiers[at], err = identity.Normalize(kind, values[name]); err != nil {
			return named(name, err)
		}
	}
	return nil
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

func (c *ContactItems) proofs(row *store.ContactRow, item ContactItem) error {
	if !c.Columns.Proofs {
		return nil
	}
	row.Proofs = make([]store.Proof, len(c.Columns.Purposes))
	for purpose, told := range item.ConsentProofs {
		at, ok := slices.BinarySearch(c.Columns.Purposes, purpose)
		if _, said := item.Consents[purpose]; !ok || !said {
			return fmt.Errorf("%s: consents does not say whether it was given", clip(purpose))
		}
		proof, err := told.check(c.checks.began)
		if err != nil {
			return fmt.Errorf("%s.%w", purpose, err)
		}
		row.Proofs[at] = proof
	}
	return nil
}
