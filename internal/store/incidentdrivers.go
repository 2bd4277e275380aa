package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/monitor"
)

// Bounds of what is read to find terms, and of what is told.
const (
	termTexts      = 2000 // of the time in question, the newest
	termUsualTexts = 4000 // of the four weeks before
	termHistory    = 28 * 24 * time.Hour
	driverMembers  = 10 // terms, sources and samples, each
)

// termQuery says of which mentions of a topic terms are taken.
type termQuery struct {
	topic     int64
	from, to  time.Time
	negatives bool // of negative ones alone
	left      []monitor.Span
	limit     int
}

// mentionTexts reads what was said, the newest first, with the names of who said it and of whom it names.
func mentionTexts(ctx context.Context, q querier, t termQuery) ([]monitor.Text, error) {
	var begins, ends []time.Time
	for _, s := range t.left {
		begins, ends = append(begins, s.From), append(ends, s.To)
	}
	rows, err := q.Query(ctx, `
		select coalesce(m.author_id, 0), left(m.title || ' . ' || m.text, 4000), array_remove(array[a.name, a.handle], null) || array(
				select unnest(array[b.name, b.handle]) from mention_account c join author b on b.id = c.author_id where c.mention_id = m.id limit 32)
		from mention_topic o join mention m on m.id = o.mention_id left join author a on a.id = m.author_id
		where o.topic_id = $1 and o.created_at >= $2 and o.created_at < $3 and m.forgotten_at is null and (not $4 or m.label = 'negative')
			and not exists (select from unnest($5::timestamptz[], $6::timestamptz[]) l (b, e) where o.created_at >= l.b and o.created_at < l.e)
		order by o.created_at desc, o.mention_id desc limit $7`, t.topic, t.from, t.to, t.negatives, begins, ends, t.limit)
	if err != nil {
		return nil, fmt.Errorf("read what was said: %w", err)
	}
	texts, err := pgx.CollectRows(rows, pgx.RowToStructByPos[monitor.Text])
	if err != nil {
		return nil, fmt.Errorf("read what was said: %w", err)
	}
	return texts, nil
}

// givenNames reads the names and their familiar forms that are known.
func givenNames(ctx context.Context, q querier) ([]string, error) {
	rows, err := q.Query(ctx, "select form from nickname union select name from nickname")
	if err != nil {
		return nil, fmt.Errorf("read the given names: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the given names: %w", err)
	}
	return names, nil
}

// risingTerms compares what is said of a topic within a time with the four weeks before it, but for the spans that are left out.
func risingTerms(ctx context.Context, q querier, t termQuery, left []monitor.Span, limit int) ([]monitor.Term, error) {
	t.limit = termTexts
	now, err := mentionTexts(ctx, q, t)
	if err != nil || len(now) == 0 {
		return []monitor.Term{}, err
	}
	t.from, t.to, t.left, t.limit = t.from.Add(-termHistory), t.from, left, termUsualTexts
	usual, err := mentionTexts(ctx, q, t)
	if err != nil {
		return nil, err
	}
	names, err := givenNames(ctx, q)
	if err != nil {
		return nil, err
	}
	return append([]monitor.Term{}, monitor.Rising(now, usual, monitor.TermOptions{Names: names, Limit: limit})...), nil
}

// findDrivers finds what drives an incident, up to a moment.
func findDrivers(ctx context.Context, tx pgx.Tx, w *watched, i monitor.Incident, at time.Time) (d Drivers, err error) {
	before, err := topicIncidents(ctx, tx, w.topic, i.Began.Add(-termHistory))
	if err != nil {
		return d, err
	}
	if d.Terms, err = risingTerms(ctx, tx, termQuery{topic: w.topic, from: i.Began, to: at, negatives: true}, spansOf(before), driverMembers); err != nil {
		return d, err
	}
	rows, err := tx.Query(ctx, `
		select s.name, count(*) from mention_topic o join mention m on m.id = o.mention_id join social_source s on s.id = o.source_id
		where o.topic_id = $1 and o.created_at >= $2 and o.created_at < $3 and m.label = 'negative' and m.forgotten_at is null
		group by s.name order by 2 desc, 1 limit $4`, w.topic, i.Began, at, driverMembers)
	if err == nil {
		d.Sources, err = pgx.CollectRows(rows, pgx.RowToStructByPos[SourceCount])
	}
	if err != nil {
		return d, fmt.Errorf("count the sources of the incident: %w", err)
	}
	rows, err = tx.Query(ctx, `
		select m.public_id::text from mention_topic o join mention m on m.id = o.mention_id
		where o.topic_id = $1 and o.created_at >= $2 and o.created_at < $3 and m.label = 'negative' and m.forgotten_at is null
		order by coalesce(m.likes, 0) + coalesce(m.reposts, 0) + coalesce(m.replies, 0) desc, o.created_at, o.mention_id limit $4`,
		w.topic, i.Began, at, driverMembers)
	if err == nil {
		d.Samples, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return d, fmt.Errorf("choose examples of the incident: %w", err)
	}
	return d, nil
}

// spansOf are the times of incidents, which are no example of the usual. What went on for so long that it became usual is one.
func spansOf(list []Incident) (spans []monitor.Span) {
	for _, i := range list {
		if i.Ending != monitor.BecameUsual {
			spans = append(spans, monitor.Span{From: i.Began, To: i.LastUnusual})
		}
	}
	return spans
}
