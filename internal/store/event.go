package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Event is something that a person did. Whose it is says either an identifier, which need not be known yet, or a
// contact's public id.
type Event struct {
	Source     string
	ClientID   string // the source's id of the event: the same one is taken once
	Name       string
	OccurredAt time.Time

	IdentifierType, IdentifierValue string
	ContactPublicID                 string

	Properties []byte // a JSON object
}

// EventOutcome tells what became of an event.
type EventOutcome int8

// The outcomes of an event.
const (
	EventAccepted EventOutcome = iota
	EventDuplicate
	EventContactUnknown // no contact has the public id, or the contact has no identifier
)

// PutEvents takes events in one transaction. An event that was taken before is a duplicate, whatever else it says now.
func (db *DB) PutEvents(ctx context.Context, events []Event) ([]EventOutcome, error) {
	if err := db.noteHistory(ctx, events); err != nil {
		return nil, err
	}
	var outcomes []EventOutcome
	err := retryConflicts(func() error {
		return db.InTx(ctx, func(tx pgx.Tx) (err error) {
			outcomes, err = putEvents(ctx, tx, events)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("write events: %w", err)
	}
	return outcomes, nil
}

// putEvents holds the identities shared: an import that links an identifier waits for the events that look whose it is,
// or they wait for the import; so no event stays unbound between the two.
func putEvents(ctx context.Context, tx pgx.Tx, events []Event) ([]EventOutcome, error) {
	if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock_shared($1)", int64(identityLock)); err != nil {
		return nil, err
	}
	outcomes := make([]EventOutcome, len(events))
	owners, err := resolveOwners(ctx, tx, events, outcomes)
	if err != nil {
		return nil, err
	}
	if err := takeKeys(ctx, tx, events, outcomes); err != nil {
		return nil, err
	}
	return outcomes, insertEvents(ctx, tx, events, owners, outcomes)
}

// owner is whose an event is.
type owner struct {
	identifier int64
	contact    *int64 // nil while nobody, or more than one without proof, has the identifier
}

// resolveOwners finds or creates the identifiers that own the events, and marks events whose contact is unknown.
func resolveOwners(ctx context.Context, tx pgx.Tx, events []Event, outcomes []EventOutcome) ([]owner, error) {
	if err := createIdentifiers(ctx, tx, events); err != nil {
		return nil, err
	}
	types, values, contacts := make([]string, len(events)), make([]string, len(events)), make([]*string, len(events))
	for i, e := range events {
		types[i], values[i] = e.IdentifierType, e.IdentifierValue
		if e.ContactPublicID != "" {
			contacts[i] = &e.ContactPublicID
		}
	}
	rows, err := tx.Query(ctx, `
		select k.ord::int - 1, i.id, case
			when k.contact is not null then c.id
			else coalesce(
				(select l.contact_id from identifier_link l where l.identifier_id = i.id and l.verified),
				(select min(l.contact_id) from identifier_link l where l.identifier_id = i.id having count(*) = 1))
			end
		from unnest($1::text[], $2::text[], $3::text[]) with ordinality k(type, value, contact, ord)
		left join lateral (
			select id from contact where public_id = k.contact::uuid
			union select contact_id from contact_record where public_id = k.contact::uuid) c on true
		cross join lateral (
			select id from identifier where k.contact is null and type = k.type and value = k.value
			union all
			(select l.identifier_id from identifier_link l join identifier o on o.id = l.identifier_id where l.contact_id = c.id
				order by l.verified desc, o.type like 'external:%' desc, l.linked_at, l.identifier_id limit 1)
		) i`,
		types, values, contacts)
	if err != nil {
		return nil, fmt.Errorf("find whose the events are: %w", err)
	}
	owners := make([]owner, len(events))
	var at int32
	var o owner
	if _, err := pgx.ForEachRow(rows, []any{&at, &o.identifier, &o.contact}, func() error { owners[at] = o; return nil }); err != nil {
		return nil, fmt.Errorf("find whose the events are: %w", err)
	}
	for i, o := range owners {
		if o.identifier == 0 {
			outcomes[i] = EventContactUnknown
		}
	}
	return owners, nil
}

// createIdentifiers adds the identifiers that nobody has used before. Transactions that add the same ones do it in the
// same order, so that none waits for the other in a circle.
func createIdentifiers(ctx context.Context, tx pgx.Tx, events []Event) error {
	var types, values []string
	for _, e := range events {
		if e.ContactPublicID == "" {
			types, values = append(types, e.IdentifierType), append(values, e.IdentifierValue)
		}
	}
	if len(types) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, `insert into identifier (type, value)
		select distinct k.type, k.value from unnest($1::text[], $2::text[]) k(type, value)
		where not exists (select from identifier i where i.type = k.type and i.value = k.value)
		order by 1, 2
		on conflict do nothing`, types, values)
	if err != nil {
		return fmt.Errorf("create identifiers: %w", err)
	}
	return nil
}

// takeKeys takes the keys of the events and marks those as duplicates whose key is taken.
func takeKeys(ctx context.Context, tx pgx.Tx, events []Event, outcomes []EventOutcome) error {
	type key struct{ source, id string }
	first := map[key]int{}
	for i, e := range events {
		if outcomes[i] != EventAccepted {
			continue
		}
		k := key{e.Source, e.ClientID}
		if _, repeated := first[k]; repeated {
			outcomes[i] = EventDuplicate
			continue
		}
		first[k] = i
	}
	keys := make([]key, 0, len(first))
	for k := range first {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b key) int { return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.id, b.id)) })
	sources, ids := make([]string, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		sources[i], ids[i] = k.source, k.id
	}
	rows, err := tx.Query(ctx, `insert into event_key (source, client_id) select * from unnest($1::text[], $2::text[])
		on conflict do nothing returning source, client_id`, sources, ids)
	if err != nil {
		return fmt.Errorf("take the events' keys: %w", err)
	}
	var taken key
	if _, err := pgx.ForEachRow(rows, []any{&taken.source, &taken.id}, func() error { delete(first, taken); return nil }); err != nil {
		return fmt.Errorf("take the events' keys: %w", err)
	}
	for _, i := range first {
		outcomes[i] = EventDuplicate
	}
	return nil
}

func insertEvents(ctx context.Context, tx pgx.Tx, events []Event, owners []owner, outcomes []EventOutcome) error {
	var rows [][]any
	for i, e := range events {
		if outcomes[i] == EventAccepted {
			rows = append(rows, []any{e.Name, e.OccurredAt, owners[i].identifier, owners[i].contact, e.Properties, e.Source})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	columns := []string{"name", "occurred_at", "identifier_id", "contact_id", "properties", "source"}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"event"}, columns, pgx.CopyFromRows(rows)); err != nil {
		return fmt.Errorf("insert events: %w", err)
	}
	return nil
}

// SuspendedEventTypes returns the names of the event types that refuse new events for the moment.
func (db *DB) SuspendedEventTypes(ctx context.Context) ([]string, error) {
	rows, err := db.Pool.Query(ctx, "select name from event_type where suspended and dormant_since is null")
	if err != nil {
		return nil, fmt.Errorf("read suspended event types: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read suspended event types: %w", err)
	}
	return names, nil
}
