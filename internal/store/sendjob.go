package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/policy"
)

// SendJob is what a worker must know of a frozen send to write its messages.
type SendJob struct {
	ID       int64
	SendKey  string
	Campaign string
	FrozenAt time.Time
	Variants []SendVariant
	// Templates are those of the variants, in their order.
	Templates  []Template
	Channel    Channel
	Tenant     Tenant
	LinkKey    []byte
	Attributes []crm.Attribute
	// Traceparent is the span in which the send was declared; "" where nobody recorded one.
	Traceparent string
	// Tracking is what the mails may bear: what the campaign declares and the tenant allows.
	Tracking Tracking
	// Timing says in which hours it may be sent.
	Timing campaign.Timing
	// PatientUntil is how long messages are tried that a receiver puts off.
	PatientUntil time.Time
	// Terms are what the policies say of the send's purpose.
	Terms policy.Terms
}

// SendTrace reads whose send this is and the span in which it was declared ("" where nobody recorded one), for a span of
// something that follows from it. It returns ErrNotFound where there is no such send.
func (db *DB) SendTrace(ctx context.Context, sendID int64) (campaign, traceparent string, err error) {
	err = db.Pool.QueryRow(ctx, "select campaign, coalesce(traceparent, '') from send where id = $1", sendID).Scan(&campaign, &traceparent)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", "", ErrNotFound
	}
	if err != nil {
		return "", "", fmt.Errorf("read the trace of send %d: %w", sendID, err)
	}
	return campaign, traceparent, nil
}

// LoadSendJob reads what is needed to write the messages of a send. It returns ErrNotFound when the send was never
// frozen, or when its channel or one of its templates is not in force.
func (db *DB) LoadSendJob(ctx context.Context, sendID int64) (SendJob, error) {
	job := SendJob{ID: sendID}
	if err := db.loadSendJob(ctx, &job); err != nil {
		return SendJob{}, fmt.Errorf("read what send %d needs: %w", sendID, err)
	}
	return job, nil
}

func (db *DB) loadSendJob(ctx context.Context, job *SendJob) error {
	var channel, purpose string
	err := db.Pool.QueryRow(ctx, `
		select send_key, campaign, purpose, channel, frozen_at, variants, coalesce(traceparent, ''),
			timing, coalesce(ends_at, frozen_at + $2::interval),
			track_opens and not (select tracking_forbidden from tenant), track_clicks and not (select tracking_forbidden from tenant)
		from send where id = $1 and frozen_at is not null`, job.ID, campaign.DeferralLimit).
		Scan(&job.SendKey, &job.Campaign, &purpose, &channel, &job.FrozenAt, &job.Variants, &job.Traceparent,
			&job.Timing, &job.PatientUntil, &job.Tracking.Opens, &job.Tracking.Clicks)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	if job.Terms, err = loadTerms(ctx, db.Pool, purpose); err != nil {
		return err
	}
	return db.loadContent(ctx, job, channel)
}

// loadContent reads what a send's messages are written with: its channel, the templates of its variants, and what the tenant
// has.
func (db *DB) loadContent(ctx context.Context, job *SendJob, channel string) (err error) {
	if job.Channel, err = db.LoadChannel(ctx, channel); err != nil {
		return err
	}
	for _, v := range job.Variants {
		t, err := db.LoadTemplate(ctx, v.Template)
		if err != nil {
			return err
		}
		job.Templates = append(job.Templates, t)
	}
	if job.Tenant, err = db.LoadTenant(ctx); err != nil {
		return err
	}
	if job.LinkKey, err = db.LinkKey(ctx); err != nil {
		return err
	}
	schema, err := db.LoadSchema(ctx)
	job.Attributes = schema.Attributes
	return err
}
