package store

import (
	"time"

	"github.com/jackc/pgx/v5"
)

// authorColumns are rows of authors, column by column.
type authorColumns struct {
	ids                              []int64
	keys                             [][]byte
	natives, handles, names, urls    []string
	followers                        []*int64
	registered                       []*time.Time
	bots                             []bool
	forgotten                        []*time.Time
	identifierTypes, identifierTexts []string
}

func columnsOfAuthors(list []*knownAuthor) (c authorColumns) {
	for _, a := range list {
		p := a.profile
		c.ids, c.keys = append(c.ids, a.id), append(c.keys, a.key[:])
		c.natives, c.handles = append(c.natives, p.nativeID), append(c.handles, p.handle)
		c.names, c.urls = append(c.names, p.name), append(c.urls, p.url)
		c.followers, c.registered, c.bots = append(c.followers, p.followers), append(c.registered, p.registeredAt), append(c.bots, p.bot)
		c.forgotten = append(c.forgotten, a.forgottenAt)
		c.identifierTypes, c.identifierTexts = append(c.identifierTypes, a.identifier.Type), append(c.identifierTexts, a.identifier.Value)
	}
	return c
}

func (c authorColumns) arguments() []any {
	return []any{c.ids, c.natives, c.handles, c.names, c.urls, c.followers, c.registered, c.bots, c.identifierTypes, c.identifierTexts}
}

const givenAuthors = `unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[], $8::boolean[],
	$9::text[], $10::text[], $11::timestamptz[])
	g (id, native_id, handle, name, url, followers, registered_at, bot, identifier_type, identifier_value, forgotten_at)`

// updateAuthorsSQL takes over profiles, but of those who were forgotten since they were read.
const updateAuthorsSQL = `
	update author a set native_id = nullif(g.native_id, ''), handle = g.handle, name = g.name, url = g.url, followers = g.followers,
		registered_at = g.registered_at, bot = g.bot, seen_at = now(),
		identifier_id = coalesce(a.identifier_id, (select i.id from identifier i where i.type = g.identifier_type and i.value = g.identifier_value))
	from ` + givenAuthors + ` where a.id = g.id and a.forgotten_at is not distinct from g.forgotten_at`

const insertAuthorsSQL = `
	insert into author (id, key, network, native_id, handle, name, url, followers, registered_at, bot, identifier_id)
	overriding system value
	select g.id, g.key, $12, nullif(g.native_id, ''), g.handle, g.name, g.url, g.followers, g.registered_at, g.bot,
		(select i.id from identifier i where i.type = g.identifier_type and i.value = g.identifier_value)
	from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::timestamptz[], $8::boolean[], $9::text[], $10::text[],
		$11::bytea[]) g (id, native_id, handle, name, url, followers, registered_at, bot, identifier_type, identifier_value, key)`

// lockAuthorsSQL locks who is changed ($1) and who wrote or is named in what is forgotten ($2).
const lockAuthorsSQL = `
	select from author where id in (select unnest($1::bigint[]) union select author_id from mention_account where mention_id = any ($2))
	order by id for no key update`

// queueAuthors writes who is new or is known by another profile, with the identifiers by which they are known elsewhere. Everybody locks
// the rows that there are first, in the order of ids, and makes new ones then, in the order of keys.
func queueAuthors(queue *pgx.Batch, network string, p *mentionPlan) {
	var types, values []string
	var locked []int64
	for _, list := range [][]*knownAuthor{p.authors.added, p.authors.changed} {
		for _, a := range list {
			if a.identifier.Type != "" {
				types, values = append(types, a.identifier.Type), append(values, a.identifier.Value)
			}
		}
	}
	for _, list := range [][]*knownAuthor{p.authors.changed, p.authors.gone} {
		for _, a := range list {
			locked = append(locked, a.id)
		}
	}
	if len(types) > 0 {
		queue.Queue(`
			insert into identifier (type, value)
			select distinct g.type, g.value from unnest($1::text[], $2::text[]) g (type, value)
			where not exists (select from identifier i where i.type = g.type and i.value = g.value) order by 1, 2
			on conflict (type, value) do nothing`, types, values)
	}
	if locked = append(locked, p.bereft...); len(locked) > 0 || len(p.forgotten) > 0 {
		queue.Queue(lockAuthorsSQL, locked, p.forgotten)
	}
	if len(p.authors.changed) > 0 {
		c := columnsOfAuthors(p.authors.changed)
		queue.Queue(updateAuthorsSQL, append(c.arguments(), c.forgotten)...)
	}
	if len(p.authors.added) > 0 {
		c := columnsOfAuthors(p.authors.added)
		queue.Queue(insertAuthorsSQL, append(c.arguments(), c.keys, network)...)
	}
}
