package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Channel is a channel's row: how messages leave. Credentials are never in it.
type Channel struct {
	Name      string
	Type      string // Email
	Email     EmailSettings
	Suspended bool
}

// EmailSettings are the settings of a channel of type Email, as they stand in its row.
type EmailSettings struct {
	From          string `json:"from"`              // RFC 5322 mailbox
	ReplyTo       string `json:"replyTo,omitempty"` // RFC 5322 mailbox
	Host          string `json:"host"`
	Port          int    `json:"port"`
	TLS           string `json:"tls"`           // StartTLS, Implicit, None
	Authenticated bool   `json:"authenticated"` // credentials are in the tenant directory
	Connections   int    `json:"connections"`   // per worker, at most
	DKIM          string `json:"dkim"`          // Relay, None
}

// ChannelState is what the data plane says of a channel.
type ChannelState struct {
	Trouble string     // why it does not deliver, in words for an author; "" when it does
	Since   *time.Time // since when
}

// SaveChannel brings a channel into force. It writes only what differs, and returns what the data plane says of it.
// Settings that differ end the trouble that the old ones had.
func (db *DB) SaveChannel(ctx context.Context, c Channel) (changed bool, state ChannelState, err error) {
	tag, err := db.Pool.Exec(ctx, `
		insert into channel (name, type, settings, suspended)
		select $1, $2, $3, $4 where not exists (
			select from channel where name = $1 and type = $2 and settings = $3 and suspended = $4 and dormant_since is null)
		on conflict (name) do update set type = excluded.type, settings = excluded.settings, suspended = excluded.suspended, dormant_since = null,
			trouble = case when channel.settings = excluded.settings then channel.trouble end,
			trouble_since = case when channel.settings = excluded.settings then channel.trouble_since end`,
		c.Name, c.Type, c.Email, c.Suspended)
	if err != nil {
		return false, ChannelState{}, fmt.Errorf("save channel %q: %w", c.Name, err)
	}
	state, err = db.LoadChannelState(ctx, c.Name)
	return tag.RowsAffected() > 0, state, err
}

// LoadChannelState reads what the data plane says of a channel.
func (db *DB) LoadChannelState(ctx context.Context, name string) (ChannelState, error) {
	var state ChannelState
	err := db.Pool.QueryRow(ctx, "select coalesce(trouble, ''), trouble_since from channel where name = $1", name).
		Scan(&state.Trouble, &state.Since)
	if errors.Is(err, pgx.ErrNoRows) {
		return ChannelState{}, fmt.Errorf("read channel %q: %w", name, ErrNotFound)
	}
	if err != nil {
		return ChannelState{}, fmt.Errorf("read channel %q: %w", name, err)
	}
	return state, nil
}

// LoadChannel reads a channel that is in force. It returns ErrNotFound for one that was never declared or is dormant.
func (db *DB) LoadChannel(ctx context.Context, name string) (Channel, error) {
	var c Channel
	err := db.Pool.QueryRow(ctx, "select name, type, settings, suspended from channel where name = $1 and dormant_since is null", name).
		Scan(&c.Name, &c.Type, &c.Email, &c.Suspended)
	if errors.Is(err, pgx.ErrNoRows) {
		return Channel{}, fmt.Errorf("read channel %q: %w", name, ErrNotFound)
	}
	if err != nil {
		return Channel{}, fmt.Errorf("read channel %q: %w", name, err)
	}
	return c, nil
}

// DormantChannel records that a channel's object was deleted: nothing leaves over it until it is declared again.
func (db *DB) DormantChannel(ctx context.Context, name string) error {
	return db.sleep(ctx, "update channel set dormant_since = now() where name = $1 and dormant_since is null", name)
}
