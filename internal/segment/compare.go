package segment

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Proposal is a definition that is not in force.
type Proposal struct {
	Name      string
	Predicate string // as Evaluation has it
	Arguments []string
	AsksFor   []string // the segments whose membership it asks for
	Digest    string   // of the definition
}

// PartsAtMost is how many values of an attribute are told apart.
const PartsAtMost = 50

// Comparison asks who would enter and who would leave a segment.
type Comparison struct {
	// Proposals are definitions; each may ask for the membership of those before it. The last is the one that is compared with the
	// membership that the segment of its name has.
	Proposals []Proposal
	// Columns of contacts by whose values those who would come and go are counted.
	Columns []string
	// Tags tells whether they are counted by tags too.
	Tags bool
}

// Statement writes nothing. It returns rows of a column's place in Columns, of a value as text, of whether it is about those who enter,
// and of how many they are: place 0 is the total, without a value; the columns follow from 1 on, the most frequent values first, with
// some more than twice PartsAtMost rows at most for each; tags come last, those of LeastTold people.
//
// A proposal that asks for the membership of one before it reads that one's: within its query two names stand for other rows. The
// predicates are those that will be in force, word for word.
func (c Comparison) Statement() Statement {
	b := &comparison{}
	var parts []string
	for i, p := range c.Proposals {
		shadows := b.shadows(c.Proposals[:i], p)
		parts = append(parts, fmt.Sprintf("proposed_%d as materialized (\n    %sselect c.id from contact c where (%s)\n)", i, shadows, b.predicate(p)))
	}
	last := len(c.Proposals) - 1
	var columns strings.Builder
	for _, column := range c.Columns {
		columns.WriteString(", c." + column)
	}
	parts = append(parts, fmt.Sprintf(`changed as materialized (
    select coalesce(n.id, m.contact_id) id, m.contact_id is null entered
    from proposed_%d n
        full join (
            select contact_id from segment_member where segment_id = (select id from segment where name = %s and dormant_since is null)
        ) m on m.contact_id = n.id
    where n.id is null or m.contact_id is null
)`, last, b.argument(c.Proposals[last].Name, "text")), `facts as materialized (
    select k.entered, c.tags`+columns.String()+` from changed k join contact c on c.id = k.id
)`)
	counts := []string{"select 0 place, null::text as value, entered, count(*) n from changed group by entered"}
	for i, column := range c.Columns {
		counts = append(counts, fmt.Sprintf("(select %d, %s::text, entered, count(*) from facts group by 2, 3 order by 4 desc, 2 limit %d)",
			i+1, column, 2*PartsAtMost+2))
	}
	if c.Tags {
		counts = append(counts, fmt.Sprintf(`(select %d, t.tag, f.entered, count(*)
    from facts f cross join unnest(f.tags) with ordinality t (tag, i)
    where t.tag is not null and case when array_ndims(f.tags) = 1 then array_position(f.tags, t.tag) = t.i end
    group by 2, 3 having count(*) >= %d order by 4 desc, 2 limit %d)`, len(c.Columns)+1, LeastTold, 20*PartsAtMost))
	}
	return Statement{
		Settings: wholeSettings, Arguments: b.arguments,
		SQL: "with " + strings.Join(parts, ", ") + "\n" + strings.Join(counts, "\nunion all\n"),
	}
}

// comparison collects the arguments of a statement.
type comparison struct{ arguments []any }

func (b *comparison) argument(value, sqlType string) string {
	b.arguments = append(b.arguments, value)
	return fmt.Sprintf("$%d::%s", len(b.arguments), sqlType)
}

var placeholders = regexp.MustCompile(`\$([0-9]+)`)

// predicate is a proposal's, with its arguments behind those that are there. Nothing but placeholders begins with a dollar: no text of
// an author is in a predicate.
func (b *comparison) predicate(p Proposal) string {
	before := len(b.arguments)
	for _, a := range p.Arguments {
		b.arguments = append(b.arguments, a)
	}
	return placeholders.ReplaceAllStringFunc(p.Predicate, func(placeholder string) string {
		n, err := strconv.Atoi(placeholder[1:])
		if err != nil {
			return placeholder
		}
		return "$" + strconv.Itoa(before+n)
	})
}

// shadows makes the proposals that another one asks for segments like all others, for its query alone. It is empty where it asks for
// none of them.
func (b *comparison) shadows(before []Proposal, p Proposal) string {
	var names, rows, members []string
	for i, other := range before {
		for _, name := range p.AsksFor {
			if name == other.Name {
				name := b.argument(name, "text")
				names = append(names, name)
				rows = append(rows, fmt.Sprintf("(%d::bigint, %s)", -1-i, name))
				members = append(members, fmt.Sprintf(" union all select %d::bigint, id from proposed_%d", -1-i, i))
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "with segment as not materialized (select id, name from segment where name not in (" + strings.Join(names, ", ") +
		") union all values " + strings.Join(rows, ", ") + "), segment_member as not materialized (select segment_id, contact_id from segment_member" +
		strings.Join(members, "") + ")\n    "
}
