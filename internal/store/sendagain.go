package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// ResendAmbiguous makes pending again what is ambiguous of a campaign's sends when it is called, because a person has decided so:
// whoever did get the message gets it twice. What becomes ambiguous later nobody has decided about.
//
// It records the command and how many messages it concerns. Both keys of each row stay, and so does the number of its attempts: the
// next one has another number, so that an outcome of the former that comes late settles nothing. Errors are those of CommandSend;
// when it breaks off, what it has done stands, and a repetition does the rest.
func (db *DB) ResendAmbiguous(ctx context.Context, name string, c Command) (affected int64, err error) {
	c.Verb = campaign.ResendAmbiguous
	var command int64
	var chunks []ambiguousChunk
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		sends, err := lockCommanded(ctx, tx, name)
		if err != nil {
			return err
		}
		if err := planResend(ctx, tx, sends); err != nil {
			return err
		}
		if chunks, err = findAmbiguous(ctx, tx, sends); err != nil {
			return err
		}
		if command, err = insertCommand(ctx, tx, sends[0].key, c); err != nil {
			return err
		}
		return noteStatusChange(ctx, tx, CampaignKind, name)
	})
	if err != nil {
		return 0, fmt.Errorf("send again what is ambiguous of campaign %q: %w", name, err)
	}
	for _, chunk := range chunks {
		n, err := db.reopen(ctx, name, command, c, chunk)
		affected += n
		if err != nil {
			return affected, fmt.Errorf("send again what is ambiguous of campaign %q: %w", name, err)
		}
	}
	return affected, nil
}

// planResend tells why nothing can be sent again.
func planResend(ctx context.Context, tx pgx.Tx, sends []commandedSend) error {
	if refused := planCommand(campaign.ResendAmbiguous, sends); refused != nil {
		return refused
	}
	var permitted bool
	if err := tx.QueryRow(ctx, "select "+sendPermitted).Scan(&permitted); err != nil {
		return err
	}
	if !permitted {
		return &CommandRefusedError{
			Verb: campaign.ResendAmbiguous,
			Why:  "the tenant is quarantined, and what its ledger calls ambiguous may be long settled: release it first (`tertulia quarantine show`)",
		}
	}
	return nil
}

// ambiguousChunk is a chunk in which something is ambiguous, and what: rows, and the attempts of which nobody knows the outcome.
type ambiguousChunk struct {
	SendID   int64
	Chunk    int
	Rows     []int64
	Attempts []int16
	// Publishes says that the rows are posts of a publication.
	Publishes bool
}

func findAmbiguous(ctx context.Context, tx pgx.Tx, sends []commandedSend) ([]ambiguousChunk, error) {
	ids := make([]int64, len(sends))
	for i, s := range sends {
		ids[i] = s.id
	}
	rows, err := tx.Query(ctx, `
		select t.send_id, t.chunk, array_agg(l.seq order by l.seq), array_agg(l.attempts order by l.seq), bool_or(s.publication is not null)
		from send_tally t join send s on s.id = t.send_id
			join send_chunk c on c.send_id = t.send_id and c.chunk = t.chunk
			join ledger l on l.send_id = t.send_id and l.seq between c.first_seq and c.last_seq and l.state = 'ambiguous'
		where t.send_id = any ($1) and t.outcome = 'ambiguous' and t.n > 0 and s.state in ('Sending', 'Completed') group by 1, 2 order by 1, 2`, ids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[ambiguousChunk])
}

// reopen has sent again what was found ambiguous in a chunk.
func (db *DB) reopen(ctx context.Context, name string, command int64, c Command, chunk ambiguousChunk) (affected int64, err error) {
	if chunk.Publishes {
		return db.republishAmbiguous(ctx, command, c, chunk.SendID)
	}
	return db.reopenAmbiguous(ctx, name, command, chunk)
}

// reopenAmbiguous makes pending what was found ambiguous in a chunk, and still is.
func (db *DB) reopenAmbiguous(ctx context.Context, name string, command int64, c ambiguousChunk) (affected int64, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "select from send_chunk where send_id = $1 and chunk = $2 for no key update", c.SendID, c.Chunk)
		if err != nil {
			return fmt.Errorf("lock a chunk: %w", err)
		}
		err = tx.QueryRow(ctx, `
			with again as (
				update ledger l set state = 'pending', settled_at = null, not_before = null, reason = null
				from unnest($4::bigint[], $5::smallint[]) f(seq, attempts)
				where l.send_id = $1 and l.seq = f.seq and l.attempts = f.attempts and l.state = 'ambiguous' returning l.seq
			), counted as (
				select count(*) n from again
			), tally as (
				update send_tally t set n = t.n - counted.n from counted
				where t.send_id = $1 and t.chunk = $2 and t.outcome = 'ambiguous' and counted.n > 0
			), reopened as (
				update send_chunk set open = true, next_at = now() where send_id = $1 and chunk = $2 and exists (select from again)
			), recorded as (
				update send_command set affected = affected + counted.n from counted where id = $3 and counted.n > 0
			)
			select n from counted`, c.SendID, c.Chunk, command, c.Rows, c.Attempts).Scan(&affected)
		if err != nil {
			return fmt.Errorf("make what is ambiguous pending: %w", err)
		}
		return noteStatusChange(ctx, tx, CampaignKind, name)
	})
	if err != nil {
		return 0, err
	}
	return affected, nil
}
