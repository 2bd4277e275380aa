package store

import (
	"context"
	"fmt"
)

// ReturnHooks are the hooks of channels that are in force, by channel.
func (db *DB) ReturnHooks(ctx context.Context) (map[string]HookSettings, error) {
	rows, err := db.Pool.Query(ctx, `
		select name, settings #> '{returns,hook}' from channel
		where type = $1 and dormant_since is null and settings #>> '{returns,hook,type}' <> ''`, EmailType)
	if err != nil {
		return nil, fmt.Errorf("list the hooks of returns: %w", err)
	}
	defer rows.Close()
	hooks := map[string]HookSettings{}
	for rows.Next() {
		var channel string
		var hook HookSettings
		if err := rows.Scan(&channel, &hook); err != nil {
			return nil, fmt.Errorf("list the hooks of returns: %w", err)
		}
		hooks[channel] = hook
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list the hooks of returns: %w", err)
	}
	return hooks, nil
}
