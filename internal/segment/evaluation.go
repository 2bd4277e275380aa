package segment

import "fmt"

// Evaluation is a segment's compiled definition, as its row holds it.
type Evaluation struct {
	SegmentID int64
	Predicate string   // SQL over alias c, a row of contact: true for who belongs, false or null for who does not
	Arguments []string // of the predicate, from $1
}

// Statement is SQL with its arguments, from $1. It brings the membership up to date, tells of everybody who entered or left, and
// returns one row of two numbers: how many entered and how many left.
//
// It runs in a READ COMMITTED transaction in which nobody else evaluates these contacts for this segment.
type Statement struct {
	Settings  string // a statement without arguments to run before it, in the same transaction
	SQL       string
	Arguments []any
}

// wholeSettings keep the planner from nested loops. After an import nobody has counted the rows yet, the planner takes
// thousands for a few, and a nested loop then compares every contact with every event: minutes instead of seconds.
// Hash joins are good with and without statistics when everyone is asked, and with room for a million contacts they stay in memory.
const wholeSettings = "select set_config('enable_nestloop', 'off', true), set_config('work_mem', '32MB', true)"

// SomeSettings are those of statements for some contacts: everything is looked up by its key, whatever the tables' sizes, and
// the plan is made once and not for each of the lists of contacts. With little memory the planner has no room to read a whole table
// into it, which it would for a list whose length it does not know.
const SomeSettings = `select set_config('enable_nestloop', 'on', true), set_config('enable_seqscan', 'off', true),
	set_config('enable_mergejoin', 'off', true), set_config('enable_hashjoin', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true),
	set_config('work_mem', '64kB', true), set_config('hash_mem_multiplier', '1', true)`

// Everyone evaluates all contacts: the members are then exactly those who belong. The statement should be planned for its
// arguments: a plan for any argument knows neither how long a window is nor how common an event.
func (e Evaluation) Everyone(reason Reason) Statement {
	id, why := e.placeholder(1, "bigint"), e.placeholder(2, "text")
	return Statement{
		Settings: wholeSettings,
		SQL: `with belongs as materialized (
    select c.id from contact c where (` + e.Predicate + `)
), entered as (
    insert into segment_member (segment_id, contact_id, reason)
    select ` + id + `, b.id, ` + why + ` from belongs b
    where not exists (select from segment_member m where m.segment_id = ` + id + ` and m.contact_id = b.id)
    returning contact_id
), gone as (
    delete from segment_member m
    where m.segment_id = ` + id + ` and not exists (select from belongs b where b.id = m.contact_id)
    returning contact_id
), tallied as (
    insert into segment_tally as t (segment_id, shard, n)
    select ` + id + `, s.shard, coalesce(b.n, 0) from generate_series(0, 15) s (shard)
        left join (select contact_shard(id) shard, count(*) n from belongs group by 1) b on b.shard = s.shard
    on conflict (segment_id, shard) do update set n = excluded.n, changed_at = clock_timestamp(), told = false where t.n <> excluded.n
), ` + tell(id, why),
		Arguments: append(e.arguments(), e.SegmentID, string(reason)),
	}
}

// First evaluates all contacts for a segment that has no members. In the order of their ids everything that is written lies next
// to each other. Nobody is told of: that somebody was there from the beginning stands with each member.
func (e Evaluation) First(reason Reason) Statement {
	id, why := e.placeholder(1, "bigint"), e.placeholder(2, "text")
	return Statement{
		Settings: wholeSettings,
		SQL: `with entered as (
    insert into segment_member (segment_id, contact_id, reason)
    select ` + id + `, c.id, ` + why + ` from contact c where (` + e.Predicate + `) order by c.id
    returning contact_id
), counted as materialized (
    select contact_shard(contact_id) shard, count(*) n from entered group by 1
), tallied as (
    insert into segment_tally as t (segment_id, shard, n)
    select ` + id + `, s.shard, coalesce(c.n, 0) from generate_series(0, 15) s (shard) left join counted c on c.shard = s.shard
    on conflict (segment_id, shard) do update set n = excluded.n, changed_at = clock_timestamp(), told = false where t.n <> excluded.n
)
select coalesce(sum(n), 0)::bigint, 0::bigint from counted`,
		Arguments: append(e.arguments(), e.SegmentID, string(reason)),
	}
}

// Contacts evaluates some contacts, by their ids, each of which is there once, and leaves the membership of all others alone. Who
// has been deleted is nobody: a predicate may well be true of a row of nulls.
func (e Evaluation) Contacts(reason Reason, ids []int64) Statement {
	id, why, list := e.placeholder(1, "bigint"), e.placeholder(2, "text"), e.placeholder(3, "bigint[]")
	return Statement{
		Settings: SomeSettings,
		SQL: `with differs as materialized (
    select i.id, m.contact_id is not null was
    from unnest(` + list + `) i (id)
        left join contact c on c.id = i.id
        left join segment_member m on m.segment_id = ` + id + ` and m.contact_id = i.id
    where (m.contact_id is not null) <> (c.id is not null and coalesce((` + e.Predicate + `), false))
), entered as (
    insert into segment_member (segment_id, contact_id, reason)
    select ` + id + `, d.id, ` + why + ` from differs d where not d.was
    returning contact_id
), gone as (
    delete from segment_member m using differs d
    where m.segment_id = ` + id + ` and m.contact_id = d.id and d.was
    returning m.contact_id
), tallied as (
    insert into segment_tally as t (segment_id, shard, n)
    select ` + id + `, contact_shard(x.contact_id), sum(x.n)
    from (select contact_id, 1 n from entered union all select contact_id, -1 from gone) x group by 2
    on conflict (segment_id, shard) do update set n = t.n + excluded.n, changed_at = clock_timestamp(), told = false
), ` + tell(id, why),
		Arguments: append(e.arguments(), e.SegmentID, string(reason), ids),
	}
}

// Differing finds, among the contacts after one and up to another, those whose membership is not what the predicate says and of
// whom no change waits to be evaluated. It writes nothing, and returns their ids.
func (e Evaluation) Differing(after, upTo int64) Statement {
	id := e.placeholder(1, "bigint")
	return Statement{
		Settings: SomeSettings,
		SQL:      e.differing(id, "c.id > "+e.placeholder(2, "bigint")+" and c.id <= "+e.placeholder(3, "bigint")),

		Arguments: append(e.arguments(), e.SegmentID, after, upTo),
	}
}

// StillDiffering finds those of some contacts that Differing would find.
func (e Evaluation) StillDiffering(ids []int64) Statement {
	return Statement{
		Settings:  SomeSettings,
		SQL:       e.differing(e.placeholder(1, "bigint"), "c.id = any ("+e.placeholder(2, "bigint[]")+")"),
		Arguments: append(e.arguments(), e.SegmentID, ids),
	}
}

func (e Evaluation) differing(id, whose string) string {
	return `select c.id from contact c left join segment_member m on m.segment_id = ` + id + ` and m.contact_id = c.id
where ` + whose + ` and (m.contact_id is not null) <> coalesce((` + e.Predicate + `), false)
    and not exists (select from segment_change q where q.shard = contact_shard(c.id) and q.contact_id = c.id)
order by c.id`
}

// tell records who entered and who left, and counts them.
func tell(id, why string) string {
	return `told as (
    insert into segment_event (segment_id, contact_id, entered, reason)
    select ` + id + `, contact_id, true, ` + why + ` from entered union all select ` + id + `, contact_id, false, ` + why + ` from gone
)
select (select count(*) from entered), (select count(*) from gone)`
}

// placeholder is that of an argument behind those of the predicate.
func (e Evaluation) placeholder(n int, sqlType string) string {
	return fmt.Sprintf("$%d::%s", len(e.Arguments)+n, sqlType)
}

func (e Evaluation) arguments() []any {
	arguments := make([]any, 0, len(e.Arguments)+3)
	for _, a := range e.Arguments {
		arguments = append(arguments, a)
	}
	return arguments
}
