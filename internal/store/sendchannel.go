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
