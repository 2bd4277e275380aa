package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ContactHistory is what somebody did, as conditions ask it, the newest first.
type ContactHistory struct {
	Events   []ContactEvent
	Messages []ContactMessage
}

// ContactEvent is an event of a declared type.
type ContactEvent struct {
	Name       string
	At         time.Time
	Properties json.RawMessage
}

// ContactMessage is what was done with a message of a campaign: received, opened or clicked.
type ContactMessage struct {
	What, Campaign string
	At             time.Time
}

// LoadContactHistory reads what a contact did, at most so much of each.
func (db *DB) LoadContactHistory(ctx context.Context, contact int64, most int) (h ContactHistory, err error) {
	err = pgx.BeginTxFunc(ctx, db.Pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) (err error) {
		rows, err := tx.Query(ctx, `select e.name, e.occurred_at, e.properties from event e
			where e.contact_id = $1 and exists (select from event_type t where t.name = e.name) order by e.occurred_at desc, e.id desc limit $2`, contact, most)
		if err != nil {
			return err
		}
		if h.Events, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ContactEvent]); err != nil {
			return err
		}
		// The ledger and what was made of it keep the id of the record that a message was for.
		rows, err = tx.Query(ctx, `select m.what, s.campaign, m.at from (
				select g.what, g.send_id, g.at from engaged g where g.contact_id = any (`+recordsSQL("$1::bigint")+`)
				union all
				select 'received', d.id, l.settled_at from send d cross join lateral (
					select r.settled_at from ledger r where r.send_id = d.id and r.contact_id = any (`+recordsSQL("$1::bigint")+`) and r.step = ''
						and r.state = 'sent' limit 100) l) m join send s on s.id = m.send_id
			order by m.at desc limit $2`, contact, most)
		if err != nil {
			return err
		}
		h.Messages, err = pgx.CollectRows(rows, pgx.RowToStructByPos[ContactMessage])
		return err
	})
	if err != nil {
		return ContactHistory{}, fmt.Errorf("read what a contact did: %w", err)
	}
	return h, nil
}
