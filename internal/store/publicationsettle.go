package store

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// A publication's rows of the ledger have neither contact nor address: each is a post, or a thread, in one language, which is its step. They
// stand in one chunk, which no worker leases. What becomes of them is decided by the outbox, which holds the chunk while it has an intent
// of it, so that nobody takes the intent for one of a worker that is gone.

// publicationChunk is the chunk of a publication's rows.
const publicationChunk = 0

// outboxOwner holds the chunk of a publication while some of its rows are intents.
const outboxOwner = "outbox"

// lockPublicationSQL locks the chunk of a publication, as everybody does who changes rows of the ledger, and makes the transaction durable.
const lockPublicationSQL = `
	select set_config('synchronous_commit', case current_setting('synchronous_commit') when 'remote_apply' then 'remote_apply' else 'on' end, true)
	from send_chunk c where c.send_id = $1 and c.chunk = $2 for no key update of c`

// intendPublication makes a post's row of the ledger an intent and counts it, in the transaction that commits the intent in the outbox. It is
// false, and nothing is written, where the send does not run or the post has an outcome: then it is not handed over.
func intendPublication(ctx context.Context, tx pgx.Tx, sendID int64, dedup string) (bool, error) {
	if err := lockPublication(ctx, tx, sendID); err != nil {
		return false, err
	}
	var ok bool
	err := tx.QueryRow(ctx, `
		with intent as (
			update ledger l set state = 'intent', epoch = c.epoch, attempts = least(l.attempts + 1, 32767), intent_at = now(), not_before = null
			from send_chunk c
			where c.send_id = $1 and c.chunk = $2 and l.send_id = $1 and l.seq between c.first_seq and c.last_seq and l.step = $3
				and l.state in ('pending', 'intent')
				and exists (select from send s cross join tenant where s.id = $1 and `+sendRuns+`)
			returning l.seq
		), held as (
			update send_chunk c set intents = c.intents + 1, owner = $4, leased_until = 'infinity'
			where c.send_id = $1 and c.chunk = $2 and exists (select from intent)
		)
		select exists (select from intent)`, sendID, publicationChunk, localeOf(dedup), outboxOwner).Scan(&ok)
	if err != nil {
		return false, fmt.Errorf("make post %q an intent: %w", dedup, err)
	}
	return ok, nil
}

func lockPublication(ctx context.Context, tx pgx.Tx, sendID int64) error {
	err := tx.QueryRow(ctx, lockPublicationSQL, sendID, publicationChunk).Scan(nil)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("lock the posts of send %d: %w", sendID, err)
	}
	return nil
}

// publicationDedup names a post in the outbox, for ever.
func publicationDedup(sendKey, occurrence, locale string) string {
	return "publication/" + sendKey + "/" + occurrence + "/" + locale
}

// localeOf is the locale of a post, which is its step in the ledger.
func localeOf(dedup string) string { return dedup[strings.LastIndexByte(dedup, '/')+1:] }

// settlePublication writes into the ledger what became of a post, in the transaction that settles it in the outbox, and which parts of it are
// there by now. A post that was left out stays so, and so does one that is there.
func settlePublication(ctx context.Context, tx pgx.Tx, o PublicationOutcome) error {
	if err := lockPublication(ctx, tx, o.Send); err != nil {
		return err
	}
	var name string
	var seq *int64
	err := tx.QueryRow(ctx, `
		with was as materialized (
			select l.seq, l.state from send_chunk c join ledger l on l.send_id = c.send_id and l.seq between c.first_seq and c.last_seq
			where c.send_id = $1 and c.chunk = $2 and l.step = $3
		), settled as (
			update ledger l set state = $4, settled_at = case when $4 <> 'pending' then $6::timestamptz end, not_before = null, reason = null,
				reply = coalesce(nullif($5, ''), l.reply)
			from was where l.send_id = $1 and l.seq = was.seq and was.state not in ('sent', 'skipped', $4) returning was.state was, l.state
		), tally as (
			insert into send_tally (send_id, chunk, outcome, n)
			select $1, $2, outcome, n from (select was, -1 from settled union all select state, 1 from settled) d (outcome, n)
			where outcome in ('failed', 'ambiguous', 'sent')
			on conflict (send_id, chunk, outcome) do update set n = send_tally.n + excluded.n
		)
		select s.campaign, was.seq from send s left join was on true where s.id = $1`,
		o.Send, publicationChunk, localeOf(o.Dedup), ledgerStates[o.State], cleanReply(o.Reply), o.At).Scan(&name, &seq)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && seq == nil {
		return nil
	}
	if err != nil {
		return fmt.Errorf("settle post %q: %w", o.Dedup, err)
	}
	if err := keepPublished(ctx, tx, o, *seq); err != nil {
		return err
	}
	if err := settlePublicationChunk(ctx, tx, o.Send); err != nil {
		return err
	}
	return noteStatusChange(ctx, tx, CampaignKind, name)
}

// ledgerStates are the ledger's words for those of the outbox.
var ledgerStates = map[PostingState]campaign.RowState{
	PostingPending: campaign.RowPending, PostingIntent: campaign.RowIntent, PostingSent: campaign.RowSent, PostingFailed: campaign.RowFailed,
	PostingAmbiguous: campaign.RowAmbiguous,
}

// settlePublicationChunk recomputes from its rows whether a publication's chunk is open, and whether the outbox holds it.
func settlePublicationChunk(ctx context.Context, tx pgx.Tx, sendID int64) error {
	_, err := tx.Exec(ctx, `
		update send_chunk c set open = r.pending or r.intents, owner = case when r.intents then $3 end,
			leased_until = case when r.intents then 'infinity'::timestamptz end, next_at = case when r.pending then now() else 'infinity' end
		from (
			select coalesce(bool_or(l.state = 'pending'), false) pending, coalesce(bool_or(l.state = 'intent'), false) intents
			from send_chunk o join ledger l on l.send_id = o.send_id and l.seq between o.first_seq and o.last_seq
			where o.send_id = $1 and o.chunk = $2) r
		where c.send_id = $1 and c.chunk = $2`, sendID, publicationChunk, outboxOwner)
	if err != nil {
		return fmt.Errorf("settle the posts of send %d: %w", sendID, err)
	}
	return nil
}

// keepPublished writes down which parts of a post are on the network, for ever.
func keepPublished(ctx context.Context, tx pgx.Tx, o PublicationOutcome, seq int64) error {
	for i, p := range o.Posted {
		_, err := tx.Exec(ctx, `
			insert into publication_part (send_id, seq, part, channel, network, native_id, url, at)
			select $1, $2, $3, s.channel, `+channelNetwork+`, $4, $5, $6
			from send s join channel ch on ch.name = s.channel where s.id = $1
			on conflict (send_id, seq, part) do update set url = coalesce(nullif(excluded.url, ''), publication_part.url)`,
			o.Send, seq, i+1, p.ID, p.URL, o.At)
		if err != nil {
			return fmt.Errorf("keep the address of post %q: %w", o.Dedup, err)
		}
	}
	return nil
}

// republishAmbiguous has the ambiguous posts of a publication published again, under the ids and times by which the network knows what it has.
func (db *DB) republishAmbiguous(ctx context.Context, command int64, c Command, sendID int64) (affected int64, err error) {
	const ambiguous = "select coalesce(sum(n), 0)::bigint from send_tally where send_id = $1 and outcome = 'ambiguous'"
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		var before, after int64
		if err := tx.QueryRow(ctx, ambiguous, sendID).Scan(&before); err != nil {
			return err
		}
		if err := againPostings(ctx, tx, sendID, PostingDecision{By: c.By, Why: c.Reason}); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, ambiguous, sendID).Scan(&after); err != nil {
			return err
		}
		affected = before - after
		_, err := tx.Exec(ctx, "update send_command set affected = affected + $2 where id = $1 and $2 > 0", command, affected)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("have posts published again: %w", err)
	}
	return affected, nil
}

// SweepPublications takes posts out of the outbox that were left out by now: of campaigns that were aborted, that have ended, or that did not
// come back.
func (db *DB) SweepPublications(ctx context.Context) error {
	_, err := db.Pool.Exec(ctx, `
		update outbox o set state = 'failed', settled_at = now(), leased_until = null, reply = 'The campaign ended before it left.'
		where o.kind = $1 and o.state = 'pending' and exists (
			select from ledger l
			where l.send_id = o.send_id and l.step = substring(o.dedup from '[^/]*$') and l.state in ('skipped', 'failed'))`, PublicationKind)
	if err != nil {
		return fmt.Errorf("take posts out of the outbox that are left out: %w", err)
	}
	return nil
}
