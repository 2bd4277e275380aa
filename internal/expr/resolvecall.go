package expr

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/identity"
)

// methodExamples show each function that stands behind a dot.
var methodExamples = map[string]string{
	"within":               `events("purchase").within("90d")`,
	"before":               `events("purchase").before("7d")`,
	"where":                `events("purchase").where(e, e.amount > 50.0)`,
	"count":                `events("purchase").count()`,
	"distinct":             `events("purchase").distinct("sku")`,
	"first":                `events("purchase").first() or events("purchase").first("sku")`,
	"last":                 `events("purchase").last() or events("purchase").last("sku")`,
	"sum":                  `events("purchase").sum("amount")`,
	"avg":                  `events("purchase").avg("amount")`,
	"min":                  `events("purchase").min("amount")`,
	"max":                  `events("purchase").max("amount")`,
	"startsWith":           `contact.city.startsWith("San ")`,
	"endsWith":             `contact.company.endsWith("GmbH")`,
	"contains":             `contact.job_title.contains("engineer")`,
	"startsWithIgnoreCase": `contact.city.startsWithIgnoreCase("san ")`,
	"endsWithIgnoreCase":   `contact.company.endsWithIgnoreCase("gmbh")`,
	"containsIgnoreCase":   `contact.job_title.containsIgnoreCase("engineer")`,
	"equalsIgnoreCase":     `contact.city.equalsIgnoreCase("málaga")`,
	"lowerAscii":           `contact.city.lowerAscii() == "madrid"`,
	"hasAny":               `contact.tags.hasAny(["vip", "press"])`,
	"hasAll":               `contact.tags.hasAll(["vip", "press"])`,
	"hasOnly":              `contact.tags.hasOnly(["vip", "press"])`,
}

// functionExamples show each function that stands alone.
var functionExamples = map[string]string{
	"has":            `has(contact.plan)`,
	"events":         `events("purchase")`,
	"received":       `received("spring-2027")`,
	"opened":         `opened("spring-2027")`,
	"clicked":        `clicked("spring-2027")`,
	"consented":      `consented("newsletter")`,
	"in_segment":     `in_segment("lapsed-club")`,
	"has_identifier": `has_identifier("email")`,
	"age":            `age("birthday")`,
	"anniversary":    `anniversary("birthday")`,
	"ago":            `ago("30d")`,
	"ahead":          `ahead("30d")`,
	"date":           `date("2026-03-21")`,
	"timestamp":      `timestamp("2026-03-21T09:00:00Z")`,
}

// objectName is what the names of segments and campaigns match.
var objectName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$`)

// function resolves a call that stands alone. Each takes one text, written out: the statement is made from it.
func (r *resolver) function(e ast.Expr, call ast.CallExpr) {
	name := call.FunctionName()
	if r.alone() != nil && !slices.Contains(pureFunctions, name) {
		r.addNotAlone(e, name)
		return
	}
	if slices.Contains(messageFunctions, name) {
		r.messages(e, call)
		return
	}
	text, isText := onlyText(call)
	if !isText {
		r.add(r.tree.at(e), "%s takes one text in quotes: write %s", name, functionExamples[name])
		return
	}
	at := r.tree.at(call.Args()[0])
	var err error
	switch name {
	case "events":
		r.events(e, at, text)
	case "consented":
		r.purpose(at, text)
	case "in_segment":
		r.objectName(at, "segment", text)
	case "has_identifier":
		r.identifierType(at, text)
	case "age", "anniversary":
		r.day(at, text)
	case "ago", "ahead":
		_, err = parseDuration(text)
	case "date":
		_, err = parseDate(text)
	case "timestamp":
		_, err = parseTimestamp(text)
	}
	if err != nil {
		r.add(at, "%s", err)
	}
}

// functionNames are those that may stand alone.
func (r *resolver) functionNames() []string {
	if r.alone() != nil {
		return pureFunctions
	}
	return globalFunctions
}

func onlyText(call ast.CallExpr) (string, bool) {
	if len(call.Args()) != 1 || call.Args()[0].Kind() != ast.LiteralKind {
		return "", false
	}
	text, isText := call.Args()[0].AsLiteral().(types.String)
	return string(text), isText
}

const oneSelection = "a where cannot ask for other events: join two conditions by && instead"

// events replaces events("name") by the variable that holds them, so that the checker knows their properties.
func (r *resolver) events(e ast.Expr, at position, name string) {
	if r.event != nil {
		r.add(r.tree.at(e), oneSelection)
		return
	}
	if _, found := r.schema.Event(name); !found {
		var names []string
		for _, event := range r.schema.Events {
			names = append(names, event.Name)
		}
		r.unknown(at, fmt.Sprintf("there is no event type %q", name), name, names)
		return
	}
	e.SetKindCase(r.factory.NewIdent(e.ID(), eventsVariable+name))
}

// messages resolves received, opened and clicked, of one campaign or of any.
func (r *resolver) messages(e ast.Expr, call ast.CallExpr) {
	name := call.FunctionName()
	campaign, isText := onlyText(call)
	switch {
	case r.event != nil:
		r.add(r.tree.at(e), oneSelection)
	case len(call.Args()) > 0 && !isText:
		r.add(r.tree.at(e), "%s takes the name of a campaign in quotes, or nothing: write %s or %s()", name, functionExamples[name], name)
	case isText:
		r.objectName(r.tree.at(call.Args()[0]), "campaign", campaign)
	}
}

func (r *resolver) objectName(at position, kind, name string) {
	if !objectName.MatchString(name) {
		r.add(at, "%q is not the name of a %s: it has lower-case letters, digits, - and dots", name, kind)
	}
}

func (r *resolver) purpose(at position, name string) {
	switch {
	case !crm.IsPurpose(name):
		r.add(at, "%q is not a purpose of consent: it has at most 40 lower-case letters, digits, - and _ and begins with a letter", name)
	case len(r.schema.Purposes) > 0 && !slices.Contains(r.schema.Purposes, name):
		r.unknown(at, fmt.Sprintf("no ConsentPolicy has the purpose %q", name), name, r.schema.Purposes)
	}
}

// identifierType checks a type of identifiers.
func (r *resolver) identifierType(at position, name string) {
	if _, found := identity.TypeOf(name); !found {
		r.unknown(at, fmt.Sprintf("there is no type of identifiers %q", name), name, identity.Names())
	}
}

// day checks the field whose anniversaries are asked for. Of a personal one they may be: years and days do not tell who it is.
func (r *resolver) day(at position, name string) {
	isDay := func(t crm.ValueType) bool { return t == crm.Date || t == crm.Timestamp }
	attribute, found := r.schema.Attribute(name)
	if found && isDay(attribute.Type) || name == "created_at" {
		return
	}
	days := []string{"created_at"}
	for _, a := range r.schema.Attributes {
		if isDay(a.Type) {
			days = append(days, a.Name)
		}
	}
	if found {
		r.unknown(at, fmt.Sprintf("contact.%s (%s) is no day", name, attribute.Type), "", days)
		return
	}
	r.unknown(at, fmt.Sprintf("contact has no attribute %q", name), name, days)
}

// method resolves a call that stands behind a dot.
func (r *resolver) method(e ast.Expr, call ast.CallExpr) {
	name, target := call.FunctionName(), call.Target()
	if slices.Contains(stringFunctions, name) || slices.Contains(tagFunctions, name) {
		r.visit(target, false)
		for _, arg := range call.Args() {
			r.visit(arg, false)
		}
		if name == "equalsIgnoreCase" {
			r.whole(target, false)
		}
		return
	}
	if !slices.Contains(selectionFunctions, name) {
		r.visit(target, false)
		valid := behindDot
		if _, isSelection := selectionOf(target); isSelection {
			valid = selectionFunctions
		}
		r.unknown(r.tree.at(e), fmt.Sprintf("unknown function %q", name), name, valid)
		return
	}
	before := len(r.list)
	r.visit(target, false)
	if len(r.list) > before {
		return
	}
	base, isSelection := selectionOf(target)
	if !isSelection {
		r.add(r.tree.at(e), "%s is for events: write %s", name, methodExamples[name])
		return
	}
	r.selectionMethod(e, call, base)
}
