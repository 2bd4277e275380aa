package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// sendRecurs is true for a send s that is the declaration of a campaign that recurs and of which occurrences may be made now.
// While it is suspended, deleted or held up by a person none are: what it misses by then is recorded when it goes on.
const sendRecurs = `(s.cron is not null and s.state = 'Scheduled' and not s.suspended and s.dormant_since is null and not tenant.suspended
	and not ` + sendHeld + ` and not ` + sendPaused + ` and ` + sendPermitted + `)`

// DueDeclarations lists the declarations that have come to their next occurrence, or to their end, by now.
func (db *DB) DueDeclarations(ctx context.Context, now time.Time) ([]int64, error) {
	rows, err := db.Pool.Query(ctx, `
		select s.id from send s cross join tenant
		where `+sendRecurs+` and (s.next_occurrence is null or s.starts_at <= $1 or s.ends_at <= $1) order by s.starts_at, s.id`, now)
	if err != nil {
		return nil, fmt.Errorf("look for campaigns that recur: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("look for campaigns that recur: %w", err)
	}
	return ids, nil
}

// What is recorded of an occurrence that was not begun.
const (
	// MissedMessage is for one that did not begin in time.
	MissedMessage = "The starting deadline passed before the occurrence began, and nothing was sent: the next one follows its schedule."
	// OverlappedMessage is for one that had to wait for too long until the one before it ended.
	OverlappedMessage = "The occurrence before it was still being sent when the starting deadline passed, and nothing was sent: " +
		"the next one follows its schedule."
)

// AdvanceDeclaration makes the occurrences that a declaration has come to by now, as sends of their own, and moves it on to its
// next one, in one transaction: so each is made once, however many workers do it, and whatever their clocks say afterwards. Those
// that were missed are recorded as Expired. It does nothing where somebody else does, or where nothing is due.
func (db *DB) AdvanceDeclaration(ctx context.Context, sendID int64, now time.Time) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		var name, next string
		var timing campaign.Timing
		err := tx.QueryRow(ctx, `
			select s.campaign, s.timing, coalesce(s.next_occurrence, '') from send s cross join tenant
			where s.id = $1 and `+sendRecurs+` for update of s skip locked`, sendID).Scan(&name, &timing, &next)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		step, err := advance(timing, next, now)
		if err != nil {
			return err
		}
		for _, missed := range step.Missed {
			if err := insertOccurrence(ctx, tx, sendID, missed, campaign.Expired, MissedMessage); err != nil {
				return err
			}
		}
		if step.Begun != nil {
			if err := insertOccurrence(ctx, tx, sendID, *step.Begun, campaign.Scheduled, ""); err != nil {
				return err
			}
		}
		if err := moveDeclaration(ctx, tx, sendID, step.Next); err != nil {
			return err
		}
		return noteStatusChange(ctx, tx, CampaignKind, name)
	})
	if err != nil {
		return fmt.Errorf("make the occurrences of send %d: %w", sendID, err)
	}
	return nil
}

func advance(timing campaign.Timing, next string, now time.Time) (campaign.Step, error) {
	if next == "" { // its schedule names no time any more
		return campaign.Step{}, nil
	}
	schedule, err := timing.Parse()
	if err != nil {
		return campaign.Step{}, err
	}
	return schedule.Advance(next, now)
}

// insertOccurrence makes a send of an occurrence, as its campaign is declared at this moment. One that is there stays as it is.
func insertOccurrence(ctx context.Context, tx pgx.Tx, declaration int64, o campaign.Occurrence, state campaign.State, message string) error {
	_, err := tx.Exec(ctx, `
		insert into send (send_key, occurrence, campaign, purpose, channel, segments, exclude, max_recipients, variants, suspended, traceparent,
			track_opens, track_clicks, timing, ends_at, priority, hold_out, test, rolling, adds_on_edit, publication, starts_at, deadline, state, message,
			finished_at)
		select send_key, $2, campaign, purpose, channel, segments, exclude, max_recipients, variants, suspended, traceparent,
			track_opens, track_clicks, timing, ends_at, priority, hold_out, test, rolling, adds_on_edit, publication, $3, $4, $5, nullif($6, ''),
			case when $5 = 'Expired' then now() end
		from send where id = $1
		on conflict (send_key, occurrence) do nothing`, declaration, o.Local, o.StartsAt, o.Deadline, state, message)
	if err != nil {
		return fmt.Errorf("occurrence %s: %w", o.Local, err)
	}
	return nil
}

// moveDeclaration sets what a declaration comes to next; without anything it is completed.
func moveDeclaration(ctx context.Context, tx pgx.Tx, sendID int64, next *campaign.Occurrence) error {
	if next == nil {
		_, err := tx.Exec(ctx, "update send set next_occurrence = null, state = 'Completed', finished_at = now() where id = $1", sendID)
		return err
	}
	_, err := tx.Exec(ctx, "update send set next_occurrence = $2, starts_at = $3, deadline = $4 where id = $1",
		sendID, next.Local, next.StartsAt, next.Deadline)
	return err
}

// ZonesOfAudience lists the time zones of the contacts in a send's segments as they are now.
func (db *DB) ZonesOfAudience(ctx context.Context, sendID int64) ([]string, error) {
	rows, err := db.Pool.Query(ctx, "select distinct coalesce(c.time_zone, '') from ("+audienceSQL+") a join contact c on c.id = a.contact_id", sendID)
	if err != nil {
		return nil, fmt.Errorf("read the time zones of the audience of send %d: %w", sendID, err)
	}
	zones, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the time zones of the audience of send %d: %w", sendID, err)
	}
	return zones, nil
}
