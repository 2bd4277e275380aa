package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/service"
)

// placeLock has one transaction at a time thread messages: two that belong together never begin two conversations.
const placeLock = 1902115854

const (
	// threadWithin is how old a message may be that is threaded when it comes in. What is older is history.
	threadWithin = 14 * 24 * time.Hour
	// ticketWithin is how old a message may be that becomes a ticket: a source that was not read for a weekend loses none.
	ticketWithin = 3 * 24 * time.Hour
	// candidatesOfKey is how many conversations are looked at that a key finds: the latest.
	candidatesOfKey = 20
)

// arrivedMessage is a mention that is to be threaded.
type arrivedMessage struct {
	id, source, author     int64
	network, native        string
	sourceName, sourceType string
	kind, visibility       string
	thread, parent         string
	title, text            string
	language, label        string
	polarity               string
	at                     time.Time
	ours                   bool // one of our accounts wrote it
	message, conversation  int64
	taken                  bool // the message that it is already was taken up
	inbound                service.Inbound
	keys                   map[service.Key]nativeKey
	into                   *caseFile
	version                int64
	leaves                 []nativeKey
}

// placing is messages that a transaction threads.
type placing struct {
	*serviceDesk
	keys     mentionKeys
	takeUp   bool // an agent or a rule takes them up: they need not be to us
	arrived  []*arrivedMessage
	byKey    map[nativeKey][]*caseFile
	fresh    []*caseFile
	messages []*arrivedMessage // new rows
	confirm  []int64           // messages that were taken up and turn out to be to us
	asking   []*arrivedMessage // who may become tickets
	placed   map[int64]int64   // conversations by mention
}

// beginPlacing waits until nobody else threads messages.
func beginPlacing(ctx context.Context, tx pgx.Tx) error {
	var batch pgx.Batch
	batch.Queue(byKeysSQL)
	batch.Queue("select pg_advisory_xact_lock($1, 0)", placeLock)
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		return fmt.Errorf("wait for who threads messages: %w", err)
	}
	return nil
}

// place threads mentions. It is called by who holds placeLock.
func place(ctx context.Context, tx pgx.Tx, mentions []int64, takeUp bool) (*placing, error) {
	d, err := openDesk(ctx, tx, nil)
	if err != nil {
		return nil, err
	}
	p := &placing{serviceDesk: d, takeUp: takeUp, byKey: map[nativeKey][]*caseFile{}, placed: map[int64]int64{}}
	if p.keys, err = loadMentionKeys(ctx, tx); err != nil {
		return nil, err
	}
	if err := p.gather(ctx, mentions); err != nil {
		return nil, fmt.Errorf("read what came in: %w", err)
	}
	for _, m := range p.arrived {
		if err := p.thread(m); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// arrivedSQL reads mentions, and keeps them from being forgotten meanwhile.
const arrivedSQL = `
	with ours as materialized (
		select lower(ltrim(btrim(a), '@')) name from monitor o cross join unnest(o.accounts) a where o.dormant_since is null and not o.suspended
		union select lower(ltrim(to_jsonb(k) ->> 'account', '@')) from channel k where to_jsonb(k) ->> 'account' <> ''
		union select to_jsonb(k) ->> 'account_id' from channel k where to_jsonb(k) ->> 'account_id' like 'did:%'
	)
	select m.id, m.source_id, coalesce(m.author_id, 0), m.network, coalesce(m.native_id, ''), coalesce(s.name, ''), coalesce(s.type, ''), m.kind, m.visibility,
		coalesce(m.thread, ''), coalesce(m.parent, ''), m.title, m.text, m.language, m.label, m.polarity::text, least(m.created_at, $2),
		exists (select from own_post o where o.network = m.network and o.native_id = m.native_id) or exists (
			select from author a where a.id = m.author_id and (lower(a.handle) in (select name from ours) or lower(a.native_id) in (select name from ours)
				or split_part(lower(a.handle), '@', 1) in (select name from ours)
					and split_part(lower(a.handle), '@', 2) = lower(substr(a.network, strpos(a.network, ':') + 1))))
	from mention m left join social_source s on s.id = m.source_id
	where m.id = any ($1) and m.forgotten_at is null order by m.id for share of m`

func (p *placing) gather(ctx context.Context, mentions []int64) error {
	rows, err := p.tx.Query(ctx, arrivedSQL, mentions, p.now)
	if err != nil {
		return err
	}
	p.arrived, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*arrivedMessage, error) {
		m := &arrivedMessage{}
		return m, row.Scan(&m.id, &m.source, &m.author, &m.network, &m.native, &m.sourceName, &m.sourceType, &m.kind, &m.visibility, &m.thread, &m.parent,
			&m.title, &m.text, &m.language, &m.label, &m.polarity, &m.at, &m.ours)
	})
	if err != nil {
		return err
	}
	p.arrived = slices.DeleteFunc(p.arrived, func(m *arrivedMessage) bool {
		return m.ours || !p.takeUp && p.now.Sub(m.at) > threadWithin || m.kind == string(listen.Repost)
	})
	slices.SortFunc(p.arrived, func(a, b *arrivedMessage) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.id, b.id)) })
	for _, m := range p.arrived {
		m.read(p.keys)
	}
	if err := p.gatherPlaced(ctx); err != nil {
		return err
	}
	return p.gatherCandidates(ctx)
}

// read says what a message is to those who thread it.
func (m *arrivedMessage) read(keys mentionKeys) {
	m.at = m.at.UTC()
	in := service.Inbound{Medium: service.Post, Network: m.network, ID: m.native, Thread: m.thread, Parent: m.parent, At: m.at}
	if m.author != 0 {
		in.Author = strconv.FormatInt(m.author, 10)
	}
	switch {
	case m.sourceType == "Mailbox":
		in.Medium, in.Subject = service.Mail, m.title
	case m.kind == string(listen.Message):
		in.Medium, in.Chat = service.Chat, m.thread
	}
	m.inbound, m.keys = in, map[service.Key]nativeKey{}
	for _, key := range in.Keys() {
		m.keys[key] = keys.conversation(key)
	}
	for _, key := range in.Leaves() {
		m.leaves = append(m.leaves, keys.conversation(key))
	}
}

// gatherPlaced finds which of the mentions are messages already.
func (p *placing) gatherPlaced(ctx context.Context) error {
	byMention := map[int64]*arrivedMessage{}
	ids := make([]int64, len(p.arrived))
	for i, m := range p.arrived {
		ids[i], byMention[m.id] = m.id, m
	}
	rows, err := p.tx.Query(ctx, "select mention_id, id, conversation_id, taken from message where mention_id = any ($1)", ids)
	if err != nil {
		return err
	}
	var mention, message, conversation int64
	var taken bool
	_, err = pgx.ForEachRow(rows, []any{&mention, &message, &conversation, &taken}, func() error {
		m := byMention[mention]
		m.message, m.conversation, m.taken = message, conversation, taken
		return nil
	})
	return err
}

// gatherCandidates locks and reads the conversations that the messages may belong to.
func (p *placing) gatherCandidates(ctx context.Context) error {
	wanted := map[nativeKey]bool{}
	var ids []int64
	for _, m := range p.arrived {
		if m.conversation != 0 {
			ids = append(ids, m.conversation)
			continue
		}
		for _, key := range m.keys {
			wanted[key] = true
		}
	}
	var hashed [][]byte
	for key := range wanted {
		hashed = append(hashed, key[:])
	}
	rows, err := p.tx.Query(ctx, `
		select q.key, k.conversation_id from unnest($1::bytea[]) q (key) cross join lateral (
			select k.conversation_id from conversation_key k where k.key = q.key order by k.conversation_id desc limit $2) k`, hashed, candidatesOfKey)
	if err != nil {
		return err
	}
	found := map[nativeKey][]int64{}
	var key []byte
	var id int64
	if _, err = pgx.ForEachRow(rows, []any{&key, &id}, func() error {
		found[nativeKey(key)] = append(found[nativeKey(key)], id)
		ids = append(ids, id)
		return nil
	}); err != nil {
		return err
	}
	if err := p.load(ctx, ids); err != nil {
		return err
	}
	for key, list := range found {
		for _, id := range list {
			if c := p.cases[id]; c != nil {
				p.byKey[key] = append(p.byKey[key], c)
			}
		}
	}
	return nil
}

// thread puts a message into the conversation that it belongs to, and has what is promised there know of it.
func (p *placing) thread(m *arrivedMessage) error {
	if m.conversation != 0 {
		p.placed[m.id] = m.conversation
		m.into = p.cases[m.conversation]
		if m.taken && !p.takeUp && m.into != nil {
			p.confirm = append(p.confirm, m.message)
			p.ask(m)
		}
		return nil
	}
	c := p.belongs(m)
	m.into = c
	if err := p.converse(c, service.ConversationEvent{Kind: service.MessageReceived, At: m.at}, Actor{}); err != nil {
		return err
	}
	c.desk, c.changed = c.desk.Receive(), true
	m.version = c.desk.Version
	c.messages++
	if m.at.After(c.lastAt) {
		c.lastAt = m.at
	}
	for _, key := range m.leaves {
		if !slices.Contains(p.byKey[key], c) {
			p.byKey[key] = append(p.byKey[key], c)
		}
	}
	p.messages = append(p.messages, m)
	if err := p.onTickets(c, service.TicketEvent{Kind: service.TicketReceived, At: m.at}, Actor{}); err != nil {
		return err
	}
	if !p.takeUp {
		p.ask(m)
	}
	return nil
}

// ask notes that a message may become a ticket.
func (p *placing) ask(m *arrivedMessage) {
	if p.now.Sub(m.at) <= ticketWithin {
		p.asking = append(p.asking, m)
	}
}

// belongs finds the conversation of a message, or begins one.
func (p *placing) belongs(m *arrivedMessage) *caseFile {
	var found []service.Candidate
	byID := map[int64]*caseFile{}
	for key, hashed := range m.keys {
		for _, c := range p.byKey[hashed] {
			byID[c.id] = c
			candidate := service.Candidate{ID: c.id, Key: key, State: c.state.State, ClosedAt: c.state.ClosedAt, LastAt: c.lastAt}
			if c.author != 0 {
				candidate.Author = strconv.FormatInt(c.author, 10)
			}
			found = append(found, candidate)
		}
	}
	where := service.Place(m.inbound, found, p.bounds)
	if where.Conversation != 0 {
		return byID[where.Conversation]
	}
	c := &caseFile{
		id: -int64(len(p.fresh)) - 1, network: m.network, medium: m.inbound.Medium, source: m.source, author: m.author, follows: where.Follows, lastAt: m.at,
	}
	p.fresh = append(p.fresh, c)
	return c
}

// write writes what was threaded.
func (p *placing) write(ctx context.Context) error {
	ids, err := drawIDs(ctx, p.tx, "conversation_id_seq", len(p.fresh))
	if err != nil {
		return fmt.Errorf("number conversations: %w", err)
	}
	for i, c := range p.fresh {
		if c.follows < 0 { // one that began with the same messages
			c.follows = p.fresh[-c.follows-1].id
		}
		c.id, c.changed = ids[i], true
		p.cases[c.id] = c
	}
	if err := p.save(ctx); err != nil {
		return err
	}
	type row struct {
		Conversation int64     `json:"conversation_id"`
		Version      int64     `json:"version"`
		Mention      int64     `json:"mention_id"`
		At           time.Time `json:"written_at"`
	}
	var rows []row
	var keys [][]byte
	var whose []int64
	for _, m := range p.messages {
		p.placed[m.id] = m.into.id
		rows = append(rows, row{m.into.id, m.version, m.id, m.at})
		for _, key := range m.leaves {
			keys, whose = append(keys, key[:]), append(whose, m.into.id)
		}
	}
	batch := &pgx.Batch{}
	if len(rows) > 0 {
		batch.Queue(`insert into message (conversation_id, version, direction, mention_id, taken, written_at)
			select r.conversation_id, r.version, 'In', r.mention_id, $2, r.written_at
			from jsonb_to_recordset($1::jsonb) r (conversation_id bigint, version bigint, mention_id bigint, written_at timestamptz)
			order by r.conversation_id, r.version`, string(mustJSON(rows)), p.takeUp)
		batch.Queue(`insert into conversation_key (key, conversation_id) select distinct * from unnest($1::bytea[], $2::bigint[]) k order by 1, 2
			on conflict do nothing`, keys, whose)
	}
	if len(p.confirm) > 0 {
		batch.Queue("update message set taken = false where id = any ($1)", p.confirm)
	}
	if err := p.tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("write messages: %w", err)
	}
	return nil
}

// conversationsOf finds or makes the conversations of mentions that somebody takes up, also of those that are no messages to us. Mentions that are
// forgotten, or that we wrote ourselves, have none.
func conversationsOf(ctx context.Context, tx pgx.Tx, mentions []int64) (map[int64]int64, error) {
	if len(mentions) == 0 {
		return map[int64]int64{}, nil
	}
	if err := beginPlacing(ctx, tx); err != nil {
		return nil, err
	}
	p, err := place(ctx, tx, mentions, true)
	if err != nil {
		return nil, err
	}
	if err := p.write(ctx); err != nil {
		return nil, err
	}
	return p.placed, nil
}

// TakeUpMention has an agent take up a post that was no message to us, and returns the public id of its conversation; of one that has a conversation, that.
// It returns ErrNotFound for a mention that is not there any more, or that we wrote ourselves.
func (db *DB) TakeUpMention(ctx context.Context, publicID string, by Actor) (conversation string, err error) {
	err = retryConflicts(func() error {
		return db.InTx(ctx, func(tx pgx.Tx) error {
			var id int64
			err := tx.QueryRow(ctx, "select id from mention where public_id::text = lower($1) and forgotten_at is null", publicID).Scan(&id)
			if errors.Is(err, pgx.ErrNoRows) {
				return ErrNotFound
			}
			if err != nil {
				return err
			}
			found, err := conversationsOf(ctx, tx, []int64{id})
			if err != nil {
				return err
			}
			if found[id] == 0 {
				return ErrNotFound
			}
			return tx.QueryRow(ctx, `
				with told as (insert into conversation_event (conversation_id, kind, at, agent, token) values ($1, 'TakenUp', now(), $2, $3))
				select public_id::text from conversation where id = $1`, found[id], by.Agent, by.Token).Scan(&conversation)
		})
	})
	if err != nil {
		return "", fmt.Errorf("take up mention %s: %w", publicID, err)
	}
	return conversation, nil
}
