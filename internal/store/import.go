package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ContactsResult tells what became of each row of a batch. The lists are by row.
type ContactsResult struct {
	Outcomes []RowOutcome
	Contacts []int64        // the contact's id; 0 where the row was rejected
	Reasons  map[int]string // why a row was rejected
}

// Count returns how many rows had an outcome.
func (r ContactsResult) Count(o RowOutcome) int {
	n := 0
	for _, outcome := range r.Outcomes {
		if outcome == o {
			n++
		}
	}
	return n
}

// PutContacts writes rows of a source, with the meaning of an import: each row creates a contact, updates one, or
// changes nothing.
func (db *DB) PutContacts(ctx context.Context, source string, columns ContactColumns, rows []ContactRow) (ContactsResult, error) {
	w := newContactWriter(source, columns, nil)
	var result ContactsResult
	err := retryConflicts(func() (err error) {
		result, err = w.write(ctx, db.InTx, rows)
		return err
	})
	if err != nil {
		return ContactsResult{}, fmt.Errorf("write contacts: %w", err)
	}
	return result, nil
}

// transact runs a function in a transaction.
type transact func(ctx context.Context, f func(pgx.Tx) error) error

// write applies rows in a transaction.
func (w *contactWriter) write(ctx context.Context, in transact, rows []ContactRow) (ContactsResult, error) {
	return writeRows(rows, func(rows []ContactRow) (ContactsResult, error) {
		var p *plan
		err := in(ctx, func(tx pgx.Tx) (err error) {
			p, err = w.apply(ctx, tx, rows)
			return err
		})
		if err != nil {
			return ContactsResult{}, err
		}
		w.seen.add(p)
		return ContactsResult{Outcomes: p.outcomes, Contacts: p.contacts, Reasons: p.reasons}, nil
	})
}

// writeRows applies rows. Where the database refuses a value that every check before let pass, the rows
// are halved until the row that holds it stands alone and is rejected.
func writeRows[R any](rows []R, apply func([]R) (ContactsResult, error)) (ContactsResult, error) {
	result, err := apply(rows)
	if err == nil {
		return result, nil
	}
	refusal, ok := refusedValue(err)
	if !ok {
		return ContactsResult{}, err
	}
	if len(rows) == 1 {
		return ContactsResult{Outcomes: []RowOutcome{Rejected}, Contacts: []int64{0}, Reasons: map[int]string{0: refusal}}, nil
	}
	half := len(rows) / 2
	first, err := writeRows(rows[:half], apply)
	if err != nil {
		return ContactsResult{}, err
	}
	second, err := writeRows(rows[half:], apply)
	if err != nil {
		return ContactsResult{}, err
	}
	first.append(second)
	return first, nil
}

func (r *ContactsResult) append(next ContactsResult) {
	at := len(r.Outcomes)
	r.Outcomes = append(r.Outcomes, next.Outcomes...)
	r.Contacts = append(r.Contacts, next.Contacts...)
	for i, reason := range next.Reasons {
		if r.Reasons == nil {
			r.Reasons = map[int]string{}
		}
		r.Reasons[at+i] = reason
	}
}

// refusedValue recognises an error that a value caused (classes 22 and 54, and checks), not the state of the database.
func refusedValue(err error) (reason string, ok bool) {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return "", false
	}
	switch {
	case pg.Code[:2] == "22", pg.Code[:2] == "54", pg.Code == "23514":
		return "the database refuses a value of this row: " + pg.Message, true
	}
	return "", false
}

// ContactImport is an import of contacts from one source, batch by batch. It holds a connection and, with it, the lock
// of its source: two imports of a source take turns, of different sources they run side by side. It is for one
// goroutine.
type ContactImport struct {
	db      *DB
	writer  *contactWriter
	options ImportOptions
	conn    *pgxpool.Conn
}

// ImportOptions tell how an import behaves. The zero value works.
type ImportOptions struct {
	// Patience is how long a batch is tried while the database is away. Default: two minutes.
	Patience time.Duration
	// Waiting is called, about once a second, while another import of the source goes on.
	Waiting func()
	// Retrying is called before a batch is tried again.
	Retrying func()
}

const (
	// lockRetry is how often an import asks whether the one before it has ended.
	lockRetry = time.Second
	// batchTimeout is how long a batch may take, and a statement about the lock, before the connection counts as lost.
	batchTimeout = time.Minute
)

// NewContactImport prepares an import; nothing is asked of the database before the first batch.
func (db *DB) NewContactImport(source string, columns ContactColumns, o ImportOptions) *ContactImport {
	return &ContactImport{db: db, writer: newContactWriter(source, columns, &seen{}), options: o.withDefaults()}
}

func (o ImportOptions) withDefaults() ImportOptions {
	if o.Patience == 0 {
		o.Patience = 2 * time.Minute
	}
	if o.Waiting == nil {
		o.Waiting = func() {}
	}
	if o.Retrying == nil {
		o.Retrying = func() {}
	}
	return o
}

// Apply writes a batch in one transaction. While the database is away it is tried again: a batch whose commit was
// lost on the way changes nothing when it is repeated, only its rows then count as unchanged.
func (im *ContactImport) Apply(ctx context.Context, rows []ContactRow) (ContactsResult, error) {
	result, err := im.options.persist(ctx, func() (ContactsResult, error) {
		result, err := im.applyOnce(ctx, rows)
		if IsUnavailable(err) {
			im.drop()
		}
		return result, err
	})
	if err != nil {
		return ContactsResult{}, fmt.Errorf("import a batch of contacts: %w", err)
	}
	return result, nil
}

// persist tries a batch again while the database is away, or another transaction in the way.
func (o ImportOptions) persist(ctx context.Context, try func() (ContactsResult, error)) (ContactsResult, error) {
	attempt := func() (ContactsResult, error) {
		result, err := try()
		switch {
		case err == nil:
			return result, nil
		case IsUnavailable(err):
			return ContactsResult{}, err
		case isConflict(err):
			return ContactsResult{}, err
		}
		return ContactsResult{}, backoff.Permanent(err)
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = 100*time.Millisecond, 5*time.Second
	return backoff.Retry(ctx, attempt, backoff.WithBackOff(pauses), backoff.WithMaxElapsedTime(o.Patience),
		backoff.WithNotify(func(error, time.Duration) { o.Retrying() }))
}

func (im *ContactImport) applyOnce(ctx context.Context, rows []ContactRow) (ContactsResult, error) {
	if err := im.lock(ctx); err != nil {
		return ContactsResult{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	if _, err := im.conn.Exec(ctx, "select note_import($1, $2, $3)", im.writer.source, importOfContacts, contactsImportPatience); err != nil {
		return ContactsResult{}, err
	}
	return im.writer.write(ctx, func(ctx context.Context, f func(pgx.Tx) error) error { return pgx.BeginFunc(ctx, im.conn, f) }, rows)
}

// lock takes a connection and, on it, the source's lock. The lock lasts as long as the connection.
func (im *ContactImport) lock(ctx context.Context) error {
	if im.conn != nil {
		return nil
	}
	conn, err := im.db.Pool.Acquire(ctx)
	if err != nil {
		return err
	}
	im.conn = conn
	for {
		locked, err := im.tryLock(ctx)
		if err != nil {
			im.drop()
			return err
		}
		if locked {
			return nil
		}
		im.options.Waiting()
		select {
		case <-ctx.Done():
			im.drop()
			return context.Cause(ctx)
		case <-time.After(lockRetry):
		}
	}
}

func (im *ContactImport) tryLock(ctx context.Context) (locked bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	err = im.conn.QueryRow(ctx, "select pg_try_advisory_lock(hashtextextended($1, $2))", im.writer.source, int64(identityLock)).Scan(&locked)
	return locked, err
}

// drop gives up the connection, and the lock with it.
func (im *ContactImport) drop() {
	if im.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	// A session's locks end with the session; a connection that went back to the pool would keep them.
	_ = im.conn.Conn().Close(ctx)
	im.conn.Release()
	im.conn = nil
}

// unlock gives the lock up and the connection back.
func (im *ContactImport) unlock(ctx context.Context) {
	if im.conn == nil {
		return
	}
	var unlocked bool
	err := im.conn.QueryRow(ctx, "select pg_advisory_unlock(hashtextextended($1, $2))", im.writer.source, int64(identityLock)).Scan(&unlocked)
	if err != nil || !unlocked {
		im.drop()
		return
	}
	im.conn.Release()
	im.conn = nil
}

// Close ends the import. What it has brought is known to segments soon: then rules hear of it.
func (im *ContactImport) Close(ctx context.Context) {
	if im.conn != nil {
		// Where this fails it ends by itself, a little later.
		_, _ = im.conn.Exec(ctx, "update import_run set ends_at = clock_timestamp() where source = $1 and what = $2 and over_at is null",
			im.writer.source, importOfContacts)
	}
	im.unlock(ctx)
}

// retryConflicts runs a transaction again, at most three times, while another one is in its way.
func retryConflicts(f func() error) error {
	err := f()
	for range 3 {
		if !isConflict(err) {
			break
		}
		err = f()
	}
	return err
}

// isConflict recognises what another transaction caused and a repetition settles.
func isConflict(err error) bool {
	return IsUniqueViolation(err, "") || hasCode(err, "40001", "40P01", "55P03")
}
