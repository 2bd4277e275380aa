package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/policy"
)

// BatchRequest asks for the next micro-batch of a leased chunk.
type BatchRequest struct {
	Lease Lease
	// Settlements are of the batches before; they are written in the same transaction.
	Settlements []Settlement
	// Rows are those to commit intents for, of PendingRows; those that are not pending by now are passed over. Without any
	// only the settlements are written.
	Rows []PendingRow
	// Attributes are loaded for rendering.
	Attributes []crm.Attribute
	// Tracked says that the mails bear what tells of opens or clicks, so that it is asked who does not want that.
	Tracked bool
	// Identified says that the messages name their contacts by their public ids.
	Identified bool
	// Terms are what the policies say of the send's purpose. Where they have changed since they were read, no intent is committed.
	Terms policy.Terms
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
	// PublicID of the contact, where the batch is Identified; else "".
	PublicID string
	// Untracked is somebody who does not want to be tracked. It is asked for where the batch is Tracked.
	Untracked bool
}

// ErrCommitUnknown says that the connection was lost while a transaction was being committed, so that nobody can say yet
// whether it was.
var ErrCommitUnknown = errors.New("the outcome of the commit is unknown")

// CommitBatch writes settlements and commits the intents of a micro-batch in one transaction, which is one round trip. Each
// row's consent, suppression and address are checked again: who fails is skipped with the reason, and whose address changed
// gets the message there, unless somebody else in the send has that address.
//
// Recipients may be handed over only when the error is nil. With ErrCommitUnknown the batch holds the attempts that may
// have been committed: the caller settles each as Undone later, and repeats the settlements; both are harmless where
// the transaction was not committed. After any other error nothing was written.
func (db *DB) CommitBatch(ctx context.Context, r BatchRequest) (Batch, error) {
	batch, moved, err := db.commitIntents(ctx, r, false)
	for i := 0; i < len(moved) && err == nil; i++ {
		if err = db.commitMoved(ctx, r, moved[i], &batch); err != nil {
			err = errors.Join(ErrCommitUnknown, err) // the others' intents are committed
		}
	}
	if errors.Is(err, ErrCommitUnknown) {
		batch = Batch{Recipients: make([]Recipient, len(r.Rows))}
		for i, row := range r.Rows {
			batch.Recipients[i].Attempt = Attempt{Seq: row.Seq, Epoch: r.Lease.Epoch, Number: min(row.Attempts+1, math.MaxInt16)}
		}
	}
	if err != nil {
		return batch, fmt.Errorf("commit a batch of send %d: %w", r.Lease.SendID, err)
	}
	return batch, nil
}

// commitIntents writes settlements and commits intents in one transaction: the statements travel together, and what the
// server finds between them and the end of the message is one transaction by the protocol. It returns the rows whose address
// is no longer the one that they hold: those take a transaction each, because each may clash with another row. With toMoved it
// is such a transaction.
func (db *DB) commitIntents(ctx context.Context, r BatchRequest, toMoved bool) (batch Batch, moved []PendingRow, err error) {
	connection, err := db.Pool.Acquire(ctx)
	if err != nil {
		return Batch{}, nil, err
	}
	defer connection.Release()
	results := connection.SendBatch(ctx, queueBatch(r, toMoved))
	batch, moved, err = readBatch(results, r)
	// The transaction ends only now.
	if closed := results.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return Batch{}, nil, markUnknown(err)
	}
	return batch, moved, nil
}

// markUnknown wraps the error of a transaction that may have been committed all the same. It was not where the server itself
// says that a statement failed; a connection that was ended may have been so behind the commit.
func markUnknown(err error) error {
	var said *pgconn.PgError
	if errors.As(err, &said) && said.SeverityUnlocalized == "ERROR" || pgconn.SafeToRetry(err) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCommitUnknown, err)
}

func queueBatch(r BatchRequest, toMoved bool) *pgx.Batch {
	queue := new(pgx.Batch)
	l := r.Lease
	queue.Queue(lockChunkSQL, l.SendID, l.Chunk, l.Epoch, l.Owner)
	if len(r.Settlements) > 0 {
		queue.Queue(settlementSQL, settlementArguments(l, r.Settlements)...)
	}
	if len(r.Rows) == 0 {
		return queue
	}
	if r.Terms.Capped {
		queue.Queue(lockCountedSQL, l.SendID, seqsOf(r.Rows))
	}
	first, last := runsOf(r.Rows)
	queue.Queue(intentSQL(r, toMoved), l.SendID, l.Chunk, l.Epoch, l.Owner, first, last, skippedOutcome, r.Terms.Revision)
	return queue
}

// readBatch reads the answers to what queueBatch asked.
func readBatch(results pgx.BatchResults, r BatchRequest) (batch Batch, moved []PendingRow, err error) {
	if err := results.QueryRow().Scan(&batch.Held, &batch.Runs, nil); err != nil {
		return batch, nil, fmt.Errorf("lock the chunk: %w", err)
	}
	if len(r.Settlements) > 0 {
		if _, err := results.Exec(); err != nil {
			return batch, nil, fmt.Errorf("write settlements: %w", err)
		}
	}
	if len(r.Rows) == 0 {
		return batch, nil, nil
	}
	if r.Terms.Capped {
		if _, err := results.Exec(); err != nil {
			return batch, nil, fmt.Errorf("lock the contacts of a frequency cap: %w", err)
		}
	}
	rows, err := results.Query()
	if err == nil {
		moved, err = collectIntents(rows, r, &batch)
	}
	if err != nil {
		return batch, nil, fmt.Errorf("commit intents: %w", err)
	}
	// The ledger may not be sent from, or others have had these rows: whoever leases the chunk next reads it anew.
	batch.Runs = batch.Runs && len(moved)+len(batch.Recipients)+batch.Skipped > 0
	return batch, moved, nil
}

func seqsOf(rows []PendingRow) []int64 {
	seqs := make([]int64, len(rows))
	for i, r := range rows {
		seqs[i] = r.Seq
	}
	return seqs
}

// runsOf are the runs of rows whose numbers follow each other, each by its first and its last number.
func runsOf(rows []PendingRow) (first, last []int64) {
	for _, r := range rows {
		if n := len(last); n > 0 && last[n-1]+1 == r.Seq {
			last[n-1] = r.Seq
			continue
		}
		first, last = append(first, r.Seq), append(last, r.Seq)
	}
	return first, last
}

// commitMoved commits the intent of a row whose address changed, unless another row of the send has the new address: it
// got the message, or will. A row that is skipped for this lets go of its old address, which may be somebody else's by now.
func (db *DB) commitMoved(ctx context.Context, r BatchRequest, row PendingRow, batch *Batch) error {
	r.Settlements, r.Rows = nil, []PendingRow{row}
	committed, _, err := db.commitIntents(ctx, r, true)
	if err == nil {
		batch.Recipients = append(batch.Recipients, committed.Recipients...)
		batch.Skipped += committed.Skipped
		return nil
	}
	if !IsUniqueViolation(err, "") {
		return fmt.Errorf("commit an intent for another address: %w", err)
	}
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		l := r.Lease
		if held, err := lockChunk(ctx, tx, l); err != nil || !held {
			return err
		}
		tag, err := tx.Exec(ctx, `
			with skip as (
				update ledger set state = 'skipped', reason = $4, address_hash = null, settled_at = now()
				where send_id = $1 and seq = $3 and state = 'pending' returning seq)
			insert into send_tally (send_id, chunk, outcome, n) select $1, $2, $5, count(*) from skip having count(*) > 0
			on conflict (send_id, chunk, outcome) do update set n = send_tally.n + excluded.n`,
			l.SendID, l.Chunk, row.Seq, campaign.DuplicateAddress, skippedOutcome+string(campaign.DuplicateAddress))
		batch.Skipped += int(tag.RowsAffected())
		return err
	})
	if err != nil {
		return fmt.Errorf("skip a duplicate address: %w", err)
	}
	return nil
}

// cleanReply makes a server's words fit for a text column: it takes no NUL and nothing but UTF-8.
func cleanReply(reply string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(reply, "\x00", ""), "\uFFFD")
}
