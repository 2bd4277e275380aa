package judge

import (
	"context"
	"errors"
	"maps"

	"github.com/tertulia-crm/tertulia/internal/listen"
	"github.com/tertulia-crm/tertulia/internal/store"
)

// Take stores a batch.
type Take func(ctx context.Context, b listen.Batch, posts []store.Judged) (store.TakenMentions, error)

// refusedByDatabase is why a post is counted as refused that no other reason was found for.
const refusedByDatabase = "the database does not take it"

// Keep stores a batch. Where other topics are in force by now than those that its posts were compared with, they are learned, and the posts
// compared with these. Where the database refuses it for what is in it, its posts are stored in smaller and smaller parts, in their order, until
// those are found that are refused by themselves: they are counted and left out, and all others are stored. The cursor moves with the
// last part, so that what is cut off in between comes again.
func (j *Judge) Keep(ctx context.Context, b *Judged, learn func(context.Context) error, take Take) (store.TakenMentions, error) {
	for {
		taken, err := keep(ctx, b, take)
		if !errors.Is(err, store.ErrTopicsChanged) {
			return taken, err
		}
		if err := learn(ctx); err != nil {
			return store.TakenMentions{}, err
		}
		j.topics.find(b.Posts)
	}
}

func keep(ctx context.Context, j *Judged, take Take) (store.TakenMentions, error) {
	taken, err := take(ctx, j.Batch, j.Posts)
	if !store.IsUnacceptable(err) || len(j.Posts) == 0 {
		return taken, err
	}
	k := keeper{take: take, network: j.Network}
	if err := k.halves(ctx, j.Posts); err != nil {
		return k.taken, err
	}
	rest := j.Batch
	rest.Rejected = maps.Clone(rest.Rejected)
	rest.Refuse(refusedByDatabase, k.refused)
	last, err := take(ctx, rest, nil)
	if err == nil { // who tries again begins anew
		j.Batch = rest
	}
	return sum(k.taken, last), err
}

// keeper stores posts whose batch was refused.
type keeper struct {
	take    Take
	network string
	taken   store.TakenMentions
	refused int
}

// halves stores posts that are known to be refused together.
func (k *keeper) halves(ctx context.Context, posts []store.Judged) error {
	if len(posts) == 1 {
		k.refused++
		return nil
	}
	for _, half := range [][]store.Judged{posts[:len(posts)/2], posts[len(posts)/2:]} {
		taken, err := k.take(ctx, listen.Batch{Network: k.network}, half)
		switch {
		case store.IsUnacceptable(err):
			err = k.halves(ctx, half)
		case err == nil:
			k.taken = sum(k.taken, taken)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func sum(a, b store.TakenMentions) store.TakenMentions {
	return store.TakenMentions{
		Stored: a.Stored + b.Stored, Revised: a.Revised + b.Revised, Seen: a.Seen + b.Seen, Doubled: a.Doubled + b.Doubled,
		Forgotten: a.Forgotten + b.Forgotten, Refused: a.Refused + b.Refused,
	}
}

// Outcomes are what became of a batch's posts, as they are counted.
func (j *Judged) Outcomes(taken store.TakenMentions) map[string]int {
	rejected := 0
	for _, n := range j.Rejected {
		rejected += n
	}
	return map[string]int{
		"stored": taken.Stored, "revised": taken.Revised, "seen": taken.Seen, "doubled": taken.Doubled, "forgotten": taken.Forgotten,
		"refused": taken.Refused, "unwanted": j.Unwanted, "rejected": rejected,
	}
}
