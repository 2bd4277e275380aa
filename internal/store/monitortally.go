package store

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/sentiment"
)

// tallyStep is how long the steps are in which mentions are counted, by when they were written.
const tallyStep = 5 * time.Minute

// tallyChange is one mention's part in the counts of one topic.
type tallyChange struct {
	Topic, Source int64 // Source is the first that brought the mention for the topic
	At            time.Time
	Label         string // a sentiment.Label
	Engagement    int64  // likes, reposts and replies
	N             int64  // 1 for one that came, -1 for one that left; a change is one that left and one that came
}

// tallyCount is what a row of monitor_tally counts.
type tallyCount struct{ mentions, negatives, positives, engagement int64 }

type tallyKey struct {
	topic, source int64
	step          time.Time
}

// addTally adds to the counts of topics. It locks rows in the order of their keys.
const addTally = `
	insert into monitor_tally as t (topic_id, source_id, step, mentions, negatives, positives, engagement)
	select c.* from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
			c (topic, source, step, mentions, negatives, positives, engagement)
	where exists (select from topic where id = c.topic) order by c.topic, c.source, c.step
	on conflict (topic_id, source_id, step) do update set mentions = t.mentions + excluded.mentions, negatives = t.negatives + excluded.negatives,
		positives = t.positives + excluded.positives, engagement = t.engagement + excluded.engagement`

// queueTally corrects the counts of topics, in the transaction that writes the mentions. Queue it once in a transaction, behind its other
// writes, so that two writers cannot wait for each other.
func queueTally(queue *pgx.Batch, changes []tallyChange) {
	keys, counts := sumTally(changes)
	if len(keys) > 0 {
		queue.Queue(addTally, tallyArguments(keys, counts)...)
	}
}

func tallyArguments(keys []tallyKey, counts map[tallyKey]tallyCount) []any {
	var topics, sources, mentions, negatives, positives, engagement []int64
	var steps []time.Time
	for _, k := range keys {
		c := counts[k]
		topics, sources, steps = append(topics, k.topic), append(sources, k.source), append(steps, k.step)
		mentions, negatives = append(mentions, c.mentions), append(negatives, c.negatives)
		positives, engagement = append(positives, c.positives), append(engagement, c.engagement)
	}
	return []any{topics, sources, steps, mentions, negatives, positives, engagement}
}

// sumTally adds up what changes in each row, in the order of the rows. What comes to nothing is left out.
func sumTally(changes []tallyChange) ([]tallyKey, map[tallyKey]tallyCount) {
	counts := map[tallyKey]tallyCount{}
	for _, c := range changes {
		k := tallyKey{c.Topic, c.Source, c.At.UTC().Truncate(tallyStep)}
		n := counts[k]
		n.mentions += c.N
		n.engagement += c.N * c.Engagement
		switch sentiment.Label(c.Label) {
		case sentiment.Negative:
			n.negatives += c.N
		case sentiment.Positive:
			n.positives += c.N
		}
		counts[k] = n
	}
	maps.DeleteFunc(counts, func(_ tallyKey, c tallyCount) bool { return c == tallyCount{} })
	return slices.SortedFunc(maps.Keys(counts), func(a, b tallyKey) int {
		return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.source, b.source), a.step.Compare(b.step))
	}), counts
}
