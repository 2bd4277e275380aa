package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/automate"
)

// For how long an import goes on that has said nothing: its process may have died. It says so before each batch. That of events is over when no more
// come; that of contacts says when it is, and may take a while for a batch.
const (
	eventsImportPatience   = 20 * time.Second
	contactsImportPatience = batchTimeout + 10*time.Second
)

// What an import brings.
const (
	importOfContacts = "contacts"
	importOfEvents   = "events"
)

// historyAge is how old an event is when it comes in that happened before anybody could have told at once. Triggers that note events know it too.
const historyAge = 24 * time.Hour

// isHistory tells whether a batch of events is one of an import: most of them happened long ago. A straggler makes no import.
func isHistory(events []Event, now time.Time) bool {
	old := 0
	for _, e := range events {
		if e.OccurredAt.Before(now.Add(-historyAge)) {
			old++
		}
	}
	return 2*old > len(events)
}

// noteHistory says that an import of events goes on, where that is what a batch is.
func (db *DB) noteHistory(ctx context.Context, events []Event) error {
	if !isHistory(events, time.Now()) {
		return nil
	}
	if _, err := db.Pool.Exec(ctx, "select note_import($1, $2, $3)", events[0].Source, importOfEvents, eventsImportPatience); err != nil {
		return fmt.Errorf("note that an import goes on: %w", err)
	}
	return nil
}

// lag is how long the oldest of events has waited. For an import nobody has waited.
func (w *walker) lag(ctx context.Context, list []*happening) (oldest time.Duration, err error) {
	var held time.Time
	for _, h := range list {
		since := h.at
		if w.isOfSegment(h) && w.now.Sub(since) > time.Second {
			if held.IsZero() {
				err := w.tx.QueryRow(ctx, "select coalesce(max(over_at), 'epoch') from import_run").Scan(&held)
				if err != nil {
					return 0, fmt.Errorf("look until when an import went on: %w", err)
				}
			}
			since = maxTime(since, held)
		}
		oldest = max(oldest, w.now.Sub(since))
	}
	return oldest, nil
}

// isOfSegment tells whether somebody entered or left a segment.
func (w *walker) isOfSegment(h *happening) bool {
	return strings.HasPrefix(w.book.watches[h.watch].event, "segment.")
}

// dropPassing leaves out who entered a segment and is no member any more, who left it and is one again, and of what happened to somebody with one
// segment all but the last: members come and go while history comes in, and nobody is to be written to for what held for a moment.
func (w *walker) dropPassing(ctx context.Context, list []*happening) error {
	var asked []*happening
	var contacts, refs []int64
	var entered []bool
	for _, h := range list {
		if !h.known || h.contact == 0 || !w.isOfSegment(h) {
			continue
		}
		asked = append(asked, h)
		contacts, refs = append(contacts, h.contact), append(refs, h.ref)
		entered = append(entered, w.book.watches[h.watch].event == automate.SegmentEntered)
	}
	if len(asked) == 0 {
		return nil
	}
	rows, err := w.tx.Query(ctx, `
		select s.place::int, s.holds and s.id = s.last from (
			select q.place, e.id, max(e.id) over (partition by q.contact_id, e.segment_id) as last,
				case when q.entered then coalesce(e.at >= m.entered_at, false) else m.contact_id is null end holds
			from unnest($1::bigint[], $2::bigint[], $3::boolean[]) with ordinality q (contact_id, id, entered, place) join segment_event e on e.id = q.id
				left join segment_member m on m.segment_id = e.segment_id and m.contact_id = q.contact_id) s`, contacts, refs, entered)
	if err != nil {
		return fmt.Errorf("look who still is a member: %w", err)
	}
	var place int
	var holds bool
	_, err = pgx.ForEachRow(rows, []any{&place, &holds}, func() error {
		if !holds {
			asked[place-1].known = false
			w.counts.Moments++
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look who still is a member: %w", err)
	}
	return nil
}
