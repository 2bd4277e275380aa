package segment

import "fmt"

// Evaluation is a segment's compiled definition, as its row holds it.
type Evaluation struct {
	SegmentID int64
	Predicate string   // SQL over alias c, a row of contact: true for who belongs, false or null for who does not
	Arguments []string // of the predicate, from $1
}

// Statement is SQL with its arguments, from $1. It brings the membership up to date and returns one row of three
// numbers: how many of the contacts in question belong, how many of them entered and how many left.
//
// It runs in a READ COMMITTED transaction that has locked the segment's row before, so that two evaluations of a
// segment never cross. It should be planned for its arguments (unnamed, or with plan_cache_mode force_custom_plan):
// a plan for any argument knows neither how long a window is nor how common an event.
type Statement struct {
	Settings  string // a statement without arguments to run before it, in the same transaction; "" when there is none
	SQL       string
	Arguments []any
}

// wholeSettings keep the planner from nested loops. After an import nobody has counted the rows yet, the planner takes
// thousands for a few, and a nested loop then compares every contact with every event: minutes instead of seconds.
// Hash joins are good with and without statistics when everyone is asked. Compiling such statements costs more than
// it saves.
const wholeSettings = "select set_config('enable_nestloop', 'off', true), set_config('jit', 'off', true)"

// Everyone evaluates all contacts: the members are then exactly those who belong.
func (e Evaluation) Everyone() Statement {
	s := e.statement("", "")
	s.Settings = wholeSettings
	return s
}

// Contacts evaluates some contacts, by their ids, and leaves the membership of all others alone.
func (e Evaluation) Contacts(ids []int64) Statement {
	placeholder := fmt.Sprintf("any($%d::bigint[])", len(e.Arguments)+2)
	s := e.statement("c.id = "+placeholder+" and ", " and m.contact_id = "+placeholder)
	s.Arguments = append(s.Arguments, ids)
	return s
}

// statement evaluates the predicate once, in one snapshot, and writes only the difference: a membership that has not
// changed costs no write.
func (e Evaluation) statement(whose, whoseMembership string) Statement {
	id := fmt.Sprintf("$%d::bigint", len(e.Arguments)+1)
	arguments := make([]any, 0, len(e.Arguments)+2)
	for _, a := range e.Arguments {
		arguments = append(arguments, a)
	}
	return Statement{
		SQL: `with belongs as materialized (
    select c.id from contact c where ` + whose + `(` + e.Predicate + `)
), entered as (
    insert into segment_member (segment_id, contact_id)
    select ` + id + `, b.id from belongs b
    where not exists (select from segment_member m where m.segment_id = ` + id + ` and m.contact_id = b.id)
    returning 1
), gone as (
    delete from segment_member m
    where m.segment_id = ` + id + whoseMembership + `
        and not exists (select from belongs b where b.id = m.contact_id)
    returning 1
)
select (select count(*) from belongs), (select count(*) from entered), (select count(*) from gone)`,
		Arguments: append(arguments, e.SegmentID),
	}
}
