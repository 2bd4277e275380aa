package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// happening is something that happened and that rules listen to, as domain_event_queue notes it. What it was is read where it stands.
type happening struct {
	watch           int32
	contact         int64 // whose it is now; 0 where nobody knows
	ref, ref2, ref3 int64
	detail          string
	at              time.Time
	noted           int64 // whose it was when it was noted
	subject         string
	facts           expr.Facts
	document        json.RawMessage // the facts as JSON
	known           bool            // it still stands where it stood
	casework
	answerable bool // somebody wrote it
	shard      int16
	notedAt    time.Time // by the database's clock
}

// claimEvents takes events out of the queue, at most so many. The statements that follow see what was committed with each of them.
func claimEvents(ctx context.Context, tx pgx.Tx, most int) ([]*happening, error) {
	rows, err := tx.Query(ctx, `
		select watch_id, coalesce(contact_id, 0), ref, coalesce(ref2, 0), coalesce(ref3, 0), coalesce(detail, ''), at, shard
		from domain_event_claim($1, $2) order by at`, most, max(1, most/eventShare))
	if err != nil {
		return nil, fmt.Errorf("take events: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*happening, error) {
		h := &happening{}
		err := row.Scan(&h.watch, &h.noted, &h.ref, &h.ref2, &h.ref3, &h.detail, &h.at, &h.shard)
		h.contact, h.notedAt = h.noted, h.at
		return h, err
	})
	if err != nil {
		return nil, fmt.Errorf("take events: %w", err)
	}
	return list, nil
}

// eventShare is how many kinds of events share what is taken at once, at least: no storm of one kind takes all of it.
const eventShare = 2

// who is what is known of a contact that goes through rules.
type who struct {
	contact  int64 // 0: there is none any more
	publicID string
	zone     *time.Location // nil: the tenant's
}

// loadPeople finds whose records are now, by their ids.
func loadPeople(ctx context.Context, tx pgx.Tx, records []int64) (map[int64]who, error) {
	people := map[int64]who{}
	rows, err := tx.Query(ctx, `
		select q.id, c.id, c.public_id::text, coalesce(c.time_zone, '') from unnest($1::bigint[]) q (id)
			join contact c on c.id = `+contactNow("q.id"), records)
	if err != nil {
		return nil, fmt.Errorf("read whose events are: %w", err)
	}
	var record int64
	var p who
	var zone string
	_, err = pgx.ForEachRow(rows, []any{&record, &p.contact, &p.publicID, &zone}, func() error {
		p.zone = nil
		if zone != "" {
			p.zone, _ = time.LoadLocation(zone)
		}
		people[record] = p
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read whose events are: %w", err)
	}
	return people, nil
}

// loadFacts reads what events were, each kind by one statement. What does not stand any more is not known.
func loadFacts(ctx context.Context, tx pgx.Tx, book *ruleBook, list []*happening) error {
	byEvent := map[string][]*happening{}
	for _, h := range list {
		w := book.watches[h.watch]
		h.findCase(w.event)
		byEvent[w.event] = append(byEvent[w.event], h)
	}
	batch := &pgx.Batch{}
	for event, some := range byEvent {
		statement, ok := factsSQL[event]
		if !ok { // there is nothing to know but whose it is
			for _, h := range some {
				h.known, h.document = true, json.RawMessage("{}")
			}
			continue
		}
		var names, details []string
		var contacts, refs, refs2, refs3 []int64
		for _, h := range some {
			names, details = append(names, book.watches[h.watch].name), append(details, h.detail)
			contacts, refs, refs2, refs3 = append(contacts, h.contact), append(refs, h.ref), append(refs2, h.ref2), append(refs3, h.ref3)
		}
		batch.Queue("select q.place, f.* from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[]) "+
			"with ordinality q (contact_id, ref, ref2, ref3, detail, name, place) cross join lateral ("+statement+" limit 1) f (contact_id, facts)",
			contacts, refs, refs2, refs3, details, names).Query(func(rows pgx.Rows) error { return book.readFacts(rows, event, some) })
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("read what happened: %w", err)
	}
	return nil
}

func (b *ruleBook) readFacts(rows pgx.Rows, event string, some []*happening) error {
	var place int
	var contact *int64
	var document []byte
	_, err := pgx.ForEachRow(rows, []any{&place, &contact, &document}, func() error {
		h := some[place-1]
		name := event
		if event == namedEvent {
			name = b.watches[h.watch].name
		}
		e, ok := automate.FindEvent(b.schema, name)
		if !ok {
			return nil
		}
		h.known, h.subject, h.facts = true, e.Subject.Name, readSubject(e.Subject, document)
		h.document = append(json.RawMessage(nil), document...)
		if contact != nil && h.contact == 0 {
			h.contact, h.noted = *contact, *contact
		}
		return nil
	})
	return err
}

// readSubject reads the facts of a subject from a JSON document with the paths of its fields. What is of another type is not known.
func readSubject(s expr.Subject, document []byte) expr.Facts {
	var t crm.EventType
	var lists []string
	var add func(prefix string, fields []expr.Field)
	add = func(prefix string, fields []expr.Field) {
		for _, f := range fields {
			switch {
			case len(f.Fields) > 0:
				add(prefix+f.Name+".", f.Fields)
			case f.List:
				lists = append(lists, prefix+f.Name)
			default:
				t.Properties = append(t.Properties, crm.Property{Name: prefix + f.Name, Type: f.Type})
			}
		}
	}
	add("", s.Fields)
	facts := expr.ReadEvent(t, document)
	if len(lists) > 0 {
		var held map[string]json.RawMessage
		_ = json.Unmarshal(document, &held) // what is no list is empty
		for _, name := range lists {
			var list []string
			_ = json.Unmarshal(held[name], &list)
			facts[name] = expr.Texts(list)
		}
	}
	return facts
}

// factsSQL says for each kind of event where what it was stands, for a row q of the queue: whose it is, where the queue does not say, and the
// facts by their paths.
var factsSQL = map[string]string{
	automate.IdentifierAdded: `select null::bigint, jsonb_build_object('type', i.type, 'verified', l.verified)
		from identifier i join identifier_link l on l.identifier_id = i.id where i.id = q.ref and l.contact_id = q.contact_id`,
	automate.SegmentEntered: segmentFactsSQL, automate.SegmentLeft: segmentFactsSQL,
	namedEvent: `select null::bigint, e.properties from (
		select e.properties, 1 way from event e where q.contact_id <> 0 and e.contact_id = q.contact_id and e.name = q.name
			and e.occurred_at = timestamptz 'epoch' + q.ref3 * interval '1 microsecond' and e.id = q.ref
		union all
		select e.properties, 2 from event e where q.contact_id = 0 and e.identifier_id = q.ref2
			and e.occurred_at = timestamptz 'epoch' + q.ref3 * interval '1 microsecond' and e.id = q.ref) e`,
	automate.MentionReceived: `select ` + contactOfAuthor + `,
			jsonb_strip_nulls(jsonb_build_object('network', m.network, 'source', s.name, 'kind', m.kind, 'visibility', m.visibility,
				'language', nullif(m.language, ''), 'label', m.label, 'sentiment', m.polarity, 'confidence', m.confidence, 'ironic', m.ironic,
				'likes', m.likes, 'reposts', m.reposts, 'replies', m.replies, 'rating', m.rating, 'tags', m.tags, 'text', m.text, 'thread', m.thread,
				'topics', array(select o.name || '/' || t.name from mention_topic mt join topic t on t.id = mt.topic_id join monitor o on o.id = t.monitor_id
					where mt.mention_id = m.id and t.dropped_at is null order by 1),
				'author.followers', a.followers, 'author.bot', a.bot, 'author.registered_at', a.registered_at, 'author.handle', nullif(a.handle, ''),
				'author.influence', (select max((x.score ->> 'score')::float8) from mention_topic mt join influence_score x on x.topic_id = mt.topic_id
					where mt.mention_id = m.id and x.author_id = m.author_id)))
		from mention m left join author a on a.id = m.author_id left join social_source s on s.id = m.source_id
		where m.id = q.ref and m.forgotten_at is null`,
	automate.MessageOpened: `select null::bigint, jsonb_build_object('campaign', s.campaign, 'send_key', s.send_key) from send s where s.id = q.ref`,
	automate.MessageClicked: `select l.contact_id, jsonb_strip_nulls(jsonb_build_object('campaign', s.campaign, 'send_key', s.send_key, 'link', k.url))
		from send s join ledger l on l.send_id = s.id and l.seq = q.ref2 left join link k on k.id = q.ref3 where s.id = q.ref`,
	automate.MessageBounced: `select l.contact_id, jsonb_build_object('campaign', s.campaign, 'send_key', s.send_key)
		from send s join ledger l on l.send_id = s.id and l.seq = q.ref2 where s.id = q.ref`,
	automate.ContactUnsubscribed: `select null::bigint, jsonb_build_object('purpose', k.purpose, 'source', k.source)
		from consent k where k.contact_id = q.contact_id and k.purpose = q.detail`,
	automate.IncidentOpened: incidentFactsSQL, automate.IncidentUpdated: incidentFactsSQL, automate.IncidentClosed: incidentFactsSQL,
	automate.MessageReceived:    messageReceivedFactsSQL,
	automate.ConversationOpened: conversationEventFactsSQL, automate.ConversationClosed: conversationEventFactsSQL,
	automate.TicketOpened: ticketEventFactsSQL, automate.TicketAssigned: ticketEventFactsSQL, automate.TicketAnswered: ticketEventFactsSQL,
	automate.TicketResolved: ticketEventFactsSQL, automate.TicketClosed: ticketEventFactsSQL, automate.TicketBreached: ticketEventFactsSQL,
}

const (
	segmentFactsSQL = `select null::bigint, jsonb_build_object('name', g.name, 'reason', e.reason)
		from segment_event e join segment g on g.id = e.segment_id where e.id = q.ref`
	incidentFactsSQL = `select null::bigint, jsonb_build_object('monitor', e.incident ->> 'monitor', 'topic', e.incident ->> 'topic', 'role', t.role,
			'rule', e.incident ->> 'rule', 'peak', e.incident -> 'peak', 'usual', e.incident -> 'peakUsual', 'mentions', (
				select coalesce(sum((x ->> 'negatives')::bigint), 0) from jsonb_array_elements(
					case jsonb_typeof(e.incident #> '{drivers,sources}') when 'array' then e.incident #> '{drivers,sources}' else '[]' end) x))
		from incident_event e join incident i on i.id = e.incident_id join topic t on t.id = i.topic_id where e.id = q.ref`
)
