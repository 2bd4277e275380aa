package store

import (
	"cmp"
	"context"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/identity"
)

// Who is who follows from the log of links and from what people decided: gather reads all that concerns some records, identity.Resolve
// decides, and the tables about people are brought to what came of it. It is the same for an import that finds somebody in two sources, for a
// merge and for its undoing.

// contactNow is whose a record is now, by an SQL expression of its id: who held the id of a contact that was merged goes on with it.
func contactNow(record string) string {
	return "coalesce((select x.contact_id from contact_record x where x.id = " + record + "), " + record + ")"
}

// recordsSQL is an array of all records of a contact, by an SQL expression of its id: what the ledger holds of a person may stand under any of them.
func recordsSQL(contact string) string {
	return "(array(select x.id from contact_record x where x.contact_id = " + contact + ") || " + contact + ")"
}

// identities is what is known of records that have to do with one another.
type identities struct {
	contact   map[int64]int64 // whose each record is now
	claims    []identity.Claim
	decisions []identity.Decision
	last      map[[2]int64]int64 // the last decision of two records
}

func (i *identities) records() []int64 {
	list := make([]int64, 0, len(i.contact))
	for record := range i.contact {
		list = append(list, record)
	}
	slices.Sort(list)
	return list
}

// mostClaimants bounds how many records of one identifier are looked at. One that more have is shared by so many that it was nobody's long
// before.
const mostClaimants = identity.MaxClaimants + 5000

// gatherIdentities reads all that decides who some records are: whatever they share a verified identifier, a contact or a decision with,
// and what those do. The caller holds the identities.
func gatherIdentities(ctx context.Context, tx pgx.Tx, records []int64) (*identities, error) {
	found := &identities{contact: map[int64]int64{}, last: map[[2]int64]int64{}}
	looked := map[int64]bool{}
	shared := map[int64]bool{} // identifiers
	for next := records; len(next) > 0; {
		fresh, err := found.addRecords(ctx, tx, next)
		if err != nil {
			return nil, fmt.Errorf("read whose records are: %w", err)
		}
		if len(fresh) == 0 {
			break
		}
		verified, err := found.addClaims(ctx, tx, fresh)
		if err != nil {
			return nil, fmt.Errorf("read what records are known by: %w", err)
		}
		verified = slices.DeleteFunc(verified, func(id int64) bool { return looked[id] })
		for _, id := range verified {
			looked[id] = true
		}
		if next, err = claimants(ctx, tx, verified, shared); err != nil {
			return nil, fmt.Errorf("read who shares identifiers: %w", err)
		}
		decided, err := found.addDecisions(ctx, tx, fresh)
		if err != nil {
			return nil, fmt.Errorf("read what was decided of records: %w", err)
		}
		next = append(next, decided...)
	}
	slices.SortFunc(found.decisions, func(a, b identity.Decision) int {
		return cmp.Compare(found.last[[2]int64{a.A, a.B}], found.last[[2]int64{b.A, b.B}])
	})
	for i := range found.claims {
		if shared[found.claims[i].Identifier] {
			found.claims[i].Verified = false
		}
	}
	return found, nil
}

// addRecords adds records that are there, and all others of their contacts, and returns those that are new.
func (i *identities) addRecords(ctx context.Context, tx pgx.Tx, records []int64) (fresh []int64, err error) {
	rows, err := tx.Query(ctx, `
		select r.id, r.contact_id from contact_record r where r.contact_id in (select `+contactNow("t.id")+` from unnest($1::bigint[]) t(id))
		union all
		select c.id, c.id from contact c where c.id = any ($1) and not exists (select from contact_record x where x.id = c.id)`, records)
	if err != nil {
		return nil, err
	}
	var record, contact int64
	_, err = pgx.ForEachRow(rows, []any{&record, &contact}, func() error {
		if _, known := i.contact[record]; !known {
			i.contact[record] = contact
			fresh = append(fresh, record)
		}
		return nil
	})
	return fresh, err
}

// addClaims adds what records are known by, and returns the identifiers that are verified.
func (i *identities) addClaims(ctx context.Context, tx pgx.Tx, records []int64) (verified []int64, err error) {
	rows, err := tx.Query(ctx, `
		select g.record_id, g.identifier_id, i.type, i.value, g.verified, g.evidence, g.source, g.at
		from identifier_link_log g join identifier i on i.id = g.identifier_id
		where g.record_id = any ($1) and g.revoked_at is null order by g.id`, records)
	if err != nil {
		return nil, err
	}
	claims, err := pgx.CollectRows(rows, pgx.RowToStructByPos[identity.Claim])
	if err != nil {
		return nil, err
	}
	i.claims = append(i.claims, claims...)
	for _, c := range claims {
		if c.Verified {
			verified = append(verified, c.Identifier)
		}
	}
	slices.Sort(verified)
	return slices.Compact(verified), nil
}

// claimants lists the records that have identifiers verified. Those that too many have are noted as shared.
func claimants(ctx context.Context, tx pgx.Tx, identifiers []int64, shared map[int64]bool) (records []int64, err error) {
	if len(identifiers) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, `
		select u.id, c.records from unnest($1::bigint[]) u(id) cross join lateral (
			select array(select g.record_id from identifier_link_log g
				where g.identifier_id = u.id and g.verified and g.revoked_at is null group by g.record_id limit $2) records) c`, identifiers, mostClaimants)
	if err != nil {
		return nil, err
	}
	var id int64
	var some []int64
	_, err = pgx.ForEachRow(rows, []any{&id, &some}, func() error {
		if len(some) == mostClaimants {
			shared[id] = true
			return nil
		}
		records = append(records, some...)
		return nil
	})
	return records, err
}

// addDecisions adds what was decided of records, and returns the others that it was decided of.
func (i *identities) addDecisions(ctx context.Context, tx pgx.Tx, records []int64) (others []int64, err error) {
	rows, err := tx.Query(ctx, `
		select distinct on (d.a, d.b) d.id, d.a, d.b, d.same from contact_decision d where d.a = any ($1) or d.b = any ($1)
		order by d.a, d.b, d.id desc`, records)
	if err != nil {
		return nil, err
	}
	var id int64
	var d identity.Decision
	_, err = pgx.ForEachRow(rows, []any{&id, &d.A, &d.B, &d.Same}, func() error {
		pair := [2]int64{d.A, d.B}
		if _, known := i.last[pair]; !known {
			i.last[pair] = id
			i.decisions = append(i.decisions, d)
			others = append(others, d.A, d.B)
		}
		return nil
	})
	return others, err
}

// record is a record of a contact, as contact_record keeps it.
type record struct {
	ID        int64                     `json:"id"`
	ContactID int64                     `json:"contact_id"`
	PublicID  string                    `json:"public_id"`
	Source    string                    `json:"source"`
	CreatedAt time.Time                 `json:"created_at"`
	UpdatedAt time.Time                 `json:"updated_at"`
	Said      map[string]identity.Value `json:"said"`
	Tags      []string                  `json:"tags"`
	Consents  []identity.Consent        `json:"consents"`
	kept      bool                      // it has a row in contact_record
}

// loadRecords reads what is said of records: of those that share a contact from where it is kept apart, of the others from the contact itself.
func loadRecords(ctx context.Context, tx pgx.Tx, ids []int64) (map[int64]*record, error) {
	rows, err := tx.Query(ctx, `
		select r.id, r.contact_id, r.public_id::text, r.source, r.created_at, r.updated_at, r.said, r.tags, r.consents, true
		from contact_record r where r.id = any ($1)
		union all
		select c.id, c.id, c.public_id::text, coalesce(
				(select min(substr(i.type, length('external:') + 1)) from identifier_link l join identifier i on i.id = l.identifier_id
					where l.contact_id = c.id and i.type like 'external:%'),
				(select min(l.source) from identifier_link l where l.contact_id = c.id), ''), c.created_at, c.updated_at,
			(select coalesce(jsonb_object_agg(v.key, jsonb_build_object('v', v.value, 'at', coalesce(c.said_at -> v.key, to_jsonb(c.created_at)))), '{}')
				from jsonb_each_text(to_jsonb(c)) v where v.value is not null and (v.key in ('locale', 'time_zone') or v.key like 'attr\_%')),
			c.tags,
			(select coalesce(jsonb_agg(jsonb_build_object('purpose', k.purpose, 'granted', k.granted, 'by_contact', k.by_contact, 'source', k.source,
				'recorded_at', k.recorded_at, 'method', k.method, 'text_version', k.text_version, 'given_at', k.given_at) order by k.purpose), '[]')
				from consent k where k.contact_id = c.id), false
		from contact c where c.id = any ($1) and not exists (select from contact_record x where x.id = c.id)`, ids)
	if err != nil {
		return nil, fmt.Errorf("read what is said of records: %w", err)
	}
	records := map[int64]*record{}
	var r record
	into := []any{&r.ID, &r.ContactID, &r.PublicID, &r.Source, &r.CreatedAt, &r.UpdatedAt, &r.Said, &r.Tags, &r.Consents, &r.kept}
	_, err = pgx.ForEachRow(rows, into, func() error {
		copied := r
		records[r.ID] = &copied
		r = record{}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what is said of records: %w", err)
	}
	return records, nil
}

// survivorship is what decides which of several values counts.
type survivorship struct {
	attributes map[string]crm.Attribute // by column
	sources    []string                 // the highest first
}

func loadSurvivorship(ctx context.Context, tx pgx.Tx) (survivorship, error) {
	s := survivorship{attributes: map[string]crm.Attribute{}}
	rows, err := tx.Query(ctx, "select name, type, enum from attribute where record_type = 'contact'")
	if err == nil {
		var a crm.Attribute
		_, err = pgx.ForEachRow(rows, []any{&a.Name, &a.Type, &a.Enum}, func() error { s.attributes[a.Column()] = a; return nil })
	}
	if err == nil {
		err = tx.QueryRow(ctx, "select coalesce((select sources from record_type where name = 'contact'), '{}')").Scan(&s.sources)
	}
	if err != nil {
		return s, fmt.Errorf("read what counts of several values: %w", err)
	}
	return s, nil
}

// valid tells whether a column still takes a value: its type and its enumeration may have changed since a source said it.
func (s survivorship) valid(column, text string) bool {
	if column == "locale" || column == "time_zone" {
		return true
	}
	a, ok := s.attributes[column]
	if !ok {
		return false
	}
	_, err := a.Canonical(text)
	return err == nil
}

// same tells whether two texts are one value of a column.
func (s survivorship) same(column, a, b string) bool {
	if a == b {
		return true
	}
	kind := s.attributes[column].Type
	switch kind {
	case crm.Timestamp:
		first, err := kind.Canonical(a)
		second, err2 := kind.Canonical(b)
		return err == nil && err2 == nil && first == second
	case crm.Decimal:
		return sameDecimal(a, b)
	}
	return false
}

func sameDecimal(a, b string) bool {
	if _, err := crm.Decimal.Canonical(a); err != nil {
		return false
	}
	if _, err := crm.Decimal.Canonical(b); err != nil {
		return false
	}
	x, _ := new(big.Rat).SetString(a)
	y, _ := new(big.Rat).SetString(b)
	return x.Cmp(y) == 0
}
