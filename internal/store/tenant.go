package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Tenant is what the database knows of the tenant that it belongs to.
type Tenant struct {
	ID          string
	Namespace   string
	DisplayName string
	TimeZone    string   // IANA
	Locales     []string // BCP 47, the first is the default
	PublicURL   string
	Suspended   bool
	// TrackingForbidden keeps tracked links and pixels out of every mail, and what comes of older ones out of the database.
	TrackingForbidden bool
	// TrackingRetention is for how long it is kept who followed which link; 0 means DefaultTrackingRetention.
	TrackingRetention time.Duration
	// Sentiment is the server that judges how posts speak; nil for none.
	Sentiment *SentimentServer
}

// SentimentServer is a server that judges how posts speak, as it stands in the tenant's row. Its token is in the tenant directory.
type SentimentServer struct {
	Protocol string `json:"protocol"` // Predict or Chat: see package inference
	URL      string `json:"url"`
	Model    string `json:"model,omitempty"`
}

// ErrForeignDatabase says that a database belongs to another tenant or to another namespace. Nobody inherits people by
// a recycled name: a person must release the database first.
type ErrForeignDatabase struct {
	WantID, WantNamespace string // who asked
	ID, Namespace         string // to whom it belongs
}

// Error implements error. It names ids and namespaces, no secrets.
func (e *ErrForeignDatabase) Error() string {
	return fmt.Sprintf("the database belongs to tenant %q of namespace %q, not to tenant %q of namespace %q",
		e.ID, e.Namespace, e.WantID, e.WantNamespace)
}

const selectTenant = `select id, namespace, display_name, time_zone, locales, public_url, suspended, tracking_forbidden, tracking_retention,
	sentiment from tenant`

// LoadTenant reads whose database this is. It returns ErrNotFound while nobody has claimed it.
func (db *DB) LoadTenant(ctx context.Context) (Tenant, error) {
	return queryTenant(ctx, db.Pool, "")
}

type querier interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
}

func queryTenant(ctx context.Context, q querier, lock string) (Tenant, error) {
	rows, err := q.Query(ctx, selectTenant+lock)
	if err != nil {
		return Tenant{}, fmt.Errorf("read the tenant: %w", err)
	}
	t, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Tenant])
	if errors.Is(err, pgx.ErrNoRows) {
		return Tenant{}, fmt.Errorf("read the tenant: %w", ErrNotFound)
	}
	if err != nil {
		return Tenant{}, fmt.Errorf("read the tenant: %w", err)
	}
	return t, nil
}

// CheckClaim tells whether a database is this tenant's already, before anything in it is touched. One without our schema
// and one that nobody has claimed are not, and may become so; another tenant's gives *ErrForeignDatabase.
func (db *DB) CheckClaim(ctx context.Context, id, namespace string) (claimed bool, err error) {
	var exists bool
	if err := db.Pool.QueryRow(ctx, "select to_regclass($1) is not null", Schema+".tenant").Scan(&exists); err != nil {
		if refused := refusal(err); refused != nil {
			return false, refused
		}
		return false, fmt.Errorf("look for the tenant's table: %w", err)
	}
	if !exists {
		return false, nil
	}
	t, err := db.LoadTenant(ctx)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, checkOwner(t, id, namespace)
}

func checkOwner(t Tenant, id, namespace string) error {
	if t.ID == id && t.Namespace == namespace {
		return nil
	}
	return &ErrForeignDatabase{WantID: id, WantNamespace: namespace, ID: t.ID, Namespace: t.Namespace}
}

// SaveTenant claims the database for a tenant, for ever, and records what the data plane must know of it. It writes only
// what differs and tells whether it wrote. Another tenant's database gives *ErrForeignDatabase.
func (db *DB) SaveTenant(ctx context.Context, t Tenant) (changed bool, err error) {
	retention := cmp.Or(t.TrackingRetention, DefaultTrackingRetention)
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			insert into tenant (id, namespace, display_name, time_zone, locales, public_url, suspended, tracking_forbidden, tracking_retention,
				sentiment)
			select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb where not exists (select from tenant)
			on conflict (singleton) do nothing`,
			t.ID, t.Namespace, t.DisplayName, t.TimeZone, t.Locales, t.PublicURL, t.Suspended, t.TrackingForbidden, retention, t.Sentiment)
		if err != nil {
			return fmt.Errorf("claim the database: %w", err)
		}
		if tag.RowsAffected() > 0 {
			changed = true
			return nil
		}
		owner, err := queryTenant(ctx, tx, "")
		if err != nil {
			return err
		}
		if err := checkOwner(owner, t.ID, t.Namespace); err != nil {
			return err
		}
		tag, err = tx.Exec(ctx, `
			update tenant set display_name = $1, time_zone = $2, locales = $3, public_url = $4, suspended = $5,
				tracking_forbidden = $6, tracking_retention = $7, sentiment = $8
			where (display_name, time_zone, locales, public_url, suspended, tracking_forbidden, tracking_retention, sentiment)
				is distinct from ($1, $2, $3, $4, $5, $6, $7::interval, $8::jsonb)`,
			t.DisplayName, t.TimeZone, t.Locales, t.PublicURL, t.Suspended, t.TrackingForbidden, retention, t.Sentiment)
		if err != nil {
			return fmt.Errorf("update the tenant: %w", err)
		}
		changed = tag.RowsAffected() > 0
		return nil
	})
	return changed, err
}

// DormantTenant puts everything of a tenant to sleep: no sending, no segment work. Each object wakes its own rows when
// it is declared again. People's data stays.
func (db *DB) DormantTenant(ctx context.Context) error {
	return db.InTx(ctx, func(tx pgx.Tx) error {
		for _, statement := range []string{
			"update tenant set suspended = true where not suspended",
			"update segment set dormant_since = now() where dormant_since is null",
			"update channel set dormant_since = now() where dormant_since is null",
			"update template set dormant_since = now() where dormant_since is null",
			"update event_type set dormant_since = now() where dormant_since is null",
			"update send set dormant_since = now() where dormant_since is null",
			"update monitor set dormant_since = now() where dormant_since is null",
			`with asleep as (update social_source set dormant_since = now() where dormant_since is null returning id)
			update social_source_state s set epoch = epoch + 1, worker = null, leased_until = null from asleep a where s.source_id = a.id`,
		} {
			if _, err := tx.Exec(ctx, statement); err != nil {
				return fmt.Errorf("put the tenant to sleep: %w", err)
			}
		}
		return nil
	})
}

// EnsureAdminToken makes the token with this SHA-256 the only one named "admin" and tells whether it was not already.
// The token itself is never stored here.
func (db *DB) EnsureAdminToken(ctx context.Context, hash []byte) (changed bool, err error) {
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		var current bool
		err := tx.QueryRow(ctx, `select exists(select from api_token where name = 'admin' and hash = $1
			and revoked_at is null and (expires_at is null or expires_at > now()))`, hash).Scan(&current)
		if err != nil || current {
			return err
		}
		if _, err := tx.Exec(ctx, "update api_token set revoked_at = now() where name = 'admin' and revoked_at is null"); err != nil {
			return err
		}
		changed = true
		// A token that comes back (a Secret restored from a backup) has its row already.
		_, err = tx.Exec(ctx, `insert into api_token (name, hash, scopes) values ('admin', $1, '{admin}')
			on conflict (hash) do update set revoked_at = null, expires_at = null, name = excluded.name, scopes = excluded.scopes`, hash)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("record the admin token: %w", err)
	}
	return changed, nil
}
