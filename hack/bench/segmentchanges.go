package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// changeBatch is how many changes are written in a transaction: half of them give a value to an attribute, half are events.
const changeBatch = 10

// changeSource is the source of the events that are changes.
const changeSource = "load"

// changeMaker makes changes of people: the same ones every time, of people of every sort in their shares, and of nobody twice where it
// is timed how long a change takes to be seen.
type changeMaker struct {
	contacts int
}

// changes are a batch: what is written of whom.
type changes struct {
	attribute string // of these contacts
	value     string // SQL over the row of the contact
	contacts  []int64
	event     string // of these
	sources   []int64
	timed     []timedChange
}

// timedChange is one that moves a contact into a segment or out of it.
type timedChange struct {
	Segment string `json:"segment"`
	Contact int64  `json:"contact"`
	Nanos   int64  `json:"nanos"` // when it began to be written, since the epoch
}

// attributeTurns are the attributes that change, by how often they do, with what becomes of them.
var attributeTurns = []struct{ attribute, value string }{
	{"points", "(coalesce(attr_points, 0) + 137) % 1000"},
	{"lifetime_value", "coalesce(attr_lifetime_value, 0) + 19.95"},
	{"nps", "case when attr_nps <= 6 then 9 else 2 end"}, // which moves everybody across the line of the detractors
	{"points", "(coalesce(attr_points, 0) + 211) % 1000"},
	{"city", "case when attr_city = 'Madrid' then 'Porto' else 'Madrid' end"},
	{"lifetime_value", "coalesce(attr_lifetime_value, 0) + 49.90"},
	{"points", "(coalesce(attr_points, 0) + 89) % 1000"},
	{"nps", "case when attr_nps <= 6 then 10 else 1 end"},
	{"plan", "case when attr_plan = 'club' then 'pro' else 'club' end"},
	{"renews_at", "now() + interval '365 days'"},
	{"points", "(coalesce(attr_points, 0) + 307) % 1000"},
	{"lifetime_value", "coalesce(attr_lifetime_value, 0) + 5.00"},
	{"ambassador", "attr_ambassador is not true"},
	{"job_title", "case when attr_job_title = 'Nurse' then 'Engineer' else 'Nurse' end"},
}

// eventTurns are the events that happen, by how often they do.
var eventTurns = []string{
	"site-visit", "purchase", "site-visit", "ticket", "site-visit", "cart", "site-visit", "purchase", "site-visit", "ride", "site-visit",
	"purchase", "site-visit", "cart", "site-visit", "purchase", "site-visit", "ticket", "site-visit", "site-visit",
}

// eventProperties are those of an EVENT that happens, in SQL over the number k.
const eventProperties = `case EVENT
	when 'site-visit' then jsonb_build_object('page', (array['home', 'jerseys', 'sale'])[1 + k % 3], 'seconds', k % 300)
	when 'purchase' then jsonb_build_object('amount', 5 + k % 300 + 0.95, 'sku', (array['tyre-3', 'jersey-7', 'helmet-2'])[1 + k % 3],
		'items', 1 + k % 4, 'gift', k % 7 = 0)
	when 'cart' then jsonb_build_object('amount', 5 + k % 200 + 0.5, 'sku', 'bike-1')
	when 'ride' then jsonb_build_object('kilometres', 20 + k % 100, 'route', 'Costa')
	else jsonb_build_object('topic', 'delivery', 'severity', 1 + k % 5)
end`

// scatter visits every number below n, a multiple of a power of ten, once before it comes back to one.
func scatter(i, n int) int64 { return int64(i) * 2_654_435_761 % int64(n) }

// batch is the i-th batch.
func (m changeMaker) batch(i int) changes {
	turn := attributeTurns[i%len(attributeTurns)]
	c := changes{attribute: turn.attribute, value: turn.value, event: eventTurns[i%len(eventTurns)]}
	const each = changeBatch / 2
	for k := range each {
		n := i*each + k
		contact := scatter(n, m.contacts) + 1
		c.contacts = append(c.contacts, contact)
		if c.attribute == "nps" {
			c.timed = append(c.timed, timedChange{Segment: detractors, Contact: contact})
		}
		if c.event == "ticket" {
			// Two of ten contacts have never done anything: by their first ticket they enter.
			source := scatter(n/2, m.contacts/10)*10 + 9 + int64(n%2)
			c.sources = append(c.sources, source)
			c.timed = append(c.timed, timedChange{Segment: askers, Contact: source})
			continue
		}
		c.sources = append(c.sources, m.source(n))
	}
	return c
}

// source is whose the n-th event is: as often of the busy ones as when the events of the past were made.
func (m changeMaker) source(n int) int64 {
	switch turn := (n + n/100) % 20; {
	case turn == 7:
		return scatter(n, m.contacts/1000)*1000 + 1
	case turn < 11:
		return scatter(n, m.contacts/10)*10 + 1
	case turn < 19:
		return scatter(n, m.contacts/10)*10 + 2 + int64(n/20%4)
	}
	return scatter(n, m.contacts/10)*10 + 6 + int64(n/20%3)
}

// write writes a batch in one transaction, and says when it began to.
func (c changes) write(ctx context.Context, conn *pgx.Conn) (began time.Time, err error) {
	began = time.Now()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		var statements pgx.Batch
		statements.Queue("update contact set attr_"+c.attribute+" = "+c.value+", updated_at = now() where id = any ($1::bigint[])", c.contacts)
		statements.Queue(`insert into event (name, occurred_at, identifier_id, contact_id, properties, source)
			select $1, now(), 4 * s + 1, s, `+strings.ReplaceAll(eventProperties, "EVENT", "$1")+`, '`+changeSource+`'
			from unnest($2::bigint[]) with ordinality u (s, k)`, c.event, c.sources)
		return tx.SendBatch(ctx, &statements).Close()
	})
	if err != nil {
		return began, fmt.Errorf("write changes: %w", err)
	}
	return began, nil
}
