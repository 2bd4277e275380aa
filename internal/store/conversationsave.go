package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/service"
)

// caseRow is a conversation's row, as JSON.
type caseRow struct {
	ID           int64      `json:"id"`
	Network      string     `json:"network"`
	Medium       string     `json:"medium"`
	Source       int64      `json:"source_id"`
	Author       *int64     `json:"author_id"`
	Follows      *int64     `json:"follows"`
	State        string     `json:"state"`
	WaitingSince *time.Time `json:"waiting_since"`
	SnoozedUntil *time.Time `json:"snoozed_until"`
	ClosedAt     *time.Time `json:"closed_at"`
	LastInbound  *time.Time `json:"last_inbound"`
	LastOutbound *time.Time `json:"last_outbound"`
	Reopened     int        `json:"reopened"`
	WakeAt       *time.Time `json:"wake_at"`
	Version      int64      `json:"version"`
	VersionIn    int64      `json:"version_in"`
	VersionOut   int64      `json:"version_out"`
	ClaimedBy    string     `json:"claimed_by"`
	ClaimedUntil *time.Time `json:"claimed_until"`
	Messages     int        `json:"messages"`
	OpenedAt     time.Time  `json:"opened_at"`
	LastAt       time.Time  `json:"last_at"`
}

const caseColumns = `id bigint, network text, medium text, source_id bigint, author_id bigint, follows bigint, state text, waiting_since timestamptz,
	snoozed_until timestamptz, closed_at timestamptz, last_inbound timestamptz, last_outbound timestamptz, reopened int, wake_at timestamptz,
	version bigint, version_in bigint, version_out bigint, claimed_by text, claimed_until timestamptz, messages int, opened_at timestamptz, last_at timestamptz`

func (d *serviceDesk) caseRow(c *caseFile) caseRow {
	s := c.state
	row := caseRow{
		ID: c.id, Network: c.network, Medium: string(c.medium), Source: c.source, Author: nullID(c.author), Follows: nullID(c.follows),
		State: string(s.State), WaitingSince: nullTime(s.WaitingSince), SnoozedUntil: nullTime(s.SnoozedUntil), ClosedAt: nullTime(s.ClosedAt),
		LastInbound: nullTime(s.LastInbound), LastOutbound: nullTime(s.LastOutbound), Reopened: s.Reopened, Version: c.desk.Version,
		VersionIn: c.desk.In, VersionOut: c.desk.Out, ClaimedBy: c.desk.Claim.Agent, ClaimedUntil: nullTime(c.desk.Claim.Until),
		Messages: c.messages, OpenedAt: d.now, LastAt: c.lastAt,
	}
	if at, ok := s.WakeAt(d.bounds); ok {
		row.WakeAt = &at
	}
	return row
}

// deedRow is a row of conversation_event or ticket_event.
type deedRow struct {
	Of           int64     `json:"of_id"`
	Conversation int64     `json:"conversation_id"`
	Kind         string    `json:"kind"`
	At           time.Time `json:"at"`
	Agent        string    `json:"agent"`
	Token        string    `json:"token"`
	Detail       string    `json:"detail"`
}

const deedColumns = "of_id bigint, conversation_id bigint, kind text, at timestamptz, agent text, token text, detail text"

func deedRows(of, conversation int64, deeds []deed) (rows []deedRow) {
	for _, e := range deeds {
		rows = append(rows, deedRow{of, conversation, e.kind, e.at, e.by.Agent, e.by.Token, e.detail})
	}
	return rows
}

// saveConversations writes new conversations and those that have changed. New ones have their ids already.
func (d *serviceDesk) saveConversations(ctx context.Context, list []*caseFile) error {
	var added, changed []caseRow
	var deeds []deedRow
	for _, c := range list {
		if c.publicID == "" {
			added = append(added, d.caseRow(c))
		} else {
			changed = append(changed, d.caseRow(c))
		}
		deeds = append(deeds, deedRows(c.id, c.id, c.deeds)...)
	}
	batch := &pgx.Batch{}
	if len(added) > 0 {
		batch.Queue(`
			insert into conversation (id, network, medium, source_id, author_id, follows, state, waiting_since, snoozed_until, closed_at, last_inbound,
				last_outbound, reopened, wake_at, version, version_in, version_out, claimed_by, claimed_until, messages, opened_at, last_at)
			overriding system value select * from jsonb_to_recordset($1::jsonb) r (`+caseColumns+`) order by r.id returning id, public_id::text, number`,
			string(mustJSON(added))).Query(func(rows pgx.Rows) error {
			var id, number int64
			var publicID string
			_, err := pgx.ForEachRow(rows, []any{&id, &publicID, &number}, func() error {
				d.cases[id].publicID, d.cases[id].number = publicID, number
				return nil
			})
			return err
		})
	}
	if len(changed) > 0 {
		batch.Queue(`
			update conversation c set state = r.state, waiting_since = r.waiting_since, snoozed_until = r.snoozed_until, closed_at = r.closed_at,
				last_inbound = r.last_inbound, last_outbound = r.last_outbound, reopened = r.reopened, wake_at = r.wake_at, version = r.version,
				version_in = r.version_in, version_out = r.version_out, claimed_by = r.claimed_by, claimed_until = r.claimed_until, messages = r.messages,
				last_at = r.last_at
			from jsonb_to_recordset($1::jsonb) r (`+caseColumns+`) where c.id = r.id`, string(mustJSON(changed)))
	}
	if len(deeds) > 0 {
		batch.Queue(`insert into conversation_event (conversation_id, kind, at, agent, token)
			select r.conversation_id, r.kind, r.at, r.agent, r.token from jsonb_to_recordset($1::jsonb) r (`+deedColumns+")", string(mustJSON(deeds)))
	}
	return d.tx.SendBatch(ctx, batch).Close()
}

// ticketRow is a ticket's row, as JSON.
type ticketRow struct {
	ID            int64          `json:"id"`
	Conversation  int64          `json:"conversation_id"`
	Queue         int64          `json:"queue_id"`
	Follows       *int64         `json:"follows"`
	Subject       string         `json:"subject"`
	Entry         *int64         `json:"entry_id"`
	Status        string         `json:"status"`
	Priority      string         `json:"priority"`
	Assignee      string         `json:"assignee"`
	PassedBy      string         `json:"passed_by"`
	State         service.Ticket `json:"state"`
	OpenedAt      time.Time      `json:"opened_at"`
	AnsweredAt    *time.Time     `json:"answered_at"`
	SolvedAt      *time.Time     `json:"solved_at"`
	ClosedAt      *time.Time     `json:"closed_at"`
	LastInbound   *time.Time     `json:"last_inbound"`
	DueAt         *time.Time     `json:"due_at"`
	WakeAt        *time.Time     `json:"wake_at"`
	WakeWas       *time.Time     `json:"wake_was"`
	FirstWork     *int64         `json:"first_work"`
	FirstCalendar *int64         `json:"first_calendar"`
	NextCount     int64          `json:"next_count"`
	NextWork      int64          `json:"next_work"`
	NextCalendar  int64          `json:"next_calendar"`
	SolveWork     *int64         `json:"solve_work"`
	SolveCalendar *int64         `json:"solve_calendar"`
	MissedFirst   int            `json:"missed_first"`
	MissedNext    int            `json:"missed_next"`
	MissedSolve   int            `json:"missed_solve"`
}

const ticketColumns = `id bigint, conversation_id bigint, queue_id bigint, follows bigint, subject text, entry_id bigint, status text, priority text,
	assignee text, passed_by text, state jsonb, opened_at timestamptz, answered_at timestamptz, solved_at timestamptz, closed_at timestamptz,
	last_inbound timestamptz, due_at timestamptz, wake_at timestamptz, first_work bigint, first_calendar bigint, next_count int, next_work bigint,
	next_calendar bigint, solve_work bigint, solve_calendar bigint, missed_first int, missed_next int, missed_solve int`

func (d *serviceDesk) ticketRow(c *caseFile, t *ticketFile) ticketRow {
	s, m := t.state, t.state.Measure()
	row := ticketRow{
		ID: t.id, Conversation: c.id, Queue: t.queue.id, Follows: nullID(t.follows), Subject: t.subject, Entry: nullID(t.entry), Status: string(s.Status),
		Priority: string(s.Priority), Assignee: s.Assignee, PassedBy: t.passedBy, State: s, OpenedAt: s.OpenedAt, AnsweredAt: nullTime(s.AnsweredAt),
		SolvedAt: nullTime(s.SolvedAt), ClosedAt: nullTime(s.ClosedAt), LastInbound: nullTime(s.LastInbound),
		WakeWas: t.wake, NextCount: m.NextResponses.Count, NextWork: m.NextResponses.Business, NextCalendar: m.NextResponses.Calendar,
		MissedFirst: s.Missed.FirstResponse, MissedNext: s.Missed.NextResponse, MissedSolve: s.Missed.Resolution,
	}
	if m.FirstResponse != nil {
		row.FirstWork, row.FirstCalendar = &m.FirstResponse.Business, &m.FirstResponse.Calendar
	}
	if m.Resolution != nil {
		row.SolveWork, row.SolveCalendar = &m.Resolution.Business, &m.Resolution.Calendar
	}
	if at, ok := s.WakeAt(t.queue.terms); ok {
		row.WakeAt = &at
	}
	for _, kind := range []service.TargetKind{service.FirstResponse, service.NextResponse, service.Resolution} {
		if at, ok := s.DueAt(kind, t.queue.terms); ok && (row.DueAt == nil || at.Before(*row.DueAt)) {
			row.DueAt = &at
		}
	}
	return row
}

// saveTickets writes new tickets and those that have changed.
func (d *serviceDesk) saveTickets(ctx context.Context, list []*ticketFile) error {
	if len(list) == 0 {
		return nil
	}
	if err := d.numberTickets(ctx, list); err != nil {
		return err
	}
	whose := map[*ticketFile]*caseFile{}
	for _, c := range d.cases {
		for _, t := range c.tickets {
			whose[t] = c
		}
	}
	var added, changed []ticketRow
	var deeds []deedRow
	byID := map[int64]*ticketFile{}
	for _, t := range list {
		row := d.ticketRow(whose[t], t)
		t.wake = row.WakeAt
		if t.publicID == "" {
			byID[t.id], added = t, append(added, row)
		} else {
			changed = append(changed, row)
		}
		deeds = append(deeds, deedRows(t.id, whose[t].id, t.deeds)...)
	}
	batch := &pgx.Batch{}
	// What is closed makes room for what follows it. Whoever saves a queue does not wait for conversations, but has its tickets looked at again: that is
	// not lost.
	if len(changed) > 0 {
		batch.Queue(`
			update ticket t set status = r.status, priority = r.priority, assignee = r.assignee, passed_by = r.passed_by, state = r.state,
				opened_at = r.opened_at, answered_at = r.answered_at, solved_at = r.solved_at, closed_at = r.closed_at, last_inbound = r.last_inbound,
				due_at = r.due_at, first_work = r.first_work, first_calendar = r.first_calendar, next_count = r.next_count,
				wake_at = case when r.status <> 'Closed' and t.wake_at is distinct from r.wake_was then least(t.wake_at, r.wake_at) else r.wake_at end,
				next_work = r.next_work, next_calendar = r.next_calendar, solve_work = r.solve_work, solve_calendar = r.solve_calendar,
				missed_first = r.missed_first, missed_next = r.missed_next, missed_solve = r.missed_solve
			from jsonb_to_recordset($1::jsonb) r (`+ticketColumns+`, wake_was timestamptz) where t.id = r.id`, string(mustJSON(changed)))
	}
	if len(added) > 0 {
		batch.Queue(`
			insert into ticket (id, conversation_id, queue_id, follows, subject, entry_id, status, priority, assignee, passed_by, state, opened_at,
				answered_at, solved_at, closed_at, last_inbound, due_at, wake_at, first_work, first_calendar, next_count, next_work, next_calendar,
				solve_work, solve_calendar, missed_first, missed_next, missed_solve)
			overriding system value select * from jsonb_to_recordset($1::jsonb) r (`+ticketColumns+`) order by r.id returning id, public_id::text, number`,
			string(mustJSON(added))).Query(func(rows pgx.Rows) error {
			var id, number int64
			var publicID string
			_, err := pgx.ForEachRow(rows, []any{&id, &publicID, &number}, func() error {
				byID[id].publicID, byID[id].number = publicID, number
				return nil
			})
			return err
		})
	}
	if len(deeds) > 0 {
		batch.Queue(`insert into ticket_event (ticket_id, conversation_id, kind, at, agent, token, detail)
			select r.of_id, r.conversation_id, r.kind, r.at, r.agent, r.token, r.detail from jsonb_to_recordset($1::jsonb) r (`+deedColumns+")",
			string(mustJSON(deeds)))
	}
	return d.tx.SendBatch(ctx, batch).Close()
}

// numberTickets draws ids for tickets that are new.
func (d *serviceDesk) numberTickets(ctx context.Context, list []*ticketFile) error {
	var added []*ticketFile
	for _, t := range list {
		if t.id == 0 {
			added = append(added, t)
		}
	}
	ids, err := drawIDs(ctx, d.tx, "ticket_id_seq", len(added))
	for i, id := range ids {
		added[i].id = id
	}
	return err
}

// drawIDs takes so many numbers of a sequence.
func drawIDs(ctx context.Context, tx pgx.Tx, sequence string, n int) ([]int64, error) {
	if n == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, "select nextval('"+sequence+"') from generate_series(1, $1)", n)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}
