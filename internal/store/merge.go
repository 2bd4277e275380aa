package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/identity"
)

// Decider is who decides that contacts are one person, or not, and why.
type Decider struct {
	Token  string // the name of the API token
	By     string // whom the caller names
	Reason string
}

// Merged tells what a decision about contacts did.
type Merged struct {
	// Contacts are the public ids of those concerned, as they are now.
	Contacts []string
	// Changed is false where they were so before.
	Changed bool
}

// PartedError says that contacts cannot be merged, because somebody has decided that records of theirs are not one person.
type PartedError struct {
	A, B string // public ids of such records
}

func (e *PartedError) Error() string {
	return fmt.Sprintf("somebody has decided that the records %s and %s are two people", e.A, e.B)
}

// Merge makes one person of two contacts, by their public ids or by those of their records, for good: no import parts them. It returns ErrNotFound
// where one is not there, and a *PartedError where a decision about other records of theirs stands against it.
func (db *DB) Merge(ctx context.Context, a, b string, d Decider) (Merged, error) {
	return db.decide(ctx, "merge contacts", func(tx pgx.Tx) (Merged, error) {
		records, err := findPublic(ctx, tx, a, b)
		if err != nil {
			return Merged{}, err
		}
		return mergeRecords(ctx, tx, records, d)
	})
}

// mergeRecords makes one person of the contacts of two records.
func mergeRecords(ctx context.Context, tx pgx.Tx, records []int64, d Decider) (result Merged, err error) {
	first, err := recordsWith(ctx, tx, records[0])
	if err != nil {
		return result, err
	}
	if slices.Contains(first, records[1]) {
		result.Contacts, err = contactsOf(ctx, tx, records[:1])
		return result, err
	}
	second, err := recordsWith(ctx, tx, records[1])
	if err != nil {
		return result, err
	}
	if err := checkParted(ctx, tx, first, second, records); err != nil {
		return result, err
	}
	// All that the two contacts are is decided on: no record of theirs falls off because another now stands in its place.
	others := slices.DeleteFunc(append(first, second...), func(id int64) bool { return id == records[0] })
	if err := recordDecision(ctx, tx, records[:1], others, true, d); err != nil {
		return result, err
	}
	found, err := reconcile(ctx, tx, records, nil)
	if err != nil {
		return result, err
	}
	result.Changed = true
	result.Contacts, err = publicOf(ctx, tx, []int64{found.contact[records[0]]})
	return result, err
}

// Unmerge takes records out of the contact that they belong to, by their public ids: they are another person, together, and stay so whatever
// sources say. What was merged comes apart as it was. It returns ErrNotFound where
// one is not there, ErrNotTogether where they are not of one contact, and ErrNothingLeft where nobody else would be left.
func (db *DB) Unmerge(ctx context.Context, publicIDs []string, d Decider) (Merged, error) {
	return db.decide(ctx, "part contacts", func(tx pgx.Tx) (result Merged, err error) {
		records, err := findPublic(ctx, tx, publicIDs...)
		if err != nil {
			return result, err
		}
		others, err := recordsBeside(ctx, tx, records)
		if err != nil {
			return result, err
		}
		if err := recordDecision(ctx, tx, records, others, false, d); err != nil {
			return result, err
		}
		if err := recordDecision(ctx, tx, records[:1], records[1:], true, d); err != nil {
			return result, err
		}
		found, err := reconcile(ctx, tx, records, nil)
		if err != nil {
			return result, err
		}
		var contacts []int64
		for _, record := range append(slices.Clone(records), others...) {
			contacts = append(contacts, found.contact[record])
		}
		result.Changed = true
		result.Contacts, err = publicOf(ctx, tx, contacts)
		return result, err
	})
}

// ErrNothingLeft says that a contact would be taken apart from nobody, and ErrNotTogether that records to take out are of several contacts.
var (
	ErrNothingLeft = errors.New("the contact has no other records")
	ErrNotTogether = errors.New("the records are not of one contact")
)

// decide runs a decision about identities, alone.
func (db *DB) decide(ctx context.Context, what string, f func(pgx.Tx) (Merged, error)) (result Merged, err error) {
	err = retryConflicts(func() error {
		return db.InTx(ctx, func(tx pgx.Tx) (err error) {
			if _, err := tx.Exec(ctx, lockIdentities, int64(identityLock)); err != nil {
				return err
			}
			result, err = f(tx)
			return err
		})
	})
	if err != nil {
		return Merged{}, fmt.Errorf("%s: %w", what, err)
	}
	return result, nil
}

// findPublic finds records by public ids, in their order: those of contacts, and those that were merged into others.
func findPublic(ctx context.Context, tx pgx.Tx, publicIDs ...string) ([]int64, error) {
	rows, err := tx.Query(ctx, `
		select coalesce((select c.id from contact c where c.public_id = p.id), (select r.id from contact_record r where r.public_id = p.id), 0)
		from unnest($1::text[]::uuid[]) with ordinality p(id, place) order by p.place`, publicIDs)
	if err != nil {
		return nil, err
	}
	records, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if hasCode(err, "22P02") || err == nil && slices.Contains(records, 0) {
		return nil, ErrNotFound
	}
	return records, err
}

func contactOf(ctx context.Context, tx pgx.Tx, record int64) (contact int64, err error) {
	err = tx.QueryRow(ctx, "select "+contactNow("$1::bigint"), record).Scan(&contact)
	return contact, err
}

// contactsOf lists the public ids of the contacts of records.
func contactsOf(ctx context.Context, tx pgx.Tx, records []int64) ([]string, error) {
	contacts := make([]int64, len(records))
	for i, record := range records {
		var err error
		if contacts[i], err = contactOf(ctx, tx, record); err != nil {
			return nil, err
		}
	}
	return publicOf(ctx, tx, contacts)
}

// recordsWith lists all records of the contact that a record belongs to.
func recordsWith(ctx context.Context, tx pgx.Tx, record int64) ([]int64, error) {
	rows, err := tx.Query(ctx, `
		select id from contact_record where contact_id = (select contact_id from contact_record where id = $1) union select $1 order by 1`, record)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}

// publicOf lists the public ids of contacts, each once, in the order of their ids.
func publicOf(ctx context.Context, tx pgx.Tx, contacts []int64) ([]string, error) {
	rows, err := tx.Query(ctx, "select public_id::text from contact where id = any ($1) order by id", contacts)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// recordDecision records that each of some records is the same person as each of others, or is not.
func recordDecision(ctx context.Context, tx pgx.Tx, some, others []int64, same bool, d Decider) error {
	_, err := tx.Exec(ctx, `
		insert into contact_decision (a, b, same, token, by_whom, reason)
		select least(x.id, y.id), greatest(x.id, y.id), $3, $4, $5, $6 from unnest($1::bigint[]) x(id) cross join unnest($2::bigint[]) y(id)
		order by 1, 2`, some, others, same, d.Token, d.By, d.Reason)
	return err
}

// recordsBeside lists the other records of the contact that records belong to.
func recordsBeside(ctx context.Context, tx pgx.Tx, records []int64) ([]int64, error) {
	all, err := recordsWith(ctx, tx, records[0])
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		if !slices.Contains(all, record) {
			return nil, ErrNotTogether
		}
	}
	others := slices.DeleteFunc(all, func(id int64) bool { return slices.Contains(records, id) })
	if len(others) == 0 {
		return nil, ErrNothingLeft
	}
	return others, nil
}

// checkParted returns a *PartedError where it was decided of a record of one contact and one of another that they are two people. What was decided
// of the two that are named is for this decision to change.
func checkParted(ctx context.Context, tx pgx.Tx, first, second, named []int64) error {
	parted := &PartedError{}
	err := tx.QueryRow(ctx, `
		select p.public_id::text, q.public_id::text from (
			select distinct on (d.a, d.b) d.a, d.b, d.same from contact_decision d
			where (d.a = any ($1) and d.b = any ($2) or d.a = any ($2) and d.b = any ($1)) and not (d.a = any ($3) and d.b = any ($3))
			order by d.a, d.b, d.id desc) l
			join lateral (select public_id from contact where id = l.a union select public_id from contact_record where id = l.a limit 1) p on true
			join lateral (select public_id from contact where id = l.b union select public_id from contact_record where id = l.b limit 1) q on true
		where not l.same order by l.a, l.b limit 1`, first, second, named).Scan(&parted.A, &parted.B)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look what was decided of contacts: %w", err)
	}
	return parted
}

// ContactRecord is one record of a contact: what one source says of the person.
type ContactRecord struct {
	PublicID  string
	Source    string
	CreatedAt time.Time
	// Known are the identifiers that it was ever said to have.
	Known []LoggedLink
}

// LoggedLink is an entry of the log of links.
type LoggedLink struct {
	Type, Value string
	Verified    bool
	Evidence    identity.Evidence
	Source      string
	At          time.Time
	RevokedAt   *time.Time
}

// ContactChange is that a record came to a contact, or left it.
type ContactChange struct {
	At       time.Time
	Record   string   // its public id
	From, To string   // public ids of the contacts; "" where one is not there any more
	Types    []string // of the verified identifiers that it shares with others there
	// By, Token and Reason say who decided so; empty where what sources say did.
	By, Token, Reason string
}

// History is how a contact came to be who it is.
type History struct {
	Contact string // public id
	Records []ContactRecord
	Changes []ContactChange // the oldest first
}

// mostChanges bounds a history.
const mostChanges = 1000

// LoadHistory reads how a contact, by its public id or that of one of its records, came to be who it is. It returns ErrNotFound for an unknown one.
func (db *DB) LoadHistory(ctx context.Context, publicID string) (History, error) {
	var h History
	err := pgx.BeginTxFunc(ctx, db.Pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		found, err := findPublic(ctx, tx, publicID)
		if err != nil {
			return err
		}
		contact, err := contactOf(ctx, tx, found[0])
		if err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "select public_id::text from contact where id = $1", contact).Scan(&h.Contact); err != nil {
			return err
		}
		if h.Records, err = loadContactRecords(ctx, tx, contact); err != nil {
			return err
		}
		h.Changes, err = loadChanges(ctx, tx, contact)
		return err
	})
	if err != nil {
		return History{}, fmt.Errorf("read a contact's history: %w", err)
	}
	return h, nil
}

const recordsOf = `
	select c.id, c.public_id, '' source, c.created_at from contact c where c.id = $1 and not exists (select from contact_record x where x.id = c.id)
	union all
	select r.id, r.public_id, r.source, r.created_at from contact_record r where r.contact_id = $1`

func loadContactRecords(ctx context.Context, tx pgx.Tx, contact int64) ([]ContactRecord, error) {
	rows, err := tx.Query(ctx, `
		select r.public_id::text, coalesce(nullif(r.source, ''), (select substr(min(i.type), length('external:') + 1) from identifier_link l
				join identifier i on i.id = l.identifier_id where l.contact_id = r.id and i.type like 'external:%'), ''), r.created_at,
			(select coalesce(jsonb_agg(jsonb_build_object('Type', i.type, 'Value', i.value, 'Verified', g.verified, 'Evidence', g.evidence, 'Source', g.source,
				'At', g.at, 'RevokedAt', g.revoked_at) order by g.id), '[]')
				from identifier_link_log g join identifier i on i.id = g.identifier_id where g.record_id = r.id)
		from (`+recordsOf+`) r order by r.id`, contact)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[ContactRecord])
}

func loadChanges(ctx context.Context, tx pgx.Tx, contact int64) ([]ContactChange, error) {
	public := func(id string) string {
		return "coalesce((select public_id::text from contact where id = " + id + "), (select public_id::text from contact_record where id = " + id + "), '')"
	}
	rows, err := tx.Query(ctx, `
		select k.at, `+public("k.record_id")+`, `+public("k.from_id")+`, `+public("k.to_id")+`, k.types,
			coalesce(d.by_whom, ''), coalesce(d.token, ''), coalesce(d.reason, '')
		from contact_change k left join contact_decision d on d.id = k.decision_id
		where k.record_id in (select id from (`+recordsOf+`) r) or k.to_id = $1 or k.from_id = $1 order by k.id desc limit $2`, contact, mostChanges)
	if err != nil {
		return nil, err
	}
	changes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ContactChange])
	slices.Reverse(changes)
	return changes, err
}
