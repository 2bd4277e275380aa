package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"time"
)

// expiredTokens is how many tokens are forgotten when one is remembered: more than one, so that none are left over for long.
const expiredTokens = 16

// RememberToken remembers a token that a channel's provider signed, with the content that it came with, until a time, and tells
// whether it comes with this content: for the first time, or with the same as then. It forgets some whose time is over, so that
// no more are kept than a provider signs in that time.
func (db *DB) RememberToken(ctx context.Context, channel, token string, content []byte, until time.Time) (genuine bool, err error) {
	name, sum := sha256.Sum256([]byte(token)), sha256.Sum256(content)
	var first []byte
	err = db.Pool.QueryRow(ctx, `
		with forgotten as (
			delete from hook_token where (channel, token) in (
				select channel, token from hook_token where expires_at < now() order by expires_at limit $5 for update skip locked)
		)
		insert into hook_token (channel, token, content, expires_at) values ($1, $2, $3, $4)
		on conflict (channel, token) do update set expires_at = hook_token.expires_at returning content`,
		channel, name[:], sum[:], until, expiredTokens).Scan(&first)
	if err != nil {
		return false, fmt.Errorf("remember a provider's token: %w", err)
	}
	return bytes.Equal(first, sum[:]), nil
}
