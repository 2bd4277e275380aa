package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/tertulia-crm/tertulia/internal/store"
)

var listeningScenarios = []Scenario{
	{
		Name: "listening", run: listenAndKill, Allows: Allowance{WorkerDeaths: kills},
		Done: "two workers send and listen to a stream of a thousand posts a second; the one that listens is killed (kill -9), three times at random, and " +
			"another takes its place each time",
	},
	{
		Name: "listening-stopped", run: listenAndStop, Allows: Allowance{WorkerDeaths: 1},
		Done: "likewise, and the one that listens is stopped (SIGSTOP) until the other has taken the stream over, then goes on",
	},
}

// beginListening declares a source, and begins as others do.
func (w *world) beginListening(ctx context.Context) (*talk, []*process, error) {
	t, err := startTalk(ctx)
	if err != nil {
		return nil, nil, err
	}
	settings, err := json.Marshal(map[string]any{"jetstream": t.url, "keywords": []map[string]string{{"word": talkKeyword}}})
	if err == nil {
		_, _, err = w.db.SaveSource(ctx, store.Source{Name: "talk", Type: "Bluesky", Settings: settings, Interval: time.Second})
	}
	if err != nil {
		return nil, nil, errors.Join(err, t.close())
	}
	workers, err := w.begin(ctx, 2)
	if err == nil {
		_, err = w.listener(ctx, workers...)
	}
	if err != nil {
		return nil, nil, errors.Join(err, t.close())
	}
	return t, workers, nil
}

// listener waits until one of the workers listens and has stored something since, and returns it.
func (w *world) listener(ctx context.Context, workers ...*process) (found *process, err error) {
	stored := int64(-1)
	err = w.await(ctx, "a worker listens", func() (bool, string, error) {
		var owner string
		var now int64
		err := w.db.Pool.QueryRow(ctx, "select coalesce(worker, ''), stored from social_source_state").Scan(&owner, &now)
		if err != nil {
			return false, "", fmt.Errorf("look who listens: %w", err)
		}
		if stored < 0 {
			stored = now
		}
		for _, p := range workers {
			if strings.HasPrefix(owner, p.name+"-") && now > stored {
				found = p
				return true, "", nil
			}
		}
		return false, fmt.Sprintf("the source is %q's, and %d posts are stored", owner, now), nil
	})
	return found, err
}

func listenAndKill(ctx context.Context, w *world) (err error) {
	t, workers, err := w.beginListening(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	for _, share := range w.shares(kills) {
		err := w.disturb(ctx, share, func() error {
			victim, err := w.listener(ctx, workers...)
			if err != nil {
				return err
			}
			if err := w.kill(victim); err != nil {
				return err
			}
			next, err := w.startWorker(ctx, w.tenant)
			workers = append(workers, next)
			return err
		})
		if err != nil {
			return err
		}
	}
	return w.compareTalk(ctx, t)
}

func listenAndStop(ctx context.Context, w *world) (err error) {
	t, workers, err := w.beginListening(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	var stopped *process
	err = w.disturb(ctx, w.shares(1)[0], func() error {
		if stopped, err = w.listener(ctx, workers...); err != nil {
			return err
		}
		return stopped.signal(syscall.SIGSTOP)
	})
	if err != nil {
		return err
	}
	var others []*process
	for _, p := range workers {
		if p != stopped {
			others = append(others, p)
		}
	}
	_, err = w.listener(ctx, others...)
	if err := errors.Join(err, w.awaitEnd(ctx), stopped.signal(syscall.SIGCONT)); err != nil {
		return err
	}
	if err := w.awaitQuiet(ctx); err != nil {
		return err
	}
	return w.compareTalk(ctx, t)
}

// compareTalk ends the talk and wants each of its posts once, but for those that were deleted, which nobody has any more.
func (w *world) compareTalk(ctx context.Context, t *talk) error {
	there := t.end()
	what := ""
	err := w.awaitEvery(ctx, 20*ask, "all that was said is stored", func() (bool, string, error) {
		stored, err := w.mentions(ctx)
		if err != nil {
			return false, "", err
		}
		what = compareMentions(there, stored)
		return what == "", what, nil
	})
	if err != nil {
		return err
	}
	var stored, gaps, mentions, rejected int64
	err = w.db.Pool.QueryRow(ctx, "select stored, gaps, rejected, (select count(*) from mention) from social_source_state").
		Scan(&stored, &gaps, &rejected, &mentions)
	switch {
	case err != nil:
		return fmt.Errorf("read what the source counts: %w", err)
	case gaps != 0 || rejected != 0:
		return fmt.Errorf("the source tells of %d gaps and %d posts that were refused, where nothing was missed", gaps, rejected)
	case stored != mentions:
		return fmt.Errorf("the source counts %d posts, and %d are there or were", stored, mentions)
	case len(there) < w.parameters.Size/10:
		return fmt.Errorf("only %d posts were written: that proves nothing", len(there))
	}
	return nil
}

// mentions are the posts that are stored, as often as they are.
func (w *world) mentions(ctx context.Context) (map[string]int, error) {
	rows, err := w.db.Pool.Query(ctx, "select native_id from mention where native_id is not null")
	if err != nil {
		return nil, fmt.Errorf("read the mentions: %w", err)
	}
	defer rows.Close()
	stored := map[string]int{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("read the mentions: %w", err)
		}
		stored[id]++
	}
	return stored, rows.Err()
}

// compareMentions says in what what is stored differs from what is there; "" for nothing.
func compareMentions(there map[string]bool, stored map[string]int) string {
	lost, twice, gone := 0, 0, 0
	for id := range there {
		if stored[id] == 0 {
			lost++
		}
	}
	for id, n := range stored {
		switch {
		case !there[id]:
			gone++
		case n > 1:
			twice++
		}
	}
	if lost+twice+gone == 0 {
		return ""
	}
	return fmt.Sprintf("of %d posts %d are not stored, %d are stored twice, and %d are that were deleted", len(there), lost, twice, gone)
}
