package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/monitor/influence"
)

// MaxInfluence is how many of the most influential are told at most.
const MaxInfluence = 500

// InfluenceQuery asks who moves the talk about a topic.
type InfluenceQuery struct {
	Monitor string
	Topic   string         // "" for the only topic of the brand
	Role    influence.Role // "" for all
	Limit   int            // at most MaxInfluence; 0 is 50
}

// Influence is who moves the talk about a topic.
type Influence struct {
	Monitor, Topic string
	RankedAt       *time.Time // nil: not yet
	Authors, Edges int        // that were compared
	Top            []Influencer
}

// Influencer is somebody whose words others take up.
type Influencer struct {
	MentionAuthor
	Network string
	Place   int  // 1 is the most influential of all
	Staff   bool // one of our own accounts
	influence.Score
}

// Influence tells who moves the talk about a topic of the brand or of a product, the most influential first. Nobody is told of who is forgotten.
func (db *DB) Influence(ctx context.Context, q InfluenceQuery) (found Influence, err error) {
	topic, err := db.influenceTopic(ctx, q)
	if err != nil {
		return found, err
	}
	if q.Limit < 0 || q.Limit > MaxInfluence {
		return found, queryErrorf("%d authors: ask for 1 to %d", q.Limit, MaxInfluence)
	}
	if q.Limit == 0 {
		q.Limit = 50
	}
	found.Monitor, found.Topic = q.Monitor, topic.Name
	err = db.look(ctx, lookLimit, func(tx pgx.Tx) error {
		var queue pgx.Batch
		queue.Queue("select ranked_at, authors, edges from influence_topic where topic_id = $1", topic.ID).Query(func(rows pgx.Rows) error {
			_, err := pgx.ForEachRow(rows, []any{&found.RankedAt, &found.Authors, &found.Edges}, func() error { return nil })
			return err
		})
		queue.Queue("select "+authorFields+`, a.network, s.place, s.staff, s.score
			from influence_score s join author a on a.id = s.author_id and `+livingAuthor+`
			where s.topic_id = $1 and ($2 = '' or $2 = any (s.roles)) order by s.place limit $3`, topic.ID, string(q.Role), q.Limit).
			Query(func(rows pgx.Rows) (err error) {
				found.Top, err = pgx.CollectRows(rows, scanInfluencer)
				return err
			})
		return tx.SendBatch(ctx, &queue).Close()
	})
	if err != nil {
		return Influence{}, fmt.Errorf("read who moves the talk about topic %q of monitor %q: %w", topic.Name, q.Monitor, err)
	}
	return found, nil
}

// influenceTopic finds the topic that is asked about.
func (db *DB) influenceTopic(ctx context.Context, q InfluenceQuery) (topic TopicSummary, err error) {
	a, err := db.askMonitor(ctx, q.Monitor, q.Topic, BrandTopic)
	switch {
	case err != nil:
		return topic, err
	case len(a.topics) != 1:
		return topic, queryErrorf("monitor %q has %d topics of role Brand: name the topic", q.Monitor, len(a.topics))
	case a.topics[0].Role == CompetitorTopic:
		return topic, queryErrorf("topic %q is a competitor's: it is known of the brand's topics and of products who moves the talk", q.Topic)
	}
	return a.topics[0], nil
}

func scanInfluencer(row pgx.CollectableRow) (i Influencer, err error) {
	a := &i.MentionAuthor
	err = row.Scan(&a.PublicID, &a.NativeID, &a.Handle, &a.Name, &a.URL, &a.Followers, &a.RegisteredAt, &a.Bot, &i.Network, &i.Place, &i.Staff, &i.Score)
	return i, err
}
