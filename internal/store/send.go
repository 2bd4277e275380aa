package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/publication"
	"github.com/tertulia-crm/tertulia/internal/tracing"
)

// SendConfig is what a campaign declares of one send.
type SendConfig struct {
	SendKey       string
	Occurrence    string // "" for a campaign that is sent once
	Campaign      string // the name of the object
	Purpose       string
	Channel       string
	Segments      []string
	Exclude       []string
	MaxRecipients int64
	Variants      []SendVariant
	// Timing is when it is sent. Of one that recurs, the row that it makes is the declaration, from which workers make its
	// occurrences; StartsAt, Deadline and NextOccurrence are then those of the next one, and count where the schedule is new.
	Timing         campaign.Timing
	NextOccurrence string // "" where none will come
	StartsAt       time.Time
	Deadline       time.Time // not begun by then: Expired
	EndsAt         time.Time // nothing is begun after it; zero for no end
	Priority       campaign.Priority
	HoldOut        int            // percent
	Test           *campaign.Test // nil for none
	Rolling        bool           // who enters the audience after the freeze is written to as well
	AddsOnEdit     bool           // also who does so because a segment was edited
	Suspended      bool
	Tracking       Tracking
	// Publication is what is published in place of messages to people; nil for none. Images are the bytes of its pictures, by their digests: they
	// are kept where the declaration changes something.
	Publication *publication.Plan
	Images      map[string][]byte
}

// SendVariant is one version of the message. A ledger row holds the variant's place in the list.
type SendVariant struct {
	Name     string `json:"name"`
	Template string `json:"template"`
	Weight   int    `json:"weight"`
}

// SendKeyTakenError says that another campaign, which is in force, has this send key.
type SendKeyTakenError struct {
	SendKey  string
	Campaign string // which has it
}

func (e *SendKeyTakenError) Error() string {
	return fmt.Sprintf("send key %q belongs to campaign %q: choose another", e.SendKey, e.Campaign)
}

// ErrSendKeyTaken is what every SendKeyTakenError is.
var ErrSendKeyTaken = errors.New("the send key is taken")

// Is makes errors.Is(err, ErrSendKeyTaken) work.
func (e *SendKeyTakenError) Is(target error) bool { return target == ErrSendKeyTaken }

// AppliedSend tells what UpsertSend did.
type AppliedSend struct {
	ID int64
	// Changed is true when a row was written.
	Changed bool
	// Ignored names the fields, as manifests write them, whose declared values differ from those that the audience was
	// frozen with. They have no effect any more.
	Ignored []string
}

// UpsertSend declares a send. Its key is its identity: a send of that key which was deleted is adopted, and goes on
// where it stopped when it comes back within campaign.DormancyLimit. Until the audience is frozen every field may
// change; a change of a Held or Expired send has it judged anew. Afterwards only the campaign's name, its suspension and its
// tracking have an effect. It returns a SendKeyTakenError when another campaign in force has the key.
func (db *DB) UpsertSend(ctx context.Context, c SendConfig) (AppliedSend, error) {
	// A settled campaign is declared again and again: nothing is locked, which would be a write, unless something differs.
	if current, err := readSend(ctx, db.Pool, c.SendKey, c.Occurrence, ""); err == nil && current.inForceAs(c) {
		return AppliedSend{ID: current.ID, Ignored: differingFields(c, current.SendConfig)}, nil
	}
	var applied AppliedSend
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		if err := keepImages(ctx, tx, c); err != nil {
			return err
		}
		current, err := lockSend(ctx, tx, c.SendKey, c.Occurrence)
		if errors.Is(err, ErrNotFound) {
			applied, err = insertSend(ctx, tx, c)
			if err != nil || applied.ID != 0 {
				return err
			}
			// Somebody else inserted it meanwhile.
			current, err = lockSend(ctx, tx, c.SendKey, c.Occurrence)
		}
		if err != nil {
			return err
		}
		applied, err = updateSend(ctx, tx, c, current)
		return err
	})
	if err != nil {
		return AppliedSend{}, fmt.Errorf("declare send %q: %w", c.SendKey, err)
	}
	return applied, nil
}

// sendReader is a pool or a transaction.
type sendReader interface {
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

// declaredSend is a send's row as a declaration finds it.
type declaredSend struct {
	SendConfig
	ID           int64
	State        campaign.State
	Frozen       bool // or aborted: no field of it has an effect any more
	DormantSince *time.Time
	Outlived     bool // dormant for longer than the limit
}

// inForceAs tells whether a declaration would change nothing: it says what the row says, or what no longer counts.
func (s declaredSend) inForceAs(c SendConfig) bool {
	return !s.turns(c) && (s.Frozen || len(differingFields(c, s.SendConfig)) == 0)
}

// turns tells whether a declaration changes what has an effect at any time, also on an audience that is frozen.
func (s declaredSend) turns(c SendConfig) bool {
	return s.DormantSince != nil || s.Campaign != c.Campaign || s.Suspended != c.Suspended || s.Tracking != c.Tracking ||
		s.Priority != c.Priority || s.Timing.EndsAt != c.Timing.EndsAt || !s.Timing.SameHours(c.Timing) ||
		s.Rolling && c.Rolling && (s.MaxRecipients != c.MaxRecipients || s.AddsOnEdit != c.AddsOnEdit)
}

func lockSend(ctx context.Context, tx pgx.Tx, key, occurrence string) (declaredSend, error) {
	return readSend(ctx, tx, key, occurrence, " for update")
}

func readSend(ctx context.Context, q sendReader, key, occurrence, locking string) (declaredSend, error) {
	s := declaredSend{SendConfig: SendConfig{SendKey: key, Occurrence: occurrence}}
	err := q.QueryRow(ctx, `
		select id, campaign, purpose, channel, segments, exclude, max_recipients, variants, starts_at, deadline, suspended,
			track_opens, track_clicks, timing, coalesce(next_occurrence, ''), priority, hold_out, test, rolling, adds_on_edit, publication,
			state, frozen_at is not null or state = 'Aborted', dormant_since, coalesce(dormant_since < now() - $3::interval, false)
		from send where send_key = $1 and occurrence = $2`+locking, key, occurrence, campaign.DormancyLimit).Scan(
		&s.ID, &s.Campaign, &s.Purpose, &s.Channel, &s.Segments, &s.Exclude, &s.MaxRecipients, &s.Variants, &s.StartsAt, &s.Deadline, &s.Suspended,
		&s.Tracking.Opens, &s.Tracking.Clicks, &s.Timing, &s.NextOccurrence, &s.Priority, &s.HoldOut, &s.Test, &s.Rolling, &s.AddsOnEdit, &s.Publication,
		&s.State, &s.Frozen, &s.DormantSince, &s.Outlived)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, ErrNotFound
	}
	return s, err
}

func insertSend(ctx context.Context, tx pgx.Tx, c SendConfig) (AppliedSend, error) {
	var id int64
	err := tx.QueryRow(ctx, `
		insert into send (send_key, occurrence, campaign, purpose, channel, segments, exclude, max_recipients, variants, starts_at, deadline, suspended,
			traceparent, track_opens, track_clicks, timing, cron, next_occurrence, ends_at, priority, hold_out, test, rolling, adds_on_edit,
			publication)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, nullif($13, ''), $14, $15, $16,
			nullif($17, ''), nullif($18, ''), $19, $20, $21, $22, $23, $24, $25)
		on conflict (send_key, occurrence) do nothing returning id`,
		c.SendKey, c.Occurrence, c.Campaign, c.Purpose, c.Channel, orEmpty(c.Segments), orEmpty(c.Exclude), c.MaxRecipients, c.Variants,
		c.StartsAt, c.Deadline, c.Suspended, tracing.Parent(ctx), c.Tracking.Opens, c.Tracking.Clicks, c.Timing, c.Timing.Cron, c.NextOccurrence,
		momentOrNull(c.EndsAt), c.Priority, c.HoldOut, c.Test, c.Rolling, c.AddsOnEdit,
		c.Publication).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return AppliedSend{}, nil
	}
	return AppliedSend{ID: id, Changed: true}, err
}

// momentOrNull is null for the zero time.
func momentOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// orEmpty keeps nil, which would be null, out of columns that hold lists.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func updateSend(ctx context.Context, tx pgx.Tx, c SendConfig, current declaredSend) (AppliedSend, error) {
	if current.DormantSince == nil && current.Campaign != c.Campaign {
		return AppliedSend{}, &SendKeyTakenError{SendKey: c.SendKey, Campaign: current.Campaign}
	}
	applied := AppliedSend{ID: current.ID}
	if current.Outlived && current.State == campaign.Sending {
		if err := endDormantSend(ctx, tx, current.ID); err != nil {
			return applied, err
		}
	}
	differing := differingFields(c, current.SendConfig)
	if current.Frozen {
		applied.Ignored = differing
		differing = nil
	}
	if current.turns(c) {
		applied.Changed = true
		if err := turnSend(ctx, tx, c, current); err != nil {
			return applied, err
		}
	}
	if len(differing) == 0 {
		return applied, nil
	}
	applied.Changed = true
	return applied, replaceSend(ctx, tx, c, current, differing)
}

// SuspendSend pauses the sends of a campaign whose declaration cannot be applied at the moment, so that nothing goes on
// under an older one; UpsertSend decides again. A campaign without sends is no error.
func (db *DB) SuspendSend(ctx context.Context, name string) error {
	_, err := db.Pool.Exec(ctx, "update send set suspended = true where campaign = $1 and not suspended and dormant_since is null", name)
	if err != nil {
		return fmt.Errorf("suspend the sends of campaign %q: %w", name, err)
	}
	return nil
}

// DormantSend stops the sends of a campaign that was deleted. They keep their ledger and wait for
// campaign.DormancyLimit to be adopted; then what is pending is skipped. A campaign without sends is no error.
func (db *DB) DormantSend(ctx context.Context, name string) error {
	_, err := db.Pool.Exec(ctx, "update send set dormant_since = now() where campaign = $1 and dormant_since is null", name)
	if err != nil {
		return fmt.Errorf("stop the sends of campaign %q: %w", name, err)
	}
	return nil
}
