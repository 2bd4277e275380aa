package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/monitor/influence"
)

// RankedInfluence is what was computed of a topic.
type RankedInfluence struct {
	Authors, Edges int
	Took           RankedTimes
}

// RankedTimes is how long the parts of a computation took.
type RankedTimes struct{ Build, Read, Rank, Write time.Duration }

// Whole is how long all of it took.
func (t RankedTimes) Whole() time.Duration { return t.Build + t.Read + t.Rank + t.Write }

// RefreshInfluence makes the edges of a topic anew where that is due, and computes who is how influential. Call it under WithInfluenceLock.
func (db *DB) RefreshInfluence(ctx context.Context, due InfluenceDue) (done RankedInfluence, err error) {
	clock := stopwatch{time.Now()}
	if err := db.tryInfluence(ctx, due); err != nil {
		return done, fmt.Errorf("compute who moves the talk about topic %q of monitor %q: %w", due.Name, due.Monitor, err)
	}
	done.Took.Build = clock.lap()
	graph, err := db.readInfluence(ctx, due.Topic)
	if err != nil {
		return done, fmt.Errorf("read who talks about topic %q of monitor %q: %w", due.Name, due.Monitor, err)
	}
	done.Took.Read, done.Authors, done.Edges = clock.lap(), len(graph.authors), len(graph.edges)
	scores := influence.Rank(graph.authors, graph.edges, graph.now)
	done.Took.Rank = clock.lap()
	if err := db.writeInfluence(ctx, due.Topic, graph, scores); err != nil {
		return done, fmt.Errorf("store who moves the talk about topic %q of monitor %q: %w", due.Name, due.Monitor, err)
	}
	done.Took.Write = clock.lap()
	return done, nil
}

// stopwatch tells how long parts take.
type stopwatch struct{ began time.Time }

func (s *stopwatch) lap() time.Duration {
	now := time.Now()
	took := now.Sub(s.began)
	s.began = now
	return took
}

// tryInfluence notes that a topic is tried, by itself: one that fails is not tried again at once.
func (db *DB) tryInfluence(ctx context.Context, due InfluenceDue) error {
	_, err := db.Pool.Exec(ctx, "insert into influence_topic (topic_id) values ($1) on conflict (topic_id) do update set tried_at = now()", due.Topic)
	if err != nil || !due.Build {
		return err
	}
	return db.InTx(ctx, func(tx pgx.Tx) error { return buildInfluence(ctx, tx, due.Topic) })
}

// buildInfluence makes the edges of a topic of what is stored now, up to the last mention that is in the edges of others: what comes after it is
// added later. Only what differs is written.
func buildInfluence(ctx context.Context, tx pgx.Tx, topic int64) error {
	addedTo, err := lockInfluence(ctx, tx)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		create temporary table influence_fresh (from_author bigint not null, to_author bigint not null, weight float8 not null) on commit drop`)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `
		insert into pg_temp.influence_fresh
		select m.author_id, c.author_id, sum(`+influenceWeight+`)
		from mention_topic o join mention m on m.id = o.mention_id join mention_account c on c.mention_id = m.id
		where o.topic_id = $1 and o.created_at > now() - $3::interval and m.id <= $2 and m.forgotten_at is null and m.author_id <> c.author_id
		group by 1, 2 order by 3 desc limit `+fmt.Sprint(influenceEdges), topic, addedTo, influence.Window)
	if err != nil {
		return err
	}
	var queue pgx.Batch
	queue.Queue("analyze pg_temp.influence_fresh")
	queue.Queue(`
		delete from influence_edge e where e.topic_id = $1
			and not exists (select from pg_temp.influence_fresh f where f.from_author = e.from_author and f.to_author = e.to_author)`, topic)
	queue.Queue(`
		insert into influence_edge (topic_id, from_author, to_author, weight)
		select $1, f.from_author, f.to_author, f.weight from pg_temp.influence_fresh f
			left join (select from_author, to_author, weight from influence_edge where topic_id = $1) e using (from_author, to_author)
		where e.weight is null or abs(f.weight - e.weight) > 1e-9 * f.weight
		on conflict (topic_id, from_author, to_author) do update set weight = excluded.weight`, topic)
	queue.Queue("update influence_topic set built_at = now(), unranked = true where topic_id = $1", topic)
	return tx.SendBatch(ctx, &queue).Close()
}

// influenceGraph is what influence is computed of.
type influenceGraph struct {
	now     time.Time
	authors []influence.Author
	edges   []influence.Edge
}

// readInfluence reads what is known of a topic.
func (db *DB) readInfluence(ctx context.Context, topic int64) (g influenceGraph, err error) {
	err = db.look(ctx, influenceLimit, func(tx pgx.Tx) error {
		if err := boundInfluence(ctx, tx); err != nil {
			return err
		}
		var accounts []string
		err := tx.QueryRow(ctx, "select now(), m.accounts from topic t join monitor m on m.id = t.monitor_id where t.id = $1", topic).Scan(&g.now, &accounts)
		if err != nil {
			return err
		}
		if err := g.readEdges(ctx, tx, topic); err != nil {
			return err
		}
		began, err := g.readAuthors(ctx, tx, topic, accountNames(accounts))
		if err != nil {
			return err
		}
		talks, err := readTalks(ctx, tx, topic)
		if err != nil {
			return err
		}
		brought := influence.Brought(talks, began)
		for i := range g.authors {
			g.authors[i].Brought = brought[g.authors[i].ID]
		}
		return nil
	})
	return g, err
}

// readEdges reads the heaviest edges, with their weights of now.
func (g *influenceGraph) readEdges(ctx context.Context, tx pgx.Tx, topic int64) error {
	rows, err := tx.Query(ctx, "select from_author, to_author, weight from influence_edge where topic_id = $1 order by weight desc limit "+
		fmt.Sprint(influenceEdges), topic)
	if err != nil {
		return err
	}
	decay := math.Exp2(-g.now.Sub(influenceEpoch).Hours() / influence.HalfLife.Hours())
	var e influence.Edge
	_, err = pgx.ForEachRow(rows, []any{&e.From, &e.To, &e.Weight}, func() error {
		g.edges = append(g.edges, influence.Edge{From: e.From, To: e.To, Weight: e.Weight * decay})
		return nil
	})
	return err
}

// livingAuthor is true for an author a who was not forgotten, and of whom something is known. Who was forgotten is not compared again.
const livingAuthor = "a.forgotten_at is null and (a.native_id is not null or a.handle <> '')"

// readAuthors reads who wrote, took up others or was taken up, and returns since when those write who do.
func (g *influenceGraph) readAuthors(ctx context.Context, tx pgx.Tx, topic int64, accounts []string) (map[int64]time.Time, error) {
	// A repost has no words of its own: it says nothing of how much somebody writes, and how.
	rows, err := tx.Query(ctx, `
		with wrote as materialized (
			select m.author_id id, min(m.created_at) began, count(*) filter (where own) posts,
				count(distinct date_trunc('month', m.created_at, 'UTC')) filter (where own) months,
				percentile_cont(0.5) within group (order by m.polarity) filter (where own) median
			from mention_topic o join mention m on m.id = o.mention_id
				cross join lateral (select m.kind <> 'Repost' and m.created_at > now() - $3::interval own) x
			where o.topic_id = $1 and m.forgotten_at is null and m.author_id is not null group by m.author_id
		), people as (
			select id from wrote where posts > 0 union select from_author from influence_edge where topic_id = $1
			union select to_author from influence_edge where topic_id = $1
		)
		select a.id, a.followers, a.registered_at, coalesce(w.posts, 0), coalesce(w.months, 0), coalesce(w.median, 0), coalesce(`+ourAccount+`, false), w.began
		from people p join author a on a.id = p.id left join wrote w on w.id = a.id
		where `+livingAuthor+` order by coalesce(w.posts, 0) desc, a.id limit `+fmt.Sprint(influenceAuthors), topic, accounts, influence.Window)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	began := map[int64]time.Time{}
	for rows.Next() {
		var a influence.Author
		var registered, first *time.Time
		if err := rows.Scan(&a.ID, &a.Followers, &registered, &a.Posts, &a.Months, &a.Sentiment, &a.Staff, &first); err != nil {
			return nil, err
		}
		if registered != nil {
			a.Registered = *registered
		}
		if first != nil {
			began[a.ID] = *first
		}
		g.authors = append(g.authors, a)
	}
	return began, rows.Err()
}

// readTalks reads who talked with whom, about whatever, shortly before one of them first wrote about the topic, where the other had before. Their first
// word itself is none of these, whomever it names: who only takes up another is an amplifier.
func readTalks(ctx context.Context, tx pgx.Tx, topic int64) ([]influence.Talk, error) {
	rows, err := tx.Query(ctx, `
		with wrote as materialized (
			select m.author_id id, min(m.created_at) began from mention_topic o join mention m on m.id = o.mention_id
			where o.topic_id = $1 and m.forgotten_at is null and m.author_id is not null group by m.author_id
		), begun as materialized (select id, began from wrote where began > now() - $2::interval), talk as (
			select b.id, c.author_id other, m.created_at at from begun b
				join mention m on m.author_id = b.id and m.created_at >= b.began - $3::interval and m.created_at < b.began and m.forgotten_at is null
				join mention_account c on c.mention_id = m.id
			union all
			select b.id, m.author_id, m.created_at from begun b join mention_account c on c.author_id = b.id
				join mention m on m.id = c.mention_id and m.created_at >= b.began - $3::interval and m.created_at < b.began and m.forgotten_at is null
		)
		select t.id, t.other, t.at from talk t join wrote w on w.id = t.other where t.id <> t.other and w.began <= t.at
		order by t.at desc limit `+fmt.Sprint(influenceTalks), topic, influence.Window, influence.BroughtWithin)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[influence.Talk])
}

// writeInfluence replaces the scores of a topic.
func (db *DB) writeInfluence(ctx context.Context, topic int64, g influenceGraph, scores []influence.Score) error {
	staff := map[int64]bool{}
	for i := range g.authors {
		if g.authors[i].Staff {
			staff[g.authors[i].ID] = true
		}
	}
	best := scores[:min(len(scores), influenceScores)]
	return db.InTx(ctx, func(tx pgx.Tx) error {
		if err := boundInfluence(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "delete from influence_score where topic_id = $1", topic); err != nil {
			return err
		}
		_, err := tx.CopyFrom(ctx, pgx.Identifier{"influence_score"}, []string{"topic_id", "author_id", "place", "score", "roles", "staff"},
			pgx.CopyFromSlice(len(best), func(i int) ([]any, error) {
				roles := append([]influence.Role{}, best[i].Roles...)
				return []any{topic, best[i].Author, i + 1, best[i], roles, staff[best[i].Author]}, nil
			}))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "update influence_topic set ranked_at = $2, unranked = false, authors = $3, edges = $4 where topic_id = $1",
			topic, g.now, len(g.authors), len(g.edges))
		return err
	})
}
