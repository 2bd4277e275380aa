package expr_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/tertulia-crm/tertulia/internal/crm"
	"github.com/tertulia-crm/tertulia/internal/expr"
)

// insertSends makes what people can have got, and a send that no campaign made.
const insertSends = `insert into send (id, send_key, campaign, purpose, channel, segments, max_recipients, variants, starts_at, deadline) overriding system value
	select n, n || '', c, '', '', '{}'::text[], 1, '[]'::jsonb, now(), now() from unnest($1::text[]) with ordinality s(c, n) union all
	select 99, 'x', 'consent-policy/x', '', '', '{}', 1, '[]', now(), now()`

func insertPeople(ctx context.Context, t *rapid.T, tx pgx.Tx, rows []row) {
	var batch pgx.Batch
	batch.Queue("insert into identifier (id, type, value) overriding system value values (0, 'email', 'x')")
	batch.Queue("insert into segment (name, match, digest, predicate, arguments) select n, '', '', '', '[]' from unnest($1::text[]) n", segments)
	batch.Queue(insertSends, sends)
	for _, r := range rows {
		names := []string{"id", "locale", "time_zone", "tags", "created_at"}
		values := []string{"$1", "$2", "$3", "$4", "$5"}
		arguments := []any{r.id, nullable(r.locale), nullable(r.timeZone), r.tags, r.created.Time}
		for i, c := range r.columns {
			column, typ, _ := strings.Cut(c, "::")
			arguments = append(arguments, r.texts[i])
			names, values = append(names, column), append(values, "$"+strconv.Itoa(len(arguments))+"::text::"+typ)
		}
		batch.Queue(fmt.Sprintf("insert into contact (%s) overriding system value values (%s)", strings.Join(names, ", "), strings.Join(values, ", ")), arguments...)
		insertFacts(&batch, r.person)
		for _, o := range r.events {
			properties, err := json.Marshal(o.properties)
			if err != nil {
				t.Fatal(err)
			}
			// The same event once more, not bound to anybody: it counts for nobody.
			batch.Queue("insert into event (name, occurred_at, identifier_id, contact_id, properties, source) select $1, $2, 0, c, $4, 'test' from unnest(array[$3, null]::bigint[]) c",
				o.name, o.at, r.id, string(properties))
		}
		insertMessages(&batch, r.person)
	}
	if err := tx.SendBatch(ctx, &batch).Close(); err != nil {
		t.Fatalf("insert people: %v", err)
	}
}

func nullable(v ref.Val) *string {
	text, known := v.(types.String)
	if !known {
		return nil
	}
	return (*string)(&text)
}

// insertFacts writes what stands in other tables about a contact.
func insertFacts(batch *pgx.Batch, p *person) {
	for purpose, granted := range p.consents {
		batch.Queue("insert into consent (contact_id, purpose, granted, source) values ($1, $2, $3, 'test')", p.id, purpose, granted)
	}
	for segment := range p.segments {
		batch.Queue("insert into segment_member (segment_id, contact_id) select id, $1 from segment where name = $2", p.id, segment)
	}
	for typ := range p.identifiers {
		batch.Queue(`with i as (insert into identifier (type, value) values ($2, $1::bigint::text) returning id)
			insert into identifier_link (identifier_id, contact_id, verified, source) select id, $1, false, 'test' from i`, p.id, typ)
	}
}

// insertMessages writes the ledger with what came of it. Beside each row stand some that tell nothing: a message that failed, one
// that asked for a consent, and what a machine opened.
func insertMessages(batch *pgx.Batch, p *person) {
	given := map[string]int{}
	var send int64
	if p.merged {
		batch.Queue("insert into contact_record (id, contact_id, public_id, source, created_at, updated_at, said, tags, consents) "+
			"select id, $1::bigint, gen_random_uuid(), 'test', now(), now(), '{}', '{}', '[]' from unnest(array[$1::bigint, $1::bigint + 1000]) id", p.id)
	}
	for _, m := range p.messages {
		if m.what == "received" {
			send = nth(m.name, given[m.name])
			given[m.name]++
			record := p.id
			if p.merged && send%2 == 0 { // it was for the record that is part of the contact since
				record += 1000
			}
			batch.Queue("insert into ledger (send_id, seq, step, contact_id, state, settled_at) values ($1, $2, $5, $4, 'sent', $3)", send, p.id, m.at, record,
				map[bool]string{true: "entry/2"}[strings.HasPrefix(m.name, "rule/")])
			continue
		}
		batch.Queue("insert into engagement (at, send_id, seq, what) values ($1, $2, $3, $4), ('0001-01-01', $2, $3, 'machine-' || $4::text)", m.at, send, p.id, m.what)
	}
	batch.Queue("insert into ledger (send_id, seq, contact_id, state, settled_at) values (99, $1, $1, 'sent', '2020-01-01'), (100, $1, $1, 'failed', '2020-01-01')", p.id)
}

// nth is the id of the n-th send of a campaign.
func nth(campaign string, n int) int64 {
	for i, name := range sends {
		if name != campaign {
			continue
		}
		if n == 0 {
			return int64(i + 1)
		}
		n--
	}
	panic(campaign)
}

// selectMembers compiles the expressions and asks PostgreSQL who belongs, of everyone and of some.
func selectMembers(ctx context.Context, t *rapid.T, tx pgx.Tx, schema crm.Schema, sources []string) (everyone, some [][]int64) {
	var batch pgx.Batch
	for i, source := range sources {
		compiled, err := expr.Compile(schema, source)
		if err != nil {
			t.Fatalf("compile %s: %v", source, err)
		}
		var arguments []any
		for _, a := range compiled.Arguments {
			arguments = append(arguments, a)
		}
		batch.Queue("select coalesce(array_agg(c.id order by c.id), '{}') from contact c where "+compiled.Predicate, arguments...)
		if asksSome(i) {
			batch.Queue(fmt.Sprintf(`select coalesce(array_agg(b.id order by b.id), '{}') from unnest($%d::bigint[]) k(id)
				cross join lateral (select c.id from contact c where c.id = k.id and (%s) offset 0) b`, len(arguments)+1, compiled.Predicate), append(arguments, askedFor)...)
		}
	}
	results := tx.SendBatch(ctx, &batch)
	defer func() { _ = results.Close() }()
	everyone, some = make([][]int64, len(sources)), make([][]int64, len(sources))
	for i, source := range sources {
		if err := results.QueryRow().Scan(&everyone[i]); err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		if !asksSome(i) {
			continue
		}
		if err := results.QueryRow().Scan(&some[i]); err != nil {
			t.Fatalf("%s, of some: %v", source, err)
		}
	}
	return everyone, some
}

// askedFor are the contacts whom some cases ask for; one of them is not there.
var askedFor = []int64{2, 3, 5, 8, 13, 1000}

// asksSome tells which cases are asked of some contacts too.
func asksSome(n int) bool { return n%4 == 0 }
