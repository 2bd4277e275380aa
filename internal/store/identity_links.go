package store

import (
	"time"

	"github.com/jackc/pgx/v5"
)

// queueLinks brings the links of contacts to a plan. What is verified to another is taken away before it is given: at no moment do two have it.
func queueLinks(batch *pgx.Batch, p *identityPlan) {
	identifiers, contacts, verified := make([]int64, len(p.links)), make([]int64, len(p.links)), make([]bool, len(p.links))
	sources, at := make([]string, len(p.links)), make([]time.Time, len(p.links))
	for i, l := range p.links {
		identifiers[i], contacts[i], verified[i], sources[i], at[i] = l.Identifier, l.Contact, l.Verified, l.Source, l.At
	}
	batch.Queue("select set_config('tertulia.links', 'derived', true)")
	// "not in" is looked up in a hash table, where "not exists" would be a nested loop over what may be thousands: hash joins are off.
	batch.Queue(`delete from identifier_link l where l.contact_id = any ($1)
			and (l.identifier_id, l.contact_id) not in (
				select n.identifier_id, n.contact_id from unnest($2::bigint[], $3::bigint[]) n(identifier_id, contact_id))`,
		p.contacts, identifiers, contacts)
	batch.Queue(`update identifier_link l set verified = false from unnest($1::bigint[], $2::bigint[], $3::boolean[]) n(identifier_id, contact_id, verified)
		where n.identifier_id = l.identifier_id and n.contact_id = l.contact_id and l.verified and not n.verified`, identifiers, contacts, verified)
	batch.Queue(`insert into identifier_link (identifier_id, contact_id, verified, source, linked_at)
		select n.* from unnest($1::bigint[], $2::bigint[], $3::boolean[], $4::text[], $5::timestamptz[])
			n(identifier_id, contact_id, verified, source, linked_at)
		order by n.identifier_id, n.contact_id
		on conflict (identifier_id, contact_id) do update set verified = excluded.verified, source = excluded.source, linked_at = excluded.linked_at
		where (identifier_link.verified, identifier_link.source, identifier_link.linked_at)
			is distinct from (excluded.verified, excluded.source, excluded.linked_at)`,
		identifiers, contacts, verified, sources, at)
	batch.Queue("select set_config('tertulia.links', '', true)")
}

// queueOwned gives events to whom their identifiers belong. An event that several records of a contact have a claim on goes with the contact when
// it is merged, and back to the one that it was taken from when that one is by itself again.
func queueOwned(batch *pgx.Batch, p *identityPlan) {
	var identifiers, contacts []int64
	var verified []bool
	for _, l := range p.links {
		if l.Verified || l.alone {
			identifiers, contacts, verified = append(identifiers, l.Identifier), append(contacts, l.Contact), append(verified, l.Verified)
		}
	}
	batch.Queue(`update event e set contact_id = s.contact_id from unnest($1::bigint[], $2::bigint[], $3::boolean[]) s(identifier_id, contact_id, verified)
		where e.identifier_id = s.identifier_id and e.contact_id is distinct from s.contact_id and (s.verified or not exists (
			select from identifier_link l where l.identifier_id = s.identifier_id and l.contact_id <> s.contact_id))`, identifiers, contacts, verified)
	var records, from, to []int64
	for _, m := range p.moves {
		records, from, to = append(records, m.Record), append(from, m.From), append(to, m.To)
	}
	if len(p.retired) > 0 {
		batch.Queue(`with moved as (
				update event e set contact_id = s.to_id from unnest($1::bigint[], $2::bigint[]) s(record_id, to_id)
				where e.contact_id = s.record_id and s.record_id = any ($3) returning e.id, s.record_id)
			insert into contact_record_event (event_id, record_id) select id, record_id from moved on conflict do nothing`, records, to, p.retired)
	}
	if len(p.moves) > 0 {
		batch.Queue(`with back as (
				delete from contact_record_event b using unnest($1::bigint[], $2::bigint[], $3::bigint[]) s(record_id, from_id, to_id)
				where b.record_id = s.record_id and s.record_id <> all ($4) returning b.event_id, s.from_id, s.to_id)
			update event e set contact_id = back.to_id from back where e.contact_id = back.from_id and e.id = back.event_id`,
			records, from, to, orEmpty(p.retired))
	}
}
