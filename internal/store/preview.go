package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// LoadPreview reads what is needed to write a message of a campaign as it is declared now, whether its audience was frozen or
// not. It returns ErrNotFound where no campaign of that name is in force, or its channel or one of its templates is not.
func (db *DB) LoadPreview(ctx context.Context, campaign string) (SendJob, error) {
	job := SendJob{Campaign: campaign}
	if err := db.loadPreview(ctx, &job); err != nil {
		return SendJob{}, fmt.Errorf("read what a preview of campaign %q needs: %w", campaign, err)
	}
	return job, nil
}

func (db *DB) loadPreview(ctx context.Context, job *SendJob) error {
	var channel string
	// Of a recurring campaign the declaration, which holds its newest edits, has no occurrence.
	err := db.Pool.QueryRow(ctx, `
		select id, send_key, channel, variants from send where campaign = $1 and dormant_since is null
		order by occurrence = '' desc, id desc limit 1`, job.Campaign).Scan(&job.ID, &job.SendKey, &channel, &job.Variants)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	return db.loadContent(ctx, job, channel)
}

// PreviewRecipient reads a contact by its public id as a recipient: what a message would say of them. It returns ErrNotFound
// for an unknown one. Without an address the recipient's is "".
func (db *DB) PreviewRecipient(ctx context.Context, publicID string, attributes []crm.Attribute) (Recipient, error) {
	values, _ := attributeColumns(attributes)
	r := Recipient{Attributes: make([]any, len(attributes))}
	targets := []any{&r.ContactID, &r.Locale, &r.TimeZone, &r.Tags, &r.Address}
	for i := range r.Attributes {
		targets = append(targets, &r.Attributes[i])
	}
	err := db.Pool.QueryRow(ctx, `
		select c.id, coalesce(c.locale, ''), coalesce(c.time_zone, ''), c.tags, coalesce((
			select i.value from identifier_link il join identifier i on i.id = il.identifier_id
			where il.contact_id = c.id and i.type = 'email' order by il.verified desc, il.linked_at, il.identifier_id limit 1), '')`+values+`
		from contact c where c.id = (select id from contact where public_id = $1
			union select contact_id from contact_record where public_id = $1)`, publicID).Scan(targets...)
	if errors.Is(err, pgx.ErrNoRows) {
		return Recipient{}, ErrNotFound
	}
	if err != nil {
		return Recipient{}, fmt.Errorf("read a contact for a preview: %w", err)
	}
	for i, v := range r.Attributes {
		r.Attributes[i] = plainValue(v)
	}
	return r, nil
}
