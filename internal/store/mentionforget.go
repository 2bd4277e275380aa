package store

import (
	"bytes"
	"slices"

	"github.com/jackc/pgx/v5"
)

// forgetMentionsSQL leaves nothing of mentions ($1) but their keys, their times and by which sources they came.
const forgetMentionsSQL = `
	update mention set native_id = null, author_id = null, revision = '', edited_at = null, url = '', title = '', text = '', language = '',
		thread = null, parent = null, subject = null, tags = '{}', links = '{}', likes = null, reposts = null, replies = null, views = null,
		rating = null, rating_best = null, label = 'neutral', polarity = 0, confidence = 0, ironic = false, deciding = null, engine = '', words = '',
		forgotten_at = now()
	where id = any ($1)`

// forgetAuthorsSQL leaves nothing of authors but their keys, and nothing of what else they are known by that nobody else needs. Those in $1 are
// forgotten for good: what they wrote until now never comes back, and sweeps see to what is left of it, or is being stored by somebody who
// does not know yet. Those in $2, and who is named in mentions that are forgotten ($4), lose their profile where nothing that they wrote or
// that names them is left, and may come back with what they write then. Who writes or is named in what is stored now ($3) keeps it.
const forgetAuthorsSQL = `
	with candidate as (
		select id, bool_or(for_good) for_good from (
			select unnest($1::bigint[]) id, true for_good union all select unnest($2::bigint[]), false
			union all select author_id, false from mention_account where mention_id = any ($4)) c group by id
	), gone as (
		select a.id, a.identifier_id, c.for_good from candidate c join author a on a.id = c.id
		where c.for_good or c.id <> all ($3) and (select true from mention m where m.author_id = a.id limit 1) is null
			and (select true from mention_account n where n.author_id = a.id and n.mention_id <> all ($4) limit 1) is null
	), emptied as (
		update author a set native_id = null, handle = '', name = '', url = '', followers = null, registered_at = null, bot = false,
			identifier_id = null, seen_at = now(), forgotten_at = case when g.for_good then now() else a.forgotten_at end,
			forgetting = a.forgetting or g.for_good
		from gone g where a.id = g.id
	)
	delete from identifier i using gone g where i.id = g.identifier_id and ` + unneededIdentifier + `
		and not exists (select from author o where o.identifier_id = i.id and o.id not in (select id from gone))`

// unneededIdentifier says that no contact and no event has an identifier i.
const unneededIdentifier = `not exists (select from identifier_link l where l.identifier_id = i.id)
	and not exists (select from event e where e.identifier_id = i.id)`

// forgetToldSQL leaves nothing of mentions ($1) in what rules tell that has not left yet: that there was something is told all the same.
const forgetToldSQL = `update outbox o set body = o.body #- '{event,facts}' from automation_entry e join domain_event_watch w on w.id = e.watch_id
	where o.state in ('pending', 'intent') and o.body #> '{event,facts}' is not null and e.id = o.entry_id
		and (w.event = 'mention.received' and e.ref = any ($1) or w.event = 'message.received' and e.ref3 = any ($1))`

// partsOfMentions are the tables of what hangs on a mention and goes with what it says.
var partsOfMentions = []string{
	"mention_topic", "mention_media", "mention_revision", "mention_account", "mention_correction", "message_intake", "message",
}

// queueForgotten forgets what was deleted.
func queueForgotten(queue *pgx.Batch, network string, source int64, p *mentionPlan) {
	gone, kept := []int64{}, []int64{} // never null: of null nobody knows whether it holds something
	for _, a := range p.authors.touched {
		kept = append(kept, a.id)
	}
	var unknown []nativeKey
	for _, a := range p.authors.gone {
		if a.stored {
			gone = append(gone, a.id)
		} else {
			unknown = append(unknown, a.key)
		}
	}
	if len(p.forgotten) > 0 {
		queue.Queue(forgetMentionsSQL, p.forgotten)
		queue.Queue(forgetToldSQL, p.forgotten)
	}
	if len(p.forgotten)+len(gone) > 0 {
		queue.Queue(forgetAuthorsSQL, gone, append([]int64{}, p.bereft...), kept, append([]int64{}, p.forgotten...))
	}
	if len(p.forgotten) > 0 {
		for _, table := range partsOfMentions {
			queue.Queue("delete from "+table+" where mention_id = any ($1)", p.forgotten)
		}
	}
	if len(unknown) > 0 {
		slices.SortFunc(unknown, func(a, b nativeKey) int { return bytes.Compare(a[:], b[:]) })
		queue.Queue("insert into author (key, network, forgotten_at) select k, $2, now() from unnest($1::bytea[]) k", byteaOf(unknown), network)
	}
	if len(p.tombs) > 0 {
		queue.Queue(`
			with tomb as (
				insert into mention (key, network, source_id, kind, visibility, created_at, label, polarity, confidence, engine, forgotten_at)
				select k, $2, $3, 'Post', 'Private', now(), 'neutral', 0, 0, '', now() from unnest($1::bytea[]) k returning id, created_at)
			insert into mention_source (mention_id, source_id, created_at) select id, $3, created_at from tomb`, byteaOf(p.tombs), network, source)
	}
}
