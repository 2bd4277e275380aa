package store

import (
	"context"
	"fmt"
	"time"
)

// MeasuredOutbox is how the outbox fares.
type MeasuredOutbox struct {
	Waiting   int64 // to leave, or to be found out about
	Ambiguous int64 // that a person has to look at
	Age       time.Duration
}

// MeasureOutbox counts what is open in the outbox. What waits because its campaign is paused is not late.
func (r *Rules) MeasureOutbox(ctx context.Context) (m MeasuredOutbox, err error) {
	var age float64
	err = r.db.Pool.QueryRow(ctx, `
		select w.n, a.n, w.age
		from (select count(*) n, coalesce(extract(epoch from clock_timestamp() - min(coalesce(o.due_at, o.made_at)) filter (where o.send_id is null
				or exists (select from send s cross join tenant where s.id = o.send_id and `+sendRuns+`))), 0)::float8 age
			from outbox o where `+outboxOpen+`) w,
			(select count(*) n from outbox o where o.state = 'ambiguous') a`).Scan(&m.Waiting, &m.Ambiguous, &age)
	if err != nil {
		return m, fmt.Errorf("measure the outbox: %w", err)
	}
	m.Age = time.Duration(max(0, age) * float64(time.Second))
	return m, nil
}
