package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// segmentSchema is what the segments of the benchmark are about: twelve attributes of all types and five types of events.
var segmentSchema = crm.Schema{
	Attributes: []crm.Attribute{
		{Name: "plan", Type: crm.String, Enum: []string{"free", "club", "pro"}, Indexed: true},
		{Name: "country", Type: crm.String, Indexed: true},
		{Name: "city", Type: crm.String},
		{Name: "company", Type: crm.String},
		{Name: "job_title", Type: crm.String},
		{Name: "first_name", Type: crm.String, Personal: true},
		{Name: "birthday", Type: crm.Date, Personal: true},
		{Name: "lifetime_value", Type: crm.Decimal},
		{Name: "points", Type: crm.Integer},
		{Name: "nps", Type: crm.Integer},
		{Name: "ambassador", Type: crm.Boolean},
		{Name: "renews_at", Type: crm.Timestamp},
	},
	Events: []crm.EventType{
		{Name: "site-visit", Properties: []crm.Property{{Name: "page", Type: crm.String}, {Name: "seconds", Type: crm.Integer}}},
		{Name: "purchase", Properties: []crm.Property{
			{Name: "amount", Type: crm.Decimal},
			{Name: "sku", Type: crm.String},
			{Name: "items", Type: crm.Integer},
			{Name: "gift", Type: crm.Boolean},
			{Name: "delivery", Type: crm.Date},
		}},
		{Name: "cart", Properties: []crm.Property{{Name: "amount", Type: crm.Decimal}, {Name: "sku", Type: crm.String}}},
		{Name: "ride", Properties: []crm.Property{{Name: "kilometres", Type: crm.Decimal}, {Name: "route", Type: crm.String}}},
		{Name: "ticket", Properties: []crm.Property{{Name: "topic", Type: crm.String}, {Name: "severity", Type: crm.Integer}}},
	},
	Purposes: []string{"newsletter", "offers"},
}

// segmentWorld is a tenant with people and what they did.
type segmentWorld struct {
	*store.DB
	now   time.Time // the moment around which everything happened
	cases []segmentCase
	// owned is false for who is superuser and can leave out every trigger and every check of a reference while people are invented.
	owned  bool
	cpu    func() (time.Duration, error) // that PostgreSQL has used; nil where it cannot be known
	report func(format string, arguments ...any)
}

const (
	// peopleUnit is what numbers of people are multiples of, so that there are as many of each sort of them in any number.
	peopleUnit = 1000
	// eventsEach is how many events there are for each contact.
	eventsEach = 10
)

// prepareSegments makes the tenant without people.
func (w *segmentWorld) prepareSegments(ctx context.Context) error {
	w.cases = segmentCases(w.now)
	if w.report == nil {
		began := time.Now()
		w.report = func(format string, arguments ...any) {
			fmt.Fprintf(os.Stderr, "segment: %5.0f s: %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, arguments...))
		}
	}
	tenant := store.Tenant{ID: tenantID, Namespace: tenantID, DisplayName: "Benchmarks", TimeZone: "UTC", Locales: []string{"en"}}
	if _, err := w.SaveTenant(ctx, tenant); err != nil {
		return err
	}
	if _, _, err := w.EnsureAttributes(ctx, segmentSchema.Attributes); err != nil {
		return err
	}
	if err := w.EnsureEventPartitions(ctx, w.now); err != nil {
		return err
	}
	_, err := w.Pool.Exec(ctx, `
		insert into send (send_key, campaign, purpose, channel, segments, max_recipients, variants, starts_at, deadline, frozen_at, finished_at, state)
		select name, name, 'newsletter', 'mail', '{}', 1000000000, '[{"name": "a"}]', at, at, at, at + interval '1 hour', 'Completed'
		from unnest(array['spring', 'summer', 'autumn', 'offers', 'winter', 'news']) with ordinality c (name, i),
			lateral (select $1::timestamptz - i * interval '25 days' as at) a`, w.now)
	if err != nil {
		return fmt.Errorf("make the sends: %w", err)
	}
	return nil
}

// define compiles a segment and brings it into force.
func (w *segmentWorld) define(ctx context.Context, c segmentCase) error {
	compiled, err := expr.Compile(segmentSchema, c.match)
	if err != nil {
		return fmt.Errorf("segment %s: %w", c.name, err)
	}
	_, _, err = w.SaveSegment(ctx, store.SegmentDefinition{
		Name: c.name, Match: c.match, Digest: compiled.Digest, Predicate: compiled.Predicate, Arguments: compiled.Arguments,
		Dependencies: &compiled.Dependencies,
	})
	return err
}

// forgetSegments removes every segment and its membership.
func (w *segmentWorld) forgetSegments(ctx context.Context) error {
	for _, statement := range []string{
		"truncate segment_member, segment_tally, segment_event, segment_touched, segment_change_0, segment_change_1",
		"delete from segment",
	} {
		if _, err := w.Pool.Exec(ctx, statement); err != nil {
			return fmt.Errorf("forget the segments: %w", err)
		}
	}
	return nil
}

// invent makes the contacts after one number and up to another, both multiples of peopleUnit, with all that is known of them. Every
// range is like any other.
func (w *segmentWorld) invent(ctx context.Context, after, upTo int) error {
	indexes, err := w.dropEventIndexes(ctx)
	if err != nil {
		return err
	}
	if err := w.runInvention(ctx, inventContacts, after, upTo); err != nil {
		return err
	}
	w.report("%d contacts with their identifiers and consents", upTo)
	events := (upTo - after) * eventsEach
	failed := make(chan error, 2)
	for part := range cap(failed) {
		go func() {
			failed <- w.runInvention(ctx, []string{inventEvents}, after, upTo, "{count}", fmt.Sprint((events+part)/2), "{seed}", fmt.Sprintf("0.%d1", part+1))
		}()
	}
	for range cap(failed) {
		if one := <-failed; one != nil {
			err = one
		}
	}
	if err != nil {
		return err
	}
	w.report("%d events more", events)
	for _, index := range indexes {
		if err := w.alone(ctx, []string{"set maintenance_work_mem = '256MB'", index}); err != nil {
			return err
		}
	}
	w.report("the indexes of events")
	if err := w.alone(ctx, []string{"vacuum (analyze)"}); err != nil {
		return err
	}
	w.report("statistics")
	return nil
}

// alone runs statements over one connection, which ends with them and takes its settings with it.
func (w *segmentWorld) alone(ctx context.Context, statements []string) error {
	conn, err := pgx.ConnectConfig(ctx, w.Pool.Config().ConnConfig.Copy())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%.80s …: %w", statement, err)
		}
	}
	return nil
}

func (w *segmentWorld) runInvention(ctx context.Context, templates []string, after, upTo int, more ...string) error {
	values := slices.Concat(more, []string{ // of two values the first counts
		"{after}", fmt.Sprint(after), "{upTo}", fmt.Sprint(upTo), "{n}", fmt.Sprint(upTo - after),
		"{now}", "timestamptz '" + w.now.UTC().Format(time.RFC3339Nano) + "'", "{seed}", "0.5",
	})
	fill := strings.NewReplacer(values...)
	var statements []string
	if !w.owned {
		statements = append(statements, "set session_replication_role = replica")
	}
	for _, template := range append([]string{"select setseed({seed})"}, templates...) {
		statements = append(statements, fill.Replace(template))
	}
	return w.alone(ctx, statements)
}

// dropEventIndexes drops the indexes of events and returns the statements that make them anew.
func (w *segmentWorld) dropEventIndexes(ctx context.Context) ([]string, error) {
	rows, err := w.Pool.Query(ctx, `select indexname, replace(indexdef, ' ON ONLY ', ' ON ') from pg_indexes
		where schemaname = $1 and tablename = 'event'`, store.Schema)
	if err != nil {
		return nil, fmt.Errorf("read the indexes of events: %w", err)
	}
	var name, definition string
	var definitions, drops []string
	_, err = pgx.ForEachRow(rows, []any{&name, &definition}, func() error {
		definitions, drops = append(definitions, definition), append(drops, "drop index "+pgx.Identifier{name}.Sanitize())
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the indexes of events: %w", err)
	}
	return definitions, w.alone(ctx, drops)
}
