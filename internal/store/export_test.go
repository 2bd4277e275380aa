package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/monitor"
	"github.com/tertulia-crm/tertulia/internal/policy"
)

// HasRuntimeAccess tells whether somebody decided what the runtime role may do with a table.
func HasRuntimeAccess(table string) bool {
	_, ok := runtimeAccess[table]
	return ok
}

// IntentSQL is the statement that commits intents under these terms, without attributes.
func IntentSQL(t policy.Terms) string { return intentSQL(BatchRequest{Terms: t}, false) }

// LoadTerms reads what the policies in force say of the sends of a purpose.
func (db *DB) LoadTerms(ctx context.Context, purpose string) (policy.Terms, error) {
	return loadTerms(ctx, db.Pool, purpose)
}

// ConsentPolicies lists the policies about consent that are in force, by name.
func (db *DB) ConsentPolicies(ctx context.Context) ([]ConsentPolicy, error) {
	return consentPolicies(ctx, db.Pool, inForce)
}

// LoadedCounts are the counts of the first topic, as they are evaluated.
func LoadedCounts(t interface{ Fatal(...any) }, db *DB, from, to time.Time) (counts []monitor.Count) {
	err := db.InTx(context.Background(), func(tx pgx.Tx) error {
		var topic int64
		err := tx.QueryRow(context.Background(), "select min(id) from topic").Scan(&topic)
		if err == nil {
			counts, err = loadCounts(context.Background(), tx, &watched{topic: topic, sources: []string{}}, from, to, from)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// InfluenceEpoch is the moment at which an interaction weighs what its kind does.
var InfluenceEpoch = influenceEpoch

// LastNight is when edges were last to be made anew.
var LastNight = lastNight
