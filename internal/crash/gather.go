package crash

import (
	"context"
	"fmt"
	"time"

	"github.com/tertulia-crm/tertulia/internal/crash/sink"
)

// gather collects the evidence when nobody sends any more: of the only send, or of each occurrence.
func (w *world) gather(ctx context.Context) ([]*evidence, error) {
	entries, err := w.relay.record.Entries()
	if err != nil {
		return nil, err
	}
	audit, err := w.db.AuditLedger(ctx)
	if err != nil {
		return nil, err
	}
	sends := w.occurrences
	if len(sends) == 0 {
		status, err := w.db.SendStatus(ctx, campaignName)
		if err != nil {
			return nil, err
		}
		sends = []occurrence{{status: status}}
	}
	var all []*evidence
	for i, o := range sends {
		e := &evidence{
			name: o.local, size: w.parameters.Size, entries: entries[o.from:], status: o.status,
			unsubscribed: w.unsubscribed, refused: w.refused, excused: w.excused, merged: w.merged,
		}
		if i+1 < len(sends) { // what comes after the next one has begun is its own
			e.entries = entries[o.from:sends[i+1].from]
		}
		if i == 0 {
			e.audit = audit
		}
		if e.rows, err = w.ledger(ctx, o.local); err != nil {
			return nil, err
		}
		all = append(all, e)
	}
	return all, nil
}

// ledger reads the rows of a send: of an occurrence, or, without one, of the only one there is.
func (w *world) ledger(ctx context.Context, local string) ([]ledgerRow, error) {
	found, err := w.db.Pool.Query(ctx, `
		select l.contact_id, coalesce(c.attr_first_name, ''), l.state, coalesce(l.reason, ''), l.intent_at
		from ledger l join send s on s.id = l.send_id left join contact c on c.id = l.contact_id
		where s.send_key = $1 and s.occurrence = $2 order by l.seq`, campaignName, local)
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	defer found.Close()
	rows := make([]ledgerRow, 0, w.parameters.Size)
	for found.Next() {
		var row ledgerRow
		var contact int64
		var name string
		var at *time.Time
		if err := found.Scan(&contact, &name, &row.state, &row.reason, &at); err != nil {
			return nil, fmt.Errorf("read the ledger: %w", err)
		}
		row.person = sink.Number(name)
		if person, is := w.people[contact]; is {
			row.person = person
		}
		if at != nil {
			row.intentAt = *at
		}
		rows = append(rows, row)
	}
	return rows, found.Err()
}
