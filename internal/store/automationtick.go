package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/automate"
	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// dateLateness is how late a day of an attribute is acted on, where nobody looked in time.
const dateLateness = 24 * time.Hour

// Tick notes the schedules and dates that have come since somebody last looked, as events for their rules. It returns how many events there are.
func (r *Rules) Tick(ctx context.Context) (noted int64, err error) {
	err = r.withBook(ctx, "", func(tx pgx.Tx, book *ruleBook, now time.Time) error {
		noted = 0
		due, err := lockTicking(ctx, tx, book)
		if err != nil {
			return err
		}
		for _, t := range due {
			n, err := t.tick(ctx, tx, book, now)
			if err != nil {
				return fmt.Errorf("rule %q: %w", t.bound.name, err)
			}
			noted += n
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("look at schedules and dates: %w", err)
	}
	return noted, nil
}

// ticking is a rule that time triggers.
type ticking struct {
	bound *boundRule
	next  *time.Time
}

// lockTicking finds the rules that time triggers. Those that somebody else looks at are passed over.
func lockTicking(ctx context.Context, tx pgx.Tx, book *ruleBook) (list []ticking, err error) {
	var ids []int64
	for _, id := range sortedKeys(book.inForce) {
		if on := book.inForce[id].rule.On; on.Schedule != nil || on.Date != nil {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, "select id, next_at from automation_rule where id = any ($1) order by id for no key update skip locked", ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (t ticking, err error) {
		var id int64
		err = row.Scan(&id, &t.next)
		t.bound = book.inForce[id]
		return t, err
	})
}

// tick notes what has come for a rule, and writes down when it is to be looked at again.
func (t ticking) tick(ctx context.Context, tx pgx.Tx, book *ruleBook, now time.Time) (noted int64, err error) {
	look := tickSchedule
	if t.bound.rule.On.Date != nil {
		look = tickDate
	}
	noted, next, err := look(ctx, tx, book, t.bound, valueOf(t.next).UTC(), now)
	if err != nil || t.next != nil && next.Equal(*t.next) {
		return noted, err
	}
	_, err = tx.Exec(ctx, "update automation_rule set next_at = $2 where id = $1", t.bound.versionKey.rule, next)
	return noted, err
}

// tickSchedule notes the last time that a schedule came, where it is not too late for it, and tells when it comes next. Nobody wants what was to be
// done on three days all at once.
func tickSchedule(ctx context.Context, tx pgx.Tx, book *ruleBook, bound *boundRule, next, now time.Time) (noted int64, following time.Time, err error) {
	on := bound.rule.On.Schedule
	schedule, err := campaign.Timing{Cron: on.Cron, TimeZone: on.TimeZone}.Parse()
	if err != nil {
		return 0, next, err
	}
	after := func(at time.Time) time.Time {
		if o, ok := schedule.Upcoming(at); ok {
			return o.StartsAt
		}
		return now.Add(100 * 365 * 24 * time.Hour)
	}
	if next.IsZero() || next.Year() == 1 {
		return 0, after(now), nil
	}
	if next.After(now) {
		return 0, next, nil
	}
	var last time.Time
	at := next
	if tooOld := now.Add(-campaign.DefaultStartingDeadline); at.Before(tooOld) {
		at = after(tooOld)
	}
	for ; !at.After(now); at = after(at.Add(time.Second)) {
		last = at
	}
	if last.IsZero() {
		return 0, at, nil
	}
	contacts := "select null::bigint contact_id"
	arguments := []any{book.watchIDs[watch{event: scheduleEvent, name: bound.name}], last.Unix()}
	if on.Segment != "" {
		contacts = "select m.contact_id from segment g join segment_member m on m.segment_id = g.id where g.name = $3 and g.dormant_since is null"
		arguments = append(arguments, on.Segment)
	}
	noted, err = noteEvents(ctx, tx, contacts, arguments)
	return noted, at, err
}

// noteEvents notes an event for each contact that a statement lists.
func noteEvents(ctx context.Context, tx pgx.Tx, contacts string, arguments []any) (int64, error) {
	tag, err := tx.Exec(ctx, `insert into domain_event_queue (side, shard, watch_id, contact_id, ref)
		select (select newest from domain_event_side), (coalesce(q.contact_id, $2::bigint) & 15)::smallint, $1::int, q.contact_id, $2::bigint
			from (`+contacts+") q", arguments...)
	if err != nil {
		return 0, fmt.Errorf("note whom it is for: %w", err)
	}
	return tag.RowsAffected(), nil
}

// tickDate notes those whose day has come, by the clock of each, since somebody last looked.
func tickDate(ctx context.Context, tx pgx.Tx, book *ruleBook, bound *boundRule, since, now time.Time) (noted int64, until time.Time, err error) {
	on := bound.rule.On.Date
	attribute, ok := book.schema.Attribute(on.Attribute)
	at, err := time.Parse("15:04", on.At)
	if err != nil || !ok || since.Year() == 1 {
		return 0, now, err
	}
	if !since.Before(now) {
		return 0, since, nil
	}
	since = maxTime(since, now.Add(-dateLateness))
	if !quarterPassed(since, now, at.Minute()) {
		return 0, now, nil
	}
	zones, err := tx.Query(ctx, "select distinct coalesce(time_zone, '') from contact")
	if err != nil {
		return 0, since, err
	}
	names, err := pgx.CollectRows(zones, pgx.RowTo[string])
	if err != nil {
		return 0, since, err
	}
	var inZones []string
	var days []time.Time
	for _, name := range names {
		zone := book.zone
		if name != "" {
			if zone, err = time.LoadLocation(name); err != nil {
				continue // nobody's clock: whose zone is unknown has no morning
			}
		}
		for _, day := range daysBegun(since, now, zone, at) {
			inZones, days = append(inZones, name), append(days, day.AddDate(0, 0, -on.OffsetDays))
		}
	}
	if len(days) == 0 {
		return 0, now, nil
	}
	noted, err = noteEvents(ctx, tx,
		"select distinct c.id contact_id from contact c join unnest($3::text[], $4::date[]) z (zone, day) on z.zone = coalesce(c.time_zone, '') where "+
			onDay(on, "c."+sqlName(attribute.Column())), []any{book.watchIDs[watch{event: dateEvent, name: bound.name}], now.Unix(), inZones, days})
	return noted, now, err
}

// onDay is true where the day z.day is that of a column. Of 29 February, in other years, it is 1 March.
func onDay(on *automate.DateTrigger, column string) string {
	if !on.EveryYear {
		return column + " = z.day"
	}
	return "(to_char(" + column + ", 'MM-DD') = to_char(z.day, 'MM-DD') or to_char(" + column + ", 'MM-DD') = '02-29' and to_char(z.day, 'MM-DD') = '03-01' " +
		"and to_char(z.day - 1, 'MM-DD') = '02-28') and " + column + " <= z.day"
}

// quarterPassed tells whether any clock may have come to a minute of its hour in a time: clocks differ by quarters of an hour.
func quarterPassed(since, until time.Time, minute int) bool {
	first := since.Truncate(15 * time.Minute).Add(time.Duration(minute%15) * time.Minute)
	for ; !first.After(until); first = first.Add(15 * time.Minute) {
		if first.After(since) {
			return true
		}
	}
	return false
}

// daysBegun lists the days, as their midnights in UTC, whose time of day has come in a zone in a time.
func daysBegun(since, until time.Time, zone *time.Location, at time.Time) (days []time.Time) {
	local := since.In(zone)
	for day := -1; day <= 2; day++ {
		moment := time.Date(local.Year(), local.Month(), local.Day()+day, at.Hour(), at.Minute(), 0, 0, zone)
		if moment.After(since) && !moment.After(until) {
			y, m, d := time.Date(local.Year(), local.Month(), local.Day()+day, 12, 0, 0, 0, zone).Date()
			days = append(days, time.Date(y, m, d, 0, 0, 0, 0, time.UTC))
		}
	}
	return days
}
