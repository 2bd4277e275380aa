package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// SetChannelTrouble records why a channel does not deliver, in words for an author, without people or secrets; "" when
// it delivers again. The channel and the campaigns that are sending over it are noted for another look. It writes
// nothing when the words are the same.
func (db *DB) SetChannelTrouble(ctx context.Context, channel, words string) error {
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			update channel set trouble = nullif($2, ''),
				trouble_since = case when $2 = '' then null else coalesce(trouble_since, now()) end
			where name = $1 and trouble is distinct from nullif($2, '')`, channel, words)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if err := noteStatusChange(ctx, tx, ChannelKind, channel); err != nil {
			return err
		}
		// In order, so that two workers that note the same campaigns cannot wait for each other.
		_, err = tx.Exec(ctx, `
			insert into status_change (kind, name)
			select distinct $2, campaign from send where channel = $1 and state = 'Sending' order by campaign
			on conflict (kind, name) do update set name = excluded.name`, channel, CampaignKind)
		return err
	})
	if err != nil {
		return fmt.Errorf("record the trouble of channel %q: %w", channel, err)
	}
	return nil
}

// ChannelAccount is as whom a channel of a social network posts, and what its server takes.
type ChannelAccount struct {
	Handle, ID string // as people write it; as the network numbers it
	Takes      any    // as JSON
}

// SetChannelAccount records as whom a channel posts: a worker has logged in with these settings and asked. It writes nothing when that is known, or
// when the channel has other settings by now.
func (db *DB) SetChannelAccount(ctx context.Context, c Channel, a ChannelAccount) error {
	takes := string(mustJSON(a.Takes))
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			update channel set account = $3, account_id = $4, takes = $5::jsonb
			where name = $1 and settings = $2 and dormant_since is null and (account, account_id, takes) is distinct from ($3, $4, $5::jsonb)`,
			c.Name, c.settings(), a.Handle, a.ID, takes)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return noteStatusChange(ctx, tx, ChannelKind, c.Name)
	})
	if err != nil {
		return fmt.Errorf("record the account of channel %q: %w", c.Name, err)
	}
	return nil
}

// SocialChannels are the channels of social networks that are in force and not suspended.
func (db *DB) SocialChannels(ctx context.Context) ([]Channel, error) {
	rows, err := db.Pool.Query(ctx, `
		select name, type, settings, suspended from channel where type = any ($1) and dormant_since is null and not suspended order by name`,
		[]string{MastodonType, BlueskyType})
	if err != nil {
		return nil, fmt.Errorf("list the channels of social networks: %w", err)
	}
	list, err := pgx.CollectRows(rows, readChannel)
	if err != nil {
		return nil, fmt.Errorf("list the channels of social networks: %w", err)
	}
	return list, nil
}
