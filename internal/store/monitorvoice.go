package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// WindowQuery asks about a monitor, from one time up to another.
type WindowQuery struct {
	Monitor  string
	From, To time.Time
}

// maxWindow is how long a time somebody may ask about.
const maxWindow = 400 * 24 * time.Hour

func (q WindowQuery) check() error {
	switch {
	case !q.From.Before(q.To):
		return queryErrorf("the time ends before it begins: let from be before to")
	case q.To.Sub(q.From) > maxWindow:
		return queryErrorf("the time is longer than 400 days: ask for a shorter one")
	}
	return nil
}

// TopicShare is how much was said about a topic, and which part of what was said about the brand and its competitors that is.
type TopicShare struct {
	Topic                                      string
	Role                                       TopicRole
	Mentions, Negatives, Positives, Engagement int64
	// Share is nil of products, which are talked of as the brand's, and where nothing was said at all.
	Share *float64
}

// ShareOfVoice compares how much is said of the brand's topics with what is said of competitors, by mentions. A post about two of them counts
// for both.
func (db *DB) ShareOfVoice(ctx context.Context, q WindowQuery) ([]TopicShare, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	a, err := db.askMonitor(ctx, q.Monitor, "", "")
	if err != nil {
		return nil, err
	}
	rows, err := db.Pool.Query(ctx, `
		with c as materialized (
			select t.id, t.name, t.role, coalesce(sum(y.mentions), 0)::bigint mentions, coalesce(sum(y.negatives), 0)::bigint negatives,
				coalesce(sum(y.positives), 0)::bigint positives, coalesce(sum(y.engagement), 0)::bigint engagement
			from topic t left join (`+tallied+`) y on y.topic_id = t.id where t.id = any ($3) group by t.id
		)
		select name, role, mentions, negatives, positives, engagement,
			case when role <> 'Product' then (mentions / nullif(sum(mentions) filter (where role <> 'Product') over (), 0))::float8 end
		from c order by array_position('{Brand,Product,Competitor}', role), mentions desc, name`, []time.Time{q.From}, q.To, a.ids(), "")
	if err != nil {
		return nil, fmt.Errorf("compare the topics of monitor %q: %w", q.Monitor, err)
	}
	shares, err := pgx.CollectRows(rows, pgx.RowToStructByPos[TopicShare])
	if err != nil {
		return nil, fmt.Errorf("compare the topics of monitor %q: %w", q.Monitor, err)
	}
	return shares, nil
}

// SourceEngagement is what others did with the posts about a topic that a source brought: likes, reposts and replies.
type SourceEngagement struct {
	Topic, Source        string
	Mentions, Engagement int64
	PerMention           float64
}

// EngagementBySource tells the engagement of each topic and source, the largest first. Counts that were filled in have none.
func (db *DB) EngagementBySource(ctx context.Context, q WindowQuery) ([]SourceEngagement, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	a, err := db.askMonitor(ctx, q.Monitor, "", "")
	if err != nil {
		return nil, err
	}
	rows, err := db.Pool.Query(ctx, `
		select t.name, s.name, sum(y.mentions)::bigint, sum(y.engagement)::bigint, (sum(y.engagement) / nullif(sum(y.mentions), 0))::float8
		from monitor_tally y join topic t on t.id = y.topic_id join social_source s on s.id = y.source_id
		where y.topic_id = any ($1) and y.step >= $2 and y.step < $3 group by t.id, s.name having sum(y.mentions) > 0 order by 4 desc, 3 desc, 1, 2 limit 1000`,
		a.ids(), q.From, q.To)
	if err != nil {
		return nil, fmt.Errorf("read the engagement of monitor %q: %w", q.Monitor, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[SourceEngagement])
	if err != nil {
		return nil, fmt.Errorf("read the engagement of monitor %q: %w", q.Monitor, err)
	}
	return list, nil
}

// Responses tell how soon we answer those who ask us something.
type Responses struct {
	Asked, Answered, Waiting int64 // Waiting: of the last 30 days
	// Median and P90 are from when it was asked, of what was answered; nil where nothing was.
	Median, P90 *time.Duration
	// OldestWaiting is for how long the oldest of those has waited that are not answered.
	OldestWaiting *time.Duration
}

// ResponseTimes tells of what was asked within a time how much was answered, and how soon. Only what came in by the monitor's sources is known:
// an answer counts where a source brings our own posts too.
func (db *DB) ResponseTimes(ctx context.Context, q WindowQuery) (r Responses, err error) {
	if err := q.check(); err != nil {
		return r, err
	}
	a, err := db.askMonitor(ctx, q.Monitor, "", "")
	if err != nil {
		return r, err
	}
	err = db.Pool.QueryRow(ctx, `
		select count(*), count(answered_at), count(*) filter (where answered_at is null and asked_at > now() - $4::interval),
			percentile_cont(0.5) within group (order by answered_at - asked_at), percentile_cont(0.9) within group (order by answered_at - asked_at),
			max(now() - asked_at) filter (where answered_at is null and asked_at > now() - $4::interval)
		from mention_response where monitor_id = $1 and asked_at >= $2 and asked_at < $3`, a.id, q.From, q.To, answerWithin).
		Scan(&r.Asked, &r.Answered, &r.Waiting, &r.Median, &r.P90, &r.OldestWaiting)
	if err != nil {
		return r, fmt.Errorf("read the response times of monitor %q: %w", q.Monitor, err)
	}
	return r, nil
}
