package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// Contact is one person with everything that is recorded of them.
type Contact struct {
	ID          int64
	PublicID    string // UUID
	Locale      string // BCP 47; "" where it is not known
	TimeZone    string // IANA; "" where it is not known
	Tags        []string
	Attributes  map[string]json.RawMessage // by name; those without a value are absent
	Identifiers []Identifier
	Consents    []Consent
	Segments    []string // names, in order
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Identifier is one by which a contact is known.
type Identifier struct {
	Type, Value string
	Verified    bool
	Source      string
	LinkedAt    time.Time
}

// Consent is what is recorded for one purpose.
type Consent struct {
	Purpose    string
	Granted    bool
	ByContact  bool // decided by the person themself
	Source     string
	RecordedAt time.Time
	// How, in answer to which text and when it was given; empty where that is not known.
	Method, TextVersion string
	GivenAt             *time.Time
}

// LoadContact reads a contact by its public id, a UUID, or by that of one that was merged into it. It returns ErrNotFound for an unknown one.
func (db *DB) LoadContact(ctx context.Context, publicID string, attributes []crm.Attribute) (Contact, error) {
	var c Contact
	err := pgx.BeginTxFunc(ctx, db.Pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		if err = loadContactRow(ctx, tx, publicID, attributes, &c); err != nil {
			return err
		}
		c.Identifiers, err = collect[Identifier](ctx, tx, `select i.type, i.value, l.verified, l.source, l.linked_at
			from identifier_link l join identifier i on i.id = l.identifier_id where l.contact_id = $1 order by i.type, l.linked_at, i.id`, c.ID)
		if err != nil {
			return err
		}
		c.Consents, err = collect[Consent](ctx, tx, `select purpose, granted, by_contact, source, recorded_at,
			coalesce(method, ''), coalesce(text_version, ''), given_at from consent where contact_id = $1 order by purpose`, c.ID)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select s.name from segment_member m join segment s on s.id = m.segment_id
			where m.contact_id = $1 and s.dormant_since is null order by s.name`, c.ID)
		if err != nil {
			return err
		}
		c.Segments, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		return Contact{}, fmt.Errorf("read the contact: %w", err)
	}
	return c, nil
}

func collect[T any](ctx context.Context, tx pgx.Tx, query string, id int64) ([]T, error) {
	rows, err := tx.Query(ctx, query, id)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}

// loadContactRow reads the contact's own row. Its attributes come as JSON, so that each keeps the type of its column.
func loadContactRow(ctx context.Context, tx pgx.Tx, publicID string, attributes []crm.Attribute, c *Contact) error {
	var row map[string]json.RawMessage
	err := tx.QueryRow(ctx, `select id, public_id::text, coalesce(locale, ''), coalesce(time_zone, ''), tags, created_at, updated_at, to_jsonb(contact)
		from contact where id = (select id from contact where public_id = $1::text::uuid
			union select contact_id from contact_record where public_id = $1::text::uuid)`, publicID).
		Scan(&c.ID, &c.PublicID, &c.Locale, &c.TimeZone, &c.Tags, &c.CreatedAt, &c.UpdatedAt, &row)
	if errors.Is(err, pgx.ErrNoRows) || hasCode(err, "22P02") {
		return ErrNotFound
	}
	if err != nil {
		return err
	}
	c.Attributes = map[string]json.RawMessage{}
	for _, a := range attributes {
		if value := row[a.Column()]; value != nil && string(value) != "null" {
			c.Attributes[a.Name] = value
		}
	}
	return nil
}

// PublicIDs returns the public ids of contacts, in the order asked for.
func (db *DB) PublicIDs(ctx context.Context, contacts []int64) ([]string, error) {
	rows, err := db.Pool.Query(ctx, `select coalesce(c.public_id::text, '') from unnest($1::bigint[]) with ordinality k(id, ord)
		left join contact c on c.id = k.id order by k.ord`, contacts)
	if err != nil {
		return nil, fmt.Errorf("read public ids: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read public ids: %w", err)
	}
	return ids, nil
}
