package store

import (
	"time"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// Attempt identifies one intent of a row. A row that is tried again has another number, or another epoch, or both.
type Attempt struct {
	Seq    int64
	Epoch  int
	Number int // counts the intents of the row; 1 is the first
}

// Settlement is what became of an attempt.
type Settlement struct {
	Attempt
	// State is RowSent, RowFailed or RowAmbiguous, or RowPending for a message that was not taken and is to be tried again.
	State   campaign.RowState
	RetryIn time.Duration // of RowPending; 0 tries again at once
	// Reason says in a word why it failed, where no server said so.
	Reason string
	// Reply is the server's last answer. It may name the recipient and stays in the database.
	Reply string
}

// Undone is the outcome of an attempt that was never offered to anybody.
func (a Attempt) Undone() Settlement { return Settlement{Attempt: a, State: campaign.RowPending} }

// settlementSQL settles exactly the attempts that it is given: an outcome that comes late, or twice, or for a row that has
// been tried again since, changes nothing that it should not. It is run with the chunk locked. Nearly always every row is an
// intent: those that are ambiguous by now are looked for only where some were not.
const settlementSQL = `
	with known as materialized (
		select * from unnest($5::bigint[], $6::int[], $7::int[], $8::text[], $9::interval[], $10::text[], $11::text[])
			as k (seq, epoch, attempt, state, retry_in, reason, reply)
	), prompt as (` + settleAttemptSQL + ` and l.state = 'intent' returning 'intent' was, l.state
	), late as (` + settleAttemptSQL + ` and l.state = 'ambiguous'
			and (select count(*) from prompt) < cardinality($5::bigint[]) returning 'ambiguous' was, l.state
	), settled as (
		select * from prompt union all select * from late
	), tally as (
		insert into send_tally (send_id, chunk, outcome, n)
		select $1, $2, outcome, sum(n) from (
			select state, 1 from settled where state <> 'pending'
			union all
			select was, -1 from settled where was = 'ambiguous') d (outcome, n)
		group by outcome having sum(n) <> 0
		on conflict (send_id, chunk, outcome) do update set n = send_tally.n + excluded.n
	), reopened as (
		-- A row can become pending when its chunk was closed, or left to the sweep, long ago: whoever leased it has lost it.
		update send_chunk set open = true, next_at = now()
		where send_id = $1 and chunk = $2 and (not open or next_at > now()) and exists (select from settled where state = 'pending')
	)
	select count(*) from settled`

// settleAttemptSQL writes the outcomes of attempts into their rows.
const settleAttemptSQL = `
		update ledger l set state = k.state,
			not_before = case when k.state = 'pending' and k.retry_in > '0' then now() + k.retry_in end,
			settled_at = case when k.state <> 'pending' then now() end,
			reason = nullif(k.reason, ''), reply = coalesce(nullif(k.reply, ''), l.reply)
		from known k
		where l.send_id = $1 and l.seq between $3 and $4 and l.seq = k.seq and l.epoch = k.epoch and l.attempts = k.attempt`

func settlementArguments(l Lease, settlements []Settlement) []any {
	n := len(settlements)
	seqs, epochs, attempts, states := make([]int64, n), make([]int, n), make([]int, n), make([]string, n)
	waits, reasons, replies := make([]time.Duration, n), make([]string, n), make([]string, n)
	for i, o := range settlements {
		seqs[i], epochs[i], attempts[i], states[i] = o.Seq, o.Epoch, o.Number, string(o.State)
		waits[i], reasons[i], replies[i] = o.RetryIn, o.Reason, cleanReply(o.Reply)
	}
	return []any{l.SendID, l.Chunk, l.FirstSeq, l.LastSeq, seqs, epochs, attempts, states, waits, reasons, replies}
}
