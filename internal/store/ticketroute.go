package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/service"
)

// routeLock has one worker at a time give tickets to agents: how many an agent has is known then.
const routeLock = 1902115853

// RouteTickets gives tickets that nobody has to the agents of their queues, at most so many of each, and returns how many it gave and whether there may be
// more. While somebody else routes it does nothing. Tickets that nobody can take stay where they are.
func (db *DB) RouteTickets(ctx context.Context, most int) (given int, more bool, err error) {
	var wanted bool
	// Without a queue that routes this costs one look at a handful of rows.
	err = db.Pool.QueryRow(ctx, `
		select exists (select from service_queue q where `+routesSQL+` and exists (select from ticket t where `+waitsSQL+"))").Scan(&wanted)
	if err != nil || !wanted {
		return 0, false, err
	}
	err = retryConflicts(func() error {
		given, more = 0, false
		return db.InTx(ctx, func(tx pgx.Tx) error {
			var mine bool
			if err := tx.QueryRow(ctx, "select pg_try_advisory_xact_lock($1, 0)", routeLock).Scan(&mine); err != nil || !mine {
				return err
			}
			given, more, err = routeTickets(ctx, tx, most)
			return err
		})
	})
	if err != nil {
		return 0, false, fmt.Errorf("route tickets: %w", err)
	}
	return given, more, nil
}

// routesSQL is true for a queue q that gives tickets to agents by itself, and has one who can take another.
const routesSQL = `q.dormant_since is null and not q.suspended and not coalesce((select suspended from tenant), false)
	and q.definition #>> '{routing,mode}' in ('RoundRobin', 'Load') and exists (
		select from queue_agent a where a.queue_id = q.id and ` + roomSQL + `)`

// waitsSQL is true for a ticket t of a queue q that routes, which one of its agents can take: not the one who passed it on.
const waitsSQL = `t.queue_id = q.id and t.assignee = '' and t.status in ('New', 'Open') and (t.passed_by = '' or exists (
	select from queue_agent a where a.queue_id = q.id and a.name <> t.passed_by and ` + roomSQL + `))`

// roomSQL is true for an agent a of a queue q who can take another ticket.
const roomSQL = `exists (
	select from (select coalesce(nullif(a.capacity, 0), (q.definition #>> '{routing,capacity}')::int, 0) most) c
	where c.most = 0 or c.most > (select count(*) from (
		select from ticket h where h.assignee = a.name and h.status in ('New', 'Open', 'Pending') limit c.most) enough))`

func routeTickets(ctx context.Context, tx pgx.Tx, most int) (given int, more bool, err error) {
	rows, err := tx.Query(ctx, `
		select t.conversation_id from service_queue q cross join lateral (
			select t.conversation_id, t.id from ticket t where `+waitsSQL+` order by t.id limit $1) t
		where `+routesSQL+" order by t.id", most)
	if err != nil {
		return 0, false, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(ids) == 0 {
		return 0, false, err
	}
	d, err := openDesk(ctx, tx, ids)
	if err != nil {
		return 0, false, err
	}
	waiting := d.waitingTickets()
	r := router{desk: d, rosters: map[int64]*service.Roster{}, knew: map[int64][]service.Acquaintance{}}
	if err := r.gather(ctx, waiting); err != nil {
		return 0, false, err
	}
	for _, w := range waiting {
		ok, err := r.give(w)
		if err != nil {
			return 0, false, err
		}
		if ok {
			given++
		}
	}
	if given == 0 {
		return 0, false, nil
	}
	if err := r.save(ctx); err != nil {
		return 0, false, err
	}
	return given, len(ids) >= most, d.save(ctx)
}

// waitingTicket is a ticket that nobody has.
type waitingTicket struct {
	*ticketFile
	author int64
}

// waitingTickets lists the tickets of queues that route which nobody has, the oldest first.
func (d *serviceDesk) waitingTickets() (list []waitingTicket) {
	for _, c := range d.cases {
		for _, t := range c.tickets {
			if t.state.Assignee == "" && t.queue.routes() && (t.state.Status == service.StatusNew || t.state.Status == service.StatusOpen) {
				list = append(list, waitingTicket{t, c.author})
			}
		}
	}
	slices.SortFunc(list, func(a, b waitingTicket) int { return int(a.id - b.id) })
	return list
}

// router gives tickets of several queues to agents, some of whom work for more than one.
type router struct {
	desk    *serviceDesk
	rosters map[int64]*service.Roster // by queue
	knew    map[int64][]service.Acquaintance
	given   map[string]int // in this round, by agent: so that all rosters know
}

func (r *router) gather(ctx context.Context, waiting []waitingTicket) error {
	r.given = map[string]int{}
	var authors []int64
	var longest time.Duration
	for _, w := range waiting {
		if r.rosters[w.queue.id] == nil {
			roster := w.queue.terms.Routing
			roster.Last = w.queue.last
			r.rosters[w.queue.id] = &roster
		}
		if sticky := w.queue.terms.Routing.StickyFor; sticky > 0 && w.author != 0 {
			authors, longest = append(authors, w.author), max(longest, sticky)
		}
	}
	queues := make([]int64, 0, len(r.rosters))
	for id := range r.rosters {
		queues = append(queues, id)
	}
	batch := &pgx.Batch{}
	batch.Queue(`
		select a.queue_id, a.name, a.capacity, coalesce(a.given_at, 'epoch'), (
			select count(*) from ticket t where t.assignee = a.name and t.status in ('New', 'Open', 'Pending'))
		from queue_agent a where a.queue_id = any ($1) order by a.name`, queues).Query(func(rows pgx.Rows) error {
		var queue int64
		var a service.Agent
		_, err := pgx.ForEachRow(rows, []any{&queue, &a.ID, &a.Capacity, &a.GivenAt, &a.Open}, func() error {
			r.rosters[queue].Agents = append(r.rosters[queue].Agents, a)
			return nil
		})
		return err
	})
	if len(authors) > 0 {
		batch.Queue(knewSQL, authors, longest).Query(func(rows pgx.Rows) error {
			var author int64
			var a service.Acquaintance
			_, err := pgx.ForEachRow(rows, []any{&author, &a.Agent, &a.At}, func() error {
				r.knew[author] = append(r.knew[author], a)
				return nil
			})
			return err
		})
	}
	if err := r.desk.tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("read who may be given tickets: %w", err)
	}
	return nil
}

// knewSQL tells which agents have answered authors, whichever accounts the same contact wrote by.
const knewSQL = `
	select q.id, m.agent, max(m.written_at) from (select distinct unnest($1::bigint[]) id) q cross join lateral (
		select q.id author_id union
		select o.id from author a join identifier_link l on l.identifier_id = a.identifier_id
			join identifier_link k on k.contact_id = l.contact_id join author o on o.identifier_id = k.identifier_id where a.id = q.id) w
	join conversation c on c.author_id = w.author_id join message m on m.conversation_id = c.id
	where m.direction = 'Out' and m.agent <> '' and m.written_at > now() - $2::interval group by 1, 2`

// give gives a ticket to an agent, and tells whether somebody could take it.
func (r *router) give(w waitingTicket) (bool, error) {
	roster := r.rosters[w.queue.id]
	before := slices.Clone(roster.Agents)
	for i := range roster.Agents {
		a := &roster.Agents[i]
		a.Open += r.given[a.ID]
		a.Away = a.Away || a.ID == w.passedBy
	}
	agent, ok := roster.Give(r.knew[w.author], r.desk.now)
	for i := range roster.Agents {
		roster.Agents[i].Open, roster.Agents[i].Away = before[i].Open, before[i].Away
	}
	if !ok {
		return false, nil
	}
	r.given[agent]++
	w.passedBy, w.changed = "", true
	return true, r.desk.onTicket(w.ticketFile, service.TicketEvent{Kind: service.TicketAssigned, At: r.desk.now, Assignee: agent}, Actor{})
}

// save writes whose turn it was.
func (r *router) save(ctx context.Context) error {
	batch := &pgx.Batch{}
	for _, id := range sortedKeys(r.rosters) {
		var names []string
		for _, a := range r.rosters[id].Agents {
			if a.GivenAt.Equal(r.desk.now) {
				names = append(names, a.ID)
			}
		}
		batch.Queue("update service_queue set last_given = $2 where id = $1 and last_given <> $2", id, r.rosters[id].Last)
		batch.Queue("update queue_agent set given_at = $3 where queue_id = $1 and name = any ($2)", id, names, r.desk.now)
	}
	if err := r.desk.tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("write whose turn it was: %w", err)
	}
	return nil
}
