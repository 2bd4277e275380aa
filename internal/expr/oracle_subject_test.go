package expr_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// The size of the oracle's test of expressions about an event: each check draws people and events, and so many expressions of either kind.
const (
	aboutBoth  = 40 // about an event and contacts, each asked of one event
	aboutEvent = 40 // about an event alone, each asked of all
	oddEvents  = 8
)

// TestOracleAboutEvents draws people, events and expressions about both. Who belongs by SQL, with the event's fields as arguments, is
// compared with the oracle; what is about the event alone is answered by Holds too.
func TestOracleAboutEvents(t *testing.T) {
	ctx := context.Background()
	conn := oracleDatabase(ctx, t, "expr_oracle_about")
	used := map[string]int{}
	cases, telling, both, alone, held := 0, 0, 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		schema := drawSchema(rt)
		people := drawPeople(rt, schema)
		var events []*occurrence
		for len(events) < oddEvents {
			if o := drawEvent(rt); o.name == eventTypes[0].Name {
				events = append(events, o)
			}
		}
		about := &about{subject: expr.EventSubject(eventTypes[0]), schema: schema, people: people}
		g := &generator{t: rt, schema: schema, used: used, about: &eventTypes[0]}
		for i := range aboutBoth {
			about.draw(t, rt, g, people, events[i%oddEvents:i%oddEvents+1])
		}
		g.alone = true
		for range aboutEvent {
			about.draw(t, rt, g, people[:1], events)
		}
		tx, err := conn.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback(ctx) }()
		insertPeople(ctx, rt, tx, people)
		about.compare(ctx, rt, tx)
		for _, c := range about.cases {
			cases++
			switch {
			case c.asked != nil:
				alone++
				if len(c.want) > 0 {
					held++
				}
			case isTelling(c.want):
				telling++
			}
			if c.asked == nil && strings.Contains(c.source, "event.") && !c.condition.Alone() {
				both++
			}
		}
	})
	if t.Failed() {
		return
	}
	t.Logf("%d cases, %d of them about an event alone, %d of which hold; of the others %d about both, and %d with some and not all people; productions: %v",
		cases, alone, held, both, telling, used)
	if asked := cases - alone; telling*2 < asked && asked > 0 {
		t.Errorf("only %d of %d cases tell people apart, want at least half", telling, asked)
	}
	if both*4 < cases-alone {
		t.Errorf("only %d of %d cases are about an event and contacts, want at least a quarter", both, cases-alone)
	}
	if held*5 < alone || held*5 > alone*4 {
		t.Errorf("%d of %d conditions on an event hold, want neither few nor nearly all", held, alone)
	}
	for _, name := range []string{"event", "lowerAscii", "in", "null", "has", "endsWithIgnoreCase", "where", "age", "sum"} {
		if used[name] == 0 {
			t.Errorf("%s was never drawn", name)
		}
	}
}

// about is what is asked about events.
type about struct {
	subject expr.Subject
	schema  crm.Schema
	people  []row
	cases   []aboutCase
}

// inMemory are the contacts for whom a case holds, asked without the database.
func (a *about) inMemory(rt *rapid.T, c aboutCase) []int64 {
	ids := []int64{}
	for _, p := range a.people {
		if c.asked != nil && !slices.Contains(c.asked, p.id) {
			continue
		}
		holds, err := c.condition.HoldsIn(expr.World{Now: clock, Subjects: map[string]expr.Facts{"event": c.facts}, Contact: remembered(p.person, a.schema)})
		if err != nil {
			rt.Fatalf("%s: %v", c.source, err)
		}
		if holds {
			ids = append(ids, p.id)
		}
	}
	return ids
}

type aboutCase struct {
	source    string
	condition *expr.Condition
	facts     expr.Facts
	event     string
	want      []int64
	asked     []int64 // of whom; nil: of everyone
}

// draw draws an expression and asks the oracle of some people, for each of some events.
func (a *about) draw(t *testing.T, rt *rapid.T, g *generator, people []row, events []*occurrence) {
	source := g.condition().source
	members := func() (all [][]int64) {
		holds := interpretAbout(t, source)
		for _, o := range events {
			ids := []int64{}
			for _, p := range people {
				if holds(p.person, o) {
					ids = append(ids, p.id)
				}
			}
			all = append(all, ids)
		}
		return all
	}
	wants := members()
	for range 2 {
		if g.alone || isTelling(wants[0]) {
			break
		}
		source = g.condition().source
		wants = members()
	}
	condition, err := expr.CompileAbout(a.schema, a.subject, source)
	if err != nil {
		rt.Fatalf("compile %s: %v", source, err)
	}
	if g.alone && !condition.Alone() {
		rt.Fatalf("%s is not taken for a condition on the event alone", source)
	}
	for i, o := range events {
		properties, err := json.Marshal(o.properties)
		if err != nil {
			rt.Fatal(err)
		}
		c := aboutCase{source: source, condition: condition, facts: expr.ReadEvent(eventTypes[0], properties), event: string(properties), want: wants[i]}
		if g.alone {
			c.asked = []int64{people[0].id}
		}
		a.cases = append(a.cases, c)
	}
}

// compare asks PostgreSQL, and cel-go where it can tell.
func (a *about) compare(ctx context.Context, rt *rapid.T, tx pgx.Tx) {
	var batch pgx.Batch
	for _, c := range a.cases {
		arguments := []any{}
		for _, argument := range c.condition.Bind(c.facts) {
			arguments = append(arguments, argument)
		}
		arguments = append(arguments, c.asked)
		batch.Queue(fmt.Sprintf("select coalesce(array_agg(c.id order by c.id), '{}') from contact c where ($%d::bigint[] is null or c.id = any ($%[1]d)) and (%s)",
			len(arguments), c.condition.Predicate), arguments...)
	}
	results := tx.SendBatch(ctx, &batch)
	defer func() { _ = results.Close() }()
	for _, c := range a.cases {
		if inMemory := a.inMemory(rt, c); !slices.Equal(inMemory, c.want) {
			rt.Fatalf("%s of %s\nin memory: %v\nby oracle: %v", c.source, c.event, inMemory, c.want)
		}
		var got []int64
		if err := results.QueryRow().Scan(&got); err != nil {
			rt.Fatalf("%s of %s: %v", c.source, c.event, err)
		}
		if !slices.Equal(got, c.want) {
			rt.Fatalf("%s of %s\nby SQL:    %v\nby oracle: %v", c.source, c.event, got, c.want)
		}
		if !c.condition.Alone() {
			continue
		}
		holds, err := c.condition.Holds(c.facts)
		if err != nil {
			rt.Fatalf("%s of %s: %v", c.source, c.event, err)
		}
		if inWorld, err := c.condition.HoldsIn(expr.World{Subjects: map[string]expr.Facts{"event": c.facts}}); err != nil || inWorld != holds {
			rt.Fatalf("%s of %s: %v, and in a world %v, %v", c.source, c.event, holds, inWorld, err)
		}
		if c.asked != nil && holds != (len(c.want) > 0) {
			rt.Fatalf("%s of %s\nby cel-go:  %v\nby oracle: %v", c.source, c.event, holds, !holds)
		}
	}
}
