package store

import (
	"strings"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/policy"
)

// exclusion leaves a recipient out of a send for a reason. The freeze judges everybody by it at once and the intent each
// recipient again, from one list, so that nothing is enforced in the one and forgotten in the other.
type exclusion struct {
	reason campaign.SkipReason
	// facts is the relation, with its alias, that knows of a recipient at most one row where match holds. Where it is empty
	// match speaks of the subject alone.
	facts string
	match string
	// key is a column of facts that is never null.
	key string
	// unless leaves out those of whom facts knows nothing, in place of those of whom it does.
	unless bool
	// each is the condition for one recipient, where it is not that facts knows of them.
	each string
	// tables are the common table expressions that each needs, and gathered those that facts needs besides.
	tables, gathered string
}

// subject is who an exclusion is asked about, as SQL expressions of the statement that asks.
type subject struct {
	contact string // id of the contact
	hash    string // keyed hash of the address; null where there is none
	purpose string // of the send
}

// exclusions are the reasons to leave a recipient out under a purpose's terms, in the order in which they are judged. Each
// costs something for every recipient: what the terms do not ask for is not in the list.
func exclusions(s subject, t policy.Terms) []exclusion {
	list := append(withoutConsent(s, t.Basis),
		exclusion{reason: campaign.NoAddress, match: s.hash + " is null"},
		exclusion{
			reason: campaign.Suppressed,
			facts:  "suppression x", key: "x.address_hash",
			match: "x.address_hash = " + s.hash + " and (x.expires_at is null or x.expires_at > now())",
		})
	if t.Capped {
		list = append(list, exclusion{
			reason: campaign.FrequencyCap,
			facts:  "reached y", key: "y.contact_id", match: "y.contact_id = " + s.contact,
			each: "exists (select from capped c where (select count(*) from unnest(c.sends) o(id) cross join lateral (" +
				countedSQL(recordsSQL(s.contact)) + ") n) >= c.most)",
			tables: cappedSQL(s.purpose), gathered: reachedSQL,
		})
	}
	return list
}

func withoutConsent(s subject, basis policy.Basis) []exclusion {
	var list []exclusion
	switch {
	case basis.NeedsGrant():
		list = append(list, exclusion{
			reason: campaign.NoConsent, unless: true, facts: "consent k", key: "k.contact_id",
			match: "k.contact_id = " + s.contact + " and k.purpose = " + s.purpose + " and k.granted",
		})
	case basis.Refusable():
		list = append(list, exclusion{
			reason: campaign.NoConsent, facts: "consent k", key: "k.contact_id",
			match: "k.contact_id = " + s.contact + " and k.purpose = " + s.purpose + " and not k.granted",
		})
	}
	if basis.Refusable() {
		list = append(list, exclusion{
			reason: campaign.NoConsent, facts: "refusal r", key: "r.address_hash",
			match: "r.address_hash = " + s.hash + " and r.purpose = " + s.purpose + " and (r.expires_at is null or r.expires_at > now())",
		})
	}
	return list
}

// cappedSQL is, for each cap on messages of a purpose, the bound, how far back it looks, and the sends that it counts.
func cappedSQL(purpose string) string {
	const span = "make_interval(secs => (c.value ->> 'seconds')::float8)"
	return `capped as materialized (
		select row_number() over () cap, (c.value ->> 'max')::bigint most, ` + span + ` span, array(select o.id from send o
			where o.frozen_at is not null and (o.finished_at is null or o.finished_at > now() - ` + span + `) and ` + counts("o.purpose") + `) sends
		from send_policy p cross join jsonb_array_elements(p.caps) c where ` + counts(purpose) + `)`
}

// countedSQL finds the messages that a send o had for the records of one contact, those that count: they left within the time of a cap c, or may
// have. A campaign has one for each, a rule one for each time that somebody came to its step; each kind has an index of its own.
func countedSQL(records string) string {
	counted := func(step string) string {
		return "select 1 from ledger l where l.send_id = o.id and l.step " + step + " '' and l.contact_id = any (" + records + `)
			and l.state in ('intent', 'sent', 'ambiguous') and l.intent_at > now() - c.span`
	}
	return counted("=") + " union all " + counted("<>")
}

// reachedSQL is who has as many messages as a cap allows.
const reachedSQL = `reached as materialized (
	select distinct n.contact_id from (
		select coalesce(x.contact_id, l.contact_id) contact_id from capped c cross join unnest(c.sends) o(id) join ledger l on l.send_id = o.id
			left join contact_record x on x.id = l.contact_id
		where l.state in ('intent', 'sent', 'ambiguous') and l.intent_at > now() - c.span
		group by c.cap, c.most, coalesce(x.contact_id, l.contact_id) having count(*) >= c.most) n)`

// excludeEach renders exclusions for statements that judge few recipients: common table expressions, each with a comma behind
// it, and the branches of a CASE. Each branch looks up one recipient by a key, and those behind the first that holds are not
// looked up at all. A subquery with an offset is asked row by row: without one the planner may read all that a table knows of a
// purpose first, for every batch.
func excludeEach(list []exclusion) (with, branches string) {
	var tables, when strings.Builder
	for _, e := range list {
		condition := e.match
		switch {
		case e.each != "":
			condition = e.each
		case e.facts != "":
			condition = "exists (select from " + e.facts + " where " + e.match + " offset 0)"
		}
		if e.unless {
			condition = "not " + condition
		}
		writeTable(&tables, e.tables)
		writeBranch(&when, condition, e.reason)
	}
	return tables.String(), when.String()
}

// excludeAll renders exclusions for statements that judge many recipients: common table expressions, each with a comma behind
// it, joins, and the branches of a CASE over them. The planner reads each relation once.
func excludeAll(list []exclusion) (with, joins, branches string) {
	var tables, from, when strings.Builder
	for _, e := range list {
		condition := e.match
		if e.facts != "" {
			from.WriteString("\nleft join " + e.facts + " on " + e.match)
			condition = e.key + " is not null"
			if e.unless {
				condition = e.key + " is null"
			}
		}
		writeTable(&tables, e.tables)
		writeTable(&tables, e.gathered)
		writeBranch(&when, condition, e.reason)
	}
	return tables.String(), from.String(), when.String()
}

func writeTable(b *strings.Builder, table string) {
	if table != "" {
		b.WriteString(table + ", ")
	}
}

func writeBranch(b *strings.Builder, condition string, reason campaign.SkipReason) {
	b.WriteString("\nwhen " + condition + " then '" + string(reason) + "'")
}

// lockCountedSQL has two sends to the same people take turns: a cap counts what others have committed. Contacts are locked in
// their order, so that nobody waits for each other.
const lockCountedSQL = `select from contact c where c.id in (
	select coalesce(x.contact_id, l.contact_id) from ledger l left join contact_record x on x.id = l.contact_id
	where l.send_id = $1 and l.seq = any ($2::bigint[]))
	order by c.id for no key update`
