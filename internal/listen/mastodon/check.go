package mastodon

import (
	"context"
	"errors"
	"math"
	"net/url"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// A timeline does not tell what became of its posts, so those that came last are asked for again: the newest with every poll, the others in
// turn.
const (
	checkSize   = 20 // the most that servers give by their ids
	checkSingle = 3  // of each, where they give one at a time
	maxMissing  = 8  // that are asked for by themselves
	// checkSpare is how many requests have to be granted for it.
	checkSpare = 40
)

// check brings edits, counts and deletions of recent posts.
func (r *reading) check(ctx context.Context) error {
	// A server that has nothing at all just now has not lost these posts.
	if !r.answered || len(r.at.Recent) == 0 || r.client.spare() < checkSpare {
		return nil
	}
	if !r.single {
		err := r.checkTogether(ctx, r.due(checkSize))
		if !isReason(err, listen.NotFound) && !isReason(err, listen.Malformed) {
			return err
		}
		r.single = true // before 4.3
	}
	return r.checkSingly(ctx, r.due(checkSingle))
}

// due are ids to ask for: of the newest posts, and of the others in turn.
func (r *reading) due(n int) []string {
	recent := r.at.Recent
	newest := recent[max(len(recent)-n, 0):]
	var ids []string
	for _, p := range newest {
		ids = append(ids, p[0])
	}
	older := recent[:len(recent)-len(newest)]
	if len(older) == 0 {
		return ids
	}
	// Multiples of the golden ratio fall everywhere in turn, however long the source rests in between. So nothing has to be remembered.
	_, part := math.Modf(float64(r.client.now().Unix()/60) * math.Phi)
	first := int(part * float64(len(older)))
	for i := range min(n, len(older)) {
		ids = append(ids, older[(first+i)%len(older)][0])
	}
	return ids
}

// checkTogether asks for many posts at a time. What is missing is asked for by itself before it is taken for deleted.
func (r *reading) checkTogether(ctx context.Context, ids []string) error {
	var missing []string
	for len(ids) > 0 {
		some := ids[:min(checkSize, len(ids))]
		ids = ids[len(some):]
		answer, err := r.client.get(ctx, "/api/v1/statuses", url.Values{"id[]": some})
		if err != nil {
			return err
		}
		items, err := parsePage(answer.Body)
		if err != nil {
			return &listen.Trouble{Reason: listen.Malformed, Err: err, Message: r.client.base.Host + " answers with something else than posts."}
		}
		there := map[string]bool{}
		for _, i := range items[:min(len(items), maxPage)] {
			there[i.id] = true
			r.checkEdition(i.raw)
		}
		for _, id := range some {
			if !there[id] {
				missing = append(missing, id)
			}
		}
	}
	return r.checkSingly(ctx, missing[:min(len(missing), maxMissing)])
}

// checkSingly asks for posts one by one: one that is not found is deleted, or not for us any more.
func (r *reading) checkSingly(ctx context.Context, ids []string) error {
	for _, id := range ids {
		answer, err := r.client.get(ctx, "/api/v1/statuses/"+url.PathEscape(id), nil)
		var trouble *listen.Trouble
		switch {
		case err == nil:
			r.checkEdition(answer.Body)
		case errors.As(err, &trouble) && trouble.Reason == listen.NotFound:
			r.batch.Deleted = append(r.batch.Deleted, listen.Deletion{PostID: id})
			r.at.forget(id)
		default:
			return err
		}
	}
	return nil
}

// checkEdition takes a post that was edited, or counted anew. One that cannot be read was told as that before.
func (r *reading) checkEdition(raw []byte) {
	s, refused := parseStatus(raw)
	if _, known := r.at.index[s.ID]; refused == "" && known && len(r.batch.Posts) < listen.MaxBatch {
		r.take(&s)
	}
}
