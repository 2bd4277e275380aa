package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/identity"
)

// reconciled is what came of bringing people to what is known.
type reconciled struct {
	contact map[int64]int64 // whose each record that was looked at is now
	changed map[int64]bool  // records of which a source said something new
	moves   []move
}

// reconcile brings people to what is known of records, and takes in what sources say of records of contacts that have several. The caller
// holds the identities alone, so that merges wait for one another and never in a circle.
func reconcile(ctx context.Context, tx pgx.Tx, touched []int64, said map[int64]identity.Said) (reconciled, error) {
	found, err := gatherIdentities(ctx, tx, touched)
	if err != nil {
		return reconciled{}, err
	}
	plan := planIdentities(found)
	result := reconciled{contact: found.contact, moves: plan.moves}
	if err := lockPeople(ctx, tx, plan); err != nil {
		return result, err
	}
	if len(plan.people) > 0 {
		if result.changed, err = plan.load(ctx, tx, said); err != nil {
			return result, err
		}
	}
	if err := applyIdentities(ctx, tx, plan); err != nil {
		return result, fmt.Errorf("write who is who: %w", err)
	}
	for _, m := range plan.moves {
		result.contact[m.Record] = m.To
	}
	return result, nil
}

// lockPeople has everybody who writes to contacts that go or come wait, in the order of their ids, and skips what a send has for several
// records of one person.
func lockPeople(ctx context.Context, tx pgx.Tx, p *identityPlan) error {
	if err := skipTwins(ctx, tx, p); err != nil {
		return fmt.Errorf("look who is in a send twice: %w", err)
	}
	if len(p.people) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, "select from contact where id = any ($1) order by id for update", p.contacts); err != nil {
		return fmt.Errorf("lock contacts: %w", err)
	}
	// Who decides something at this moment writes a consent without a lock on its contact: what they say is not overlooked.
	if _, err := tx.Exec(ctx, "select from consent where contact_id = any ($1) order by contact_id, purpose for update", p.contacts); err != nil {
		return fmt.Errorf("lock consents: %w", err)
	}
	return nil
}

func (p *identityPlan) load(ctx context.Context, tx pgx.Tx, said map[int64]identity.Said) (changed map[int64]bool, err error) {
	survivorship, err := loadSurvivorship(ctx, tx)
	if err != nil {
		return nil, err
	}
	var ids []int64
	for _, person := range p.people {
		for _, r := range person.Records {
			ids = append(ids, r.ID)
		}
	}
	records, err := loadRecords(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	recorded, err := loadRecorded(ctx, tx, p.contacts)
	if err != nil {
		return nil, err
	}
	var now time.Time
	if err := tx.QueryRow(ctx, "select now()").Scan(&now); err != nil {
		return nil, err
	}
	return p.takeIn(records, recorded, said, now, survivorship), nil
}

// loadRecorded reads the consents that are recorded of contacts.
func loadRecorded(ctx context.Context, tx pgx.Tx, contacts []int64) (map[int64][]identity.Consent, error) {
	rows, err := tx.Query(ctx, `select contact_id, purpose, granted, by_contact, source, recorded_at, method, text_version, given_at
		from consent where contact_id = any ($1)`, contacts)
	if err != nil {
		return nil, fmt.Errorf("read consents: %w", err)
	}
	recorded := map[int64][]identity.Consent{}
	var id int64
	var c identity.Consent
	into := []any{&id, &c.Purpose, &c.Granted, &c.ByContact, &c.Source, &c.RecordedAt, &c.Method, &c.TextVersion, &c.GivenAt}
	_, err = pgx.ForEachRow(rows, into, func() error {
		recorded[id] = append(recorded[id], c)
		c = identity.Consent{}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read consents: %w", err)
	}
	return recorded, nil
}

// applyIdentities writes a plan. What stands already is not written again. Contacts come back before anything points to them, and go after
// nothing does.
func applyIdentities(ctx context.Context, tx pgx.Tx, p *identityPlan) error {
	batch := &pgx.Batch{}
	if len(p.revived) > 0 {
		batch.Queue(`insert into contact (id, public_id, created_at, updated_at) overriding system value
			select id, public_id, created_at, now() from contact_record where id = any ($1) order by id`, p.revived)
	}
	queuePeople(batch, p)
	queueLinks(batch, p)
	queueOwned(batch, p)
	if len(p.retired) > 0 {
		batch.Queue(leaveSegmentsSQL, p.retired)
		batch.Queue("delete from consent where contact_id = any ($1)", p.retired)
		batch.Queue("delete from contact where id = any ($1)", p.retired)
	}
	for _, m := range p.moves {
		batch.Queue("insert into contact_change (record_id, from_id, to_id, types, decision_id) values ($1, $2, $3, $4, nullif($5, 0))",
			m.Record, m.From, m.To, m.Types, m.Decision)
	}
	return tx.SendBatch(ctx, batch).Close()
}

// leaveSegmentsSQL takes contacts that go out of all segments. Whether those that they are merged into belong there is found as for every change.
const leaveSegmentsSQL = `
	with gone as (
		delete from segment_member where contact_id = any ($1) returning segment_id, contact_id
	), told as (
		insert into segment_event (segment_id, contact_id, entered, reason) select segment_id, contact_id, false, 'Data' from gone
	)
	update segment_tally t set n = t.n - g.n, changed_at = clock_timestamp(), told = false
	from (select segment_id, contact_shard(contact_id) shard, count(*) n from gone group by 1, 2) g where t.segment_id = g.segment_id and t.shard = g.shard`

// queuePeople writes what is said of each record of those who have several, and what counts of it.
func queuePeople(batch *pgx.Batch, p *identityPlan) {
	if len(p.people) == 0 {
		return
	}
	var kept []*record
	var alone []int64
	values := make([]map[string]any, 0, len(p.people))
	var consents []contactConsent
	var contacts []int64
	for _, person := range p.people {
		for _, r := range person.Records {
			if person.single() {
				alone = append(alone, r.ID)
			} else {
				kept = append(kept, r)
			}
		}
		values = append(values, person.row())
		contacts = append(contacts, person.Contact)
		for _, c := range person.Profile.Consents {
			consents = append(consents, contactConsent{ContactID: person.Contact, Consent: c})
		}
	}
	if len(kept) > 0 {
		batch.Queue(`insert into contact_record (id, contact_id, public_id, source, created_at, updated_at, said, tags, consents)
			select * from jsonb_to_recordset($1) r(id bigint, contact_id bigint, public_id uuid, source text, created_at timestamptz, updated_at timestamptz,
				said jsonb, tags text[], consents jsonb) order by id
			on conflict (id) do update set contact_id = excluded.contact_id, updated_at = excluded.updated_at, said = excluded.said, tags = excluded.tags,
				consents = excluded.consents
			where (contact_record.contact_id, contact_record.said, contact_record.tags, contact_record.consents)
				is distinct from (excluded.contact_id, excluded.said, excluded.tags, excluded.consents)`, kept)
	}
	queueValues(batch, p.columns, values)
	batch.Queue(`delete from consent k where k.contact_id = any ($1)
			and (k.contact_id, k.purpose) not in (select n.contact_id, n.purpose from jsonb_to_recordset($2) n(contact_id bigint, purpose text))`,
		contacts, orEmpty(consents))
	batch.Queue(`insert into consent (contact_id, purpose, granted, by_contact, source, recorded_at, method, text_version, given_at)
		select contact_id, purpose, granted, coalesce(by_contact, false), source, recorded_at, method, text_version, given_at
		from jsonb_to_recordset($1) n(contact_id bigint, purpose text, granted boolean, by_contact boolean, source text, recorded_at timestamptz,
			method text, text_version text, given_at timestamptz) order by contact_id, purpose
		on conflict (contact_id, purpose) do update set granted = excluded.granted, by_contact = excluded.by_contact, source = excluded.source,
			recorded_at = excluded.recorded_at, method = excluded.method, text_version = excluded.text_version, given_at = excluded.given_at
		where (consent.granted, consent.by_contact, consent.source, consent.recorded_at, consent.method, consent.text_version, consent.given_at)
			is distinct from (excluded.granted, excluded.by_contact, excluded.source, excluded.recorded_at, excluded.method, excluded.text_version,
				excluded.given_at)`,
		orEmpty(consents))
	if len(alone) > 0 {
		batch.Queue("delete from contact_record where id = any ($1)", alone)
	}
}

// contactConsent is a consent of a contact.
type contactConsent struct {
	ContactID int64 `json:"contact_id"`
	identity.Consent
}

// row is what a person's contact holds, by column.
func (p personPlan) row() map[string]any {
	row := map[string]any{"id": p.Contact, "tags": orEmpty(p.Profile.Tags)}
	for column, text := range p.Profile.Values {
		row[column] = text
	}
	if p.single() {
		// As old as the contact is what does not say otherwise.
		younger := map[string]time.Time{}
		for column, v := range p.Records[0].Said {
			if !v.At.Equal(p.Records[0].CreatedAt) {
				younger[column] = v.At
			}
		}
		if len(younger) > 0 {
			row["said_at"] = younger
		}
	}
	return row
}

// queueValues writes values to contacts. A column that a row does not name becomes null.
func queueValues(batch *pgx.Batch, columns []string, rows []map[string]any) {
	var sets, old, fresh strings.Builder
	for _, column := range append([]string{"tags"}, columns...) {
		name := sqlName(column)
		sets.WriteString(name + " = n." + name + ", ")
		old.WriteString(", c." + name)
		fresh.WriteString(", n." + name)
	}
	// The composite type of the table has the columns' own types.
	batch.Queue(`update contact c set `+sets.String()+` said_at = n.said_at, updated_at = now()
		from jsonb_populate_recordset(null::contact, $1) n
		where c.id = n.id and (c.id`+old.String()+`) is distinct from (n.id`+fresh.String()+`)`, rows)
}
