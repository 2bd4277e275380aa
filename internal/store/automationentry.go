package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/automate"
)

// entryColumns are what readEntries reads of an automation_entry e.
const entryColumns = `e.id, e.public_id::text, e.rule_id, e.version, coalesce(e.contact_id, 0), e.key, coalesce(e.watch_id, 0), coalesce(e.ref, 0),
	coalesce(e.ref2, 0), coalesce(e.ref3, 0), coalesce(e.detail, ''), coalesce(e.cause, 0), e.depth, e.state, e.began_at, e.attempts, e.path,
		e.acted_at is not null, coalesce(e.conversation_id, 0), coalesce(e.ticket_id, 0)`

// storedEntry is an entry as it stands in its table.
type storedEntry struct {
	walk
	version versionKey
}

func readEntries(rows pgx.Rows) ([]*storedEntry, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (*storedEntry, error) {
		e := &storedEntry{}
		origin := &happening{}
		var state, path []byte
		var acted bool
		err := row.Scan(&e.id, &e.publicID, &e.version.rule, &e.version.version, &e.contact, &e.key, &origin.watch, &origin.ref, &origin.ref2, &origin.ref3,
			&origin.detail, &e.cause, &e.depth, &state, &e.began, &e.attempts, &path, &acted, &e.conversation, &e.ticket)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(state, &e.state); err != nil {
			return nil, fmt.Errorf("read the state of entry %d: %w", e.id, err)
		}
		if err := json.Unmarshal(path, &e.path); err != nil {
			return nil, fmt.Errorf("read the path of entry %d: %w", e.id, err)
		}
		if origin.watch != 0 {
			origin.noted, origin.contact, origin.at = e.contact, e.contact, e.began
			e.origin = origin
		}
		return e, nil
	})
}

// resume makes entries that stand in their table ready to go on: with their plans, whose they are now, and what they began with. Entries of a person
// who was merged go on with them; where there is another of the same rule, it is the one.
func (w *walker) resume(ctx context.Context, stored []*storedEntry) ([]*walk, error) {
	walks := make([]*walk, 0, len(stored))
	var origins []*happening
	var records []int64
	for _, e := range stored {
		bound, err := w.book.version(ctx, w.tx, e.version)
		if err != nil {
			return nil, err
		}
		k := &e.walk
		if bound == nil {
			// It is of a version that nobody can carry out any more: the one in force is the nearest to it.
			bound = w.book.inForce[e.version.rule]
			if bound == nil {
				continue
			}
			k.state.Status, k.state.Reason = automate.Stuck, "its version of the rule cannot be carried out any more"
		}
		k.bound = bound
		if k.origin != nil {
			origins = append(origins, k.origin)
		}
		if k.contact != 0 {
			records = append(records, k.contact)
		}
		walks = append(walks, k)
	}
	people, err := loadPeople(ctx, w.tx, records)
	if err != nil {
		return nil, err
	}
	for _, k := range walks {
		k.person = people[k.contact]
		if k.origin != nil {
			k.origin.contact = k.person.contact
		}
	}
	if err := loadFacts(ctx, w.tx, w.book, origins); err != nil {
		return nil, err
	}
	if err := w.followMerged(ctx, walks); err != nil {
		return nil, err
	}
	w.moveOn(walks)
	return walks, nil
}

// mergedReason is why an entry is over whose person goes through the rule as another record, or went.
const mergedReason = "the contact was merged into one that is in the rule, or was"

// followMerged gives entries of records to the contacts that these belong to by now.
func (w *walker) followMerged(ctx context.Context, walks []*walk) error {
	var moved []*walk
	for _, k := range walks {
		if k.contact == 0 || k.person.contact == k.contact {
			continue
		}
		if k.person.contact == 0 { // erased at this moment
			k.over = "the contact is not there any more"
			continue
		}
		moved = append(moved, k)
	}
	slices.SortFunc(moved, func(a, b *walk) int { return cmp.Compare(a.id, b.id) })
	for _, k := range moved {
		if k.key != contactKey(k.contact) {
			k.contact = k.person.contact
			continue
		}
		key := contactKey(k.person.contact)
		tag, err := w.tx.Exec(ctx, `
			insert into automation_pass (key, rule_id, entered_at, active) values ($1, $2, $3, true)
			on conflict (key, rule_id) do update set entered_at = greatest(automation_pass.entered_at, excluded.entered_at), active = true
			where not automation_pass.active and $4`, key, k.bound.versionKey.rule, k.began, k.bound.rule.Reentry.Mode == automate.ReentryAlways)
		if err != nil {
			return fmt.Errorf("have an entry follow who was merged: %w", err)
		}
		if tag.RowsAffected() == 0 {
			k.over = mergedReason
			continue
		}
		if _, err := w.tx.Exec(ctx, "update automation_pass set active = false where key = $1 and rule_id = $2", k.key, k.bound.versionKey.rule); err != nil {
			return fmt.Errorf("have an entry follow who was merged: %w", err)
		}
		k.contact, k.key = k.person.contact, key
	}
	return nil
}

// moveOn has entries of older versions go on in the one in force, where it says so and their step is there.
func (w *walker) moveOn(walks []*walk) {
	for _, k := range walks {
		now := w.book.inForce[k.bound.versionKey.rule]
		if k.over != "" || now == nil || now.version == k.bound.version || now.rule.OnEdit != automate.Move {
			continue
		}
		in := automate.Input{Now: w.now, Contact: k.person.contact != 0, Zone: k.person.zone}
		if in.Zone == nil {
			in.Zone = w.book.zone
		}
		if state, ok := now.plan.Move(k.state, in); ok {
			k.state, k.bound = state, now
		}
	}
}

// entryRow is what is written of an entry.
type entryRow struct {
	ID       int64           `json:"id"`
	PublicID string          `json:"public_id"`
	RuleID   int64           `json:"rule_id"`
	Version  int             `json:"version"`
	Contact  *int64          `json:"contact_id"`
	Key      string          `json:"key"`
	Watch    *int32          `json:"watch_id"`
	Ref      *int64          `json:"ref"`
	Ref2     *int64          `json:"ref2"`
	Ref3     *int64          `json:"ref3"`
	Detail   *string         `json:"detail"`
	Cause    *int64          `json:"cause"`
	Depth    int             `json:"depth"`
	Status   automate.Status `json:"status"`
	State    json.RawMessage `json:"state"`
	WakeAt   *time.Time      `json:"wake_at"`
	Awaits   *int32          `json:"awaits"`
	BeganAt  time.Time       `json:"began_at"`
	Since    time.Time       `json:"since"`
	ActedAt  *time.Time      `json:"acted_at"`
	Attempts int             `json:"attempts"`
	Reason   *string         `json:"reason"`
	Path     json.RawMessage `json:"path"`
	// What people look after for it.
	Conversation *int64 `json:"conversation_id"`
	Ticket       *int64 `json:"ticket_id"`
}

const entryRecord = `r(id bigint, public_id uuid, rule_id bigint, version int, contact_id bigint, key text, watch_id int, ref bigint, ref2 bigint,
	ref3 bigint, detail text,
	cause bigint, depth int, status text, state jsonb, wake_at timestamptz, awaits int, began_at timestamptz, since timestamptz, acted_at timestamptz,
	attempts int, reason text, path jsonb, conversation_id bigint, ticket_id bigint)`

func (w *walker) row(k *walk) entryRow {
	r := entryRow{
		ID: k.id, PublicID: k.publicID, RuleID: k.bound.versionKey.rule, Version: k.bound.version, Contact: nullID(k.contact), Key: k.key,
		Cause: nullID(k.cause), Depth: k.depth, BeganAt: k.began, Attempts: k.attempts, Conversation: nullID(k.conversation), Ticket: nullID(k.ticket),
	}
	if k.over != "" {
		k.state.Status, k.state.Reason = automate.Exited, k.over
	}
	if o := k.origin; o != nil {
		r.Watch, r.Ref, r.Ref2, r.Ref3, r.Detail = &o.watch, nullID(o.ref), nullID(o.ref2), nullID(o.ref3), textOrNil(o.detail)
	}
	if k.acted {
		r.ActedAt = &w.now
	}
	r.Status, r.Since, r.Reason = k.state.Status, w.now, textOrNil(k.state.Reason)
	switch {
	case k.state.Status == automate.Stuck:
		w.counts.Stuck++
	case k.state.Status.Over():
	case !k.held.IsZero():
		r.Status, r.WakeAt = automate.Waiting, &k.held
	case k.state.Status == automate.Waiting:
		at := k.state.WakeAt
		r.WakeAt = &at
		if k.state.Awaits != "" {
			l := listenTo(k.state.Awaits)
			if id, ok := w.book.watchIDs[watch{event: l.event, name: l.name}]; ok {
				r.Awaits = &id
			}
		}
	}
	if r.Status == automate.Active { // nothing leaves one so; were it so, somebody would have to take it up
		r.Status, r.WakeAt = automate.Waiting, &w.now
	}
	r.State, r.Path = mustJSON(k.state), mustJSON(orEmpty(k.path))
	return r
}

// write writes where entries stand, frees the keys of those that are over, and keeps those of entries that were to be over at once and are not.
func (w *walker) write(ctx context.Context, walks []*walk) error {
	if err := w.beginWaits(ctx, walks); err != nil {
		return err
	}
	var fresh, known []entryRow
	var free, keep passes
	for _, k := range walks {
		row, atOnce := w.row(k), k.fresh && k.bound.atOnce
		if k.fresh {
			fresh, k.fresh = append(fresh, row), false
		} else {
			known = append(known, row)
		}
		switch over := row.Status.Over(); {
		case strings.HasPrefix(k.key, eventKey) || over == atOnce || k.over == mergedReason:
		case over:
			free.add(row)
		default:
			keep.add(row)
		}
	}
	if err := w.insert(ctx, fresh); err != nil {
		return fmt.Errorf("write who has begun: %w", err)
	}
	batch := &pgx.Batch{}
	if len(known) > 0 {
		batch.Queue(`update automation_entry e set version = r.version, contact_id = r.contact_id, key = r.key, status = r.status, state = r.state,
			wake_at = r.wake_at,
				awaits = r.awaits, since = r.since, acted_at = coalesce(r.acted_at, e.acted_at), attempts = r.attempts, reason = r.reason, path = r.path,
				conversation_id = r.conversation_id, ticket_id = r.ticket_id
			from jsonb_to_recordset($1) `+entryRecord+` where e.id = r.id`, known)
	}
	free.queue(batch, false)
	keep.queue(batch, true)
	if batch.Len() == 0 {
		return nil
	}
	if err := w.tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("write where entries stand: %w", err)
	}
	return nil
}

// passes are keys of rules.
type passes struct {
	rules []int64
	keys  []string
}

func (p *passes) add(r entryRow) { p.rules, p.keys = append(p.rules, r.RuleID), append(p.keys, r.Key) }

func (p *passes) queue(batch *pgx.Batch, active bool) {
	if len(p.keys) > 0 {
		batch.Queue(`update automation_pass p set active = $3 from unnest($1::bigint[], $2::text[]) q (rule_id, key)
			where p.rule_id = q.rule_id and p.key = q.key and p.active <> $3`, p.rules, p.keys, active)
	}
}

// copiedAtOnce is how many entries are copied rather than inserted: for few the two steps more that a copy takes are dearer.
const copiedAtOnce = 20

// insert writes entries that have begun.
func (w *walker) insert(ctx context.Context, fresh []entryRow) error {
	if len(fresh) < copiedAtOnce {
		if len(fresh) == 0 {
			return nil
		}
		_, err := w.tx.Exec(ctx, "insert into automation_entry ("+strings.Join(entryInserted, ", ")+") overriding system value select "+
			strings.Join(entryInserted, ", ")+" from jsonb_to_recordset($1) "+entryRecord, fresh)
		return err
	}
	_, err := w.tx.CopyFrom(ctx, pgx.Identifier{"automation_entry"}, entryInserted, pgx.CopyFromSlice(len(fresh), func(i int) ([]any, error) {
		r := &fresh[i]
		return []any{
			r.ID, r.PublicID, r.RuleID, r.Version, r.Contact, r.Key, r.Watch, r.Ref, r.Ref2, r.Ref3, r.Detail, r.Cause, r.Depth, string(r.Status), r.State,
			r.WakeAt, r.Awaits, r.BeganAt, r.Since, r.ActedAt, r.Attempts, r.Reason, r.Path, r.Conversation, r.Ticket,
		}, nil
	}))
	return err
}

// entryInserted are the columns of an entry that has begun.
var entryInserted = []string{
	"id", "public_id", "rule_id", "version", "contact_id", "key", "watch_id", "ref", "ref2", "ref3", "detail", "cause", "depth", "status", "state",
	"wake_at", "awaits", "began_at", "since", "acted_at", "attempts", "reason", "path", "conversation_id", "ticket_id",
}

func sortedKeys[V any](m map[int64]V) []int64 { return slices.Sorted(maps.Keys(m)) }
