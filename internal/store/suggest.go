package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/identity"
)

// Suggestion is a pair of contacts who may be one person.
type Suggestion struct {
	ID      int64
	Score   float64 // from 0 to 1
	Reasons []identity.Reason
	FoundAt time.Time
	A, B    SuggestedContact // A came in first
}

// SuggestedContact is one of a pair, with what a person needs to decide.
type SuggestedContact struct {
	PublicID  string
	CreatedAt time.Time
	// Sources are those that tell of the contact by ids of their own.
	Sources []string
	// Attributes are those that have a role, by name. Identifiers are all but those of other systems.
	Attributes  map[string]string
	Identifiers []Identifier
}

// SuggestionPage says which suggestions are wanted: those from a score on, behind the last one of the page before.
type SuggestionPage struct {
	LeastScore float64
	// After is the place of the page before, and 0 for the first.
	AfterScore float64
	AfterID    int64
	Limit      int
}

// LoadSuggestions lists the pairs that wait to be decided, the likeliest first.
func (db *DB) LoadSuggestions(ctx context.Context, page SuggestionPage) ([]Suggestion, error) {
	var list []Suggestion
	err := pgx.BeginTxFunc(ctx, db.Pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		roles, err := loadRoles(ctx, tx)
		if err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			select s.id, s.score, s.reasons, s.found_at, `+roles.suggested("a")+`, `+roles.suggested("b")+`
			from suggestion s join contact a on a.id = s.a join contact b on b.id = s.b
			where s.score >= $1 and ($3 = 0 or s.score < $2 or s.score = $2 and s.id > $3) and `+undecided("s.a", "s.b")+`
			order by s.score desc, s.id limit $4`, page.LeastScore, page.AfterScore, page.AfterID, page.Limit)
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s Suggestion, err error) {
			var a, b json.RawMessage
			if err = row.Scan(&s.ID, &s.Score, &s.Reasons, &s.FoundAt, &a, &b); err == nil {
				err = json.Unmarshal(a, &s.A)
			}
			if err == nil {
				err = json.Unmarshal(b, &s.B)
			}
			return s, err
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read suggestions: %w", err)
	}
	return list, nil
}

// undecided is true for two contacts, by SQL expressions of their ids, of whose records nobody has decided that they are two people.
func undecided(a, b string) string {
	return `not exists (select from (
		select distinct on (d.a, d.b) d.same from contact_decision d
		where d.a = any (` + recordsSQL(a) + `) and d.b = any (` + recordsSQL(b) + `)
			or d.a = any (` + recordsSQL(b) + `) and d.b = any (` + recordsSQL(a) + `)
		order by d.a, d.b, d.id desc) l where not l.same)`
}

// roles are the columns of contacts that tell who somebody is.
type roles struct {
	names, places []string // columns
	birthday      string   // a column; "" where there is none
	attributes    []string // names
	columns       []string // theirs
}

func loadRoles(ctx context.Context, tx pgx.Tx) (r roles, err error) {
	rows, err := tx.Query(ctx, `
		select a.role, a.name, a.column_name from attribute a where a.record_type = 'contact' and a.declared and a.role <> '' order by a.name`)
	if err != nil {
		return r, fmt.Errorf("read the roles of attributes: %w", err)
	}
	var role, name, column string
	_, err = pgx.ForEachRow(rows, []any{&role, &name, &column}, func() error {
		r.attributes, r.columns = append(r.attributes, name), append(r.columns, column)
		switch crm.Role(role) {
		case crm.NameRole:
			r.names = append(r.names, column)
		case crm.PlaceRole:
			r.places = append(r.places, column)
		case crm.BirthdayRole:
			r.birthday = column
		}
		return nil
	})
	if err != nil {
		return r, fmt.Errorf("read the roles of attributes: %w", err)
	}
	return r, nil
}

// suggested is a JSON object of a contact, by the alias of its row.
func (r roles) suggested(contact string) string {
	attributes := ""
	for i, name := range r.attributes {
		if i > 0 {
			attributes += ", "
		}
		attributes += "'" + name + "', " + contact + "." + sqlName(r.columns[i]) + "::text"
	}
	return fmt.Sprintf(`jsonb_build_object('PublicID', %[1]s.public_id, 'CreatedAt', %[1]s.created_at,
		'Attributes', jsonb_strip_nulls(jsonb_build_object(%[2]s)),
		'Sources', (select coalesce(jsonb_agg(distinct substr(i.type, length('external:') + 1)), '[]') from identifier_link l
			join identifier i on i.id = l.identifier_id where l.contact_id = %[1]s.id and i.type like 'external:%%'),
		'Identifiers', (select coalesce(jsonb_agg(jsonb_build_object('Type', x.type, 'Value', x.value, 'Verified', x.verified, 'Source', x.source,
				'LinkedAt', x.linked_at) order by x.type, x.value), '[]') from (
			select i.type, i.value, l.verified, l.source, l.linked_at from identifier_link l join identifier i on i.id = l.identifier_id
			where l.contact_id = %[1]s.id and i.type not like 'external:%%' order by i.type, i.value limit 20) x))`, contact, attributes)
}

// SuggestionCounts are how many pairs wait for a decision, and how many contacts to be compared.
type SuggestionCounts struct {
	Waiting, Due int64
	// Scanning tells that everybody is being compared anew.
	Scanning bool
}

// CountSuggestions counts what waits.
func (db *DB) CountSuggestions(ctx context.Context) (c SuggestionCounts, err error) {
	err = db.Pool.QueryRow(ctx, `select (select count(*) from suggestion), (select count(*) from suggestion_due),
		coalesce((select scan_after is not null from suggestion_state), false)`).Scan(&c.Waiting, &c.Due, &c.Scanning)
	if err != nil {
		return c, fmt.Errorf("count suggestions: %w", err)
	}
	return c, nil
}
