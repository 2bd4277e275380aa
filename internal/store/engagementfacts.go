package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/engagement"
)

// TrackingPurpose is the purpose of whose consents who refuses it is not tracked. Nobody has to grant it.
const TrackingPurpose = "tracking"

// trackingRefused is true for somebody who does not want to be tracked: a contact who refused it, or an address whose holder did.
func trackingRefused(contact, hash string) string {
	return `(exists (select from consent k where k.contact_id = ` + contact + ` and k.purpose = '` + TrackingPurpose + `' and not k.granted offset 0)
		or exists (select from refusal r where r.address_hash = ` + hash + ` and r.purpose = '` + TrackingPurpose + `' offset 0))`
}

// EngagedSend is what must be known of a send to count what was done with its messages.
type EngagedSend struct {
	Campaign string
	// Untracked says that nothing is kept of it: the tenant forbids it by now, or its time is over.
	Untracked bool
}

// EngagementFacts are what the database knows of messages. Messages and sends that it does not know are missing.
type EngagementFacts struct {
	Sends    map[int64]EngagedSend
	Messages map[engagement.Message]engagement.Facts
}

// EngagementFacts reads what is known of the messages with whom something was done, each by its key.
func (db *DB) EngagementFacts(ctx context.Context, messages []engagement.Message) (EngagementFacts, error) {
	found := EngagementFacts{Sends: map[int64]EngagedSend{}, Messages: make(map[engagement.Message]engagement.Facts, len(messages))}
	seqs := map[int64][]int64{}
	for _, m := range messages {
		seqs[m.Send] = append(seqs[m.Send], m.Seq)
	}
	sends := make([]int64, 0, len(seqs))
	for send := range seqs {
		sends = append(sends, send)
	}
	var queue pgx.Batch
	queue.Queue(engagedSendsSQL, sends).Query(func(rows pgx.Rows) error {
		var id int64
		var send EngagedSend
		_, err := pgx.ForEachRow(rows, []any{&id, &send.Campaign, &send.Untracked}, func() error {
			found.Sends[id] = send
			return nil
		})
		return err
	})
	for _, send := range sends {
		queue.Queue(engagementFactsSQL, send, seqs[send]).Query(func(rows pgx.Rows) error {
			var seq int64
			var facts engagement.Facts
			var handedOver *time.Time
			_, err := pgx.ForEachRow(rows, []any{&seq, &facts.Variant, &handedOver, &facts.Untracked}, func() error {
				facts.HandedOver = time.Time{}
				if handedOver != nil {
					facts.HandedOver = *handedOver
				}
				found.Messages[engagement.Message{Send: send, Seq: seq}] = facts
				return nil
			})
			return err
		})
	}
	if err := db.Pool.SendBatch(ctx, &queue).Close(); err != nil {
		return EngagementFacts{}, fmt.Errorf("read the messages with whom something was done: %w", err)
	}
	return found, nil
}

const engagedSendsSQL = `
	select s.id, s.campaign, t.tracking_forbidden or coalesce(s.frozen_at < now() - t.tracking_retention, true)
	from send s cross join tenant t where s.id = any ($1)`

// A row whose outcome is not written yet has been handed over since its intent.
var engagementFactsSQL = `
	select l.seq, l.variant, coalesce(l.settled_at, l.intent_at), ` + trackingRefused(contactNow("l.contact_id"), "l.address_hash") + `
	from ledger l where l.send_id = $1 and l.seq = any ($2)`
