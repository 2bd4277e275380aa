package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// Appended is what came of contacts that were to be added to a send.
type Appended struct {
	// Pending are written to, Skipped are left out for a reason.
	Pending, Skipped int64
	// OverBound were not added: the audience has as many contacts as it may.
	OverBound int64
}

// AppendRows adds contacts to a send whose audience is frozen, each once: who is in it already is passed over. They are judged as at
// the freeze, and the audience never gets larger than maxRecipients and the policies allow. A send that was completed goes on. It is
// safe to repeat. It returns ErrNotFound where the send has no frozen audience, was aborted or has expired.
func (db *DB) AppendRows(ctx context.Context, sendID int64, contacts []int64, now time.Time) (Appended, error) {
	var total Appended
	for len(contacts) > 0 {
		some := contacts[:min(chunkRows, len(contacts))]
		contacts = contacts[len(some):]
		err := db.InTx(ctx, func(tx pgx.Tx) error {
			added, err := appendRows(ctx, tx, sendID, some, now)
			if err == nil {
				total.Pending += added.Pending
				total.Skipped += added.Skipped
				total.OverBound += added.OverBound
			}
			return err
		})
		if err != nil {
			return total, fmt.Errorf("add to send %d: %w", sendID, err)
		}
	}
	return total, nil
}

// appendRows adds at most a chunk's contacts.
func appendRows(ctx context.Context, tx pgx.Tx, sendID int64, contacts []int64, now time.Time) (added Appended, err error) {
	f, name, most, err := lockAppending(ctx, tx, sendID)
	if err != nil {
		return added, err
	}
	var planned int64
	const plannedSQL = "select coalesce(sum(n), 0)::bigint, " + planByKeys + " from send_tally where send_id = $1 and outcome = 'planned'"
	if err := tx.QueryRow(ctx, plannedSQL, sendID).Scan(&planned, nil); err != nil {
		return added, err
	}
	rows, err := tx.Query(ctx, `
		select w.contact_id from unnest($2::bigint[]) with ordinality w (contact_id, place)
		where not exists (select from ledger l where l.send_id = $1 and l.step = ''
			and l.contact_id = any (`+recordsSQL(contactNow("w.contact_id"))+` || w.contact_id))
		group by w.contact_id order by min(w.place)`, sendID, contacts)
	if err != nil {
		return added, err
	}
	wanted, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return added, err
	}
	room := max(0, min(int64(len(wanted)), most-planned))
	added.OverBound = int64(len(wanted)) - room
	if wanted = wanted[:room]; room == 0 {
		return added, nil
	}
	if err := writeAppended(ctx, tx, f, wanted, make([]string, len(wanted)), now, &added); err != nil {
		return added, err
	}
	return added, noteStatusChange(ctx, tx, CampaignKind, name)
}

// lockAppending locks a frozen send, so that only one transaction adds to it at a time, and reads what its rows are made by and how
// many it may have.
func lockAppending(ctx context.Context, tx pgx.Tx, sendID int64) (f freezing, name string, most int64, err error) {
	f.SendID = sendID
	err = tx.QueryRow(ctx, `
		select send_key, occurrence, campaign, purpose, variants, hold_out, timing, max_recipients from send
		where id = $1 and frozen_at is not null and state in ('Sending', 'Completed') for no key update`, sendID).
		Scan(&f.SendKey, &f.Occurrence, &name, &f.Purpose, &f.Variants, &f.HoldOut, &f.Timing, &most)
	if errors.Is(err, pgx.ErrNoRows) {
		return f, name, 0, ErrNotFound
	}
	if err != nil {
		return f, name, 0, err
	}
	if f.Terms, err = loadTerms(ctx, tx, f.Purpose); err != nil {
		return f, name, 0, err
	}
	if f.Terms.MaxAudience > 0 {
		most = min(most, f.Terms.MaxAudience)
	}
	return f, name, most, nil
}

// writeAppended writes the rows of contacts behind the last ones of a send, at most a chunk's. steps tells those of one contact apart.
func writeAppended(ctx context.Context, tx pgx.Tx, f freezing, contacts []int64, steps []string, now time.Time, added *Appended) error {
	zones, begins, err := appendedBegins(ctx, tx, f, contacts, now)
	if err != nil {
		return fmt.Errorf("plan when recipients are written to: %w", err)
	}
	if _, err := tx.Exec(ctx, receiversSQL(appendedDomainsSQL), contacts); err != nil {
		return fmt.Errorf("note the receivers: %w", err)
	}
	chunk, lastSeq, err := openTail(ctx, tx, f.SendID, len(contacts))
	if err != nil {
		return fmt.Errorf("make room in a chunk: %w", err)
	}
	err = tx.QueryRow(ctx, appendSQL(f), f.SendID, f.seed(), campaign.VariantBounds(weights(f.Variants)), campaign.ShareBound(f.HoldOut),
		contacts, zones, begins, chunk, lastSeq, skippedOutcome, steps).Scan(&added.Pending, &added.Skipped)
	if err != nil {
		return fmt.Errorf("write the ledger: %w", err)
	}
	return nil
}

// appendedBegins are when recipients of each zone are written to, where each zone's own clock decides and the hour has not come.
func appendedBegins(ctx context.Context, tx pgx.Tx, f freezing, contacts []int64, now time.Time) (zones []string, begins []time.Time, err error) {
	zones, begins = []string{}, []time.Time{}
	if !f.Timing.PerRecipient {
		return zones, begins, nil
	}
	rows, err := tx.Query(ctx, "select distinct time_zone from contact where id = any ($1) and time_zone is not null", contacts)
	if err != nil {
		return nil, nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, nil, err
	}
	schedule, err := f.Timing.Parse()
	if err != nil {
		return nil, nil, err
	}
	planned, err := schedule.Begins(names, f.Occurrence)
	if err != nil {
		return nil, nil, err
	}
	for zone, b := range planned {
		// Who enters after the hour of their zone is late for nothing.
		zones, begins = append(zones, zone), append(begins, maxTime(b.StartsAt, now))
	}
	return zones, begins, nil
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

const appendedDomainsSQL = `
	select distinct split_part(i.value, '@', 2) "domain" from identifier_link il join identifier i on i.id = il.identifier_id and i.type = 'email'
	where il.contact_id = any ($1::bigint[])`

// openTail finds the chunk that takes n more rows and the number of the last row before them: the last chunk, where it has room and
// nobody holds it, else a new one. What is added one by one does not make a chunk for each.
func openTail(ctx context.Context, tx pgx.Tx, sendID int64, n int) (chunk int, lastSeq int64, err error) {
	var first int64
	var free bool
	err = tx.QueryRow(ctx, `
		select chunk, first_seq, last_seq, leased_until is null and owner is null and receiver = 0 and stage = 0 from send_chunk
		where send_id = $1 order by last_seq desc limit 1 for no key update`, sendID).Scan(&chunk, &first, &lastSeq, &free)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, 0, err
	}
	if err == nil && free && lastSeq-first+1+int64(n) <= chunkRows {
		return chunk, lastSeq, nil
	}
	err = tx.QueryRow(ctx, `
		insert into send_chunk (send_id, chunk, first_seq, last_seq, open)
		select $1, coalesce(max(chunk) + 1, 0), $2 + 1, $2, false from send_chunk where send_id = $1 returning chunk`, sendID, lastSeq).Scan(&chunk)
	return chunk, lastSeq, err
}

// appendSQL judges contacts one by one, writes their rows behind the last one, and has the chunk hold them.
func appendSQL(f freezing) string {
	with, branches := excludeEach(exclusions(subject{
		contact: "h.person", hash: "h.hash", purpose: "(select purpose from send where id = $1)",
	}, f.Terms))
	variant := "0"
	if len(f.Variants) > 1 {
		variant = "width_bucket(" + drawSQL(campaign.VariantDraw) + ", $3::bigint[])"
	}
	if f.HoldOut > 0 {
		branches += " when " + drawSQL(campaign.HoldOutDraw) + " < $4::bigint then '" + string(campaign.HoldOut) + "'"
	}
	return `
	with ` + with + `h as materialized (
		select e.contact_id, e.step, e.person, keyed_hash(k.key, e.value) hash, split_part(e.value, '@', 2) "domain", ` + chanceSQL + ` chance, e.time_zone
		from (
			select w.contact_id, w.step, c.id person, c.time_zone, (
				select i.value from identifier_link il join identifier i on i.id = il.identifier_id and i.type = 'email'
				where il.contact_id = c.id order by il.verified desc, il.linked_at, i.id limit 1) "value"
			from unnest($5::bigint[], $11::text[]) w (contact_id, step) join contact c on c.id = ` + contactNow("w.contact_id") + `) e
			cross join (select key from secret_key where purpose = 'address') k
		where num_nulls($3::bigint[], $4::bigint) >= 0
	), judged as (
		select h.*, (` + variant + `)::smallint variant, case` + branches + `
			when exists (select from ledger l where l.send_id = $1 and l.step = h.step and l.address_hash = h.hash) then 'DuplicateAddress' end reason from h
	), ranked as (
		select *, row_number() over (partition by step, hash, reason is null order by contact_id) place from judged
	), numbered as (
		select $9::bigint + row_number() over (order by contact_id, step) seq, *,
			case when reason is null and place > 1 then 'DuplicateAddress' else reason end why from ranked
	), row as (
		insert into ledger (send_id, seq, step, contact_id, address_hash, variant, state, reason, settled_at, receiver, not_before)
		select $1, n.seq, n.step, n.contact_id, case when why is null then hash end, n.variant, case when why is null then 'pending' else 'skipped' end, why,
			case when why is not null then now() end, case when why is null then coalesce(d.receiver_id, 0) else 0 end,
			case when why is null then coalesce(b.begins, o.begins) end
		from numbered n left join receiving_domain d on d.domain = n.domain
			left join unnest($6::text[], $7::timestamptz[]) b (zone, begins) on b.zone = n.time_zone and b.zone <> ''
			left join unnest($6::text[], $7::timestamptz[]) o (zone, begins) on o.zone = ''
		returning seq, state, reason, not_before
	), total as (
		select count(*) n, max(seq) last, count(*) filter (where state = 'pending') pending,
			min(coalesce(not_before, '-infinity')) filter (where state = 'pending') next_at from row
	), chunk as (
		update send_chunk c set last_seq = t.last, next_at = case when c.open then least(c.next_at, t.next_at) else coalesce(t.next_at, 'infinity') end,
			open = c.open or t.pending > 0
		from total t where c.send_id = $1 and c.chunk = $8 and t.n > 0
	), tally as (
		insert into send_tally (send_id, chunk, outcome, n)
		select $1, $8, 'planned', n from total
		union all
		select $1, $8, $10 || reason, count(*) from row where state = 'skipped' group by reason
		on conflict (send_id, chunk, outcome) do update set n = send_tally.n + excluded.n
	)
	select pending, n - pending from total`
}
