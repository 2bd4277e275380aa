package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// ContactColumns says what the rows of an import hold.
type ContactColumns struct {
	Attributes []crm.Attribute
	Purposes   []string // of consent
	Proofs     bool     // rows tell how consents were given
	// EmailVerified and PhoneVerified say that the source has verified these, so that they identify a person.
	EmailVerified, PhoneVerified bool
	// Identifiers are those of other types that rows hold.
	Identifiers []IdentifierColumn
	// Accounts says that rows tell of accounts.
	Accounts bool
}

// IdentifierColumn is a type of identifiers, and whether the source has verified them.
type IdentifierColumn struct {
	Type     string
	Verified bool
}

// contactWriter writes batches of rows of one source with the same columns.
type contactWriter struct {
	source  string
	columns ContactColumns
	seen    *seen
	stage   string // the staging table
}

func newContactWriter(source string, columns ContactColumns, s *seen) *contactWriter {
	var shape strings.Builder
	for _, a := range columns.Attributes {
		shape.WriteString(a.Name + " " + string(a.Type) + "\n")
	}
	// Connections are shared by imports of other columns: the table is named after what it holds.
	digest := sha256.Sum256([]byte(shape.String()))
	return &contactWriter{source: source, columns: columns, seen: s, stage: fmt.Sprintf("stage_contact_%x", digest[:8])}
}

// apply writes a batch in a transaction: gather, plan, apply. New people are copied into the tables where they end;
// what is said of known ones goes through a staging table, so that one statement finds what differs.
func (w *contactWriter) apply(ctx context.Context, tx pgx.Tx, rows []ContactRow) (*plan, error) {
	f := collectKeys(w.source, w.columns, rows)
	if err := gather(ctx, tx, f); err != nil {
		return nil, err
	}
	if err := w.gatherAccounts(ctx, tx, f, rows); err != nil {
		return nil, err
	}
	p := planContacts(w.columns, rows, f, w.seen)
	if err := w.create(ctx, tx, p); err != nil {
		return nil, err
	}
	changed, err := w.update(ctx, tx, p)
	if err != nil {
		return nil, err
	}
	if err := w.writeMemberships(ctx, tx, p, changed); err != nil {
		return nil, err
	}
	for i, contact := range p.contacts {
		if p.outcomes[i] == Unchanged && changed[contact] {
			p.outcomes[i] = Updated
		}
	}
	return p, w.settle(ctx, tx, p)
}

// create copies new contacts, identifiers, links and the consents of new contacts.
func (w *contactWriter) create(ctx context.Context, tx pgx.Tx, p *plan) error {
	created := make([]*person, 0, len(p.people))
	for i := range p.people {
		if p.people[i].created {
			created = append(created, &p.people[i])
		}
	}
	columns := []string{"id", "locale", "time_zone", "tags"}
	for _, a := range w.columns.Attributes {
		columns = append(columns, a.Column())
	}
	err := copyIn(ctx, tx, "contact", columns, len(created), func(i int, out *copyText) {
		out.int(created[i].id)
		writeValues(out, created[i].row)
	})
	if err != nil {
		return err
	}
	if err := copyIdentifiers(ctx, tx, p.identifiers); err != nil {
		return err
	}
	err = copyIn(ctx, tx, "identifier_link", []string{"identifier_id", "contact_id", "verified", "source"}, len(p.links), func(i int, out *copyText) {
		out.int(p.links[i].identifier)
		out.int(p.links[i].contact)
		out.bool(p.links[i].verified)
		out.text(w.source)
	})
	if err != nil {
		return err
	}
	said := w.consents(created)
	columns = []string{"contact_id", "purpose", "granted", "source"}
	if w.columns.Proofs {
		columns = append(columns, "method", "text_version", "given_at")
	}
	return copyIn(ctx, tx, "consent", columns, len(said.contacts), func(i int, out *copyText) {
		out.int(said.contacts[i])
		out.text(said.purposes[i])
		out.bool(said.granted[i])
		out.text(w.source)
		if w.columns.Proofs {
			out.textOrNull(said.methods[i])
			out.textOrNull(said.versions[i])
			out.textOrNull(said.given[i])
		}
	})
}

// copyIdentifiers copies new identifiers, those that are addresses with their hashes.
func copyIdentifiers(ctx context.Context, tx pgx.Tx, identifiers []newIdentifier) error {
	if len(identifiers) == 0 {
		return nil
	}
	key, err := loadAddressKey(ctx, tx)
	if err != nil {
		return err
	}
	return copyIn(ctx, tx, "identifier", []string{"id", "type", "value", "hash"}, len(identifiers), func(i int, out *copyText) {
		k := identifiers[i]
		out.int(k.id)
		out.text(k.kind)
		out.text(k.value)
		if k.kind == crm.EmailIdentifier {
			out.bytes(key.hash(k.value))
		} else {
			out.null()
		}
	})
}

// writeValues writes what a row says of a contact, nulls and an empty list where it says nothing.
func writeValues(out *copyText, row *ContactRow) {
	out.textOrNull(row.Locale)
	out.textOrNull(row.TimeZone)
	out.array(distinct(row.Tags))
	for _, value := range row.Attributes {
		out.textOrNull(value)
	}
}

func distinct(tags []string) []string {
	if len(tags) < 2 {
		return tags
	}
	kept := make([]string, 0, len(tags))
	for _, tag := range tags {
		if !slices.Contains(kept, tag) {
			kept = append(kept, tag)
		}
	}
	return kept
}

// consents are decisions as parallel lists, as PostgreSQL takes them.
type consents struct {
	contacts []int64
	purposes []string
	granted  []bool
	fill     []bool
	// How they were given; texts are empty where that is not known.
	methods, versions, given []string
}

func (w *contactWriter) consents(people []*person) consents {
	var said consents
	for _, p := range people {
		for i, decision := range p.row.Consents {
			if decision == Unsaid {
				continue
			}
			said.contacts = append(said.contacts, p.id)
			said.purposes = append(said.purposes, w.columns.Purposes[i])
			said.granted = append(said.granted, decision == Granted)
			said.fill = append(said.fill, p.fill)
			var proof Proof
			if i < len(p.row.Proofs) {
				proof = p.row.Proofs[i]
			}
			said.methods, said.versions = append(said.methods, proof.Method), append(said.versions, proof.TextVersion)
			said.given = append(said.given, proof.GivenAt)
		}
	}
	return said
}

// update brings known contacts up to date and returns the ids of those that changed. What would not change is not
// written: an import that is run again leaves no dead row.
func (w *contactWriter) update(ctx context.Context, tx pgx.Tx, p *plan) (map[int64]bool, error) {
	var known []*person
	for i := range p.people {
		if !p.people[i].created {
			known = append(known, &p.people[i])
		}
	}
	changed := map[int64]bool{}
	note := func(rows pgx.Rows) error {
		var id int64
		_, err := pgx.ForEachRow(rows, []any{&id}, func() error { changed[id] = true; return nil })
		return err
	}
	batch := &pgx.Batch{}
	if len(known) > 0 {
		if err := w.fillStage(ctx, tx, known); err != nil {
			return nil, err
		}
		batch.Queue(w.updateContacts()).Query(note)
		if said := w.consents(known); len(said.contacts) > 0 {
			batch.Queue(insertConsents, said.contacts, said.purposes, said.granted, w.source, said.methods, said.versions, said.given).Query(note)
			batch.Queue(updateConsents, said.contacts, said.purposes, said.granted, said.fill, w.source, said.methods, said.versions, said.given).Query(note)
		}
	}
	queueVerify(batch, p.verify)
	queueBind(batch, p.bind)
	if batch.Len() == 0 {
		return changed, nil
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, fmt.Errorf("update contacts: %w", err)
	}
	return changed, nil
}

func (w *contactWriter) fillStage(ctx context.Context, tx pgx.Tx, known []*person) error {
	columns := []string{"contact_id", "fill", "locale", "time_zone", "tags"}
	definition := []string{"contact_id bigint", "fill boolean", "locale text", "time_zone text", "tags text[]"}
	for _, a := range w.columns.Attributes {
		columns = append(columns, a.Column())
		definition = append(definition, sqlName(a.Column())+" "+a.Type.SQLType())
	}
	create := fmt.Sprintf("create temp table if not exists %s (%s) on commit delete rows", w.stage, strings.Join(definition, ", "))
	if _, err := tx.Exec(ctx, create); err != nil {
		return fmt.Errorf("make the staging table: %w", err)
	}
	return copyIn(ctx, tx, w.stage, columns, len(known), func(i int, out *copyText) {
		out.int(known[i].id)
		out.bool(known[i].fill)
		writeValues(out, known[i].row)
	})
}

// updateContacts writes what a staged row says and the contact does not have. Where an earlier row of the import has
// written the contact, only what is missing is added.
func (w *contactWriter) updateContacts() string {
	columns := []string{"locale", "time_zone"}
	for _, a := range w.columns.Attributes {
		columns = append(columns, sqlName(a.Column()))
	}
	set := []string{"updated_at = now()", "tags = c.tags || array(select t from unnest(s.tags) t where t <> all (c.tags))"}
	differs := []string{"not s.tags <@ c.tags"}
	for _, column := range columns {
		set = append(set, fmt.Sprintf("%[1]s = case when s.fill then coalesce(c.%[1]s, s.%[1]s) else coalesce(s.%[1]s, c.%[1]s) end", column))
		differs = append(differs, fmt.Sprintf("s.%[1]s is not null and (c.%[1]s is null or not s.fill and c.%[1]s <> s.%[1]s)", column))
	}
	set = append(set, "said_at = "+saidAt(columns, differs[1:]))
	return fmt.Sprintf("update contact c set %s from pg_temp.%s s where c.id = s.contact_id and (%s) returning c.id",
		strings.Join(set, ", "), w.stage, strings.Join(differs, " or "))
}

// saidAt notes when columns that differ were last said anew. A function takes a hundred arguments.
func saidAt(columns, differs []string) string {
	var b strings.Builder
	b.WriteString("nullif(coalesce(c.said_at, '{}')")
	for first := 0; first < len(columns); first += 40 {
		pairs := make([]string, 0, 40)
		for i := first; i < min(first+40, len(columns)); i++ {
			pairs = append(pairs, fmt.Sprintf("'%s', case when %s then to_jsonb(now()) end", strings.Trim(columns[i], `"`), differs[i]))
		}
		b.WriteString(" || jsonb_strip_nulls(jsonb_build_object(" + strings.Join(pairs, ", ") + "))")
	}
	b.WriteString(", '{}')")
	return b.String()
}

// A person can decide while an import runs: the insert then finds a row that its own look did not, and the update looks
// again at the newest version of the row. Neither touches what the person decided. The same decision is recorded again where
// the import knows better how it was given.
const (
	insertConsents = `insert into consent (contact_id, purpose, granted, source, method, text_version, given_at)
		select s.contact_id, s.purpose, s.granted, $4, nullif(s.method, ''), nullif(s.version, ''), nullif(s.given, '')::timestamptz
		from unnest($1::bigint[], $2::text[], $3::boolean[], $5::text[], $6::text[], $7::text[]) s(contact_id, purpose, granted, method, version, given)
		where not exists (select from consent c where c.contact_id = s.contact_id and c.purpose = s.purpose)
		on conflict do nothing returning contact_id`
	updateConsents = `update consent c set granted = s.granted, source = $5, method = nullif(s.method, ''), text_version = nullif(s.version, ''),
			given_at = nullif(s.given, '')::timestamptz, recorded_at = now()
		from unnest($1::bigint[], $2::text[], $3::boolean[], $4::boolean[], $6::text[], $7::text[], $8::text[])
			s(contact_id, purpose, granted, fill, method, version, given)
		where c.contact_id = s.contact_id and c.purpose = s.purpose and not s.fill and not c.by_contact
			and (c.granted <> s.granted or s.method || s.version || s.given <> '' and (c.method, c.text_version, c.given_at)
				is distinct from (nullif(s.method, ''), nullif(s.version, ''), nullif(s.given, '')::timestamptz))
		returning c.contact_id`
)

func queueVerify(batch *pgx.Batch, links []link) {
	if len(links) == 0 {
		return
	}
	identifiers, contacts := make([]int64, len(links)), make([]int64, len(links))
	for i, l := range links {
		identifiers[i], contacts[i] = l.identifier, l.contact
	}
	batch.Queue(`update identifier_link l set verified = true from unnest($1::bigint[], $2::bigint[]) s(identifier_id, contact_id)
		where l.identifier_id = s.identifier_id and l.contact_id = s.contact_id`, identifiers, contacts)
}

// queueBind gives the events of identifiers that have just been linked to the contact: all of them where the link is
// verified; where it is not, those that nobody has, provided that it is the identifier's only link.
func queueBind(batch *pgx.Batch, links []newLink) {
	if len(links) == 0 {
		return
	}
	identifiers, contacts, verified := make([]int64, len(links)), make([]int64, len(links)), make([]bool, len(links))
	for i, l := range links {
		identifiers[i], contacts[i], verified[i] = l.identifier, l.contact, l.verified
	}
	batch.Queue(`update event e set contact_id = s.contact_id
		from unnest($1::bigint[], $2::bigint[], $3::boolean[]) s(identifier_id, contact_id, verified)
		where e.identifier_id = s.identifier_id and case
			when s.verified then e.contact_id is distinct from s.contact_id
			else e.contact_id is null and not exists (
				select from identifier_link l where l.identifier_id = s.identifier_id and l.contact_id <> s.contact_id)
		end`, identifiers, contacts, verified)
}
