package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/segment"
)

// Moves are how many would enter a segment and how many would leave it.
type Moves struct {
	Entered, Left int64
}

// MovesOf are moves by what people have in common.
type MovesOf struct {
	Attribute string // an attribute of contacts, locale or tags
	// Partition tells that each person is counted once: with one value, or with none, which stands as "" and Unknown.
	Partition bool
	// Listed tells that every value there can be is public, because a manifest lists it.
	Listed bool
	Values []MovesOfValue
}

// MovesOfValue are moves of those who have one value of an attribute.
type MovesOfValue struct {
	Value   string
	Unknown bool // of those who have none
	Moves
}

// SegmentComparison is what a definition would change.
type SegmentComparison struct {
	Moves
	By []MovesOf // in the order of names
	// Omitted are attributes that have too many values to be told apart, by name.
	Omitted []string
}

// CompareLimit is how long a comparison may take.
const CompareLimit = 25 * time.Second

// attributesCompared is by how many attributes those who come and go are counted.
const attributesCompared = 30

// CompareSegment asks who would enter and who would leave a segment if its definition were another one: proposals is that
// definition, behind those of other segments whose membership it asks for and that would be others too. It writes nothing, and returns
// ErrTooLong when it takes longer than CompareLimit. The numbers are as they are: what of them may be told is segment.Told.
func (db *DB) CompareSegment(ctx context.Context, schema crm.Schema, proposals []segment.Proposal) (SegmentComparison, error) {
	var found SegmentComparison
	err := db.look(ctx, CompareLimit, func(tx pgx.Tx) error {
		by, omitted, err := comparedBy(ctx, tx, schema)
		if err != nil {
			return err
		}
		c := segment.Comparison{Proposals: proposals, Tags: true}
		for _, a := range by {
			c.Columns = append(c.Columns, sqlName(columnOf(a)))
		}
		by = append(by, MovesOf{Attribute: "tags"})
		found, err = compare(ctx, tx, c.Statement(), by)
		found.Omitted = append(found.Omitted, omitted...)
		slices.Sort(found.Omitted)
		return err
	})
	if err != nil {
		return SegmentComparison{}, fmt.Errorf("compare segment %q: %w", proposals[len(proposals)-1].Name, err)
	}
	return found, nil
}

// columnOf is the column of what is compared by.
func columnOf(m MovesOf) string {
	if m.Attribute == "locale" {
		return "locale"
	}
	return crm.Attribute{Name: m.Attribute}.Column()
}

// comparedBy decides by which attributes people are counted: by those that are not personal and of which every value is many people's.
func comparedBy(ctx context.Context, tx pgx.Tx, schema crm.Schema) (by []MovesOf, omitted []string, err error) {
	for _, a := range schema.Attributes {
		if a.Personal || expr.Identifies(a.Name) || len(by) == attributesCompared {
			continue
		}
		listed := a.Type == crm.Boolean || a.Type == crm.String && a.Enum != nil
		if !listed && a.Type != crm.String {
			continue
		}
		if !listed {
			few, err := fewValues(ctx, tx, a.Column())
			if err != nil {
				return nil, nil, err
			}
			if !few {
				omitted = append(omitted, a.Name)
				continue
			}
		}
		by = append(by, MovesOf{Attribute: a.Name, Partition: true, Listed: listed})
	}
	return append(by, MovesOf{Attribute: "locale", Partition: true}), omitted, nil
}

// fewValues tells whether a column has few values: as the last ANALYZE found, or, where there was none, among some contacts.
func fewValues(ctx context.Context, tx pgx.Tx, column string) (few bool, err error) {
	var analyzed *bool
	err = tx.QueryRow(ctx, `
		select (select case when s.n_distinct > 0 then s.n_distinct <= $2::int when s.n_distinct < 0 then -s.n_distinct * k.reltuples <= $2::int end
			from pg_stats s join pg_class k on k.oid = 'contact'::regclass
			where s.schemaname = $3 and s.tablename = 'contact' and s.attname = $1)`, column, segment.PartsAtMost, Schema).Scan(&analyzed)
	if err != nil {
		return false, fmt.Errorf("read how many values %s has: %w", column, err)
	}
	if analyzed != nil {
		return *analyzed, nil
	}
	name := sqlName(column)
	some := "select " + name + " v from contact where " + name + " is not null limit 10000"
	err = tx.QueryRow(ctx, "select count(distinct v) <= $1 from ("+some+") c", segment.PartsAtMost).Scan(&few)
	if err != nil {
		return false, fmt.Errorf("count the values of %s: %w", column, err)
	}
	return few, nil
}

// of finds the moves of a value; nil is that of those who have none.
func (m *MovesOf) of(value *string) *Moves {
	wanted := MovesOfValue{Unknown: value == nil}
	if value != nil {
		wanted.Value = *value
	}
	for i, v := range m.Values {
		if v.Value == wanted.Value && v.Unknown == wanted.Unknown {
			return &m.Values[i].Moves
		}
	}
	m.Values = append(m.Values, wanted)
	return &m.Values[len(m.Values)-1].Moves
}

// complete tells whether everybody who moves is counted.
func (m *MovesOf) complete(total Moves) bool {
	for _, v := range m.Values {
		total.Entered -= v.Entered
		total.Left -= v.Left
	}
	return total == Moves{}
}

// compare puts those of most people first.
func (v MovesOfValue) compare(o MovesOfValue) int {
	return cmp.Or(cmp.Compare(o.Entered+o.Left, v.Entered+v.Left), cmp.Compare(v.Value, o.Value))
}

func compare(ctx context.Context, tx pgx.Tx, s segment.Statement, by []MovesOf) (found SegmentComparison, err error) {
	if _, err := tx.Exec(ctx, s.Settings); err != nil {
		return found, fmt.Errorf("set up the planner: %w", err)
	}
	rows, err := tx.Query(ctx, s.SQL, append([]any{pgx.QueryExecModeDescribeExec}, s.Arguments...)...)
	if err != nil {
		return found, err
	}
	var place int
	var value *string
	var entered bool
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&place, &value, &entered, &n}, func() error {
		moves := &found.Moves
		if place > 0 {
			moves = by[place-1].of(value)
		}
		if entered {
			moves.Entered = n
		} else {
			moves.Left = n
		}
		return nil
	})
	if err != nil {
		return found, err
	}
	for _, m := range by {
		if m.Partition && (!m.complete(found.Moves) || len(m.Values) > segment.PartsAtMost+1) {
			found.Omitted = append(found.Omitted, m.Attribute)
			continue
		}
		slices.SortFunc(m.Values, MovesOfValue.compare)
		m.Values = m.Values[:min(len(m.Values), segment.PartsAtMost+1)]
		found.By = append(found.By, m)
	}
	return found, nil
}
