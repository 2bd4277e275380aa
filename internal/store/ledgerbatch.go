package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crm"
)

// BatchRequest asks for the next micro-batch of a leased chunk.
type BatchRequest struct {
	Lease Lease
	// Settlements are of the batches before; they are written in the same transaction.
	Settlements []Settlement
	// Rows are those to commit intents for, of PendingRows; those that are not pending by now are passed over. Without any
	// only the settlements are written.
	Rows []int64
	// Attributes are loaded for rendering.
	Attributes []crm.Attribute
}

// Batch is a micro-batch whose intents are committed.
type Batch struct {
	// Held is false when the lease is void: somebody else holds the chunk, or nobody.
	Held bool
	// Runs is false while the send must not go on: the send is suspended, deleted, held up by its channel, a template or its
	// tenant, or no longer Sending. It is also false when none of the rows that were asked for can be tried, as in a ledger that
	// may not be sent from.
	Runs bool
	// Recipients are to be handed a message now, each at most once.
	Recipients []Recipient
	// Skipped is how many rows were left out because of what changed since the freeze.
	Skipped int
}

// Attempts are the attempts that the batch's intents began.
func (b Batch) Attempts() []Attempt {
	attempts := make([]Attempt, len(b.Recipients))
	for i, r := range b.Recipients {
		attempts[i] = r.Attempt
	}
	return attempts
}

// Recipient is who a message goes to, as of the moment of the intent.
type Recipient struct {
	Attempt
	Variant   int
	ContactID int64
	Address   string
	Locale    string // "" when the contact has none
	TimeZone  string // "" when the contact has none
	Tags      []string
	// Attributes holds a value for each attribute that was asked for, in that order: a string (of a Date too, as
	// 2027-03-21), int64, float64 (of a Decimal: the nearest), bool, time.Time, or nil.
	Attributes []any
}

// ErrCommitUnknown says that the connection was lost while a transaction was being committed, so that nobody can say yet
// whether it was.
var ErrCommitUnknown = errors.New("the outcome of the commit is unknown")

// CommitBatch writes settlements and commits the intents of a micro-batch in one transaction. Each row's consent,
// suppression and address are checked again: who fails is skipped with the reason, and whose address changed gets the
// message there, unless somebody else in the send has that address.
//
// Recipients may be handed over only when the error is nil. With ErrCommitUnknown the batch holds the intents that may
// have been committed: the caller settles each as Undone later, and repeats the settlements; both are harmless where
// the transaction was not committed. After any other error nothing was written.
func (db *DB) CommitBatch(ctx context.Context, r BatchRequest) (Batch, error) {
	var batch Batch
	complete := false
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		moved, err := commitIntents(ctx, tx, r, &batch)
		if err != nil {
			return err
		}
		for _, m := range moved {
			if err := commitMoved(ctx, tx, r.Lease, m, &batch); err != nil {
				return err
			}
		}
		complete = true
		return nil
	})
	switch {
	case err == nil:
		return batch, nil
	case complete && !errors.Is(err, pgx.ErrTxCommitRollback):
		return batch, fmt.Errorf("commit a batch of send %d: %w: %w", r.Lease.SendID, ErrCommitUnknown, err)
	}
	return Batch{}, fmt.Errorf("commit a batch of send %d: %w", r.Lease.SendID, err)
}

// commitIntents does the work of a batch in one round trip. It returns the recipients whose address is no longer the one
// that their row holds: those need a statement each, because each may clash with another row.
func commitIntents(ctx context.Context, tx pgx.Tx, r BatchRequest, batch *Batch) (moved []movedRecipient, err error) {
	var queue pgx.Batch
	l := r.Lease
	queue.Queue(lockChunkSQL, l.SendID, l.Chunk, l.Epoch, l.Owner)
	if len(r.Settlements) > 0 {
		queue.Queue(settlementSQL, settlementArguments(l, r.Settlements)...)
	}
	if len(r.Rows) > 0 {
		queue.Queue(intentSQL(r.Attributes), l.SendID, l.Chunk, l.Epoch, l.Owner, r.Rows, skippedOutcome)
	}
	results := tx.SendBatch(ctx, &queue)
	defer func() {
		if closed := results.Close(); err == nil {
			err = closed
		}
	}()
	if err := results.QueryRow().Scan(&batch.Held, &batch.Runs, nil); err != nil {
		return nil, fmt.Errorf("lock the chunk: %w", err)
	}
	if len(r.Settlements) > 0 {
		if _, err := results.Exec(); err != nil {
			return nil, fmt.Errorf("write settlements: %w", err)
		}
	}
	if len(r.Rows) == 0 {
		return nil, nil
	}
	rows, err := results.Query()
	if err != nil {
		return nil, fmt.Errorf("commit intents: %w", err)
	}
	moved, err = collectIntents(rows, r, batch)
	if err != nil {
		return nil, fmt.Errorf("commit intents: %w", err)
	}
	// The ledger may not be sent from, or others have had these rows: whoever leases the chunk next reads it anew.
	batch.Runs = batch.Runs && len(moved)+len(batch.Recipients)+batch.Skipped > 0
	return moved, nil
}

// intentSQL judges rows that are pending as of now, makes intents of those that pass and skips those that fail. It is run
// with the chunk locked, so that nobody else changes these rows.
//
// Rows are found by their keys, and identifiers by a scalar subquery, which the planner cannot turn into a join: while
// it has no statistics, as after an import, it would read every identifier for every recipient.
func intentSQL(attributes []crm.Attribute) string {
	var b strings.Builder
	b.WriteString(`
	with candidate as materialized (
		select l.seq, l.contact_id, l.address_hash, l.variant, l.attempts from ledger l
		where l.send_id = $1 and l.seq = any ($5::bigint[]) and l.state = 'pending' and (l.not_before is null or l.not_before <= now())
			and exists (select from send_chunk c where c.send_id = $1 and c.chunk = $2 and c.epoch = $3 and c.owner = $4 and c.leased_until is not null)
			and exists (select from send s cross join tenant where s.id = $1 and ` + sendRuns + `)
	), judged as materialized (
		select d.*, a.address, h.hash, case
			when not coalesce(k.granted, false) then 'NoConsent'
			when a.address is null then 'NoAddress'
			when exists (select from refusal r where r.address_hash = h.hash
				and r.purpose = (select purpose from send where id = $1)) then 'NoConsent'
			when exists (select from suppression x where x.address_hash = h.hash) then 'Suppressed'
			when h.hash is distinct from d.address_hash then 'moved'
			else 'intent' end verdict
		from candidate d
		left join consent k on k.contact_id = d.contact_id and k.purpose = (select purpose from send where id = $1)
		left join lateral (
			select e.address from (
				select il.verified, il.linked_at, il.identifier_id,
					(select i.value from identifier i where i.id = il.identifier_id and i.type = 'email') address
				from identifier_link il where il.contact_id = d.contact_id) e
			where e.address is not null
			order by e.verified desc, e.linked_at, e.identifier_id limit 1) a on true
		left join lateral (select keyed_hash(key, a.address) hash from secret_key where purpose = 'address') h on true
	), intent as (
		update ledger l set state = 'intent', epoch = $3, attempts = least(l.attempts + 1, 32767), intent_at = now(), not_before = null
		from judged j where l.send_id = $1 and l.seq = j.seq and l.state = 'pending' and j.verdict = 'intent'
		returning l.seq, l.attempts
	), counted as (
		update send_chunk c set intents = c.intents + committed.n from (select count(*) n from intent) committed
		where c.send_id = $1 and c.chunk = $2 and committed.n > 0
	), skip as (
		-- As at the freeze, who is skipped holds no address: another recipient may have it by now.
		update ledger l set state = 'skipped', reason = j.verdict, settled_at = now(), address_hash = null
		from judged j where l.send_id = $1 and l.seq = j.seq and l.state = 'pending' and j.verdict not in ('intent', 'moved')
		returning l.reason
	), tally as (
		insert into send_tally (send_id, chunk, outcome, n) select $1, $2, $6 || reason, count(*) from skip group by reason
		on conflict (send_id, chunk, outcome) do update set n = send_tally.n + excluded.n
	)
	select j.seq, j.verdict, i.attempts, j.variant, j.contact_id, j.address, j.hash, c.locale, c.time_zone, c.tags`)
	for _, a := range attributes {
		column := "c." + pgx.Identifier{a.Column()}.Sanitize()
		if a.Type == crm.Date {
			column = "to_char(" + column + ", 'YYYY-MM-DD')"
		}
		b.WriteString(", " + column)
	}
	b.WriteString(`
	from judged j left join intent i on i.seq = j.seq left join contact c on c.id = j.contact_id
	order by j.seq`)
	return b.String()
}

// movedRecipient is a recipient whose address is another than when its row was frozen.
type movedRecipient struct {
	Recipient
	hash []byte
}

// fixedColumns is how many columns intentSQL returns before the attributes.
const fixedColumns = 10

func collectIntents(rows pgx.Rows, r BatchRequest, batch *Batch) ([]movedRecipient, error) {
	defer rows.Close()
	var moved []movedRecipient
	for rows.Next() {
		recipient := Recipient{Attempt: Attempt{Epoch: r.Lease.Epoch}, Attributes: make([]any, len(r.Attributes))}
		var verdict string
		var number *int
		var contactID *int64
		var address, locale, timeZone *string
		var hash []byte
		targets := make([]any, 0, fixedColumns+len(r.Attributes))
		targets = append(targets, &recipient.Seq, &verdict, &number, &recipient.Variant, &contactID, &address, &hash,
			&locale, &timeZone, &recipient.Tags)
		for i := range recipient.Attributes {
			targets = append(targets, &recipient.Attributes[i])
		}
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		for i, v := range recipient.Attributes {
			recipient.Attributes[i] = plainValue(v)
		}
		recipient.ContactID, recipient.Address = valueOf(contactID), valueOf(address)
		recipient.Locale, recipient.TimeZone = valueOf(locale), valueOf(timeZone)
		switch {
		case verdict == "moved":
			moved = append(moved, movedRecipient{Recipient: recipient, hash: hash})
		case verdict != "intent":
			batch.Skipped++
		case number != nil:
			recipient.Number = *number
			batch.Recipients = append(batch.Recipients, recipient)
		}
	}
	return moved, rows.Err()
}

// plainValue makes a column's value one that templates know. What they cannot hold (infinity, NaN) is as good as absent.
func plainValue(v any) any {
	switch v := v.(type) {
	case string, int64, bool, nil:
		return v
	case pgtype.Numeric:
		f, err := v.Float64Value()
		if err != nil || !f.Valid || math.IsNaN(f.Float64) || math.IsInf(f.Float64, 0) {
			return nil
		}
		return f.Float64
	case time.Time:
		return v
	}
	return nil
}

func valueOf[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// commitMoved commits the intent of a row whose address changed, unless another row of the send has the new address: it
// got the message, or will. A row that is skipped for this lets go of its old address, which may be somebody else's by now.
func commitMoved(ctx context.Context, tx pgx.Tx, l Lease, m movedRecipient, batch *Batch) error {
	err := pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error {
		return savepoint.QueryRow(ctx, `
			with intent as (
				update ledger set state = 'intent', address_hash = $3, epoch = $4, attempts = least(attempts + 1, 32767), intent_at = now(), not_before = null
				where send_id = $1 and seq = $2 and state = 'pending' returning attempts
			), counted as (
				update send_chunk set intents = intents + 1 where send_id = $1 and chunk = $5 and exists (select from intent)
			)
			select attempts from intent`,
			l.SendID, m.Seq, m.hash, l.Epoch, l.Chunk).Scan(&m.Number)
	})
	switch {
	case err == nil:
		batch.Recipients = append(batch.Recipients, m.Recipient)
		return nil
	case !IsUniqueViolation(err, ""):
		return fmt.Errorf("commit an intent for another address: %w", err)
	}
	batch.Skipped++
	_, err = tx.Exec(ctx, `
		with skip as (
			update ledger set state = 'skipped', reason = $4, address_hash = null, settled_at = now()
			where send_id = $1 and seq = $3 and state = 'pending' returning seq)
		insert into send_tally (send_id, chunk, outcome, n) select $1, $2, $5, count(*) from skip having count(*) > 0
		on conflict (send_id, chunk, outcome) do update set n = send_tally.n + excluded.n`,
		l.SendID, l.Chunk, m.Seq, campaign.DuplicateAddress, skippedOutcome+string(campaign.DuplicateAddress))
	if err != nil {
		return fmt.Errorf("skip a duplicate address: %w", err)
	}
	return nil
}

// cleanReply makes a server's words fit for a text column: it takes no NUL and nothing but UTF-8.
func cleanReply(reply string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(reply, "\x00", ""), "\uFFFD")
}
