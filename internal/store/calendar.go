package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/calendar"
	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/publication"
)

// MaxCalendar is how many entries a calendar has at most, and maxOccurrences how many of them one campaign that recurs.
const (
	MaxCalendar    = 1000
	maxOccurrences = 200
)

// Calendar lists what was, is and will be sent and published between two moments, in order, as of a moment. Of campaigns that recur it has the
// occurrences that were, and foresees those that come. more tells that there are more than it lists. Campaigns that were deleted are in it where they
// have begun.
func (db *DB) Calendar(ctx context.Context, from, to, now time.Time) (entries []calendar.Entry, more bool, err error) {
	rows, err := db.Pool.Query(ctx, `
		select s.campaign, s.send_key, s.occurrence, s.starts_at, s.timing, s.channel, coalesce(ch.type, ''), s.variants, s.publication, s.state, s.suspended,
			`+sendPaused+`, `+sendHeld+`, s.cron is not null,
			coalesce((select jsonb_object_agg(t.outcome, t.n)
				from (select outcome, sum(n) n from send_tally where send_id = s.id group by outcome) t), '{}'),
			coalesce((select jsonb_agg(jsonb_build_object('Locale', l.step, 'URL', p.url) order by p.seq)
				from publication_part p join ledger l on l.send_id = p.send_id and l.seq = p.seq where p.send_id = s.id and p.part = 1), '[]')
		from send s left join channel ch on ch.name = s.channel
		where (s.cron is not null and s.state = 'Scheduled' and s.dormant_since is null
			or s.cron is null and s.starts_at >= $1 and s.starts_at < $2 and (s.dormant_since is null or s.frozen_at is not null))
		order by s.starts_at, s.id limit $3`, from, to, MaxCalendar+1)
	if err != nil {
		return nil, false, fmt.Errorf("read the calendar: %w", err)
	}
	lists, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]calendarEntry, error) {
		return readCalendar(row, from, to, now)
	})
	if err != nil {
		return nil, false, fmt.Errorf("read the calendar: %w", err)
	}
	entries = withoutRepetitions(slices.Concat(lists...))
	slices.SortStableFunc(entries, func(a, b calendar.Entry) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return strings.Compare(a.Campaign, b.Campaign)
	})
	if len(entries) > MaxCalendar {
		return entries[:MaxCalendar], true, nil
	}
	return entries, len(lists) > MaxCalendar, nil
}

// withoutRepetitions leaves out what is foreseen and is there already as a send of its own.
func withoutRepetitions(entries []calendarEntry) []calendar.Entry {
	type key struct{ sendKey, occurrence string }
	there := map[key]bool{}
	for _, e := range entries {
		if !e.foreseen {
			there[key{e.SendKey, e.Occurrence}] = true
		}
	}
	var kept []calendar.Entry
	for _, e := range entries {
		if !e.foreseen || !there[key{e.SendKey, e.Occurrence}] {
			kept = append(kept, e.Entry)
		}
	}
	return kept
}

// calendarEntry is an entry that is a send of its own, or is foreseen.
type calendarEntry struct {
	calendar.Entry
	foreseen bool
}

// readCalendar reads the entry of a send, or of a declaration those that it foresees.
func readCalendar(row pgx.CollectableRow, from, to, now time.Time) ([]calendarEntry, error) {
	var e calendar.Entry
	var timing campaign.Timing
	var variants []SendVariant
	var plan *publication.Plan
	var f calendar.Facts
	var recurs bool
	var tally map[string]int64
	err := row.Scan(&e.Campaign, &e.SendKey, &e.Occurrence, &e.At, &timing, &e.Channel, &e.ChannelType, &variants, &plan, &f.State, &f.Suspended,
		&f.Stopped, &f.Held, &recurs, &tally, &e.Posts)
	if err != nil {
		return nil, err
	}
	for _, v := range variants {
		if !slices.Contains(e.Templates, v.Template) {
			e.Templates = append(e.Templates, v.Template)
		}
	}
	if e.Publication = plan != nil; e.Publication {
		e.Locales = plan.Locales
	}
	var s SendStatus
	s.count(tally)
	e.Counts, e.State = s.Counts, calendar.Judge(f)
	if !recurs {
		e.Local = localOf(timing, e.Occurrence)
		return []calendarEntry{{Entry: e}}, nil
	}
	return foresee(e, timing, from, to, now), nil
}

// localOf is the reading of each recipient's clock at which they are written to; "" where it is one moment for all.
func localOf(timing campaign.Timing, occurrence string) string {
	switch {
	case !timing.PerRecipient:
		return ""
	case occurrence != "":
		return occurrence
	}
	return timing.At
}

// foresee lists the occurrences that come of a campaign that recurs. One whose schedule cannot be read any more has none.
func foresee(declaration calendar.Entry, timing campaign.Timing, from, to, now time.Time) (entries []calendarEntry) {
	schedule, err := timing.Parse()
	if err != nil {
		return nil
	}
	if from.Before(now) {
		from = now
	}
	for o, ok := schedule.Upcoming(from); ok && o.StartsAt.Before(to) && len(entries) < maxOccurrences; o, ok = schedule.After(o.Local) {
		e := declaration
		e.Occurrence, e.At, e.Local = o.Local, o.StartsAt, localOf(timing, o.Local)
		entries = append(entries, calendarEntry{Entry: e, foreseen: true})
	}
	return entries
}
