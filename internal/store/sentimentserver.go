package store

import (
	"context"
	"fmt"
)

// LoadSentimentServer reads which server judges how the tenant's posts speak; nil for none.
func (db *DB) LoadSentimentServer(ctx context.Context) (*SentimentServer, error) {
	var server *SentimentServer
	if err := db.Pool.QueryRow(ctx, "select (select sentiment from tenant)").Scan(&server); err != nil {
		return nil, fmt.Errorf("read which server judges posts: %w", err)
	}
	return server, nil
}
