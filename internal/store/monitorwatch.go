package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/monitor"
)

// watched is a topic as it is evaluated.
type watched struct {
	topic       int64
	monitor     string
	name        string
	sources     []string
	crisis      CrisisConfig
	zone        string
	liveFrom    time.Time
	evaluatedTo *time.Time // nil before the first time
	state       monitor.State
	zoneOfState string // whose hours the state was learned by
	relearn     bool
	ready       bool
	knownFrom   time.Time // the first step of which anything is known
	until       time.Time // the end of the last step that can be evaluated now
}

// detectorState is how a detector is written down.
type detectorState struct {
	monitor.State
	Zone string `json:"zone"`
	// Known is since when anything was known.
	Known time.Time `json:"known,omitzero"`
}

// newHistory is how much more history has to be known than before for it to be learned anew: that of a source that was added, for one.
const newHistory = 24 * time.Hour

// The bounds of lateness: for how long after the end of a step it is waited for mentions that come late, as is usual for the topic.
const (
	leastLateness = 30 * time.Second
	mostLateness  = 10 * time.Minute
	// lateFrom is from when on a mention is not late but from history.
	lateFrom = time.Hour
)

// watchedUntil is the end of the steps of which everything has come in, for a topic t of a monitor m: when all of its sources that are due
// were read, less how late mentions are that come, nineteen of twenty of the last 500. A source that rests as it should, or that cannot be
// read, is not waited for, and neither is one that is posted to.
const watchedUntil = `
	select date_bin($1::interval, least(clock_timestamp(), (
			select min(coalesce(l.listened_at, '-infinity')) from social_source s join social_source_state l on l.source_id = s.id
			where s.dormant_since is null and not s.suspended and s.type <> 'Webhook' and l.trouble is null and l.next_at <= now()
				and coalesce(l.listened_at < now() - s.poll_every or l.listened_at > now() - interval '30 seconds', true)
				and (cardinality(m.sources) = 0 or s.name = any (m.sources))
		)) - coalesce((
			select least(greatest(percentile_cont(0.95) within group (order by n.received_at - n.created_at), $2::interval), $3::interval)
			from (select o.mention_id from mention_topic o where o.topic_id = t.id order by o.created_at desc limit 500) o
				join mention n on n.id = o.mention_id
			where n.received_at - n.created_at < $4::interval having count(*) >= 20
		), interval '1 minute'), 'epoch')`

// TopicsToWatch finds the topics that a step of five minutes can be evaluated of.
func (db *DB) TopicsToWatch(ctx context.Context) ([]int64, error) {
	rows, err := db.Pool.Query(ctx, `
		with due as materialized (
			select t.id, t.monitor_id, d.evaluated_to, coalesce(d.relearn, true) relearn
			from topic t join monitor m on m.id = t.monitor_id and `+topicInForce+` cross join tenant left join monitor_detector d on d.topic_id = t.id
			where t.role <> 'Competitor' and t.matched_to is null and not tenant.suspended
				and (d.evaluated_to is null or d.relearn or d.evaluated_to < clock_timestamp() - $1::interval - $2::interval)
		)
		select t.id from due t join monitor m on m.id = t.monitor_id cross join lateral (`+watchedUntil+`) u (until)
		where u.until > '-infinity' and (t.evaluated_to is null or t.relearn or u.until > t.evaluated_to)
		order by t.evaluated_to nulls first, t.id`, tallyStep, leastLateness, mostLateness, lateFrom)
	if err != nil {
		return nil, fmt.Errorf("look which topics are to be evaluated: %w", err)
	}
	topics, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("look which topics are to be evaluated: %w", err)
	}
	return topics, nil
}

// loadWatched reads a topic and locks what is known of it. It returns nil for one that is not to be evaluated.
func loadWatched(ctx context.Context, tx pgx.Tx, topic int64) (*watched, error) {
	if _, err := tx.Exec(ctx, "insert into monitor_detector (topic_id) select id from topic where id = $1 on conflict do nothing", topic); err != nil {
		return nil, err
	}
	w := watched{topic: topic}
	var state *detectorState
	var known *time.Time
	err := tx.QueryRow(ctx, `
		select m.name, t.name, m.sources, m.crisis, coalesce(nullif(m.time_zone, ''), nullif(tenant.time_zone, ''), 'UTC'), t.live_from,
			d.evaluated_to, d.state, d.relearn, d.ready, u.until, (select min(y.step) from monitor_tally y where y.topic_id = t.id)
		from topic t join monitor m on m.id = t.monitor_id and `+topicInForce+` join monitor_detector d on d.topic_id = t.id cross join tenant
			cross join lateral (`+watchedUntil+`) u (until)
		where t.id = $5 and t.role <> 'Competitor' and t.matched_to is null and not tenant.suspended and u.until > '-infinity'
		for update of d`, tallyStep, leastLateness, mostLateness, lateFrom, topic).
		Scan(&w.monitor, &w.name, &w.sources, &w.crisis, &w.zone, &w.liveFrom, &w.evaluatedTo, &state, &w.relearn, &w.ready, &w.until, &known)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	w.until, w.liveFrom = w.until.UTC(), w.liveFrom.UTC().Truncate(tallyStep)
	w.knownFrom = w.liveFrom
	if known != nil && known.Before(w.liveFrom) {
		w.knownFrom = known.UTC().Truncate(tallyStep)
	}
	if w.evaluatedTo != nil {
		at := w.evaluatedTo.UTC()
		w.evaluatedTo = &at
	}
	if state != nil {
		w.state, w.zoneOfState = state.State, state.Zone
		w.relearn = w.relearn || state.Known.Sub(w.knownFrom) >= newHistory
	}
	w.relearn = w.relearn || w.evaluatedTo == nil || w.evaluatedTo.Before(w.liveFrom) || w.zoneOfState != w.zone
	return &w, nil
}

// config is how the topic's detector watches.
func (w *watched) config() (monitor.Config, error) {
	location, err := time.LoadLocation(w.zone)
	if err != nil {
		return monitor.Config{}, fmt.Errorf("the time zone %q is not known: write it as Europe/Madrid", w.zone)
	}
	return monitor.Config{
		Step: tallyStep, Location: location, MinNegatives: w.crisis.MinNegatives, MinAuthors: w.crisis.MinAuthors,
		CoolDown: w.crisis.CoolDown, Lasting: max(w.crisis.Lasting, lastingOf(w.crisis)),
	}, nil
}

// lastingOf is after how long an incident is what is usual by then: longer than its cool-down.
func lastingOf(c CrisisConfig) time.Duration {
	if c.Lasting == 0 && c.CoolDown >= 72*time.Hour {
		return 2 * c.CoolDown
	}
	return c.Lasting
}
