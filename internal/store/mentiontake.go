package store

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/listen"
)

// ErrTopicsChanged says that posts were compared with topics of another version than those in force: nothing was written. Compared with these
// they can be stored.
var ErrTopicsChanged = errors.New("the topics are others than those that the posts were compared with")

// writer is who writes what a source brings.
type writer struct {
	name   string
	epoch  *int64 // of the lease; nil for what was posted to the source's address
	live   bool
	hooked bool
}

// lost is the error where the source may not be written to.
func (w writer) lost() error {
	if w.epoch != nil {
		return ErrSourceLost
	}
	return ErrNotFound
}

// TakeMentions stores what a source brought, and how far it has been read by that, in one transaction: each post once by its network and
// id, its editions apart, and what was deleted forgotten. b.Posts is not looked at: posts are those of them that are wanted, made safe by
// listen.Normalize. It is safe to repeat. It returns ErrSourceLost where the lease is somebody else's, and ErrTopicsChanged where the posts were
// compared with other topics than those in force; then it has written nothing.
func (db *DB) TakeMentions(ctx context.Context, l SourceLease, b listen.Batch, posts []Judged) (TakenMentions, error) {
	return db.take(ctx, writer{name: l.Name, epoch: &l.Epoch, live: l.Live}, b, posts)
}

// TakeHooked stores likewise what was posted to a source's address. It may come twice and in any order: what is deleted before it came is
// never stored. It returns ErrNotFound where no such source is in force, or it or the tenant is suspended, and ErrTopicsChanged as TakeMentions does.
func (db *DB) TakeHooked(ctx context.Context, source string, b listen.Batch, posts []Judged) (TakenMentions, error) {
	b.Next = nil
	return db.take(ctx, writer{name: source, hooked: true}, b, posts)
}

// takeTries is how often a batch is written anew that somebody else was writing at the same moment.
const takeTries = 10

func (db *DB) take(ctx context.Context, w writer, b listen.Batch, posts []Judged) (taken TakenMentions, err error) {
	keys, err := db.mentionKeys(ctx)
	if err != nil {
		return TakenMentions{}, err
	}
	a := newArrival(keys, b, posts, w.hooked)
	for range takeTries {
		err = db.InTx(ctx, func(tx pgx.Tx) error {
			g, err := a.gather(ctx, tx, w)
			if err != nil {
				return err
			}
			p := a.plan(g)
			taken = p.taken
			return writeMentions(ctx, tx, w, b, g, p)
		})
		// Somebody else stored the same for the first time, or took away what a row refers to.
		if !errors.Is(err, errMentionArrived) && !hasCode(err, "23505", "23503", "40P01") {
			break
		}
	}
	if err != nil {
		if !errors.Is(err, ErrSourceLost) && !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrTopicsChanged) {
			err = fmt.Errorf("%d posts, %d deletions: %w", len(posts), len(b.Deleted), err)
		}
		return TakenMentions{}, fmt.Errorf("store what source %q brought: %w", w.name, err)
	}
	return taken, nil
}

// writeMentions writes a plan, and what is known of the source by then. It is one round trip.
func writeMentions(ctx context.Context, tx pgx.Tx, w writer, b listen.Batch, g *gathered, p *mentionPlan) error {
	var queue pgx.Batch
	queueAuthors(&queue, b.Network, p)
	queueForgotten(&queue, b.Network, g.source, p)
	queueMentions(&queue, b.Network, g.source, p)
	queueRevised(&queue, p)
	queueParts(&queue, g.source, p)
	queueGaps(&queue, g.source, b.Gaps)
	queueState(&queue, w, b, g, p)
	queueTally(&queue, p.tally)
	return tx.SendBatch(ctx, &queue).Close()
}

func queueGaps(queue *pgx.Batch, source int64, gaps []listen.Gap) {
	for _, gap := range gaps {
		queue.Queue("insert into source_gap (source_id, from_at, to_at, reason) values ($1, $2, $3, $4)", source, nullTime(gap.From), gap.To, gap.Reason)
	}
}

// queueState moves the cursor and counts. What a source without a reader takes first, and a gap, is news for its object's status.
func queueState(queue *pgx.Batch, w writer, b listen.Batch, g *gathered, p *mentionPlan) {
	rejected := 0
	for n := range maps.Values(b.Rejected) {
		rejected += n
	}
	queue.Queue(`
		with news as (
			insert into status_change (kind, name)
			select $8, $9 from social_source_state where source_id = $1 and ($5 > 0 or $7 and read_at is null)
			on conflict (kind, name) do update set name = excluded.name)
		update social_source_state set cursor = coalesce($2::json, cursor), stored = stored + $3,
			stored_at = case when $3 > 0 then now() else stored_at end, rejected = rejected + $4, gaps = gaps + $5,
			listened_at = case when $6 then now() else listened_at end,
			hooked_at = case when $7 then now() else hooked_at end, read_at = case when $7 then now() else read_at end
		where source_id = $1`,
		g.source, b.Next, p.taken.Stored+p.taken.Seen, rejected, len(b.Gaps), w.live, w.hooked, SourceKind, w.name)
}
