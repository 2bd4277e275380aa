package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/identity"
)

// confirmAddress takes it that the address which the mail of a send to a contact went to is theirs: they have answered from there. Where it is
// verified to another contact too, both are one person, or it goes to the one who has answered.
func confirmAddress(ctx context.Context, tx pgx.Tx, sendID, contactID int64) error {
	if _, err := tx.Exec(ctx, lockIdentities, int64(identityLock)); err != nil {
		return fmt.Errorf("hold the identities: %w", err)
	}
	tag, err := tx.Exec(ctx, `
		insert into identifier_link_log (identifier_id, record_id, evidence, source, verified)
		select i.id, $2, $3, $4, true from identifier_link l join identifier i on i.id = l.identifier_id
		where l.contact_id = `+contactNow("$2::bigint")+` and i.type = 'email'
			and keyed_hash((select key from secret_key where purpose = 'address'), i.value) = (`+mailedHash+`)
			and not exists (select from identifier_link_log g where g.record_id = $2 and g.identifier_id = i.id and g.revoked_at is null
				and g.verified and g.evidence = $3)`, sendID, contactID, identity.Confirmed, MethodDoubleOptIn)
	if err != nil {
		return fmt.Errorf("log that an address is confirmed: %w", err)
	}
	if tag.RowsAffected() == 0 {
		return nil
	}
	_, err = reconcile(ctx, tx, []int64{contactID}, nil)
	return err
}
