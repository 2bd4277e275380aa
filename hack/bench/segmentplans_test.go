package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/segment"
)

// wholeTable finds where a plan reads all rows of a table that grows with the people.
var wholeTable = regexp.MustCompile(`(Seq Scan on (contact|event|event_\w+|ledger_\w+|identifier|identifier_link|consent|engaged|segment_member)\b|` +
	`hashed SubPlan|Hash Join).*`)

// TestSomeAreLookedUp asks how each segment is evaluated for a contact who has changed: nothing that grows with the people may be read as a
// whole, however few people there are yet.
func TestSomeAreLookedUp(t *testing.T) {
	w := newSegmentWorld(t, 4*peopleUnit)
	w.crowd(t)
	for _, c := range w.cases {
		if err := w.define(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if _, err := w.EvaluateSegment(t.Context(), c.name); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.alone(t.Context(), []string{"vacuum (analyze)"}); err != nil {
		t.Fatal(err)
	}
	for i, c := range w.cases {
		plan, err := w.planForSome(t, c.name, i)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if found := wholeTable.FindString(plan); found != "" {
			t.Errorf("%s: %s in\n%s", c.name, found, plan)
		}
	}
}

// crowd makes tables large: what is small enough may be read as a whole.
func (w *segmentWorld) crowd(t *testing.T) {
	t.Helper()
	for _, statement := range []string{
		"insert into contact (id) overriding system value select i from generate_series(100001, 130000) i",
		"insert into identifier (id, type, value) overriding system value select 4 * i, 'email', i::text from generate_series(100001, 130000) i",
		"insert into identifier (id, type, value) overriding system value select 4 * i + 1, 'phone', i::text from generate_series(100001, 130000) i",
		"insert into identifier_link (identifier_id, contact_id, verified, source) select id, id / 4, true, 'crowd' from identifier where id > 400000",
		"insert into consent (contact_id, purpose, granted, source) select i, 'newsletter', true, 'crowd' from generate_series(100001, 130000) i",
		"insert into engaged select i, s.id, w, now() - interval '10 days' from generate_series(100001, 110000) i, send s, unnest(array['opened', 'clicked']) w",
		`insert into ledger (send_id, seq, contact_id, state, settled_at)
			select s.id, i, i, 'sent', now() - interval '10 days' from generate_series(100001, 130000) i, send s`,
	} {
		if _, err := w.Pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// planForSome is the plan that a worker's connection keeps for a segment.
func (w *segmentWorld) planForSome(t *testing.T, name string, i int) (plan string, err error) {
	t.Helper()
	var e segment.Evaluation
	err = w.Pool.QueryRow(t.Context(), "select id, predicate, arguments from segment where name = $1", name).Scan(&e.SegmentID, &e.Predicate, &e.Arguments)
	if err != nil {
		return "", err
	}
	s := e.Contacts(segment.Data, []int64{1})
	nulls := strings.TrimSuffix(strings.Repeat("null, ", len(s.Arguments)), ", ")
	err = w.InTx(t.Context(), func(tx pgx.Tx) error {
		for _, statement := range []string{s.Settings, fmt.Sprintf("prepare some_%d as %s", i, s.SQL)} {
			if _, err := tx.Exec(t.Context(), statement, pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
		}
		rows, err := tx.Query(t.Context(), fmt.Sprintf("explain (costs off) execute some_%d (%s)", i, nulls), pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		plan = strings.Join(lines, "\n")
		return err
	})
	return plan, err
}
