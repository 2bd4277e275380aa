package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/monitor/influence"
)

// Bounds of what is computed of influence.
const (
	// influenceEdges and influenceAuthors are how many of a topic are compared at most: the heaviest, and those who wrote most.
	influenceEdges   = 1_000_000
	influenceAuthors = 1_000_000
	// influenceTalks is how many talks before somebody's first word are looked at: the last ones.
	influenceTalks = 1_000_000
	// influenceScores is how many of the most influential are kept.
	influenceScores = 10_000
	// influenceStep is how many ids of mentions are gone through at once.
	influenceStep = 10_000
	// influenceRest is how long a topic rests before it is ranked again, or tried again.
	influenceRest = 15 * time.Minute
	// influenceLimit is how long a statement may take, and influenceMemory what a part of it has before it goes to the disk.
	influenceLimit  = 5 * time.Minute
	influenceMemory = "64MB"
	// influenceHour is the hour of the night, of the monitor's time zone, at which edges are made anew.
	influenceHour = 3
	// influenceLock is held by the worker that computes.
	influenceLock = 0x4D46 << 48
)

// influenceEpoch is the moment at which an interaction weighs what its kind does. One of a later time weighs more, twice as much for each half-life.
var influenceEpoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// influenceWeight is what a mention m weighs at influenceEpoch. Who writes the time of a post cannot have it come from the future.
var influenceWeight = fmt.Sprintf(`(case m.kind when 'Reply' then %g when 'Repost' then %[2]g when 'Quote' then %[2]g else %g end
	* power(2::float8, extract(epoch from least(m.created_at, m.received_at) - timestamptz '%s')::float8 / %g))`,
	influence.Reply.Weight(0), influence.Spread.Weight(0), influence.Mention.Weight(0), influenceEpoch.Format(time.RFC3339), influence.HalfLife.Seconds())

// influenceTopics is true for a topic t of a monitor m whose influence is known.
const influenceTopics = "t.role in ('" + string(BrandTopic) + "', '" + string(ProductTopic) + "') and t.dropped_at is null and m.dormant_since is null"

// WithInfluenceLock runs f while no other worker computes influence, and tells whether it ran.
func (db *DB) WithInfluenceLock(ctx context.Context, f func(context.Context) error) (ran bool, err error) {
	return db.withSessionLock(ctx, influenceLock, f)
}

// AddedInfluence is what a step of AddInfluence did.
type AddedInfluence struct {
	Topics int64 // that have other edges
	More   bool
}

// AddInfluence adds to the edges of topics what was stored since the last time, some of it at a time. Edits, deletions and what is found about a topic
// later are seen when the edges are made anew.
func (db *DB) AddInfluence(ctx context.Context) (added AddedInfluence, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		after, err := lockInfluence(ctx, tx)
		if err != nil {
			return err
		}
		bound, err := settledMentions(ctx, tx)
		if err != nil || bound == after {
			return err
		}
		next := min(bound, after+influenceStep) // below after in a database that was restored: there it goes on
		tag, err := tx.Exec(ctx, `
			with taken as (
				select o.topic_id, m.author_id from_author, c.author_id to_author, sum(`+influenceWeight+`) weight
				from mention m join mention_topic o on o.mention_id = m.id join influence_topic i on i.topic_id = o.topic_id and i.built_at is not null
					join mention_account c on c.mention_id = m.id
				where m.id > $1 and m.id <= $2 and m.forgotten_at is null and m.author_id <> c.author_id and o.created_at > now() - $3::interval
				group by 1, 2, 3
			), stored as (
				insert into influence_edge (topic_id, from_author, to_author, weight) select * from taken
				on conflict (topic_id, from_author, to_author) do update set weight = influence_edge.weight + excluded.weight
				returning topic_id
			)
			update influence_topic set unranked = true where topic_id in (select topic_id from stored)`, after, next, influence.Window)
		if err != nil {
			return err
		}
		added = AddedInfluence{Topics: tag.RowsAffected(), More: next < bound}
		_, err = tx.Exec(ctx, "update influence_cursor set added_to = $1", next)
		return err
	})
	if err != nil {
		return AddedInfluence{}, fmt.Errorf("add to who took up whom: %w", err)
	}
	return added, nil
}

// lockInfluence has nobody else write edges, and returns the last mention that is in them.
func lockInfluence(ctx context.Context, tx pgx.Tx) (addedTo int64, err error) {
	if err := boundInfluence(ctx, tx); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, "select added_to from influence_cursor for update").Scan(&addedTo)
	return addedTo, err
}

// boundInfluence bounds the time and the memory of a transaction's statements.
func boundInfluence(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `select set_config('statement_timeout', $1, true), set_config('work_mem', $2, true), set_config('hash_mem_multiplier', '1', true)`,
		fmt.Sprint(influenceLimit.Milliseconds()), influenceMemory)
	return err
}

// InfluenceDue is a topic whose influence is to be computed.
type InfluenceDue struct {
	Topic         int64
	Monitor, Name string
	Build         bool // the edges are to be made anew as well
}

// InfluenceDue tells of which topics: each night, when they are new or were changed, and when edges were added. What topics left behind that are not
// declared any more is deleted.
func (db *DB) InfluenceDue(ctx context.Context) (due []InfluenceDue, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		if err := dropInfluence(ctx, tx); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			select t.id, m.name, t.name, `+monitorZone+`, t.changed_at, i.built_at, i.ranked_at, coalesce(i.unranked, true), i.tried_at, now()
			from topic t join monitor m on m.id = t.monitor_id and `+influenceTopics+` and not m.suspended cross join tenant
				left join influence_topic i on i.topic_id = t.id
			where t.matched_to is null order by i.tried_at nulls first, t.id`)
		if err != nil {
			return err
		}
		var d InfluenceDue
		var s influenceState
		_, err = pgx.ForEachRow(rows, []any{
			&d.Topic, &d.Monitor, &d.Name, &s.zone, &s.changed, &s.built, &s.ranked, &s.unranked, &s.tried, &s.now,
		}, func() error {
			var is bool
			if is, d.Build = s.due(); is {
				due = append(due, d)
			}
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("look for topics whose influence is to be computed: %w", err)
	}
	return due, nil
}

// dropInfluence deletes what is known of topics that are not declared any more.
func dropInfluence(ctx context.Context, tx pgx.Tx) error {
	var gone []int64
	var queue pgx.Batch
	queue.Queue(`
		delete from influence_topic i using topic t join monitor m on m.id = t.monitor_id where i.topic_id = t.id and not (` + influenceTopics + `)
		returning i.topic_id`).Query(collectInto(&gone))
	if err := tx.SendBatch(ctx, &queue).Close(); err != nil || len(gone) == 0 {
		return err
	}
	queue = pgx.Batch{}
	queue.Queue("delete from influence_edge where topic_id = any ($1)", gone)
	queue.Queue("delete from influence_score where topic_id = any ($1)", gone)
	return tx.SendBatch(ctx, &queue).Close()
}

// influenceState is how far a topic is.
type influenceState struct {
	zone                 string
	now, changed         time.Time
	built, ranked, tried *time.Time
	unranked             bool
}

// due tells whether something is to be done of a topic, and whether its edges are to be made anew.
func (s *influenceState) due() (is, build bool) {
	build = s.built == nil || s.built.Before(s.changed) || s.built.Before(lastNight(s.now, s.zone))
	if s.tried != nil && s.now.Sub(*s.tried) < influenceRest {
		return false, build
	}
	return build || s.unranked || s.ranked == nil, build
}

// lastNight is when edges were last to be made anew, in a time zone; of one that is not known, in UTC.
func lastNight(now time.Time, zone string) time.Time {
	location, err := time.LoadLocation(zone)
	if err != nil {
		location = time.UTC
	}
	local := now.In(location)
	night := time.Date(local.Year(), local.Month(), local.Day(), influenceHour, 0, 0, 0, location)
	if night.After(now) {
		night = time.Date(local.Year(), local.Month(), local.Day()-1, influenceHour, 0, 0, 0, location)
	}
	return night
}
