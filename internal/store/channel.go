package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/pace"
)

// Channel is a channel's row: how messages leave. Credentials are never in it.
type Channel struct {
	Name      string
	Type      string // EmailType, WebhookType, MastodonType or BlueskyType
	Email     EmailSettings
	Webhook   WebhookSettings
	Social    SocialSettings
	Suspended bool
	// Rate bounds how fast messages leave; nil for no bounds. SaveChannel writes it, and workers read it by LoadPace.
	Rate *pace.Limits
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
	DKIM          string `json:"dkim"`          // Relay, Self, None
	DKIMDomain    string `json:"dkimDomain,omitempty"`
	DKIMSelector  string `json:"dkimSelector,omitempty"`
	// Returns say how bounces come back.
	Returns ReturnSettings `json:"returns,omitzero"`
}

// The types of channels, as MessageChannel writes them.
const (
	EmailType    = "Email"
	WebhookType  = "Webhook"
	MastodonType = "Mastodon"
	BlueskyType  = "Bluesky"
)

// WebhookSettings are the settings of a channel of type Webhook, as they stand in its row. The signing key is in the tenant
// directory.
type WebhookSettings struct {
	URL         string `json:"url"`
	Connections int    `json:"connections"` // per worker, at most
	Timeout     int    `json:"timeout"`     // of the answer, in seconds
}

// SocialSettings are the settings of a channel of type Mastodon or Bluesky, as they stand in its row. What the account logs in with is in the
// tenant directory.
type SocialSettings struct {
	Server string `json:"server"` // https, without a path
}

// IsSocial tells whether a channel posts on a social network: by its outbox, and never by the ledger's loop.
func (c Channel) IsSocial() bool { return c.Type == MastodonType || c.Type == BlueskyType }

// Connections is how many connections a worker may hold.
func (c Channel) Connections() int {
	switch {
	case c.IsSocial():
		return 1
	case c.Type == WebhookType:
		return c.Webhook.Connections
	}
	return c.Email.Connections
}

// settings is what stands in a channel's row.
func (c Channel) settings() any {
	switch {
	case c.IsSocial():
		return c.Social
	case c.Type == WebhookType:
		return c.Webhook
	}
	return c.Email
}

// read reads what stands in its row.
func (c *Channel) read(settings []byte) error {
	switch {
	case c.IsSocial():
		return json.Unmarshal(settings, &c.Social)
	case c.Type == WebhookType:
		return json.Unmarshal(settings, &c.Webhook)
	}
	return json.Unmarshal(settings, &c.Email)
}

// SelfDKIM is the DKIM of a channel whose mail the workers sign.
const SelfDKIM = "Self"

// Signed tells whether mail is signed so that one-click unsubscription may be offered.
func (e EmailSettings) Signed() bool { return e.DKIM == "Relay" || e.DKIM == SelfDKIM }

// ChannelState is what the data plane says of a channel.
type ChannelState struct {
	InForce bool       // false: its object was deleted
	Trouble string     // why it does not deliver, in words for an author; "" when it does
	Since   *time.Time // since when
	// ReturnsTrouble says why the mailbox of its returns cannot be read; "" when it can.
	ReturnsTrouble string
	// Account is whose posts leave, as the network said when a worker logged in last; "" until one did.
	Account string
	// Throttling is who asks for patience, and whether the bound of the day is reached.
	Throttling Throttling
}

// SaveChannel brings a channel into force. It writes only what differs, and returns what the data plane says of it.
// Settings that differ end the trouble that the old ones had.
func (db *DB) SaveChannel(ctx context.Context, c Channel) (changed bool, state ChannelState, err error) {
	tag, err := db.Pool.Exec(ctx, `
		insert into channel (name, type, settings, suspended, rate)
		select $1, $2, $3, $4, $5 where not exists (
			select from channel where name = $1 and type = $2 and settings = $3 and suspended = $4 and dormant_since is null
				and rate is not distinct from $5)
		on conflict (name) do update set type = excluded.type, settings = excluded.settings, suspended = excluded.suspended, dormant_since = null,
			rate = excluded.rate,
			trouble = case when channel.settings = excluded.settings then channel.trouble end,
			trouble_since = case when channel.settings = excluded.settings then channel.trouble_since end,
			returns_trouble = case when channel.settings = excluded.settings then channel.returns_trouble end,
			account = case when channel.settings = excluded.settings then channel.account end,
			account_id = case when channel.settings = excluded.settings then channel.account_id end,
			takes = case when channel.settings = excluded.settings then channel.takes end`,
		c.Name, c.Type, c.settings(), c.Suspended, c.Rate)
	if err != nil {
		return false, ChannelState{}, fmt.Errorf("save channel %q: %w", c.Name, err)
	}
	state, err = db.LoadChannelState(ctx, c.Name)
	return tag.RowsAffected() > 0, state, err
}

// LoadChannelState reads what the data plane says of a channel.
func (db *DB) LoadChannelState(ctx context.Context, name string) (ChannelState, error) {
	var state ChannelState
	err := db.Pool.QueryRow(ctx, `
		select dormant_since is null, coalesce(trouble, ''), trouble_since, coalesce(returns_trouble, ''), coalesce(account, '')
		from channel where name = $1`, name).
		Scan(&state.InForce, &state.Trouble, &state.Since, &state.ReturnsTrouble, &state.Account)
	if errors.Is(err, pgx.ErrNoRows) {
		return ChannelState{}, fmt.Errorf("read channel %q: %w", name, ErrNotFound)
	}
	if err != nil {
		return ChannelState{}, fmt.Errorf("read channel %q: %w", name, err)
	}
	state.Throttling, err = db.LoadThrottling(ctx, name)
	return state, err
}

// LoadChannel reads a channel that is in force. It returns ErrNotFound for one that was never declared or is dormant.
func (db *DB) LoadChannel(ctx context.Context, name string) (Channel, error) {
	rows, err := db.Pool.Query(ctx, "select name, type, settings, suspended from channel where name = $1 and dormant_since is null", name)
	if err != nil {
		return Channel{}, fmt.Errorf("read channel %q: %w", name, err)
	}
	c, err := pgx.CollectExactlyOneRow(rows, readChannel)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	if err != nil {
		return Channel{}, fmt.Errorf("read channel %q: %w", name, err)
	}
	return c, nil
}

func readChannel(row pgx.CollectableRow) (c Channel, err error) {
	var settings []byte
	if err := row.Scan(&c.Name, &c.Type, &settings, &c.Suspended); err != nil {
		return c, err
	}
	return c, c.read(settings)
}

// DormantChannel records that a channel's object was deleted: nothing leaves over it until it is declared again.
func (db *DB) DormantChannel(ctx context.Context, name string) error {
	return db.sleep(ctx, "update channel set dormant_since = now() where name = $1 and dormant_since is null", name)
}
