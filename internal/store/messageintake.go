package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
	"github.com/tertulia-crm/tertulia/internal/service"
)

// Intake threads what comes in into conversations, and makes tickets of those that queues want. It keeps the conditions of queues, and nothing else.
type Intake struct {
	db *DB

	mu         sync.Mutex
	conditions map[string]*ticketCondition // by source
	readAt     time.Time
}

// NewIntake returns what threads the messages of a database.
func NewIntake(db *DB) *Intake { return &Intake{db: db} }

// ticketCondition is a queue's condition, or why it cannot be asked.
type ticketCondition struct {
	*expr.Condition
	trouble string
}

// conditionsFor is how long conditions are kept: types that they name may become others.
const conditionsFor = 30 * time.Second

// Placed counts what came of messages.
type Placed struct {
	Taken         int // that were noted as they came in
	Messages      int // of these, that were threaded
	Conversations int // that they began
	Tickets       int // that were opened
	More          bool
	Lag           time.Duration // of the oldest: from when it came in until it was taken
}

// PlaceMessages threads what came in and may be a message to us, at most so many at once, in one transaction: each message is in one conversation
// once, however many workers there are and wherever they die. While somebody else threads messages it does nothing.
func (i *Intake) PlaceMessages(ctx context.Context, most int) (done Placed, err error) {
	var waiting bool
	err = i.db.Pool.QueryRow(ctx, "select not coalesce((select suspended from tenant), false) and exists (select from message_intake)").Scan(&waiting)
	if err == nil && waiting {
		err = retryConflicts(func() error {
			return i.db.InTx(ctx, func(tx pgx.Tx) error {
				done, err = i.place(ctx, tx, most)
				return err
			})
		})
	}
	if err != nil {
		return Placed{}, fmt.Errorf("thread messages: %w", err)
	}
	return done, nil
}

func (i *Intake) place(ctx context.Context, tx pgx.Tx, most int) (done Placed, err error) {
	var mine bool
	var batch pgx.Batch
	batch.Queue(byKeysSQL)
	batch.Queue("select " + durable)
	batch.Queue("select pg_try_advisory_xact_lock($1, 0)", placeLock).QueryRow(func(row pgx.Row) error { return row.Scan(&mine) })
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil || !mine {
		return done, err
	}
	mentions, err := takeIntake(ctx, tx, most, &done)
	if err != nil || len(mentions) == 0 {
		return done, err
	}
	p, err := place(ctx, tx, mentions, false)
	if err != nil {
		return done, err
	}
	if err := p.write(ctx); err != nil {
		return done, err
	}
	done.Messages, done.Conversations = len(p.messages), len(p.fresh)
	if done.Tickets, err = i.makeTickets(ctx, p); err != nil {
		return done, fmt.Errorf("make tickets: %w", err)
	}
	return done, p.save(ctx)
}

func takeIntake(ctx context.Context, tx pgx.Tx, most int, done *Placed) (mentions []int64, err error) {
	rows, err := tx.Query(ctx, `
		with few as (select mention_id from message_intake order by mention_id limit $1)
		delete from message_intake i using few where i.mention_id = few.mention_id
		returning i.mention_id, greatest(extract(epoch from clock_timestamp() - i.at), 0)::float8`, most)
	if err != nil {
		return nil, err
	}
	var id int64
	var lag float64
	_, err = pgx.ForEachRow(rows, []any{&id, &lag}, func() error {
		mentions = append(mentions, id)
		done.Lag = max(done.Lag, time.Duration(lag*float64(time.Second)))
		return nil
	})
	done.Taken, done.More = len(mentions), len(mentions) >= most
	return mentions, err
}

// makeTickets opens tickets for conversations that have none which somebody may still answer: in the first queue, by name, whose condition holds for
// one of the messages; else in that of the ticket that was closed for good, which the new one follows.
func (i *Intake) makeTickets(ctx context.Context, p *placing) (opened int, err error) {
	asking := slices.DeleteFunc(slices.Clone(p.asking), func(m *arrivedMessage) bool { return m.into == nil || m.into.answerable() })
	if len(asking) == 0 {
		return 0, nil
	}
	for _, name := range sortedNames(p.book.byName) {
		queue := p.book.byName[name]
		if queue.trouble != "" {
			if err := tellQueueTrouble(ctx, p.tx, queue, queue.trouble); err != nil {
				return opened, err
			}
		}
		if !queue.acts() || queue.queue.Tickets == "" || len(asking) == 0 {
			continue
		}
		n, err := i.openIn(ctx, p, queue, asking)
		if err != nil {
			return opened, err
		}
		opened += n
		asking = slices.DeleteFunc(asking, func(m *arrivedMessage) bool { return m.into.answerable() })
	}
	for _, m := range asking {
		if queue := p.book.byID[m.into.closed().queue]; queue != nil && queue.acts() && !m.into.answerable() {
			p.open(m.into, queue, ticketWish{}, Actor{})
			opened++
		}
	}
	return opened, nil
}

// openIn opens tickets in a queue for messages for which its condition holds.
func (i *Intake) openIn(ctx context.Context, p *placing, queue *queueFile, asking []*arrivedMessage) (opened int, err error) {
	condition, err := i.condition(ctx, p.tx, queue)
	if err != nil {
		return 0, err
	}
	holds, err := p.holds(ctx, condition, queue, asking)
	if err != nil {
		return 0, err
	}
	for at, m := range asking {
		if holds[at] && !m.into.answerable() {
			p.open(m.into, queue, ticketWish{}, Actor{})
			opened++
		}
	}
	return opened, nil
}

func sortedNames(byName map[string]*queueFile) []string {
	names := make([]string, 0, len(byName))
	for name := range byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// answerable tells whether the conversation has a ticket that is not closed for good.
func (c *caseFile) answerable() bool {
	return slices.ContainsFunc(c.tickets, func(t *ticketFile) bool { return t.state.Status != service.StatusClosed })
}

// closed is the last ticket that was closed for good.
func (c *caseFile) closed() closedTicket {
	last := c.lastClosed
	for _, t := range c.tickets {
		if t.state.Status == service.StatusClosed && t.id > last.id {
			last = closedTicket{t.id, t.queue.id}
		}
	}
	return last
}

// condition compiles what a queue asks. One that cannot be asked is told as the queue's trouble, once.
func (i *Intake) condition(ctx context.Context, tx pgx.Tx, queue *queueFile) (*ticketCondition, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if time.Since(i.readAt) > conditionsFor {
		i.conditions, i.readAt = map[string]*ticketCondition{}, time.Now()
	}
	known := i.conditions[queue.queue.Tickets]
	if known == nil {
		schema, err := i.db.LoadExpressionSchema(ctx)
		if err != nil {
			return nil, err
		}
		known = compileTicketCondition(schema, queue.queue.Tickets)
		i.conditions[queue.queue.Tickets] = known
	}
	return known, tellQueueTrouble(ctx, tx, queue, known.trouble)
}

func compileTicketCondition(schema crm.Schema, source string) *ticketCondition {
	condition, err := automate.CompileTickets(schema, source)
	if err != nil {
		return &ticketCondition{trouble: "Nothing becomes a ticket of it: tickets: " + err.Error()}
	}
	return &ticketCondition{Condition: condition}
}

// tellQueueTrouble writes what keeps a queue from doing what it should, where it is another thing than was told.
func tellQueueTrouble(ctx context.Context, tx pgx.Tx, queue *queueFile, trouble string) error {
	tag, err := tx.Exec(ctx, `update service_queue set trouble = nullif($2, ''), trouble_since = case when $2 <> '' then now() end
		where id = $1 and coalesce(trouble, '') <> $2`, queue.id, trouble)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	return noteStatusChange(ctx, tx, QueueKind, queue.name)
}

// holds tells for which messages a condition holds. What cannot be decided holds for none, and is the queue's trouble.
func (p *placing) holds(ctx context.Context, condition *ticketCondition, queue *queueFile, list []*arrivedMessage) ([]bool, error) {
	none := make([]bool, len(list))
	if condition.trouble != "" {
		return none, nil
	}
	about := make([]map[string]expr.Facts, len(list))
	for i, m := range list {
		about[i] = m.facts()
	}
	if condition.AsksContact() {
		return p.holdForContacts(ctx, condition.Condition, queue, list, about)
	}
	holds := make([]bool, len(list))
	for i := range list {
		var err error
		if holds[i], err = condition.HoldsIn(expr.World{Now: p.now, Subjects: about[i]}); err != nil {
			return none, tellQueueTrouble(ctx, p.tx, queue, "Nothing becomes a ticket of it: tickets: "+err.Error())
		}
	}
	return holds, nil
}

// holdForContacts asks a condition of those contacts whom authors are known to be. Of others it does not hold.
func (p *placing) holdForContacts(
	ctx context.Context, condition *expr.Condition, queue *queueFile, list []*arrivedMessage, about []map[string]expr.Facts,
) ([]bool, error) {
	holds := make([]bool, len(list))
	contacts, err := p.contacts(ctx, list)
	if err != nil {
		return nil, err
	}
	var places []int32
	var ids []int64
	var bound [][]*string
	for i, m := range list {
		if contact := contacts[m.author]; contact != 0 {
			places, ids, bound = append(places, int32(i)), append(ids, contact), append(bound, condition.BindAll(about[i]))
		}
	}
	if len(places) == 0 {
		return holds, nil
	}
	sql, arguments := batchPredicate(condition.Predicate, len(condition.Arguments), bound)
	// A condition that fails on somebody's data fails alone.
	err = pgx.BeginFunc(ctx, p.tx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "select q.place from unnest("+sql.given+") q (place, contact_id"+sql.names+") join contact c on c.id = q.contact_id where "+
			sql.predicate, append([]any{places, ids}, arguments...)...)
		if err != nil {
			return err
		}
		var place int32
		_, err = pgx.ForEachRow(rows, []any{&place}, func() error { holds[place] = true; return nil })
		return err
	})
	if err != nil && !isDataError(err) {
		return nil, err
	}
	if err != nil {
		return make([]bool, len(list)), tellQueueTrouble(ctx, p.tx, queue, "Nothing becomes a ticket of it: tickets: "+Reason(err))
	}
	return holds, nil
}

// isDataError tells whether a statement failed because of what the data are (class 22), and not because of the database.
func isDataError(err error) bool {
	var refused interface{ SQLState() string }
	return errors.As(err, &refused) && len(refused.SQLState()) == 5 && refused.SQLState()[:2] == "22"
}

// contacts finds whose authors are: one's only contact, or the one who is verified to be it.
func (p *placing) contacts(ctx context.Context, list []*arrivedMessage) (map[int64]int64, error) {
	authors := make([]int64, len(list))
	for i, m := range list {
		authors[i] = m.author
	}
	rows, err := p.tx.Query(ctx, `
		select a.id, l.contact_id from author a cross join lateral (
			select l.contact_id from identifier_link l where l.identifier_id = a.identifier_id and (l.verified or not exists (
				select from identifier_link o where o.identifier_id = l.identifier_id and o.contact_id <> l.contact_id)) limit 1) l
		where a.id = any ($1)`, authors)
	if err != nil {
		return nil, fmt.Errorf("read whose messages are: %w", err)
	}
	found := map[int64]int64{}
	var author, contact int64
	if _, err = pgx.ForEachRow(rows, []any{&author, &contact}, func() error { found[author] = contact; return nil }); err != nil {
		return nil, fmt.Errorf("read whose messages are: %w", err)
	}
	return found, nil
}

// facts is what conditions may ask of a message and its conversation.
func (m *arrivedMessage) facts() map[string]expr.Facts {
	message := expr.Facts{
		"network": expr.Text(m.network), "source": expr.Text(m.sourceName), "kind": expr.Text(m.kind), "visibility": expr.Text(m.visibility),
		"label": expr.Text(m.label), "text": expr.Text(m.text),
	}
	for name, text := range map[string]string{"language": m.language, "subject": m.title} {
		if text != "" {
			message[name] = expr.Text(text)
		}
	}
	if polarity, ok := expr.ReadFact(crm.Decimal, m.polarity); ok {
		message["sentiment"] = polarity
	}
	c := m.into
	conversation := expr.Facts{
		"number": expr.Integer(c.number), "network": expr.Text(c.network), "status": expr.Text(string(c.state.State)),
		"messages": expr.Integer(int64(c.messages)),
	}
	if !c.state.WaitingSince.IsZero() {
		conversation["waiting_since"] = expr.Instant(c.state.WaitingSince)
	}
	return map[string]expr.Facts{"message": message, "conversation": conversation}
}
