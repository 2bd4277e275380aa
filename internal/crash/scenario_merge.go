package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crash/sink"
)

// couples is how many times two people are merged.
const couples = 60

// mergingSlower is how many times slower the mail server is until half of them are, so that the send is not over by then.
const mergingSlower = 20

func mergePeople(ctx context.Context, w *world) error {
	s, err := w.startServer(ctx)
	if err != nil {
		return err
	}
	public, err := w.publicIDs(ctx)
	if err != nil {
		return err
	}
	workers, err := w.begin(ctx, 2)
	if err != nil {
		return err
	}
	pairs := slices.Collect(slices.Chunk(w.someOf(2*couples, map[int]bool{}), 2))
	err = w.disturb(ctx, w.shares(1)[0], func() error {
		slow := w.paced()
		slow.Pace *= mergingSlower
		if err := w.relay.follow(ctx, slow); err != nil {
			return err
		}
		for i, pair := range pairs {
			if i == len(pairs)/2 {
				if err := errors.Join(w.killOne(ctx, workers...), w.relay.follow(ctx, w.paced())); err != nil {
					return err
				}
			}
			if err := s.merge(ctx, public[pair[0]], public[pair[1]]); err != nil {
				return err
			}
			w.merged = append(w.merged, merging{people: [2]int(pair), answered: time.Now()})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return errors.Join(w.awaitEnd(ctx), w.someSkipped(ctx, string(campaign.DuplicateContact)))
}

// publicIDs are the public ids of people, and remembers who the contacts are: a merged one has the name of either.
func (w *world) publicIDs(ctx context.Context) (map[int]string, error) {
	rows, err := w.db.Pool.Query(ctx, "select id, public_id::text, attr_first_name from contact")
	if err != nil {
		return nil, fmt.Errorf("read the contacts: %w", err)
	}
	defer rows.Close()
	public := map[int]string{}
	w.people = map[int64]int{}
	for rows.Next() {
		var id int64
		var publicID, name string
		if err := rows.Scan(&id, &publicID, &name); err != nil {
			return nil, fmt.Errorf("read the contacts: %w", err)
		}
		w.people[id] = sink.Number(name)
		public[w.people[id]] = publicID
	}
	return public, rows.Err()
}

// merge says that two people are one.
func (s *server) merge(ctx context.Context, a, b string) error {
	body, err := json.Marshal(map[string]any{"ids": []string{a, b}, "by": "ana@velo.example", "reason": "two cards of one customer"})
	if err != nil {
		return fmt.Errorf("merge contacts: %w", err)
	}
	response, err := s.post(ctx, "/v1/contacts:merge", "application/json", string(body))
	if err != nil {
		return fmt.Errorf("merge contacts: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	if response.StatusCode != http.StatusOK {
		said, err := io.ReadAll(io.LimitReader(response.Body, 4096))
		return errors.Join(fmt.Errorf("merge contacts: the server answered %s: %s", response.Status, said), err)
	}
	return nil
}
