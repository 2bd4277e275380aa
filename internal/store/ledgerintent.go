package store

import (
	"math"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/crm"
)

// What intentSQL says of a row.
const (
	verdictIntent  = "intent"
	verdictMoved   = "moved" // its address is another by now
	verdictSkipped = "skipped"
)

// addressHashSQL is the keyed hash of an address a.address.
var addressHashSQL = strings.NewReplacer("k.key", "(select key from secret_key where purpose = 'address')", "e.value", "a.address").Replace(hashSQL)

// intentSQL judges rows that are pending as of now, makes intents of those that pass and skips those that fail. It is run
// with the chunk locked, so that nobody else changes these rows. Rows whose address changed are returned and left alone, or
// with toMoved committed for the new address.
//
// Everything is found by its key, row by row: lockChunkSQL has the planner do so. Only the ledger's rows are read in runs, because
// those of a batch lie side by side, by a subquery that ends in "offset 0": else the planner, once its statistics know a large send,
// reads all of it for each batch and picks the runs afterwards. What is known of a row is worked out in such a subquery as well, or
// else the hash of an address, where it is not known yet, would be computed wherever it is compared.
func intentSQL(r BatchRequest, toMoved bool) string {
	with, branches := excludeEach(exclusions(subject{
		contact: "d.person", hash: "d.hash", purpose: "(select purpose from send where id = $1)",
	}, r.Terms))
	branches = twinBranch + branches
	address := ""
	if toMoved {
		address = ", address_hash = j.hash"
	} else {
		branches += "\nwhen d.hash is distinct from d.address_hash then '" + verdictMoved + "'"
	}
	untracked := "false"
	if r.Tracked {
		untracked = trackingRefused("j.person", "j.hash")
	}
	identity := "''"
	if r.Identified {
		identity = "coalesce(c.public_id::text, '')"
	}
	values, nothing := attributeColumns(r.Attributes)
	return `
	with ` + with + `judged as materialized (
		select d.*, case` + branches + ` else '` + verdictIntent + `' end verdict
		from (
			select a.ctid, a.seq, a.contact_id, a.person, a.variant, a.address_hash, a.address, coalesce(a.known, ` + addressHashSQL + `) hash
			from (
				-- Who waited for the winner of a test gets it, and their row says so from then on.
				select distinct on (l.seq) l.ctid, l.seq, l.contact_id, coalesce(x.contact_id, l.contact_id) person, l.address_hash,
					i.value address, i.hash known,
					case when l.variant < 0 then coalesce((select winner from send where id = $1), l.variant) else l.variant end variant
				from unnest($5::bigint[], $6::bigint[]) run (first_seq, last_seq)
					cross join lateral (
						select r.ctid, r.seq, r.contact_id, r.address_hash, r.variant, r.state, r.not_before from ledger r
						where r.send_id = $1 and r.seq between run.first_seq and run.last_seq offset 0) l
					left join contact_record x on x.id = l.contact_id
					left join (identifier_link il join identifier i on i.id = il.identifier_id and i.type = 'email')
						on il.contact_id = coalesce(x.contact_id, l.contact_id)
				where l.state = 'pending' and (l.not_before is null or l.not_before <= now())
					and exists (select from send_chunk c where c.send_id = $1 and c.chunk = $2 and c.epoch = $3 and c.owner = $4 and c.leased_until is not null)
					and exists (select from send s cross join tenant where s.id = $1 and tenant.policy_revision = $8 and ` + sendRuns + `)
				order by l.seq, il.verified desc, il.linked_at, il.identifier_id) a
			offset 0) d
	), intent as (
		update ledger l set state = 'intent', epoch = $3, attempts = least(l.attempts + 1, 32767), intent_at = now(), not_before = null,
			variant = j.variant` + address + `
		from judged j left join contact c on c.id = j.person
		where l.send_id = $1 and l.ctid = j.ctid and l.seq = j.seq and l.state = 'pending' and j.verdict = '` + verdictIntent + `'
		returning l.seq, j.verdict, l.attempts, j.variant, coalesce(j.contact_id, 0), j.address,
			coalesce(c.locale, ''), coalesce(c.time_zone, ''), ` + untracked + `, ` + identity + `, c.tags` + values + `
	), counted as (
		update send_chunk c set intents = c.intents + committed.n from (select count(*) n from intent) committed
		where c.send_id = $1 and c.chunk = $2 and committed.n > 0
	), skip as (
		-- As at the freeze, who is skipped holds no address: another recipient may have it by now.
		update ledger l set state = 'skipped', reason = j.verdict, settled_at = now(), address_hash = null
		from judged j where l.send_id = $1 and l.seq = j.seq and l.state = 'pending' and j.verdict not in ('` + verdictIntent + `', '` + verdictMoved + `')
		returning l.seq, l.reason
	), tally as (
		insert into send_tally (send_id, chunk, outcome, n) select $1, $2, $7 || reason, count(*) from skip group by reason
		on conflict (send_id, chunk, outcome) do update set n = send_tally.n + excluded.n
	)
	select * from intent
	union all
	select seq, '` + verdictSkipped + `', 0, 0, 0, '', '', '', false, '', null` + nothing + ` from skip
	union all
	select seq, verdict, 0, 0, 0, '', '', '', false, '', null` + nothing + ` from judged where verdict = '` + verdictMoved + `'`
}

// twinBranch skips a row whose person has the message already, or may have it, as another record of theirs: contacts may be merged after
// the freeze. A rule may write to one record several times, and to two that are one person as if they had always been.
const twinBranch = `
when exists (select from contact_record t join ledger o on o.send_id = $1 and o.step = '' and o.contact_id = t.id
	where t.contact_id = d.person and o.seq <> d.seq and o.state in ('intent', 'sent', 'ambiguous'))
	or exists (select from contact_record t join ledger o on o.send_id = $1 and o.step <> '' and o.contact_id = t.id
	where t.contact_id = d.person and t.id <> d.contact_id and o.seq <> d.seq and o.state in ('intent', 'sent', 'ambiguous'))
	then '` + string(campaign.DuplicateContact) + `'`

// attributeColumns are the columns of contact c that hold attributes, and as many that hold nothing, each with a comma before it.
func attributeColumns(attributes []crm.Attribute) (values, nothing string) {
	var b strings.Builder
	for _, a := range attributes {
		column := "c." + pgx.Identifier{a.Column()}.Sanitize()
		if a.Type == crm.Date {
			column = "to_char(" + column + ", 'YYYY-MM-DD')"
		}
		b.WriteString(", " + column)
	}
	return b.String(), strings.Repeat(", null", len(attributes))
}

// collectIntents reads what intentSQL returns. It returns the rows whose address is another by now.
func collectIntents(rows pgx.Rows, r BatchRequest, batch *Batch) ([]PendingRow, error) {
	defer rows.Close()
	var moved []PendingRow
	var recipient Recipient
	var verdict string
	n := len(r.Attributes)
	batch.Recipients = make([]Recipient, 0, len(r.Rows))
	values := make([]any, n*len(r.Rows)) // of all recipients
	current := make([]any, n)
	targets := []any{
		&recipient.Seq, &verdict, &recipient.Number, &recipient.Variant, &recipient.ContactID, &recipient.Address,
		&recipient.Locale, &recipient.TimeZone, &recipient.Untracked, &recipient.PublicID, &recipient.Tags,
	}
	for i := range current {
		targets = append(targets, &current[i])
	}
	for rows.Next() {
		recipient = Recipient{Attempt: Attempt{Epoch: r.Lease.Epoch}}
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		switch verdict {
		case verdictMoved:
			moved = append(moved, PendingRow{Seq: recipient.Seq})
		case verdictSkipped:
			batch.Skipped++
		default:
			recipient.Attributes, values = values[:n:n], values[n:]
			for i, v := range current {
				recipient.Attributes[i] = plainValue(v)
			}
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
