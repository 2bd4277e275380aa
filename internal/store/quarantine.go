package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// TenantKind is the kind whose status shows a quarantine.
const TenantKind = "CRMTenant"

// Quarantine says why nothing is sent from a ledger until a person decides.
type Quarantine struct {
	ID    int64
	Since time.Time
	// Why says in words what differs.
	Why      string
	Identity Identity // of the ledger that was found
	// KnownMark is how many intents the cluster remembered; nil where it remembered none.
	KnownMark *int64
	// LedgerMark is how many the ledger said.
	LedgerMark int64
	// Campaigns are what the cluster's Campaigns said then.
	Campaigns []KnownCampaign
	// Release is what a person decided; nil before.
	Release *Release
	// ClosedAt is when the operator put the release in force, or found yet another ledger; nil before.
	ClosedAt *time.Time
	Outcome  string // Released or Superseded; "" before
}

// KnownCampaign is what a Campaign's status said of one of its sends, in numbers.
type KnownCampaign struct {
	Campaign string `json:"campaign"`
	SendKey  string `json:"sendKey"`
	// Occurrence is the one that it is about, of a campaign that recurs; "" for its declaration, of which the phase says whether
	// there are more to come, and for a campaign that does not recur.
	Occurrence string `json:"occurrence,omitempty"`
	Phase      string `json:"phase"`
	Planned    int64  `json:"planned"`
	Sent       int64  `json:"sent"`
	Failed     int64  `json:"failed"`
	Ambiguous  int64  `json:"ambiguous"`
	Skipped    int64  `json:"skipped"`
}

// Release is a person's decision about a quarantine.
type Release struct {
	At     time.Time
	Token  string // the name of the API token
	By     string // whom the caller named
	Reason string
	// Continued are the campaigns that go on although they differ or were due; ContinuedAll means every one.
	Continued    []string
	ContinuedAll bool
}

const selectQuarantine = `
	select id, since, why, system_identifier, timeline, database_oid, ledger_oid, known_mark, ledger_mark, campaigns,
		released_at, coalesce(released_token, ''), coalesce(released_by, ''), coalesce(release_reason, ''), coalesce(continued, '{}'),
		coalesce(continued_all, false), closed_at, coalesce(outcome, '')
	from quarantine `

// queryQuarantine reads the last quarantine that a clause selects. It returns ErrNotFound where there is none.
func queryQuarantine(ctx context.Context, q querier, clause string, arguments ...any) (*Quarantine, error) {
	rows, err := q.Query(ctx, selectQuarantine+clause, arguments...)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectOneRow(rows, scanQuarantine)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, ErrNotFound
	}
	return found, err
}

func scanQuarantine(row pgx.CollectableRow) (*Quarantine, error) {
	var q Quarantine
	var r Release
	var released *time.Time
	i := &q.Identity
	err := row.Scan(&q.ID, &q.Since, &q.Why, &i.SystemIdentifier, &i.Timeline, &i.DatabaseOID, &i.LedgerOID, &q.KnownMark, &q.LedgerMark, &q.Campaigns,
		&released, &r.Token, &r.By, &r.Reason, &r.Continued, &r.ContinuedAll, &q.ClosedAt, &q.Outcome)
	if released != nil {
		r.At = *released
		q.Release = &r
	}
	return &q, err
}

// OpenQuarantine stops all sending from the ledger with q's identity until a person has decided. A quarantine that is open
// for another ledger (it came here with a dump) is superseded, whatever was decided about it. One that is open for this
// ledger stays as it is.
func (db *DB) OpenQuarantine(ctx context.Context, q Quarantine) error {
	if q.Campaigns == nil {
		q.Campaigns = []KnownCampaign{}
	}
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `update quarantine set closed_at = now(), outcome = 'Superseded'
			where closed_at is null and (system_identifier, timeline, database_oid, ledger_oid) <> ($1, $2, $3, $4)`, q.Identity.values()...)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `
			insert into quarantine (system_identifier, timeline, database_oid, ledger_oid, why, known_mark, ledger_mark, campaigns)
			select $1, $2, $3, $4, $5, $6, $7, $8 where not exists (select from quarantine where closed_at is null)`,
			append(q.Identity.values(), q.Why, q.KnownMark, q.LedgerMark, q.Campaigns)...)
		return err
	})
	if err != nil {
		return fmt.Errorf("open a quarantine: %w", err)
	}
	return nil
}

// LastQuarantine reads the quarantine that is not closed, else the last one. It returns ErrNotFound where there never was one.
func (db *DB) LastQuarantine(ctx context.Context) (*Quarantine, error) {
	q, err := queryQuarantine(ctx, db.Pool, "order by closed_at desc nulls first, id desc limit 1")
	if err != nil {
		return nil, fmt.Errorf("read the quarantine: %w", err)
	}
	return q, nil
}

// ErrNoSuchQuarantine says that the quarantine that is open is not the one that a person decided about.
var ErrNoSuchQuarantine = errors.New("another quarantine is open by now, or none")

// ReleaseQuarantine records a person's decision about the open quarantine, and holds the sends of the campaigns named. The
// operator puts it in force. A quarantine that has been released stays as it was released, and is returned so. It
// returns ErrNoSuchQuarantine where this one was closed otherwise or never was.
func (db *DB) ReleaseQuarantine(ctx context.Context, id int64, r Release, held []HeldSend) (*Quarantine, error) {
	var released *Quarantine
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		q, err := queryQuarantine(ctx, tx, "where id = $1 for update", id)
		if errors.Is(err, ErrNotFound) || err == nil && q.Release == nil && q.ClosedAt != nil {
			return ErrNoSuchQuarantine
		}
		if err != nil {
			return err
		}
		if q.Release != nil {
			released = q
			return nil
		}
		if err := holdSends(ctx, tx, id, held); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `update quarantine set released_at = now(), released_token = $2, released_by = $3, release_reason = $4,
			continued = $5, continued_all = $6 where id = $1`, id, r.Token, r.By, r.Reason, orEmpty(r.Continued), r.ContinuedAll)
		if err != nil {
			return err
		}
		if released, err = queryQuarantine(ctx, tx, "where id = $1", id); err != nil {
			return err
		}
		return noteStatusChange(ctx, tx, TenantKind, "default")
	})
	if err != nil {
		return nil, fmt.Errorf("release the quarantine: %w", err)
	}
	return released, nil
}
