package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
	"github.com/tertulia-crm/tertulia/internal/policy"
)

// freezing is what the rows of a send are made by.
type freezing struct {
	SendID     int64
	SendKey    string
	Occurrence string
	Purpose    string
	Variants   []SendVariant
	HoldOut    int            // percent
	Test       *campaign.Test // nil where nobody waits for a winner
	Timing     campaign.Timing
	Terms      policy.Terms
}

// seed is what the draws of a send begin with: each occurrence of a campaign has draws of its own.
func (f freezing) seed() string { return campaign.Seed(f.SendKey, f.Occurrence) }

// The statements of a freeze follow one another, each over a table of the transaction's own that the one before has filled: so
// each is planned by how many rows there are, and not by an estimate that a wrong guess makes worse from join to join.
//
// Each sort and each hash table has this much memory however large the audience is, and what is over goes to temporary files. More
// does not make it faster: what fits into a processor's cache is looked up sooner than the file is read again. Merge joins, which
// the planner prefers then, would sort everybody once more for each table.
const freezeSettings = `select set_config('work_mem', '8MB', true), set_config('hash_mem_multiplier', '1', true), set_config('enable_mergejoin', 'off', true)`

// insertLedger writes a send's rows, chunks and tallies for the audience in frozen_audience, and returns how many recipients are
// pending. A row holds the keyed hash of the address only where it is pending: a contact without consent must not keep somebody
// with the same address from getting the message.
func insertLedger(ctx context.Context, tx pgx.Tx, f freezing, now time.Time) (pending int64, err error) {
	if err := planBegins(ctx, tx, f, now); err != nil {
		return 0, fmt.Errorf("plan when recipients are written to: %w", err)
	}
	if _, err := tx.Exec(ctx, "create temporary table frozen_row on commit drop as "+judgeSQL(f),
		f.SendID, f.seed(), campaign.VariantBounds(weights(f.Variants)), campaign.ShareBound(f.HoldOut), testBound(f.Test)); err != nil {
		return 0, fmt.Errorf("judge the audience: %w", err)
	}
	steps := []struct {
		what, sql string
		arguments []any
	}{
		{"judge the audience", "analyze frozen_row", nil},
		{"look for shared addresses", duplicatesSQL, nil},
		{"note the receivers", receiversSQL(frozenDomainsSQL), nil},
		{"plan the chunks", partsSQL, []any{int64(chunkRows)}},
		{"plan the chunks", "analyze frozen_part", nil},
		{"write the ledger", rowsSQL, []any{f.SendID}},
	}
	for _, s := range steps {
		if _, err := tx.Exec(ctx, s.sql, s.arguments...); err != nil {
			return 0, fmt.Errorf("%s: %w", s.what, err)
		}
	}
	if err := tx.QueryRow(ctx, chunksSQL, f.SendID, int64(chunkRows), skippedOutcome).Scan(&pending); err != nil {
		return 0, fmt.Errorf("write the chunks: %w", err)
	}
	return pending, nil
}

// testBound is the bound below which a draw falls into the test share: everybody's does where there is no test.
func testBound(t *campaign.Test) int64 {
	if t == nil {
		return campaign.ShareBound(100)
	}
	return campaign.ShareBound(t.Share)
}

// planBegins fills frozen_begin with when the recipients of each zone are written to, where each zone's own clock decides. The
// zone ” is for contacts of whom no zone is known.
func planBegins(ctx context.Context, tx pgx.Tx, f freezing, now time.Time) error {
	if !f.Timing.PerRecipient {
		return nil
	}
	rows, err := tx.Query(ctx, "select distinct c.time_zone from frozen_audience a join contact c on c.id = a.contact_id where c.time_zone is not null")
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	schedule, err := f.Timing.Parse()
	if err != nil {
		return err
	}
	begins, err := schedule.Begins(names, f.Occurrence)
	if err != nil {
		return err
	}
	const create = "create temporary table frozen_begin (zone text not null, begins timestamptz not null, late boolean not null) on commit drop"
	if _, err := tx.Exec(ctx, create); err != nil {
		return err
	}
	_, err = tx.CopyFrom(ctx, pgx.Identifier{"frozen_begin"}, []string{"zone", "begins", "late"}, beginRows(begins, now))
	return err
}

func beginRows(begins map[string]campaign.Begin, now time.Time) pgx.CopyFromSource {
	rows := make([][]any, 0, len(begins))
	for zone, b := range begins {
		rows = append(rows, []any{zone, b.StartsAt, now.After(b.Deadline)})
	}
	return pgx.CopyFromRows(rows)
}

// hashSQL is the function keyed_hash written out: the planner cannot inline it, and a call for each of a million addresses takes
// longer than hashing them.
const hashSQL = "sha256(k.key || sha256(k.key || convert_to(e.value, 'UTF8')))"

// chanceSQL is campaign.Chance in SQL, for the seed $2.
const chanceSQL = "sha256(convert_to($2::text || '/' || e.contact_id, 'UTF8'))"

// drawSQL is one of the draws of a chance h.chance in SQL: those of campaign.Draws.
func drawSQL(draw campaign.Draw) string {
	parts := make([]string, campaign.DrawBytes)
	for i := range parts {
		parts[i] = fmt.Sprintf("(get_byte(h.chance, %d)::bigint << %d)", int(draw)*campaign.DrawBytes+i, 8*(campaign.DrawBytes-1-i))
	}
	return "(" + strings.Join(parts, " | ") + ")"
}

// judgeSQL judges the audience: what address each recipient has, why one is left out, which variant each gets, in which stage, and
// when. The subquery that ends in "offset 0" computes each hash once, however often it is asked for.
func judgeSQL(f freezing) string {
	with, joins, branches := excludeAll(exclusions(subject{
		contact: "h.contact_id", hash: "h.hash", purpose: "(select purpose from send where id = $1)",
	}, f.Terms))
	chance, variant, stage := "null::bytea", "0", "0"
	if len(f.Variants) > 1 {
		variant = "width_bucket(" + drawSQL(campaign.VariantDraw) + ", $3::bigint[])"
	}
	if f.Test != nil {
		waits := drawSQL(campaign.TestDraw) + " >= $5::bigint"
		stage = "case when " + waits + " then 1 else 0 end"
		variant = "case when " + waits + " then -1 else " + variant + " end"
	}
	if f.HoldOut > 0 {
		branches += " when " + drawSQL(campaign.HoldOutDraw) + " < $4::bigint then '" + string(campaign.HoldOut) + "'"
	}
	if len(f.Variants) > 1 || f.HoldOut > 0 || f.Test != nil {
		chance = chanceSQL
	}
	begins := "'-infinity'::timestamptz"
	if f.Timing.PerRecipient {
		begins = "coalesce(b.begins, o.begins)"
		branches += " when coalesce(b.late, o.late) then '" + string(campaign.Late) + "'"
		joins += ` left join contact c on c.id = h.contact_id
			left join frozen_begin b on b.zone = c.time_zone and b.zone <> '' left join frozen_begin o on o.zone = ''`
	}
	if with != "" {
		with = "with " + strings.TrimRight(with, ", \n\t")
	}
	return with + `
	select h.contact_id, h.address, h.verified, h.hash, h.domain, ` + begins + ` begins, (` + variant + `)::smallint variant, (` + stage + `)::smallint stage,
		case` + branches + ` else '' end reason
	from (
		select e.contact_id, e.address, e.verified, coalesce(e.hash, ` + hashSQL + `) hash,
			coalesce(split_part(e.value, '@', 2), '') "domain", ` + chance + ` chance
		from (
			select distinct on (a.contact_id) a.contact_id, i.id address, il.verified, i.value, i.hash
			from frozen_audience a
				left join (identifier_link il join identifier i on i.id = il.identifier_id and i.type = 'email') on il.contact_id = a.contact_id
			order by a.contact_id, il.verified desc, il.linked_at, i.id) e
			cross join (select key from secret_key where purpose = 'address') k
			-- No argument may be left out of the statement, or its type would not be known.
			where num_nulls($1::bigint, $2::text, $3::bigint[], $4::bigint, $5::bigint) >= 0
		offset 0) h` + joins
}

// duplicatesSQL leaves those out who would get a message at the address of another: of several the one with the lowest id gets it.
// Addresses are the same where their identifiers are. A verified link is its identifier's only one that is: of two who share an
// address one at least is linked to it by another.
const duplicatesSQL = `
	with shared as (
		select address, min(contact_id) first from frozen_row
		where reason = '' and address in (select address from frozen_row where reason = '' and not verified)
		group by address having count(*) > 1)
	update frozen_row r set reason = 'DuplicateAddress' from shared s where r.address = s.address and r.contact_id <> s.first and r.reason = ''`

// receiversSQL makes each domain that nobody has been written to at a receiver of its own, until somebody asks for its mail
// exchangers. In order, so that two freezes cannot wait for each other.
func receiversSQL(domains string) string {
	return `
	with unknown as materialized (
		select r.domain from (` + domains + `) r where not exists (select from receiving_domain d where d.domain = r.domain)
	), made as (
		insert into receiver (name) select domain from unknown order by domain on conflict (name) do nothing returning id, name
	)
	insert into receiving_domain (domain, receiver_id)
	select u.domain, coalesce(m.id, r.id) from unknown u left join made m on m.name = u.domain left join receiver r on r.name = u.domain
	order by u.domain on conflict (domain) do nothing`
}

const frozenDomainsSQL = "select distinct domain from frozen_row where reason = ''"

// partsSQL groups the rows into those that share chunks: of one receiver, where it has as many as a chunk; of the others; and
// those left out, by reason. Each place in the order of these parts has a row for each domain and each hour that rows of it begin.
const partsSQL = `
	create temporary table frozen_part on commit drop as
	with counted as (
		select reason, stage, domain, begins, count(*) n from frozen_row group by reason, stage, domain, begins
	), addressed as (
		select c.*, case when c.reason = '' then c.begins else '-infinity' end as hour, case when c.reason = '' then c.stage else 0 end of_stage,
			case when c.reason = '' then coalesce(d.receiver_id, 0) else 0 end receiver
		from counted c left join receiving_domain d on d.domain = c.domain
	), named as (
		select *, case when reason = '' and sum(n) over (partition by reason, of_stage, receiver) >= $1::bigint then receiver else 0 end chunks_of
		from addressed
	)
	select *, dense_rank() over (order by reason <> '', of_stage, chunks_of, reason) place from named`

// rowsSQL writes the rows, numbered part by part, so that the rows of a chunk follow one another. They are written in the order in
// which they are numbered: the index by number grows at its end, and the one by contact at as many places as there are parts.
const rowsSQL = `
	insert into ledger (send_id, seq, contact_id, address_hash, variant, state, reason, settled_at, receiver, not_before)
	select $1, row_number() over (order by p.place, p.hour, r.contact_id), r.contact_id, case when r.reason = '' then r.hash end, r.variant,
		case when r.reason = '' then 'pending' else 'skipped' end, nullif(r.reason, ''), case when r.reason <> '' then now() end, p.receiver,
		nullif(p.hour, '-infinity')
	from frozen_row r join frozen_part p using (reason, stage, domain, begins)`

// chunksSQL cuts the parts into chunks. Their numbers, in which they are leased, take turns between the receivers, in proportion to
// how many rows each has: so all of them end at about the same time, and none comes last. What waits for the hour of its zone is not
// leased before the first of it has come. The ledger is not read: nothing has counted its new rows yet, and what the planner knows
// of it can be wrong by all of them.
const chunksSQL = `
	with hour as (
		select place, hour as begins, (sum(sum(n)) over (order by place, hour) - sum(n))::bigint before, sum(n)::bigint n from frozen_part group by place, hour
	), part as (
		select place, min(reason) reason, min(of_stage) stage, min(chunks_of) receiver, sum(n)::bigint n from frozen_part group by place
	), placed as (
		select *, (sum(n) over (order by place))::bigint - n before from part
	), chunk as materialized (
		select row_number() over (order by p.reason <> '', (k + 0.5) / ((p.n + $2 - 1) / $2), p.place) - 1 number,
			p.before + k * $2 + 1 first_seq, least(p.before + (k + 1) * $2, p.before + p.n) last_seq, p.reason, p.stage, p.receiver, p.place
		from placed p cross join lateral generate_series(0, (p.n - 1) / $2) k
	), chunks as (
		insert into send_chunk (send_id, chunk, first_seq, last_seq, open, receiver, stage, next_at)
		select $1, c.number, c.first_seq, c.last_seq, c.reason = '', c.receiver, c.stage, h.begins
		from chunk c join hour h on h.place = c.place and c.first_seq > h.before and c.first_seq <= h.before + h.n
	), tally as (
		insert into send_tally (send_id, chunk, outcome, n)
		select $1, number, 'planned', last_seq - first_seq + 1 from chunk
		union all
		select $1, number, $3 || reason, last_seq - first_seq + 1 from chunk where reason <> ''
	)
	select coalesce(sum(n) filter (where reason = ''), 0)::bigint from part`

func weights(variants []SendVariant) []int {
	w := make([]int, len(variants))
	for i, v := range variants {
		w[i] = v.Weight
	}
	return w
}
