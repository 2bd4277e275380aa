package store

import (
	"context"
	"fmt"
	"time"
)

// MonitorMeasures are what a monitoring system is told of a monitor.
type MonitorMeasures struct {
	OpenIncidents int
	// Lag is for how long the oldest step has been over that is not evaluated; 0 where none is to be.
	Lag       time.Duration
	Preparing int
	// InfluenceEdges are the pairs of people that were last compared, and InfluenceAge for how long the topic that waits longest has not been; 0 where
	// none is to be.
	InfluenceEdges int64
	InfluenceAge   time.Duration
}

// MeasureMonitors reads how the monitors in force stand, by name.
func (db *DB) MeasureMonitors(ctx context.Context) (map[string]MonitorMeasures, error) {
	rows, err := db.Pool.Query(ctx, `
		select m.name, count(t.id) filter (where t.matched_to is not null),
			(select count(*) from incident i join topic o on o.id = i.topic_id where o.monitor_id = m.id and i.closed is null),
			coalesce(extract(epoch from max(clock_timestamp() - $1::interval - coalesce(d.evaluated_to, t.changed_at))
				filter (where t.role <> 'Competitor' and not m.suspended and not tenant.suspended)), 0)::float8,
			coalesce(sum(n.edges) filter (where t.role <> 'Competitor'), 0),
			coalesce(extract(epoch from max(clock_timestamp() - coalesce(n.ranked_at, t.live_from))
				filter (where t.role <> 'Competitor' and not m.suspended)), 0)::float8
		from monitor m cross join tenant left join topic t on t.monitor_id = m.id and t.dropped_at is null left join monitor_detector d on d.topic_id = t.id
			left join influence_topic n on n.topic_id = t.id
		where m.dormant_since is null group by m.id`, tallyStep)
	if err != nil {
		return nil, fmt.Errorf("measure the monitors: %w", err)
	}
	defer rows.Close()
	found := map[string]MonitorMeasures{}
	for rows.Next() {
		var name string
		var f MonitorMeasures
		var lag, age float64
		if err := rows.Scan(&name, &f.Preparing, &f.OpenIncidents, &lag, &f.InfluenceEdges, &age); err != nil {
			return nil, fmt.Errorf("measure the monitors: %w", err)
		}
		f.Lag = time.Duration(max(lag, 0) * float64(time.Second))
		f.InfluenceAge = time.Duration(max(age, 0) * float64(time.Second))
		found[name] = f
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("measure the monitors: %w", err)
	}
	return found, nil
}
