package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/identity"
)

// comparedPair is how two contacts compare.
type comparedPair struct {
	a, b int64 // a < b
	identity.Comparison
}

// findPairs pairs the contacts $1 with those who share a key or an identifier with them. A key that more than $2 have tells of nobody and is
// left aside: what a contact costs is bounded, however frequent its name. Who was suggested and shares nothing any more is no pair, as it
// would be none if everybody were compared anew.
const findPairs = `
	select least(x.id, x.other) a, greatest(x.id, x.other) b, bool_or(x.linked) linked from (
		select p.contact_id id, unnest(k.ids) other, false linked from suggestion_profile p cross join unnest(p.keys) u(key)
			cross join lateral (select array_agg(s.contact_id) ids from (
				select s.contact_id from suggestion_key s where s.key = u.key limit $2 + 1) s) k
		where p.contact_id = any ($1) and cardinality(k.ids) <= $2
		union all
		select l.contact_id, unnest(k.ids), true from identifier_link l join identifier i on i.id = l.identifier_id and i.type not like 'external:%'
			cross join lateral (select array_agg(o.contact_id) ids from (
				select o.contact_id from identifier_link o where o.identifier_id = l.identifier_id limit $2 + 1) o) k
		where l.contact_id = any ($1) and cardinality(k.ids) <= $2) x
	where x.other <> x.id group by 1, 2`

// comparePairsSQL tells of each pair how it compares. No value of anybody leaves the database. What takes a look elsewhere is asked only where it
// can matter.
const comparePairsSQL = `
	with pair as materialized (` + findPairs + `)
	select t.a, t.b,
		cardinality(n.both), cardinality(n.rest_a), cardinality(n.rest_b), p.name <> '{}' and q.name <> '{}', d.likeness,
		d.differ and exists (select from unnest(n.rest_a) x(word), unnest(n.rest_b) y(word)
			where (length(x.word) = 1 or length(y.word) = 1) and left(x.word, 1) = left(y.word, 1)),
		case when d.differ and d.likeness > 0.2 then (select min(r.n) from (
			select (select max(w.n) from unnest(rest.words) x(word) cross join lateral (select count(*) n from (
				select from suggestion_key k where k.key = hashtextextended('common ' || x.word, 0) limit 3) k) w) n
			from (values (n.rest_a), (n.rest_b)) rest(words)) r) >= 3 else false end,
		case when n.both <> '{}' or d.likeness > 0.2 then (select max(h.n) from (values (p.name), (q.name)) v(name)
			cross join lateral (select count(*) n from (
				select from suggestion_key k where k.key = hashtextextended('name ' || array_to_string(v.name, ' '), 0) limit $2 + 1) k) h) else 0 end,
		case when t.linked then (select coalesce(jsonb_agg(jsonb_build_object('Type', s.type, 'Holders', s.n) order by s.type), '[]') from (
			select i.type, min(h.n) n from identifier_link l join identifier_link o on o.identifier_id = l.identifier_id and o.contact_id = t.b
				join identifier i on i.id = l.identifier_id and i.type not like 'external:%'
				cross join lateral (select count(*) n from (select from identifier_link z where z.identifier_id = l.identifier_id limit $2 + 1) z) h
			where l.contact_id = t.a group by i.type) s) else '[]' end,
		coalesce(c.kind, ''), coalesce(c.holders, 0), coalesce(c.named, false),
		pl.known, pl.same,
		case when p.birthday is null or q.birthday is null then '' when p.birthday = q.birthday then 'same' else 'other' end,
		case when p.language is null or q.language is null then '' when p.language = q.language then 'same' else 'other' end,
		p.sources && q.sources
	from pair t join suggestion_profile p on p.contact_id = t.a join suggestion_profile q on q.contact_id = t.b
	cross join lateral (select
		array(select x from unnest(p.name) x where x = any (q.name)) both,
		array(select x from unnest(p.name) x where x <> all (q.name)) rest_a,
		array(select x from unnest(q.name) x where x <> all (p.name)) rest_b offset 0) n
	cross join lateral (select n.rest_a <> '{}' and n.rest_b <> '{}' differ,
		case when n.rest_a <> '{}' and n.rest_b <> '{}' then text_likeness(array_to_string(n.rest_a, ' '), array_to_string(n.rest_b, ' ')) else 0 end likeness
		offset 0) d
	cross join lateral (select count(*) filter (where x <> '' and y <> '') known, count(*) filter (where x <> '' and x = y) same
		from unnest(p.place, q.place) z(x, y)) pl
	left join lateral (
		select case when x.name = any (p.locals) and x.name = any (q.locals) then 'addresses'
				when x.name = any (p.handles) and x.name = any (q.handles) then 'accounts' else 'both' end kind, h.n holders,
			exists (select from unnest(n.both) w where length(w) > 2 and position(w in x.name) > 0) named
		from unnest(p.locals || p.handles) x(name)
			cross join lateral (select count(*) n from (
				select from suggestion_key k where k.key = hashtextextended('called ' || x.name, 0) limit $2 + 1) k) h
		where (p.locals || p.handles) && (q.locals || q.handles) and x.name = any (q.locals || q.handles) and h.n <= $2
			-- An address that both have is no other sign beside itself.
			and not (t.linked and exists (select from identifier_link l join identifier_link o on o.identifier_id = l.identifier_id and o.contact_id = t.b
				join identifier i on i.id = l.identifier_id where l.contact_id = t.a and account_name(i.type, i.value) = x.name))
		order by h.n, x.name limit 1) c on true
	order by t.a, t.b`

// comparePairs reads how contacts compare with those who may be the same person.
func comparePairs(ctx context.Context, tx pgx.Tx, contacts []int64) ([]comparedPair, error) {
	rows, err := tx.Query(ctx, comparePairsSQL, contacts, identity.MostHolders)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p comparedPair, err error) {
		n, c := &p.Name, &p.Called
		err = row.Scan(&p.a, &p.b, &n.Words, &n.RestA, &n.RestB, &n.Known, &n.Likeness, &n.Initial, &n.Common, &n.Holders, &p.Shared,
			&c.Kind, &c.Holders, &c.Named, &p.PlacesKnown, &p.PlacesSame, &p.Birthday, &p.Language, &p.OneSource)
		return p, err
	})
}
