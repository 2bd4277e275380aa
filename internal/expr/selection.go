package expr

import (
	"slices"
	"time"

	"github.com/google/cel-go/common/ast"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// selection is what a chain such as events("purchase").within("90d").where(e, e.amount > 50.0) selects.
type selection struct {
	event      crm.EventType
	message    string        // received, opened or clicked; "" for events
	campaign   string        // of the messages; "" for any
	within     time.Duration // events of the last …; 0 for all
	before     time.Duration // events at least … old; 0 for all that have happened
	conditions []ast.Expr
}

// selected follows a chain from its end to its base. Of several windows the narrowest counts.
func (c *compiler) selected(e ast.Expr) (selection, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		b, found := selectionOf(e)
		event, isType := c.schema.Event(b.event)
		return selection{event: event}, found && isType
	case ast.ComprehensionKind:
		events, _, condition := whereParts(e)
		s, found := c.selected(events)
		s.conditions = append(s.conditions, condition)
		return s, found
	case ast.CallKind:
		return c.selectedBy(e.AsCall())
	}
	return selection{}, false
}

func (c *compiler) selectedBy(call ast.CallExpr) (selection, bool) {
	if !call.IsMemberFunction() {
		s := selection{message: call.FunctionName()}
		if len(call.Args()) > 0 {
			s.campaign = text(call.Args()[0])
		}
		return s, slices.Contains(messageFunctions, s.message)
	}
	s, found := c.selected(call.Target())
	if !found || call.FunctionName() != "within" && call.FunctionName() != "before" {
		return s, false
	}
	d, err := parseDuration(text(call.Args()[0]))
	switch {
	case call.FunctionName() == "before":
		s.before = max(s.before, d)
	case s.within == 0 || d < s.within:
		s.within = d
	}
	return s, err == nil
}

// at is the column that tells when what a selection selects happened.
func (s selection) at() string {
	if s.message == "" {
		return "e.occurred_at"
	}
	return "e.at"
}

// from compiles what a chain selects, of one contact or of all, as what follows "select … ". What is dated ahead does not count
// until it happens.
func (c *compiler) from(s selection, whose string) string {
	c.spend(costOfSelection)
	c.uses.selection(s, 0)
	sql := c.source(s, whose)
	if s.within > 0 {
		sql += " and " + s.at() + " > " + statementTime + " - " + c.argument(intervalText(s.within), "interval")
	}
	sql += " and " + s.at() + " <= " + statementTime
	if s.before > 0 {
		sql += " - " + c.argument(intervalText(s.before), "interval")
	}
	grouping := c.grouping
	c.grouping, c.event = nil, &s.event
	for _, condition := range s.conditions {
		sql += " and " + c.predicate(condition, false)
	}
	c.grouping, c.event = grouping, nil
	return sql
}

// asksConsent begins the names under which mails go out that ask for a consent: no campaign of a manifest has a slash. Those of rules, which have one too,
// count as those of campaigns do.
const asksConsent = "consent-policy/"

// source compiles the tables of a selection and which of their rows are of its kind. Received is what the ledger says was
// taken by whoever delivers; opened and clicked are people, a row for each message at the first time.
func (c *compiler) source(s selection, whose string) string {
	if s.message == "" {
		return "from event e where " + whose + " and e.name = " + c.argument(s.event.Name, "text")
	}
	return "from (" + c.messages("l.contact_id", "", s) + " and not exists (select from contact_record r where r.id = l.contact_id) union all " +
		c.messages("r.contact_id", "contact_record r join ", s) + ") e where " + whose
}

// messages compiles the messages of a selection with the contact whose they are by now. The ledger and what was made of it keep
// the id of the record that a message was for, which may have become part of another contact since.
func (c *compiler) messages(contact, records string, s selection) string {
	table, at, on := "engaged", "l.at", ""
	if s.message == "received" {
		table, at = "ledger", "l.settled_at as at"
	}
	if records != "" {
		on = " on l.contact_id = r.id"
	}
	sql := "select " + contact + ", " + at + " from " + records + table + " l" + on + " where "
	if s.message == "received" {
		return sql + "l.send_id in (" + c.sends(s) + ") and l.state = " + c.argument("sent", "text")
	}
	sql += "l.what = " + c.argument(s.message, "text")
	if s.campaign != "" {
		sql += " and l.send_id in (" + c.sends(s) + ")"
	}
	return sql
}

// sends compiles whose messages are selected: a campaign's, or those of all campaigns and rules.
func (c *compiler) sends(s selection) string {
	if s.campaign != "" {
		return "select d.id from send d where d.campaign = " + c.argument(s.campaign, "text")
	}
	return "select d.id from send d where not starts_with(d.campaign, " + c.argument(asksConsent, "text") + ")"
}

// ofContact joins a selection to the contact in question.
const ofContact = "e.contact_id = c.id"

// exists compiles whether a chain selects anything. The planner makes joins of it.
func (c *compiler) exists(chain ast.Expr) string {
	s, found := c.selected(chain)
	if !found {
		return c.refuse(chain)
	}
	return "exists (select " + c.from(s, ofContact) + ")"
}
