package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// skipTwins keeps people who become one in the middle of a send from getting its message once for each of their records: where one of the rows
// has it, or may have it, those of the other records are skipped, else those of all records but the first. A rule may write to one record several
// times. The keys of the ledger stay as they are. A send that takes people in at this moment is waited for, and so is whoever commits intents. A row
// that becomes pending again later finds its twins at its intent.
func skipTwins(ctx context.Context, tx pgx.Tx, p *identityPlan) error {
	var records, contacts []int64
	for _, m := range p.moves {
		if m.Record != m.To {
			records, contacts = append(records, m.Record), append(contacts, m.To)
		}
	}
	if len(records) == 0 {
		return nil
	}
	records, contacts = p.withOthers(contacts)
	campaigns, err := lockOpenSends(ctx, tx)
	if err != nil || len(campaigns) == 0 {
		return err
	}
	sends := slices.Sorted(maps.Keys(campaigns))
	rows, err := tx.Query(ctx, lockTwinsSQL, sends, records)
	if err != nil {
		return err
	}
	type place struct {
		Send   int64
		Chunk  int
		Leased bool
	}
	chunks, err := pgx.CollectRows(rows, pgx.RowToStructByPos[place])
	if err != nil {
		return fmt.Errorf("lock chunks: %w", err)
	}
	// In a statement of its own, so that it sees what those have committed who held the chunks.
	outcome := skippedOutcome + string(campaign.DuplicateContact)
	if rows, err = tx.Query(ctx, skipTwinsSQL, sends, records, contacts, campaign.DuplicateContact, outcome); err != nil {
		return err
	}
	changed, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("skip rows of sends: %w", err)
	}
	for _, c := range chunks {
		// Whoever holds a chunk settles it when it is given back.
		if c.Leased || !slices.Contains(changed, c.Send) {
			continue
		}
		if err := settleChunk(ctx, tx, c.Send, c.Chunk); err != nil {
			return err
		}
	}
	return noteCampaigns(ctx, tx, campaigns, changed)
}

// noteCampaigns has the statuses of the campaigns of sends follow.
func noteCampaigns(ctx context.Context, tx pgx.Tx, campaigns map[int64]string, sends []int64) error {
	for _, id := range sends {
		if err := noteStatusChange(ctx, tx, CampaignKind, campaigns[id]); err != nil {
			return err
		}
	}
	return nil
}

// lockOpenSends keeps sends from taking people in, waits for those that do so at this moment, and returns the names of their campaigns.
func lockOpenSends(ctx context.Context, tx pgx.Tx) (campaigns map[int64]string, err error) {
	rows, err := tx.Query(ctx, `select id, campaign from send
		where cron is null and (state = 'Freezing' or frozen_at is not null and finished_at is null) order by id for share`)
	if err != nil {
		return nil, fmt.Errorf("lock open sends: %w", err)
	}
	campaigns = map[int64]string{}
	var id int64
	var name string
	if _, err := pgx.ForEachRow(rows, []any{&id, &name}, func() error { campaigns[id] = name; return nil }); err != nil {
		return nil, fmt.Errorf("lock open sends: %w", err)
	}
	return campaigns, nil
}

// withOthers lists all records of contacts that records come to, with their contacts.
func (p *identityPlan) withOthers(changing []int64) (records, contacts []int64) {
	wanted := map[int64]bool{}
	for _, contact := range changing {
		wanted[contact] = true
	}
	for _, person := range p.people {
		if !wanted[person.Contact] {
			continue
		}
		for _, r := range person.Records {
			records, contacts = append(records, r.ID), append(contacts, person.Contact)
		}
	}
	return records, contacts
}

// rowsOfRecords are the rows l that sends $1 hold of records r, each found by its key. It ends in "offset 0" so that the planner, which
// knows nothing of a ledger that has just been written, does not begin with all rows of a send.
func rowsOfRecords(records string) string {
	return `unnest($1::bigint[]) s(id) cross join ` + records + ` cross join lateral (
		select l.ctid, l.send_id, l.seq, l.state from ledger l where l.send_id = s.id and l.contact_id = r.id offset 0) l`
}

// lockTwinsSQL locks the chunks that hold rows of records, in the order of their key, as everybody does.
var lockTwinsSQL = `
	select c.send_id, c.chunk, c.leased_until is not null and c.leased_until > now() from send_chunk c
	where (c.send_id, c.chunk) in (
		select k.send_id, k.chunk from ` + rowsOfRecords("unnest($2::bigint[]) r(id)") + `
			join send_chunk k on k.send_id = l.send_id and l.seq between k.first_seq and k.last_seq offset 0)
	order by c.send_id, c.chunk for no key update of c`

var skipTwinsSQL = `
	with row as materialized (
		select l.ctid, l.send_id, l.seq, l.state, r.contact_id person, r.id record, min(l.seq) over (partition by l.send_id, r.id) as first_seq
		from ` + rowsOfRecords("unnest($2::bigint[], $3::bigint[]) r(id, contact_id)") + `
		where l.state in ('pending', 'intent', 'sent', 'ambiguous')
	), twin as (
		select r.ctid, r.send_id, r.seq from row r where r.state = 'pending' and exists (select from row o where o.send_id = r.send_id and o.person = r.person
			and o.record <> r.record and (o.state <> 'pending' or o.first_seq < r.first_seq))
	), skip as (
		update ledger l set state = 'skipped', reason = $4, settled_at = now(), not_before = null, address_hash = null
		from twin t where l.ctid = t.ctid and l.send_id = t.send_id and l.seq = t.seq and l.state = 'pending' returning l.send_id, l.seq
	), tally as (
		insert into send_tally (send_id, chunk, outcome, n)
		select k.send_id, c.chunk, $5, count(*) from skip k join send_chunk c on c.send_id = k.send_id and k.seq between c.first_seq and c.last_seq
		group by k.send_id, c.chunk order by 1, 2
		on conflict (send_id, chunk, outcome) do update set n = send_tally.n + excluded.n
	)
	select distinct send_id from skip`
