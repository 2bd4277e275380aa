package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/service"
)

// InboxQuery says which conversations are wanted. The zero value of a field asks for nothing, but of States.
type InboxQuery struct {
	States     []service.ConversationState // nil: Open
	Queue      string                      // with a ticket of it
	Assignee   string                      // with a ticket of this agent or team
	Unassigned bool                        // without a ticket that is somebody's
	Source     string                      // that it brought
	Network    string
	Contact    string // with whom; a public id

	Cursor string // Next of the page before
	Limit  int    // of a page; 0 means 50, and more than MaxInboxPage is too many
}

// MaxInboxPage is how many conversations or tickets a page has at most.
const MaxInboxPage = 200

// InboxPage is a page of conversations: those first in which somebody waits for us, the longest first; then the others, the latest first.
type InboxPage struct {
	Conversations []LookedConversation
	Next          string // the cursor of the next page; "" at the end
}

// LookedConversation is a conversation as people are told of it.
type LookedConversation struct {
	service.Conversation

	ID           int64
	PublicID     string
	Number       int64
	Desk         service.Desk
	Network      string
	Source       string         // which brought it
	ReplyChannel string         // over which it is answered; "" for none
	Subject      string         // of mails
	With         *MentionAuthor // nil for somebody whom the network does not name
	Contact      string         // who they are: a public id; "" where that is not known
	BeganAt      time.Time
	Messages     int64
	Last         *LookedMessage // its text cut to excerpt characters
	Tickets      []LookedTicket // that are not closed
	Follows      int64          // the number of the conversation that ended before; 0 for none
}

// excerpt is how much of the last message is told in lists, in characters.
const excerpt = 300

// Inbox lists conversations as they stand at a moment. It returns ErrBadCursor, ErrTooLong, and ErrNotFound where the query names what is not there.
func (db *DB) Inbox(ctx context.Context, q InboxQuery, now time.Time) (page InboxPage, err error) {
	limit := inboxLimit(q.Limit)
	err = db.look(ctx, lookLimit, func(tx pgx.Tx) error {
		from, err := parseInboxPlace(q.Cursor)
		if err != nil {
			return err
		}
		f, err := newInboxFilter(ctx, tx, q)
		if err != nil {
			return err
		}
		found, err := f.find(ctx, tx, from, limit+1)
		if err != nil {
			return err
		}
		if len(found) > limit {
			found = found[:limit]
			page.Next = found[limit-1].String()
		}
		ids := make([]int64, len(found))
		for i, place := range found {
			ids[i] = place.id
		}
		page.Conversations, err = loadConversations(ctx, tx, ids, now)
		return err
	})
	if err != nil {
		return InboxPage{}, fmt.Errorf("list conversations: %w", err)
	}
	return page, nil
}

func inboxLimit(asked int) int {
	if asked <= 0 {
		return 50
	}
	return min(asked, MaxInboxPage)
}

// inboxPlace is where a page ends: among those that come first, by one time, or behind them, by another.
type inboxPlace struct {
	mentionPlace
	first bool
}

const (
	placeFirst = "f"
	placeRest  = "r"
)

func (p inboxPlace) String() string {
	if p.first {
		return placeFirst + p.mentionPlace.String()
	}
	return placeRest + p.mentionPlace.String()
}

// parseInboxPlace reads a cursor; nil for none.
func parseInboxPlace(cursor string) (*inboxPlace, error) {
	if cursor == "" {
		return nil, nil
	}
	rest, first := strings.CutPrefix(cursor, placeFirst)
	if !first {
		var ok bool
		if rest, ok = strings.CutPrefix(cursor, placeRest); !ok {
			return nil, ErrBadCursor
		}
	}
	place, err := parsePlace(rest)
	return &inboxPlace{mentionPlace: place, first: first}, err
}

// inboxFilter is the SQL of a query. Conversations are c.
type inboxFilter struct {
	conditions
	states []service.ConversationState
}

// conditions are those of a statement, with their arguments.
type conditions struct {
	where     []string
	arguments []any
}

// and adds a condition, in which each ? stands for the argument.
func (c *conditions) and(condition string, argument any) {
	c.arguments = append(c.arguments, argument)
	c.where = append(c.where, strings.ReplaceAll(condition, "?", "$"+strconv.Itoa(len(c.arguments))))
}

// behind asks for what comes after a place in the order of a time and the id.
func (c *conditions) behind(columns, compared string, place mentionPlace) {
	c.arguments = append(c.arguments, place.at, place.id)
	n := len(c.arguments)
	c.where = append(c.where, fmt.Sprintf("(%s) %s ($%d::timestamptz, $%d::bigint)", columns, compared, n-1, n))
}

// all is what has to hold.
func (c *conditions) all() string {
	if len(c.where) == 0 {
		return "true"
	}
	return strings.Join(c.where, " and ")
}

// clone gives conditions that can be added to.
func (c *conditions) clone() conditions {
	return conditions{where: append([]string{}, c.where...), arguments: append([]any{}, c.arguments...)}
}

// liveTicket is of a ticket t what makes it count for its conversation c: of a conversation that is over, all do.
const liveTicket = "t.conversation_id = c.id and (t.status <> 'Closed' or c.state = 'Closed')"

// newInboxFilter looks up what a query names.
func newInboxFilter(ctx context.Context, tx pgx.Tx, q InboxQuery) (*inboxFilter, error) {
	f := &inboxFilter{states: q.States}
	if len(f.states) == 0 {
		f.states = []service.ConversationState{service.ConversationOpen}
	}
	if q.Queue != "" {
		queue, err := queueID(ctx, tx, q.Queue)
		if err != nil {
			return nil, err
		}
		f.and("exists (select from ticket t where "+liveTicket+" and t.queue_id = ?)", queue)
	}
	if q.Assignee != "" {
		f.and("exists (select from ticket t where "+liveTicket+" and t.assignee = ?)", q.Assignee)
	}
	if q.Unassigned {
		f.where = append(f.where, "not exists (select from ticket t where "+liveTicket+" and t.assignee <> '')")
	}
	if q.Source != "" {
		var source int64
		err := tx.QueryRow(ctx, "select id from social_source where name = $1 and dormant_since is null", q.Source).Scan(&source)
		if err := missing(err, "source", q.Source); err != nil {
			return nil, err
		}
		f.and("c.source_id = ?", source)
	}
	if q.Network != "" {
		f.and("c.network = ?", q.Network)
	}
	if q.Contact != "" {
		var contact int64
		err := tx.QueryRow(ctx, "select id from contact where public_id = $1::text::uuid", q.Contact).Scan(&contact)
		if err := missing(err, "contact", q.Contact); err != nil {
			return nil, err
		}
		f.and(`c.author_id in (select a.id from author a join identifier_link l on l.identifier_id = a.identifier_id where l.contact_id = ?)`, contact)
	}
	return f, nil
}

// queueID finds a queue in force.
func queueID(ctx context.Context, tx pgx.Tx, name string) (id int64, err error) {
	err = tx.QueryRow(ctx, "select id from service_queue where name = $1 and dormant_since is null", name).Scan(&id)
	return id, missing(err, "queue", name)
}

// find gives the places of conversations behind one; nil: from the beginning.
func (f *inboxFilter) find(ctx context.Context, tx pgx.Tx, from *inboxPlace, limit int) (found []inboxPlace, err error) {
	if from == nil || from.first {
		if found, err = f.waiting(ctx, tx, from, limit); err != nil {
			return nil, err
		}
		from = nil
	}
	if len(found) == limit {
		return found, nil
	}
	others, err := f.others(ctx, tx, from, limit-len(found))
	return append(found, others...), err
}

// waiting are those in which somebody waits for us.
func (f *inboxFilter) waiting(ctx context.Context, tx pgx.Tx, from *inboxPlace, limit int) ([]inboxPlace, error) {
	w := f.clone()
	w.where = append(w.where, "c.waiting_since is not null")
	w.and("c.state = any (?)", f.states)
	if from != nil {
		w.behind("c.waiting_since, c.id", ">", from.mentionPlace)
	}
	statement := fmt.Sprintf("select c.id, c.waiting_since from conversation c where %s order by c.waiting_since, c.id limit %d", w.all(), limit)
	return inboxPlaces(ctx, tx, true, statement, w.arguments)
}

// others are those in which nobody does, each state by the index of its own.
func (f *inboxFilter) others(ctx context.Context, tx pgx.Tx, from *inboxPlace, limit int) ([]inboxPlace, error) {
	w := f.clone()
	w.where = append(w.where, "c.waiting_since is null")
	if from != nil {
		w.behind("c.last_at, c.id", "<", from.mentionPlace)
	}
	var parts []string
	for _, state := range f.states {
		one := conditions{where: append([]string{}, w.where...), arguments: w.arguments}
		one.and("c.state = ?", state)
		w.arguments = one.arguments
		parts = append(parts, fmt.Sprintf("(select c.id, c.last_at from conversation c where %s order by c.last_at desc, c.id desc limit %d)",
			one.all(), limit))
	}
	statement := fmt.Sprintf("select id, last_at from (%s) u order by last_at desc, id desc limit %d", strings.Join(parts, " union all "), limit)
	return inboxPlaces(ctx, tx, false, statement, w.arguments)
}

func inboxPlaces(ctx context.Context, tx pgx.Tx, first bool, statement string, arguments []any) ([]inboxPlace, error) {
	rows, err := tx.Query(ctx, statement, arguments...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p inboxPlace, err error) {
		p.first = first
		return p, row.Scan(&p.id, &p.at)
	})
}
