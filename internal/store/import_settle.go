package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/identity"
)

// settle writes what a batch says of records of contacts that have several, and decides who those are whose identifiers are others' too.
func (w *contactWriter) settle(ctx context.Context, tx pgx.Tx, p *plan) error {
	if len(p.claims) == 0 && len(p.said) == 0 {
		return nil
	}
	claimed, err := w.logClaims(ctx, tx, p.claims)
	if err != nil {
		return err
	}
	said, err := w.news(ctx, tx, p.said)
	if err != nil {
		return err
	}
	touched := slices.Clone(claimed)
	for record := range said {
		touched = append(touched, record)
	}
	if len(touched) == 0 {
		return p.name(ctx, tx, nil, nil)
	}
	result, err := reconcile(ctx, tx, touched, said)
	if err != nil {
		return err
	}
	return p.name(ctx, tx, touched, result.contact)
}

// logClaims writes what records claim and did not claim before, and returns these records.
func (w *contactWriter) logClaims(ctx context.Context, tx pgx.Tx, claims []newLink) ([]int64, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	identifiers, records, verified := make([]int64, len(claims)), make([]int64, len(claims)), make([]bool, len(claims))
	for i, c := range claims {
		identifiers[i], records[i], verified[i] = c.identifier, c.contact, c.verified
	}
	rows, err := tx.Query(ctx, `
		insert into identifier_link_log (identifier_id, record_id, evidence, source, verified)
		select s.identifier_id, s.record_id, $5, $4, s.verified from unnest($1::bigint[], $2::bigint[], $3::boolean[]) s(identifier_id, record_id, verified)
		where not exists (select from identifier_link_log g where g.record_id = s.record_id and g.identifier_id = s.identifier_id
			and g.revoked_at is null and (g.verified or not s.verified))
		returning record_id`, identifiers, records, verified, w.source, identity.Stated)
	if err != nil {
		return nil, fmt.Errorf("log links: %w", err)
	}
	claimed, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("log links: %w", err)
	}
	slices.Sort(claimed)
	return slices.Compact(claimed), nil
}

// news is what rows say of records that these have not said before.
func (w *contactWriter) news(ctx context.Context, tx pgx.Tx, list []statement) (map[int64]identity.Said, error) {
	if len(list) == 0 {
		return nil, nil
	}
	ids := make([]int64, len(list))
	for i, s := range list {
		ids[i] = s.record
	}
	records, err := loadRecords(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	survivorship, err := loadSurvivorship(ctx, tx)
	if err != nil {
		return nil, err
	}
	var now time.Time
	if err := tx.QueryRow(ctx, "select now()").Scan(&now); err != nil {
		return nil, err
	}
	said := map[int64]identity.Said{}
	for _, s := range list {
		words := w.words(s.row, now)
		known := records[s.record]
		r := identity.Record{Values: known.Said, Tags: slices.Clone(known.Tags), Consents: slices.Clone(known.Consents)}
		if r.Say(words, now, survivorship.same) {
			said[s.record] = words
		}
	}
	return said, nil
}

// words are what a row says, by columns of contacts.
func (w *contactWriter) words(row *ContactRow, now time.Time) identity.Said {
	said := identity.Said{Values: map[string]string{"locale": row.Locale, "time_zone": row.TimeZone}, Tags: distinct(row.Tags)}
	for i, a := range w.columns.Attributes {
		said.Values[a.Column()] = row.Attributes[i]
	}
	for i, decision := range row.Consents {
		if decision == Unsaid {
			continue
		}
		c := identity.Consent{Purpose: w.columns.Purposes[i], Granted: decision == Granted, Source: w.source, RecordedAt: now}
		if i < len(row.Proofs) {
			c.Method, c.TextVersion, c.GivenAt = textOrNil(row.Proofs[i].Method), textOrNil(row.Proofs[i].TextVersion), timeOrNil(row.Proofs[i].GivenAt)
		}
		said.Consents = append(said.Consents, c)
	}
	return said
}

func textOrNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func timeOrNil(text string) *time.Time {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil { // it is empty: intake has checked it
		return nil
	}
	return &at
}

// name gives the rows the contacts that their records belong to. Whose record came to somebody who was there before has not created anybody.
func (p *plan) name(ctx context.Context, tx pgx.Tx, touched []int64, contact map[int64]int64) error {
	created := map[int64]bool{}
	var unknown []int64
	for i, record := range p.contacts {
		if p.outcomes[i] == Created {
			created[record] = true
		}
	}
	for _, s := range p.said {
		if _, known := contact[s.record]; !known {
			unknown = append(unknown, s.record)
		}
	}
	whose := map[int64]int64{}
	rows, err := tx.Query(ctx, "select id, contact_id from contact_record where id = any ($1)", unknown)
	if err == nil {
		var record, id int64
		_, err = pgx.ForEachRow(rows, []any{&record, &id}, func() error { whose[record] = id; return nil })
	}
	if err != nil {
		return fmt.Errorf("read whose records are: %w", err)
	}
	for i, record := range p.contacts {
		now, ok := contact[record]
		if !ok {
			now, ok = whose[record]
		}
		if !ok {
			continue
		}
		p.contacts[i] = now
		switch {
		case p.outcomes[i] == Created && !created[now], p.outcomes[i] == Unchanged && slices.Contains(touched, record):
			p.outcomes[i] = Updated
		}
	}
	return nil
}
