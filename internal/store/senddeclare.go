package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// turnSend writes what has an effect at any time: on the declaration, and on the occurrences of one that recurs.
func turnSend(ctx context.Context, tx pgx.Tx, c SendConfig, current declaredSend) error {
	_, err := tx.Exec(ctx, `
		update send set campaign = $2, suspended = $3, track_opens = $4, track_clicks = $5, dormant_since = null, priority = $6, ends_at = $7,
			timing = timing - 'endsAt' - 'hours' || jsonb_strip_nulls(jsonb_build_object('endsAt', $8::jsonb -> 'endsAt', 'hours', $8::jsonb -> 'hours')),
			max_recipients = case when rolling and $9 then $10 else max_recipients end,
			adds_on_edit = case when rolling and $9 then $11 else adds_on_edit end
		where send_key = $1 and (occurrence = $12 or $13)`,
		c.SendKey, c.Campaign, c.Suspended, c.Tracking.Opens, c.Tracking.Clicks, c.Priority, momentOrNull(c.EndsAt), c.Timing, c.Rolling, c.MaxRecipients,
		c.AddsOnEdit, c.Occurrence, current.Timing.Cron != "")
	if err != nil || current.Timing.Cron == "" || current.State != campaign.Completed || c.NextOccurrence == "" {
		return err
	}
	// Its schedule had ended and has a later end now.
	_, err = tx.Exec(ctx, `
		update send set state = 'Scheduled', finished_at = null, next_occurrence = $2, starts_at = $3, deadline = $4 where id = $1`,
		current.ID, c.NextOccurrence, c.StartsAt, c.Deadline)
	return err
}

// replaceSend writes a new declaration of a send that nobody has been written to for yet. It may be judged anew: a Held audience
// against the new bound, an Expired send against the new deadline. Of one that recurs, the occurrences that are not frozen take it
// over, but for their time.
func replaceSend(ctx context.Context, tx pgx.Tx, c SendConfig, current declaredSend, differing []string) error {
	_, err := tx.Exec(ctx, `
		update send set purpose = $2, channel = $3, segments = $4, exclude = $5, max_recipients = $6, variants = $7, hold_out = $8, test = $9, rolling = $10,
			adds_on_edit = $11, publication = $14, state = case when state = 'Held' or state = 'Expired' and id = $1 then 'Scheduled' else state end,
			message = null, audience = null, finished_at = null
		where id = $1 or send_key = $12 and $13 and frozen_at is null and state in ('Scheduled', 'Freezing', 'Held')`,
		current.ID, c.Purpose, c.Channel, orEmpty(c.Segments), orEmpty(c.Exclude), c.MaxRecipients, c.Variants, c.HoldOut, c.Test, c.Rolling, c.AddsOnEdit,
		c.SendKey, current.Timing.Cron != "", c.Publication)
	if err != nil || !slices.Contains(differing, "schedule") {
		return err
	}
	// Another schedule begins with its next occurrence: those that the old one had until now are over.
	_, err = tx.Exec(ctx, `
		update send set timing = $2, cron = nullif($3, ''), next_occurrence = nullif($4, ''), starts_at = $5, deadline = $6, ends_at = $7,
			state = case when state = 'Completed' then 'Scheduled' else state end
		where id = $1`, current.ID, c.Timing, c.Timing.Cron, c.NextOccurrence, c.StartsAt, c.Deadline, momentOrNull(c.EndsAt))
	return err
}

// differingFields names the fields of a declaration, as manifests write them, that differ from what is stored.
func differingFields(declared, stored SendConfig) []string {
	var differing []string
	note := func(field string, same bool) {
		if !same {
			differing = append(differing, field)
		}
	}
	rolls := declared.Rolling && stored.Rolling // then the bound has an effect at any time
	note("purpose", declared.Purpose == stored.Purpose)
	note("channelRef", declared.Channel == stored.Channel)
	note("audience.segments", slices.Equal(declared.Segments, stored.Segments))
	note("audience.exclude", slices.Equal(declared.Exclude, stored.Exclude))
	note("audience.maxRecipients", rolls || declared.MaxRecipients == stored.MaxRecipients)
	note("audience.mode", declared.Rolling == stored.Rolling)
	note("variants", slices.Equal(declared.Variants, stored.Variants))
	note("holdOut", declared.HoldOut == stored.HoldOut)
	note("winner", declared.Test == nil && stored.Test == nil || declared.Test != nil && stored.Test != nil && *declared.Test == *stored.Test)
	note("publication", declared.Publication.Equal(stored.Publication))
	note("schedule", sameStart(declared, stored))
	return differing
}

// sameStart tells whether two declarations begin at the same moments. Of one that recurs, the stored moments move on by
// themselves.
func sameStart(declared, stored SendConfig) bool {
	if declared.Timing.Cron != "" || stored.Timing.Cron != "" {
		return declared.Timing.SameStart(stored.Timing)
	}
	// PostgreSQL keeps microseconds.
	return declared.StartsAt.Truncate(time.Microsecond).Equal(stored.StartsAt) && declared.Deadline.Truncate(time.Microsecond).Equal(stored.Deadline) &&
		declared.Timing.PerRecipient == stored.Timing.PerRecipient
}
