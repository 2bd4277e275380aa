package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/credentials"
)

// followedLoad is what came of changes while a worker followed them.
type followedLoad struct {
	made     changesMade
	lags     []time.Duration // from when a change began to be written until its membership was seen, sorted
	rest     time.Duration   // from the last change until nothing was left to follow
	worker   usage
	database time.Duration // CPU time
	moves    int64         // how many entered and left
}

// cores is how many processors something needs for as long as the changes last: what was used until they all were followed.
func (l followedLoad) cores(used time.Duration) float64 {
	return quotient(used.Seconds(), l.made.Took.Seconds())
}

// percentile of sorted durations.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

// bareLoad makes changes that no segment depends on, because there is none, and nobody follows.
func (b *segmentBench) bareLoad(ctx context.Context, p changePace) (load followedLoad, err error) {
	before, err := b.databaseTime()
	if err != nil {
		return load, err
	}
	if load.made, err = changePeople(ctx, b.url, p); err != nil {
		return load, err
	}
	after, err := b.databaseTime()
	load.database = after - before
	return load, err
}

// followLoad has a worker follow changes that another process makes, and measures from outside when each is seen.
func (b *segmentBench) followLoad(ctx context.Context, p changePace) (load followedLoad, err error) {
	tenants := filepath.Join(b.dir, "tenants")
	if err := credentials.Write(tenants, credentials.Tenant{ID: tenantID, DatabaseURL: b.url, PublicURL: "https://crm.bench.example"}); err != nil {
		return load, err
	}
	worker, err := startChild(ctx, b.Log, b.Program, "worker", "--tenants", tenants)
	if err != nil {
		return load, err
	}
	defer worker.kill()
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = await(starting, worker, func() (there bool, err error) {
		err = b.Pool.QueryRow(ctx, "select exists (select from process where kind = 'worker')").Scan(&there)
		return there, err
	})
	if err != nil {
		return load, err
	}
	if err := b.awaitRest(ctx, worker); err != nil {
		return load, err
	}
	watcher, err := b.watchMoves(ctx)
	if err != nil {
		return load, err
	}
	defer watcher.stop()
	database, err := b.databaseTime()
	if err != nil {
		return load, err
	}
	used, err := cpuTime(worker.cmd.Process.Pid)
	if err != nil {
		return load, err
	}
	if load.made, err = changePeople(ctx, b.url, p); err != nil {
		return load, err
	}
	ended := time.Now()
	if err := b.awaitRest(ctx, worker); err != nil {
		return load, err
	}
	load.rest = time.Since(ended)
	after, err := b.databaseTime()
	if err != nil {
		return load, err
	}
	load.database = after - database
	moves, seen, err := watcher.end(ctx)
	if err != nil {
		return load, err
	}
	load.moves = moves
	if load.lags, err = lags(load.made.Timed, seen); err != nil {
		return load, err
	}
	stopping, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	load.worker, err = worker.stop(stopping)
	load.worker.cpu -= used
	return load, err
}

// awaitRest waits until nothing is left to follow.
func (b *segmentBench) awaitRest(ctx context.Context, worker *child) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	return await(ctx, worker, func() (rest bool, err error) {
		err = b.Pool.QueryRow(ctx, "select not exists (select from segment_change) and not exists (select from segment_tally where not told)").Scan(&rest)
		return rest, err
	})
}

// lags are the times from changes until they were seen, sorted. Each change must have been.
func lags(timed []timedChange, seen map[move]time.Time) ([]time.Duration, error) {
	found := make([]time.Duration, 0, len(timed))
	asked := make(map[move]bool, len(timed))
	for _, c := range timed {
		m := move{c.Segment, c.Contact}
		if asked[m] {
			return nil, errors.New("a contact was changed twice: there are too few for so many changes")
		}
		asked[m] = true
		at, wasSeen := seen[m]
		if !wasSeen {
			return nil, fmt.Errorf("contact %d never moved across the line of segment %s", c.Contact, c.Segment)
		}
		found = append(found, at.Sub(time.Unix(0, c.Nanos)))
	}
	slices.Sort(found)
	return found, nil
}

// move is that a contact enters a segment or leaves it.
type move struct {
	segment string
	contact int64
}

// moveWatcher looks again and again for who has moved, as somebody would who waits for it.
type moveWatcher struct {
	conn  *pgx.Conn
	stop  context.CancelFunc
	ended chan error
	first int64 // of the record of who moved
	last  int64
	seen  map[move]time.Time
}

// seenEvery is how often it looks: what is measured is longer than it is by half of that.
const seenEvery = 25 * time.Millisecond

func (b *segmentBench) watchMoves(ctx context.Context) (*moveWatcher, error) {
	conn, err := pgx.ConnectConfig(ctx, b.Pool.Config().ConnConfig.Copy())
	if err != nil {
		return nil, err
	}
	watching, stop := context.WithCancel(ctx)
	w := &moveWatcher{conn: conn, stop: stop, ended: make(chan error, 1), seen: map[move]time.Time{}}
	if err := conn.QueryRow(ctx, "select coalesce(max(id), 0) from segment_event").Scan(&w.first); err != nil {
		stop()
		return nil, errors.Join(err, conn.Close(ctx))
	}
	w.last = w.first
	go func() { w.ended <- w.watch(watching) }()
	return w, nil
}

func (w *moveWatcher) watch(ctx context.Context) error {
	tick := time.NewTicker(seenEvery)
	defer tick.Stop()
	for {
		if err := w.look(context.WithoutCancel(ctx)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look reads who moved since the last look.
func (w *moveWatcher) look(ctx context.Context) error {
	rows, err := w.conn.Query(ctx, `select e.id, g.name, e.contact_id from segment_event e join segment g on g.id = e.segment_id
		where e.id > $1 and g.name = any ($2)`, w.last, []string{detractors, askers})
	if err != nil {
		return fmt.Errorf("look who moved: %w", err)
	}
	var id int64
	var m move
	_, err = pgx.ForEachRow(rows, []any{&id, &m.segment, &m.contact}, func() error {
		w.last = max(w.last, id)
		if _, known := w.seen[m]; !known {
			w.seen[m] = time.Now()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look who moved: %w", err)
	}
	return nil
}

// end returns how many moved, and when it was first seen of whom that is asked. Rows are numbered before they are committed: what was
// passed over for that is found by a last look from the beginning, as late as that is.
func (w *moveWatcher) end(ctx context.Context) (moves int64, seen map[move]time.Time, err error) {
	w.stop()
	err = <-w.ended
	defer func() { err = errors.Join(err, w.conn.Close(ctx)) }()
	if err != nil {
		return 0, nil, err
	}
	w.last = w.first
	if err := w.look(ctx); err != nil {
		return 0, nil, err
	}
	err = w.conn.QueryRow(ctx, "select count(*) from segment_event where id > $1", w.first).Scan(&moves)
	return moves, w.seen, err
}
