package store

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// SweptMentions counts what a sweep did.
type SweptMentions struct {
	Expired   int64 // mentions that are older than what their sources keep
	Forgotten int64 // mentions of authors who are forgotten
	Authors   int64 // rows of authors of whom nothing was left
	More      bool  // there is more to do at once
}

// SweepMentions forgets what is due: what is older than its sources keep, with those who wrote nothing else, and what authors wrote who are
// forgotten; at most limit mentions of each kind. It also has the status of sources tell how much they brought. Call it about once a minute.
func (db *DB) SweepMentions(ctx context.Context, limit int) (swept SweptMentions, err error) {
	if err = db.tellStored(ctx); err != nil {
		return swept, err
	}
	if err = db.InTx(ctx, func(tx pgx.Tx) error { return forgetOfAuthor(ctx, tx, limit, &swept) }); err != nil {
		return swept, fmt.Errorf("forget what a forgotten author wrote: %w", err)
	}
	sources, err := db.expiring(ctx)
	if err != nil {
		return swept, fmt.Errorf("look for mentions that are too old: %w", err)
	}
	for _, source := range sources {
		if err = db.alone(ctx, func(tx pgx.Tx) error { return expireMentions(ctx, tx, source, limit, &swept) }); err != nil {
			return swept, fmt.Errorf("forget mentions that are too old: %w", err)
		}
	}
	err = db.alone(ctx, func(tx pgx.Tx) error {
		if err := endForgetting(ctx, tx); err != nil {
			return err
		}
		return dropNobodies(ctx, tx, limit, &swept)
	})
	if err != nil {
		return swept, fmt.Errorf("forget authors of whom nothing is left: %w", err)
	}
	return swept, nil
}

// alone runs f while nobody writes mentions. It does not wait for long, and nobody for it: what it does is done in some tenths of a second.
func (db *DB) alone(ctx context.Context, f func(pgx.Tx) error) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		var queue pgx.Batch
		queue.Queue(byKeysSQL)
		queue.Queue("select set_config('lock_timeout', $1, true)", strconv.FormatInt(lookLocks.Milliseconds(), 10))
		queue.Queue("select pg_advisory_xact_lock(" + advisory(mentionSweepLock) + ")")
		if err := tx.SendBatch(ctx, &queue).Close(); err != nil {
			return err
		}
		return f(tx)
	})
	if hasCode(err, "55P03") {
		return nil // the next sweep finds it as well
	}
	return err
}

// expiring are the sources that have mentions which are too old, dormant ones too.
func (db *DB) expiring(ctx context.Context) ([]int64, error) {
	rows, err := db.Pool.Query(ctx, `
		select s.id from social_source s cross join lateral (
			select created_at from mention_source m where m.source_id = s.id order by m.created_at limit 1) oldest
		where oldest.created_at < now() - s.keep order by s.id`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// expireMentions takes old mentions from a source. Those that no other source keeps are deleted: they are too old to be taken in again. The
// counts of topics outlive them.
func expireMentions(ctx context.Context, tx pgx.Tx, source int64, limit int, swept *SweptMentions) error {
	var queue pgx.Batch
	var expired, authors []int64
	queue.Queue(`
		delete from mention_source where source_id = $1 and mention_id in (
			select m.mention_id from mention_source m join social_source s on s.id = m.source_id
			where m.source_id = $1 and m.created_at < now() - s.keep order by m.created_at limit $2)
		returning mention_id`, source, limit).Query(collectInto(&expired))
	queue.Queue("delete from source_gap g using social_source s where s.id = $1 and g.source_id = s.id and g.to_at < now() - s.keep", source)
	if err := tx.SendBatch(ctx, &queue).Close(); err != nil {
		return err
	}
	swept.More = swept.More || len(expired) == limit
	queue = pgx.Batch{}
	var deleted []int64
	queue.Queue(`
		with gone as (
			delete from mention m where m.id = any ($1) and not exists (select from mention_source s where s.mention_id = m.id) returning id, author_id)
		select author_id from gone where author_id is not null`, expired).Query(collectInto(&authors))
	// What is kept by another source still has its row.
	queue.Queue("select e from unnest($1::bigint[]) e where not exists (select from mention m where m.id = e)", expired).Query(collectInto(&deleted))
	if err := tx.SendBatch(ctx, &queue).Close(); err != nil {
		return err
	}
	swept.Expired += int64(len(deleted))
	queue = pgx.Batch{}
	var named []int64
	queue.Queue("delete from mention_account where mention_id = any ($1) returning author_id", deleted).Query(collectInto(&named))
	for _, table := range partsOfMentions {
		queue.Queue("delete from "+table+" where mention_id = any ($1)", deleted)
	}
	queue.Queue(forgetToldSQL, deleted)
	if err := tx.SendBatch(ctx, &queue).Close(); err != nil {
		return err
	}
	return deleteAuthors(ctx, tx, slices.Concat(authors, named), swept)
}

func collectInto(ids *[]int64) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*ids, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	}
}

// deleteAuthors deletes those who neither wrote nor are named in anything. Who was forgotten is remembered as such for as long as what they
// wrote could be brought again.
func deleteAuthors(ctx context.Context, tx pgx.Tx, authors []int64, swept *SweptMentions) error {
	if len(authors) == 0 {
		return nil
	}
	var n int64
	err := tx.QueryRow(ctx, `
		with gone as (
			delete from author a where a.id = any ($1) and not a.forgetting
				and (a.forgotten_at is null or a.forgotten_at < now() - (select coalesce(max(keep), '0') from social_source))
				and not exists (select from mention m where m.author_id = a.id)
				and not exists (select from mention_account n where n.author_id = a.id)
			returning id, identifier_id
		), unknown as (
			delete from identifier i using gone g where i.id = g.identifier_id and `+unneededIdentifier+`
				and not exists (select from author o where o.identifier_id = i.id and o.id not in (select id from gone))
		)
		select count(*) from gone`, authors).Scan(&n)
	swept.Authors += n
	return err
}

// dropNobodies deletes the rows of authors that say nothing any more.
func dropNobodies(ctx context.Context, tx pgx.Tx, limit int, swept *SweptMentions) error {
	rows, err := tx.Query(ctx, `
		select id from author a where native_id is null and handle = '' and not forgetting
			and (forgotten_at is null or forgotten_at < now() - (select coalesce(max(keep), '0') from social_source))
			and not exists (select from mention m where m.author_id = a.id) and not exists (select from mention_account n where n.author_id = a.id)
		limit $1`, limit)
	if err != nil {
		return err
	}
	nobodies, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	return deleteAuthors(ctx, tx, nobodies, swept)
}

// forgetOfAuthor forgets some of what an author wrote who is forgotten: a contact that was erased, or an account that is gone.
func forgetOfAuthor(ctx context.Context, tx pgx.Tx, limit int, swept *SweptMentions) error {
	var author []int64
	var queue pgx.Batch
	queue.Queue(byKeysSQL)
	queue.Queue(lockWritersSQL)
	queue.Queue("select id from author a where forgetting and exists " + wroteBefore + " order by id limit 1").Query(collectInto(&author))
	if err := tx.SendBatch(ctx, &queue).Close(); err != nil || len(author) == 0 {
		return err
	}
	p, err := planForgetting(ctx, tx, author, limit)
	if err != nil {
		return err
	}
	queue = pgx.Batch{}
	queueAuthors(&queue, "", p)
	queueForgotten(&queue, "", 0, p)
	queueTally(&queue, p.tally)
	swept.Forgotten += int64(len(p.forgotten))
	swept.More = true // there may be more
	return tx.SendBatch(ctx, &queue).Close()
}

// wroteBefore are the mentions of a forgotten author a that are to be forgotten.
const wroteBefore = "(select from mention m where m.author_id = a.id and m.created_at <= a.forgotten_at)"

// planForgetting locks some of what an author wrote, and plans that it is forgotten. What is stored between the lock and the reading is left for
// the next time: it may be changed by now.
func planForgetting(ctx context.Context, tx pgx.Tx, author []int64, limit int) (*mentionPlan, error) {
	const these = `select m.id from mention m join author a on a.id = m.author_id
		where a.id = any ($1) and m.created_at <= a.forgotten_at order by m.created_at, m.id limit $2`
	var locked []int64
	p := &mentionPlan{bereft: author}
	var queue pgx.Batch
	queue.Queue("select id from mention where id in ("+these+") order by key for no key update", author, limit).Query(collectInto(&locked))
	queue.Queue(knownMentionsSQL(these), author, limit).Query(func(rows pgx.Rows) error {
		list, err := pgx.CollectRows(rows, scanKnown)
		for _, known := range list {
			if slices.Contains(locked, known.id) {
				p.forgetKnown(known)
			}
		}
		return err
	})
	return p, tx.SendBatch(ctx, &queue).Close()
}

// endForgetting ends it for authors of whom nothing is left to forget. Nobody writes meanwhile, who may not have known of it yet.
func endForgetting(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "update author a set forgetting = false where forgetting and not exists "+wroteBefore)
	return err
}
