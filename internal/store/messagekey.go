package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/service"
)

// conversation is the key under which a conversation is found. What it was made of cannot be found out from it.
func (k mentionKeys) conversation(key service.Key) nativeKey {
	return k.of("conversation/"+string(key.Kind), key.Network, key.Author+"\x00"+key.Value)
}

// loadMentionKeys reads the key of the keys in a transaction.
func loadMentionKeys(ctx context.Context, tx pgx.Tx) (mentionKeys, error) {
	var key addressKey
	if err := tx.QueryRow(ctx, "select key from secret_key where purpose = 'mention'").Scan(&key); err != nil {
		return mentionKeys{}, fmt.Errorf("read the key of mentions: %w", err)
	}
	return mentionKeys{key}, nil
}

// leaveKeys has what answers a message of ours find its conversation.
func (d *serviceDesk) leaveKeys(ctx context.Context, c *caseFile, native []string) error {
	keys, err := loadMentionKeys(ctx, d.tx)
	if err != nil {
		return err
	}
	hashed := make([][]byte, len(native))
	for i, id := range native {
		key := keys.conversation(service.Sent(c.network, id))
		hashed[i] = key[:]
	}
	_, err = d.tx.Exec(ctx, "insert into conversation_key (key, conversation_id) select k, $2 from unnest($1::bytea[]) k on conflict do nothing", hashed, c.id)
	if err != nil {
		return fmt.Errorf("leave the keys of an answer: %w", err)
	}
	return noteOwnPosts(ctx, d.tx, c.network, native)
}
