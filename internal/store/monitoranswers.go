package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// answerOverlap is how far behind the newest mention it is looked for questions and answers a second time: who stores a mention notes the time
	// before it commits.
	answerOverlap = 2 * time.Minute
	// answerSpan is how much of the time in which mentions came in is looked at at once, and answerHistory how far back a new monitor looks.
	answerSpan    = 24 * time.Hour
	answerHistory = 90 * 24 * time.Hour
	// answerWithin is for how long an answer is waited for.
	answerWithin = 30 * 24 * time.Hour
	// answerKept is for how long it is kept what was asked and answered: for as long as somebody may ask about.
	answerKept = maxWindow
)

// NotedAnswers is what was found of questions and answers.
type NotedAnswers struct {
	Asked, Answered int64
	More            bool
}

// NoteAnswers looks at what came in since the last time: who wrote to us or named us, and which of that we answered. One monitor is looked at
// in a call.
//
// A mention asks when it is a message, or names one of the monitor's accounts; our own ask nothing. It is answered by the first mention by one
// of these accounts that replies to it, or that came later in the same thread and is a message, or names who asked.
func (db *DB) NoteAnswers(ctx context.Context) (noted NotedAnswers, err error) {
	keys, err := db.mentionKeys(ctx)
	if err != nil {
		return noted, err
	}
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		noted = NotedAnswers{}
		var a answering
		err := tx.QueryRow(ctx, `
			select id, sources, accounts, greatest(coalesce(answers_to, '-infinity'), now() - $1::interval) - $2::interval,
				least(greatest(coalesce(answers_to, '-infinity'), now() - $1::interval) + $3::interval, now())
			from monitor where dormant_since is null and not suspended and cardinality(accounts) > 0
				and (answers_to is null or answers_to < now() - interval '15 seconds')
			order by answers_to nulls first limit 1 for no key update skip locked`, answerHistory, answerOverlap, answerSpan).
			Scan(&a.monitor, &a.sources, &a.accounts, &a.from, &a.to)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		noted.More = true
		a.accounts = accountNames(a.accounts)
		if noted.Asked, err = a.ask(ctx, tx); err != nil {
			return fmt.Errorf("questions: %w", err)
		}
		if noted.Answered, err = a.answer(ctx, tx, keys); err != nil {
			return fmt.Errorf("answers: %w", err)
		}
		_, err = tx.Exec(ctx, "delete from mention_response where monitor_id = $1 and asked_at < now() - $2::interval", a.monitor, answerKept)
		if err != nil {
			return fmt.Errorf("forget old questions: %w", err)
		}
		_, err = tx.Exec(ctx, "update monitor set answers_to = $2 where id = $1", a.monitor, a.to)
		return err
	})
	if err != nil {
		return NotedAnswers{}, fmt.Errorf("note what was answered: %w", err)
	}
	return noted, nil
}

// accountNames writes accounts as they are compared: in small letters, without the @ before them.
func accountNames(accounts []string) []string {
	names := make([]string, len(accounts))
	for i, a := range accounts {
		names[i] = strings.ToLower(strings.TrimPrefix(strings.TrimSpace(a), "@"))
	}
	return names
}

// answering is a monitor and a time in which mentions came in.
type answering struct {
	monitor           int64
	sources, accounts []string
	from, to          time.Time
}

// ourAccount is true for an author a that is one of the accounts $2. A name without a host is that name on any host.
const ourAccount = "(lower(a.handle) = any ($2) or lower(a.native_id) = any ($2) or split_part(lower(a.handle), '@', 1) = any ($2))"

// ask notes the questions that came.
func (a *answering) ask(ctx context.Context, tx pgx.Tx) (int64, error) {
	tag, err := tx.Exec(ctx, `
		insert into mention_response (monitor_id, mention_id, asked_at, first_seen)
		select $1, q.id, q.created_at, q.received_at from mention q
		where q.received_at >= $3 and q.received_at < $4 and q.forgotten_at is null and q.kind <> 'Repost'
			and (q.kind = 'Message' or exists (select from mention_account c join author a on a.id = c.author_id where c.mention_id = q.id and `+ourAccount+`))
			and not exists (select from author a where a.id = q.author_id and `+ourAccount+`)
			and (cardinality($5::text[]) = 0 or exists (select from mention_source o join social_source s on s.id = o.source_id
				where o.mention_id = q.id and s.name = any ($5)))
		on conflict do nothing`, a.monitor, a.accounts, a.from, a.to, a.sources)
	if err != nil {
		return 0, err
	}
	// What came in out of order may have been answered before it was seen.
	_, err = tx.Exec(ctx, `
		update mention_response r set answered_at = n.created_at, answer_id = n.id
		from mention q cross join lateral (
			select n.id, n.created_at from mention n join author a on a.id = n.author_id and `+ourAccount+`
			where n.network = q.network and n.parent = q.native_id and n.forgotten_at is null
			order by n.created_at, n.id limit 1) n
		where r.monitor_id = $1 and r.mention_id = q.id and r.answered_at is null and q.received_at >= $3 and q.received_at < $4`,
		a.monitor, a.accounts, a.from, a.to)
	return tag.RowsAffected(), err
}

// ourPost is a mention by one of our accounts.
type ourPost struct {
	id                      int64
	network, parent, thread string
	message                 bool
	at                      time.Time
}

// answer finds which questions are answered by what our accounts wrote.
func (a *answering) answer(ctx context.Context, tx pgx.Tx, keys mentionKeys) (answered int64, err error) {
	rows, err := tx.Query(ctx, `
		select n.id, n.network, coalesce(n.parent, ''), coalesce(n.thread, ''), n.kind = 'Message', n.created_at
		from mention n join author a on a.id = n.author_id and `+ourAccount+`
		where n.received_at >= $3 and n.received_at < $4 and n.forgotten_at is null and (n.parent is not null or n.thread is not null) and $1 > 0
		order by n.created_at, n.id`, a.monitor, a.accounts, a.from, a.to)
	if err != nil {
		return 0, err
	}
	posts, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p ourPost, err error) {
		err = row.Scan(&p.id, &p.network, &p.parent, &p.thread, &p.message, &p.at)
		return p, err
	})
	if err != nil || len(posts) == 0 {
		return 0, err
	}
	var queue pgx.Batch
	for _, p := range posts {
		var parent, root *nativeKey
		if p.parent != "" {
			key := keys.post(p.network, p.parent)
			parent = &key
		}
		if p.thread != "" {
			key := keys.post(p.network, p.thread)
			root = &key
		}
		queue.Queue(`
			update mention_response r set answered_at = $5, answer_id = $2
			from (
				select q.id from mention q where q.key = $6
				union select q.id from mention q where (q.key = $7 or q.network = $3 and q.thread = $4)
					and ($8 and q.kind = 'Message' or exists (select from mention_account c where c.mention_id = $2 and c.author_id = q.author_id))
			) f join mention q on q.id = f.id
			where r.monitor_id = $1 and r.mention_id = q.id and q.created_at <= $5 and q.created_at > $5 - $9::interval
				and (r.answered_at is null or r.answered_at > $5)`,
			a.monitor, p.id, p.network, p.thread, p.at, keyBytes(parent), keyBytes(root), p.message, answerWithin)
	}
	results := tx.SendBatch(ctx, &queue)
	for range posts {
		tag, err := results.Exec()
		if err != nil {
			return 0, errors.Join(err, results.Close())
		}
		answered += tag.RowsAffected()
	}
	return answered, results.Close()
}

func keyBytes(key *nativeKey) []byte {
	if key == nil {
		return nil
	}
	return key[:]
}
