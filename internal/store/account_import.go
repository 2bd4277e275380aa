package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/crm"
)

// AccountRow is what a source says of an account. Empty texts leave what is recorded as it is.
type AccountRow struct {
	Line       int64
	ExternalID string // the source's number of the account; required
	Name       string
	Domain     string   // in small letters, IDNA
	Attributes []string // canonical, in the order of the columns
}

// AccountImport is an import of accounts from one source, batch by batch. It is for one goroutine.
type AccountImport struct {
	db      *DB
	writer  *accountWriter
	options ImportOptions
}

// NewAccountImport prepares an import; nothing is asked of the database before the first batch.
func (db *DB) NewAccountImport(source string, attributes []crm.Attribute, o ImportOptions) *AccountImport {
	return &AccountImport{db: db, writer: &accountWriter{source: source, attributes: attributes}, options: o.withDefaults()}
}

// Apply writes a batch in one transaction. While the database is away it is tried again.
func (im *AccountImport) Apply(ctx context.Context, rows []AccountRow) (ContactsResult, error) {
	result, err := im.options.persist(ctx, func() (ContactsResult, error) {
		ctx, cancel := context.WithTimeout(ctx, batchTimeout)
		defer cancel()
		return writeRows(rows, func(rows []AccountRow) (result ContactsResult, err error) {
			var p *accountPlan
			err = im.db.InTx(ctx, func(tx pgx.Tx) (err error) {
				p, err = im.writer.apply(ctx, tx, rows)
				return err
			})
			if err != nil {
				return ContactsResult{}, err
			}
			for _, id := range p.accounts {
				if id != 0 {
					im.writer.seen.add(id)
				}
			}
			return ContactsResult{Outcomes: p.outcomes, Contacts: p.accounts, Reasons: p.reasons}, nil
		})
	})
	if err != nil {
		return ContactsResult{}, fmt.Errorf("import a batch of accounts: %w", err)
	}
	return result, nil
}

// Close ends the import.
func (im *AccountImport) Close(context.Context) {}

// accountWriter writes batches of rows of one source with the same columns.
type accountWriter struct {
	source     string
	attributes []crm.Attribute
	seen       idSet // accounts that had their row
}

// accountLock is the advisory lock under which accounts are made.
const accountLock = 7_302_115_849

// DomainIdentifier is the type of an account's domains.
const DomainIdentifier = "domain"

// accountFacts are what the database knows of a batch's rows.
type accountFacts struct {
	external map[string]int64 // accounts, by the source's number
	domain   map[string]domainOwner
	ids      []int64 // for those that may be new
}

type domainOwner struct {
	account  int64
	publicID string
	numbered bool // the source has a number for it
}

func (w *accountWriter) apply(ctx context.Context, tx pgx.Tx, rows []AccountRow) (*accountPlan, error) {
	facts, err := w.gather(ctx, tx, rows)
	if err != nil {
		return nil, fmt.Errorf("look accounts up: %w", err)
	}
	p := planAccounts(rows, facts, w.seen.has)
	if err := w.write(ctx, tx, p); err != nil {
		return nil, fmt.Errorf("write accounts: %w", err)
	}
	return p, nil
}

func (w *accountWriter) gather(ctx context.Context, tx pgx.Tx, rows []AccountRow) (f accountFacts, err error) {
	f.external, f.domain = map[string]int64{}, map[string]domainOwner{}
	externals, domains := make([]string, len(rows)), make([]string, len(rows))
	for i, r := range rows {
		externals[i], domains[i] = r.ExternalID, r.Domain
	}
	if _, err = tx.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(accountLock)); err != nil {
		return f, err
	}
	kind := crm.ExternalIdentifier(w.source)
	found, err := tx.Query(ctx, "select value, account_id from account_identifier where type = $1 and value = any ($2)", kind, externals)
	if err != nil {
		return f, err
	}
	var value string
	var account int64
	if _, err = pgx.ForEachRow(found, []any{&value, &account}, func() error { f.external[value] = account; return nil }); err != nil {
		return f, err
	}
	found, err = tx.Query(ctx, `
		select i.value, i.account_id, a.public_id::text, exists (select from account_identifier x where x.account_id = i.account_id and x.type = $2)
		from account_identifier i join account a on a.id = i.account_id where i.type = $1 and i.value = any ($3)`, DomainIdentifier, kind, domains)
	if err != nil {
		return f, err
	}
	var owner domainOwner
	into := []any{&value, &owner.account, &owner.publicID, &owner.numbered}
	if _, err = pgx.ForEachRow(found, into, func() error { f.domain[value] = owner; return nil }); err != nil {
		return f, err
	}
	err = tx.QueryRow(ctx, "select array(select nextval('account_id_seq') from generate_series(1, $1))", len(rows)).Scan(&f.ids)
	return f, err
}

// accountPlan is what a batch of accounts writes.
type accountPlan struct {
	outcomes []RowOutcome
	reasons  map[int]string
	accounts []int64 // by row; 0 where it was rejected
	created  []accountValues
	known    []accountValues
	// identifiers to add.
	types, values []string
	owners        []int64
}

type accountValues struct {
	id  int64
	row *AccountRow
}

// planAccounts decides what rows mean: a row is about the account that has the source's number, else about the one that has the domain and of which
// the source has told nothing yet, else about a new one.
func planAccounts(rows []AccountRow, f accountFacts, seen func(int64) bool) *accountPlan {
	p := &accountPlan{outcomes: make([]RowOutcome, len(rows)), reasons: map[int]string{}, accounts: make([]int64, len(rows))}
	taken := map[int64]bool{}
	for i := range rows {
		row := &rows[i]
		account, known := f.external[row.ExternalID]
		owner, owned := f.domain[row.Domain]
		if known && (taken[account] || seen(account)) {
			p.reject(i, reasonRepeated)
			continue
		}
		if owned && owner.isOther(account, known) {
			p.reject(i, "domain: it is the domain of another account, "+owner.publicID+": leave it empty, or correct it there")
			continue
		}
		switch {
		case known:
			p.known = append(p.known, accountValues{account, row})
		case owned:
			account = owner.account
			p.known = append(p.known, accountValues{account, row})
		default:
			account, f.ids = f.ids[0], f.ids[1:]
			p.outcomes[i] = Created
			p.created = append(p.created, accountValues{account, row})
		}
		if !known {
			p.identify("", row.ExternalID, account)
			f.external[row.ExternalID] = account
			p.mark(i, owned)
		}
		if row.Domain != "" && !owned {
			p.identify(DomainIdentifier, row.Domain, account)
			p.mark(i, known)
		}
		if row.Domain != "" {
			f.domain[row.Domain] = domainOwner{account: account, publicID: "which an earlier line tells of", numbered: true}
		}
		taken[account], p.accounts[i] = true, account
	}
	return p
}

// isOther tells whether the owner of a row's domain cannot be the account that the row is about, which is known by the source's number or not.
func (o domainOwner) isOther(account int64, known bool) bool {
	if known {
		return o.account != account
	}
	return o.numbered
}

// reject plans to leave a row out, for a reason.
func (p *accountPlan) reject(row int, reason string) {
	p.outcomes[row], p.reasons[row] = Rejected, reason
}

// identify plans an identifier; the type of the source's numbers is added when it is written.
func (p *accountPlan) identify(kind, value string, account int64) {
	p.types, p.values, p.owners = append(p.types, kind), append(p.values, value), append(p.owners, account)
}

// mark notes that something is new of an account that was there before.
func (p *accountPlan) mark(i int, before bool) {
	if before {
		p.outcomes[i] = Updated
	}
}

// write writes a plan. What would not change is not written.
func (w *accountWriter) write(ctx context.Context, tx pgx.Tx, p *accountPlan) error {
	columns := []string{"name"}
	for _, a := range w.attributes {
		columns = append(columns, sqlName(a.Column()))
	}
	list := strings.Join(columns, ", ")
	if len(p.created) > 0 {
		_, err := tx.Exec(ctx, "insert into account (id, "+list+") overriding system value select id, "+list+
			" from jsonb_populate_recordset(null::account, $1) order by id", w.objects(p.created))
		if err != nil {
			return err
		}
	}
	changed := map[int64]bool{}
	if len(p.known) > 0 {
		var set, differs []string
		for _, column := range columns {
			set = append(set, fmt.Sprintf("%[1]s = coalesce(n.%[1]s, a.%[1]s)", column))
			differs = append(differs, fmt.Sprintf("n.%[1]s is not null and n.%[1]s is distinct from a.%[1]s", column))
		}
		rows, err := tx.Query(ctx, "update account a set updated_at = now(), "+strings.Join(set, ", ")+
			" from jsonb_populate_recordset(null::account, $1) n where a.id = n.id and ("+strings.Join(differs, " or ")+") returning a.id", w.objects(p.known))
		if err != nil {
			return err
		}
		var id int64
		if _, err := pgx.ForEachRow(rows, []any{&id}, func() error { changed[id] = true; return nil }); err != nil {
			return err
		}
	}
	for i, account := range p.accounts {
		if p.outcomes[i] == Unchanged && changed[account] {
			p.outcomes[i] = Updated
		}
	}
	_, err := tx.Exec(ctx, `insert into account_identifier (type, value, account_id, source)
		select coalesce(nullif(n.type, ''), $4), n.value, n.account_id, $5 from unnest($1::text[], $2::text[], $3::bigint[]) n(type, value, account_id)`,
		p.types, p.values, p.owners, crm.ExternalIdentifier(w.source), w.source)
	return err
}

// objects are rows as JSON, by the columns of accounts.
func (w *accountWriter) objects(list []accountValues) []map[string]any {
	objects := make([]map[string]any, len(list))
	for i, v := range list {
		o := map[string]any{"id": v.id}
		if v.row.Name != "" {
			o["name"] = v.row.Name
		}
		for j, a := range w.attributes {
			if v.row.Attributes[j] != "" {
				o[a.Column()] = v.row.Attributes[j]
			}
		}
		objects[i] = o
	}
	return objects
}
