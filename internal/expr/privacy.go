package expr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// identifying are names of fields that say who somebody is, whatever a tenant calls them: of an attribute or a property of
// such a name an expression may only ask whether it is known.
var identifying = []string{
	"actor", "customer_id", "did", "e_mail", "email", "email_address", "external_id", "handle", "id", "phone", "phone_number", "public_id", "telephone",
	"user_id", "username",
}

// attribute resolves a contact's field. Of a personal one an expression may ask only whether it is known: everything
// else, a comparison of any kind, could single out a person.
func (r *resolver) attribute(e ast.Expr, field string, presence bool) {
	if _, found := contactFields[field]; found {
		return
	}
	attribute, found := r.schema.Attribute(field)
	switch isIdentifier := Identifies(field); {
	case isIdentifier && (!found || !presence):
		r.add(r.tree.at(e), "contact.%s singles out a person: describe people by attributes, tags, consent and events, not by who they are", field)
	case !found:
		r.unknown(r.tree.at(e), fmt.Sprintf("contact has no attribute %q", field), field, r.fieldNames())
	case attribute.Personal && !presence:
		r.add(r.tree.at(e), "contact.%s is personal and must not single out a person: ask only whether it is known, by has(contact.%s)", field, field)
	}
}

// property resolves a property of the event of a where.
func (r *resolver) property(e ast.Expr, field string, presence bool) {
	_, found := r.event.Property(field)
	switch {
	case !found:
		r.unknown(r.tree.at(e), fmt.Sprintf("event %q has no property %q", r.event.Name, field), field, propertyNames(*r.event, nil))
	case Identifies(field) && !presence:
		r.add(r.tree.at(e), "%s.%s singles out a person: ask only whether it is known, by has(%s.%s)", r.eventName, field, r.eventName, field)
	}
}

// subjectField resolves a field of a subject. An event may say who somebody is, and a condition on that would be about one person.
func (r *resolver) subjectField(e ast.Expr, s *Subject, presence bool) {
	names := chainOf(e)
	fields, above := s.Fields, s.Name
	for i, name := range names[1:] {
		at := slices.IndexFunc(fields, func(f Field) bool { return f.Name == name })
		switch {
		case at < 0 && i > 0 && len(fields) == 0:
			r.add(r.tree.at(e), "%s", r.nothingElse())
		case at < 0:
			r.unknown(r.tree.at(r.part(e, len(names)-2-i)), fmt.Sprintf("%s has no field %q", above, name), name, fieldNames(fields))
		default:
			if i < len(names)-2 {
				fields, above = fields[at].Fields, above+"."+name
				continue
			}
			r.subjectValue(e, fields[at], above, presence)
		}
		return
	}
}

// part is what stands so many names before the end of a chain.
func (r *resolver) part(e ast.Expr, before int) ast.Expr {
	for range before {
		e = e.AsSelect().Operand()
	}
	return e
}

// subjectValue resolves the field at the end of a chain.
func (r *resolver) subjectValue(e ast.Expr, f Field, above string, presence bool) {
	name := above + "." + f.Name
	switch {
	case len(f.Fields) > 0:
		r.add(r.tree.at(e), "%s is not a value: name one of its fields, such as %s.%s", name, name, f.Fields[0].Name)
	case (f.Personal || Identifies(f.Name)) && !presence:
		r.add(r.tree.at(e), "%s singles out a person: ask only whether it is known, by has(%s)", name, name)
	}
}

// whole refuses to compare as a whole what somebody wrote: it would be about one person.
func (r *resolver) whole(e ast.Expr, presence bool) {
	for e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "lowerAscii" && e.AsCall().IsMemberFunction() {
		e = e.AsCall().Target()
	}
	if f, found := r.fieldAt(e); found && f.Free && !presence {
		name := strings.Join(chainOf(e), ".")
		r.add(r.tree.at(e), `%s is what somebody wrote, and as a whole it singles out a person: search in it, such as %s.containsIgnoreCase("refund")`,
			name, name)
	}
}

// namesPerson tells whether a text is an e-mail address, a telephone number with its country, a handle on a network with its
// host, or a decentralised id: none belongs into a file in Git, and none describes more than one person.
func namesPerson(text string) bool {
	if _, err := crm.NormalizeEmail(strings.TrimPrefix(strings.TrimSpace(text), "@")); err == nil {
		return true
	}
	if strings.HasPrefix(strings.TrimSpace(text), "+") {
		_, err := crm.NormalizePhone(text)
		return err == nil
	}
	return strings.HasPrefix(text, "did:plc:") || strings.HasPrefix(text, "did:web:")
}
