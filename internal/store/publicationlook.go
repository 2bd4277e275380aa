package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/deliver/post"
)

// ChannelTakes is what a channel's server takes of a post.
type ChannelTakes struct {
	post.Takes
	// Known says that a worker has asked it.
	Known bool
}

// ChannelTakes reads what a channel's server takes of a post.
func (db *DB) ChannelTakes(ctx context.Context, channel string) (ChannelTakes, error) {
	var takes *post.Takes
	err := db.Pool.QueryRow(ctx, "select takes from channel where name = $1", channel).Scan(&takes)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return ChannelTakes{}, fmt.Errorf("read what the server of channel %q takes: %w", channel, err)
	}
	return ChannelTakes{Takes: valueOf(takes), Known: takes != nil}, nil
}

// PublishedPost is a post that is on its network.
type PublishedPost struct {
	Locale string
	URL    string // of a thread, that of its first post
	At     time.Time
}

// publishedPosts lists the posts of a send that are on the network, in the order in which they are published.
func (db *DB) publishedPosts(ctx context.Context, sendID int64) ([]PublishedPost, error) {
	rows, err := db.Pool.Query(ctx, `
		select l.step, p.url, p.at from publication_part p join ledger l on l.send_id = p.send_id and l.seq = p.seq
		where p.send_id = $1 and p.part = 1 order by p.seq`, sendID)
	if err == nil {
		var posts []PublishedPost
		if posts, err = pgx.CollectRows(rows, pgx.RowToStructByPos[PublishedPost]); err == nil {
			return posts, nil
		}
	}
	return nil, fmt.Errorf("read the posts of send %d: %w", sendID, err)
}

// maxReported is how many occurrences of a campaign are reported, the newest first.
const maxReported = 50

// PublicationReport is what became of a post, or a thread, in one language, and what people made of it.
type PublicationReport struct {
	Occurrence string // "" of a campaign that is sent once
	Locale     string
	Template   string
	State      campaign.RowState
	At         *time.Time // when that was known; nil while it waits
	Reply      string     // the network's words, or ours
	Parts      []PublishedPart
	// Answers are those that sources brought, by how they are meant.
	Answers AnswerCounts
	// Likes, Reposts and Replies are as the network counted them when a source read the posts last; nil where none did.
	Likes, Reposts, Replies *int64
}

// PublishedPart is a post of a thread that is on its network.
type PublishedPart struct {
	Network string
	ID      string
	URL     string
}

// AnswerCounts counts answers.
type AnswerCounts struct{ Total, Negative, Neutral, Positive int64 }

// ReportPublication reports what became of a campaign's posts: of the last occurrences, the newest first. It returns ErrNotFound for a campaign that has
// published nothing.
func (db *DB) ReportPublication(ctx context.Context, name string) ([]PublicationReport, error) {
	rows, err := db.Pool.Query(ctx, `
		with recent as (
			select s.id, s.occurrence, s.variants from send s
			where s.campaign = $1 and s.publication is not null and s.frozen_at is not null order by s.id desc limit $2)
		select s.occurrence, l.step, coalesce(s.variants -> l.variant ->> 'template', ''), l.state, coalesce(l.settled_at, l.intent_at), coalesce(l.reply, ''),
			coalesce((select jsonb_agg(jsonb_build_object('Network', p.network, 'ID', p.native_id, 'URL', p.url) order by p.part)
				from publication_part p where p.send_id = l.send_id and p.seq = l.seq), '[]'),
			a.total, a.negative, a.neutral, a.positive
		from recent s join ledger l on l.send_id = s.id cross join lateral (
			select count(*) total, count(*) filter (where m.label = 'negative') negative, count(*) filter (where m.label = 'neutral') neutral,
				count(*) filter (where m.label = 'positive') positive
			from publication_part p join mention m on m.network = p.network and m.parent = p.native_id
			where p.send_id = l.send_id and p.seq = l.seq and m.native_id is not null
				and not exists (select from publication_part own where own.network = m.network and own.native_id = m.native_id)) a
		order by s.id desc, l.seq`, name, maxReported)
	var reports []PublicationReport
	if err == nil {
		reports, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r PublicationReport, err error) {
			err = row.Scan(&r.Occurrence, &r.Locale, &r.Template, &r.State, &r.At, &r.Reply, &r.Parts,
				&r.Answers.Total, &r.Answers.Negative, &r.Answers.Neutral, &r.Answers.Positive)
			return r, err
		})
	}
	if err == nil && len(reports) == 0 {
		err = ErrNotFound
	}
	if err == nil {
		err = db.countEngagement(ctx, reports)
	}
	if err != nil {
		return nil, fmt.Errorf("report what campaign %q published: %w", name, err)
	}
	return reports, nil
}

// countEngagement adds what the network counted of our posts, where a source has read them.
func (db *DB) countEngagement(ctx context.Context, reports []PublicationReport) error {
	keys, err := db.mentionKeys(ctx)
	if err != nil {
		return err
	}
	reportOf := map[nativeKey]int{}
	var wanted [][]byte
	for i, r := range reports {
		for _, p := range r.Parts {
			key := keys.post(p.Network, p.ID)
			reportOf[key], wanted = i, append(wanted, key[:])
		}
	}
	rows, err := db.Pool.Query(ctx, "select key, likes, reposts, replies from mention where key = any ($1)", wanted)
	if err != nil {
		return err
	}
	var key []byte
	var likes, reposts, replies *int64
	_, err = pgx.ForEachRow(rows, []any{&key, &likes, &reposts, &replies}, func() error {
		r := &reports[reportOf[nativeKey(key)]]
		r.Likes, r.Reposts, r.Replies = sum(r.Likes, likes), sum(r.Reposts, reposts), sum(r.Replies, replies)
		return nil
	})
	return err
}

// sum adds what is known; nil is not.
func sum(a, b *int64) *int64 {
	if a == nil || b == nil {
		return firstOf(a, b)
	}
	n := *a + *b
	return &n
}

func firstOf(a, b *int64) *int64 {
	if a != nil {
		return a
	}
	return b
}
