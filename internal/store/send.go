package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
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
	StartsAt      time.Time
	Deadline      time.Time // not begun by then: Expired
	Suspended     bool
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
// change; a change of a Held or Expired send has it judged anew. Afterwards only the campaign's name and its suspension
// have an effect. It returns a SendKeyTakenError when another campaign in force has the key.
func (db *DB) UpsertSend(ctx context.Context, c SendConfig) (AppliedSend, error) {
	// A settled campaign is declared again and again: nothing is locked, which would be a write, unless something differs.
	if current, err := readSend(ctx, db.Pool, c.SendKey, c.Occurrence, ""); err == nil && current.inForceAs(c) {
		return AppliedSend{ID: current.ID, Ignored: differingFields(c, current.SendConfig)}, nil
	}
	var applied AppliedSend
	err := db.InTx(ctx, func(tx pgx.Tx) error {
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
	Frozen       bool
	DormantSince *time.Time
	Outlived     bool // dormant for longer than the limit
}

// inForceAs tells whether a declaration would change nothing: it says what the row says, or what no longer counts.
func (s declaredSend) inForceAs(c SendConfig) bool {
	return s.DormantSince == nil && s.Campaign == c.Campaign && s.Suspended == c.Suspended &&
		(s.Frozen || len(differingFields(c, s.SendConfig)) == 0)
}

func lockSend(ctx context.Context, tx pgx.Tx, key, occurrence string) (declaredSend, error) {
	return readSend(ctx, tx, key, occurrence, " for update")
}

func readSend(ctx context.Context, q sendReader, key, occurrence, locking string) (declaredSend, error) {
	s := declaredSend{SendConfig: SendConfig{SendKey: key, Occurrence: occurrence}}
	err := q.QueryRow(ctx, `
		select id, campaign, purpose, channel, segments, exclude, max_recipients, variants, starts_at, deadline, suspended,
			state, frozen_at is not null, dormant_since, coalesce(dormant_since < now() - $3::interval, false)
		from send where send_key = $1 and occurrence = $2`+locking, key, occurrence, campaign.DormancyLimit).Scan(
		&s.ID, &s.Campaign, &s.Purpose, &s.Channel, &s.Segments, &s.Exclude, &s.MaxRecipients, &s.Variants, &s.StartsAt, &s.Deadline, &s.Suspended,
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
			traceparent)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, nullif($13, ''))
		on conflict (send_key, occurrence) do nothing returning id`,
		c.SendKey, c.Occurrence, c.Campaign, c.Purpose, c.Channel, orEmpty(c.Segments), orEmpty(c.Exclude), c.MaxRecipients, c.Variants,
		c.StartsAt, c.Deadline, c.Suspended, tracing.Parent(ctx)).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return AppliedSend{}, nil
	}
	return AppliedSend{ID: id, Changed: true}, err
}

// orEmpty keeps nil, which would be null, out of columns that hold lists.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
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
	revived := current.DormantSince != nil || current.Campaign != c.Campaign || current.Suspended != c.Suspended
	if !revived && len(differing) == 0 {
		return applied, nil
	}
	applied.Changed = true
	_, err := tx.Exec(ctx, "update send set campaign = $2, suspended = $3, dormant_since = null where id = $1", current.ID, c.Campaign, c.Suspended)
	if err != nil {
		return applied, err
	}
	if len(differing) == 0 {
		return applied, nil
	}
	// What nobody has been written to for yet may be judged anew: a Held audience against the new bound, an Expired send
	// against the new deadline.
	_, err = tx.Exec(ctx, `
		update send set purpose = $2, channel = $3, segments = $4, exclude = $5, max_recipients = $6, variants = $7, starts_at = $8, deadline = $9,
			state = case when state in ('Held', 'Expired') then 'Scheduled' else state end,
			message = null, audience = null, finished_at = null
		where id = $1`,
		current.ID, c.Purpose, c.Channel, orEmpty(c.Segments), orEmpty(c.Exclude), c.MaxRecipients, c.Variants, c.StartsAt, c.Deadline)
	return applied, err
}

// differingFields names the fields of a declaration, as manifests write them, that differ from what is stored.
func differingFields(declared, stored SendConfig) []string {
	var differing []string
	note := func(field string, same bool) {
		if !same {
			differing = append(differing, field)
		}
	}
	note("purpose", declared.Purpose == stored.Purpose)
	note("channelRef", declared.Channel == stored.Channel)
	note("audience.segments", slices.Equal(declared.Segments, stored.Segments))
	note("audience.exclude", slices.Equal(declared.Exclude, stored.Exclude))
	note("audience.maxRecipients", declared.MaxRecipients == stored.MaxRecipients)
	note("variants", slices.Equal(declared.Variants, stored.Variants))
	// PostgreSQL keeps microseconds.
	note("schedule", declared.StartsAt.Truncate(time.Microsecond).Equal(stored.StartsAt) && declared.Deadline.Truncate(time.Microsecond).Equal(stored.Deadline))
	return differing
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
