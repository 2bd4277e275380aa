package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// ComparedSend sets what the cluster knew of a send against what the ledger says.
type ComparedSend struct {
	Campaign   string
	SendKey    string
	Occurrence string
	// Known is what the campaign's status said when the quarantine was opened; nil where it said nothing.
	Known *KnownCampaign
	// Ledger is what the ledger says now; nil where it knows no such send.
	Ledger *LedgerSend
	// Due says that the send begins or goes on as soon as it may. The declaration of a campaign that recurs is due when its next
	// occurrence has come, however long ago: one that came since may begin at once, and may be the one that the ledger has forgotten.
	Due bool
	// WouldSend is how many messages leave then. Of a send whose audience is not frozen it is an estimate: the members that
	// its segments have now.
	WouldSend int64
	// Held says that the send waits for a person's decision.
	Held bool
}

// LedgerSend is what the ledger says of a send, in numbers.
type LedgerSend struct {
	State     campaign.State
	Planned   int64
	Sent      int64
	Failed    int64
	Ambiguous int64
	Skipped   int64
	Pending   int64
	// Intents is how many times a message was to be handed over, whatever became of it.
	Intents int64
}

// Differs tells whether the cluster knew more of the send than the ledger does: it was sent, or sent further.
func (c ComparedSend) Differs() bool {
	switch {
	case c.Known == nil:
		return false
	case c.Ledger == nil:
		return c.Known.Planned > 0
	}
	return c.Known.Planned > c.Ledger.Planned || c.Known.settled() > c.Ledger.settled() ||
		(c.Known.Phase == string(campaign.Completed) || c.Known.Phase == string(campaign.Aborted)) && !c.Ledger.State.Final()
}

func (k KnownCampaign) settled() int64 { return k.Sent + k.Failed + k.Ambiguous }
func (l LedgerSend) settled() int64    { return l.Sent + l.Failed + l.Ambiguous }

// PlanHolds tells which sends a release leaves for a person to decide about: those of which the cluster knew more than the
// ledger does, and those that would begin or go on at once, because what they did in the moments before the loss is known to
// nobody. What lies ahead goes on by itself.
func PlanHolds(sends []ComparedSend, r Release) []HeldSend {
	var held []HeldSend
	for _, s := range sends {
		if r.ContinuedAll || slices.Contains(r.Continued, s.Campaign) || !s.Differs() && !s.Due {
			continue
		}
		held = append(held, HeldSend{SendKey: s.SendKey, Occurrence: s.Occurrence, Campaign: s.Campaign})
	}
	return held
}

// sendName is what a send is known by, in whichever ledger.
type sendName struct{ key, occurrence string }

// CompareSends sets what the cluster knew against the ledger, send by send. It lists the sends that the cluster knew something
// of, those that are not at their end, and those that are held.
func (db *DB) CompareSends(ctx context.Context, known []KnownCampaign) ([]ComparedSend, error) {
	byName := make(map[sendName]*KnownCampaign, len(known))
	for i := range known {
		byName[sendName{known[i].SendKey, known[i].Occurrence}] = &known[i]
	}
	sends, unfrozen, err := db.querySends(ctx, slices.Collect(maps.Keys(byName)))
	if err != nil {
		return nil, fmt.Errorf("compare the sends: %w", err)
	}
	for i := range sends {
		s := &sends[i]
		name := sendName{s.SendKey, s.Occurrence}
		s.Known = byName[name]
		delete(byName, name)
		if id, ok := unfrozen[name]; ok && s.Due {
			if s.WouldSend, err = db.CountAudience(ctx, id); err != nil {
				return nil, err
			}
		}
	}
	for name, k := range byName {
		sends = append(sends, ComparedSend{Campaign: k.Campaign, SendKey: name.key, Occurrence: name.occurrence, Known: k})
	}
	if sends, err = db.addHeld(ctx, sends); err != nil {
		return nil, err
	}
	slices.SortFunc(sends, func(a, b ComparedSend) int {
		return cmp.Or(cmp.Compare(a.Campaign, b.Campaign), cmp.Compare(a.SendKey, b.SendKey), cmp.Compare(a.Occurrence, b.Occurrence))
	})
	return sends, nil
}

// addHeld marks the sends that are held, and adds those of which the ledger knows nothing.
func (db *DB) addHeld(ctx context.Context, sends []ComparedSend) ([]ComparedSend, error) {
	held, err := db.HeldSends(ctx)
	if err != nil {
		return nil, err
	}
	for _, h := range held {
		at := slices.IndexFunc(sends, func(s ComparedSend) bool { return s.SendKey == h.SendKey && s.Occurrence == h.Occurrence })
		if at < 0 {
			sends = append(sends, ComparedSend{Campaign: h.Campaign, SendKey: h.SendKey, Occurrence: h.Occurrence, Held: true})
			continue
		}
		sends[at].Held = true
	}
	return sends, nil
}

// querySends reads the sends of these names, and those that are open or held. unfrozen are the ids of those whose audience is
// not counted yet.
func (db *DB) querySends(ctx context.Context, names []sendName) (sends []ComparedSend, unfrozen map[sendName]int64, err error) {
	keys, occurrences := make([]string, len(names)), make([]string, len(names))
	for i, n := range names {
		keys[i], occurrences[i] = n.key, n.occurrence
	}
	rows, err := db.Pool.Query(ctx, `
		select s.id, s.campaign, s.send_key, s.occurrence, s.state, s.frozen_at is not null,
			open.any_open and s.state = 'Completed' or s.state = 'Sending'
				or s.state in ('Scheduled', 'Freezing', 'Held') and s.starts_at <= now() and (s.deadline >= now() or s.cron is not null), open.intents,
			coalesce((select jsonb_object_agg(t.outcome, t.n) from (select outcome, sum(n) n from send_tally where send_id = s.id group by outcome) t), '{}')
		from send s cross join lateral (
			select coalesce(bool_or(c.open), false) any_open, coalesce(sum(c.intents), 0)::bigint intents from send_chunk c where c.send_id = s.id) open
		where (s.send_key, s.occurrence) in (select * from unnest($1::text[], $2::text[]))
			or s.state in ('Scheduled', 'Freezing', 'Sending', 'Held') or open.any_open or `+sendHeld, keys, occurrences)
	if err != nil {
		return nil, nil, err
	}
	unfrozen = map[sendName]int64{}
	sends, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (ComparedSend, error) {
		var id int64
		var frozen bool
		var tally map[string]int64
		var status SendStatus
		s := ComparedSend{Ledger: &LedgerSend{}}
		err := row.Scan(&id, &s.Campaign, &s.SendKey, &s.Occurrence, &s.Ledger.State, &frozen, &s.Due, &s.Ledger.Intents, &tally)
		status.count(tally)
		l := s.Ledger
		l.Planned, l.Sent, l.Failed = status.Planned, status.Sent, status.Failed
		l.Ambiguous, l.Skipped, l.Pending = status.Ambiguous, status.Skipped, status.Pending
		if frozen {
			s.WouldSend = l.Pending
		} else {
			unfrozen[sendName{s.SendKey, s.Occurrence}] = id
		}
		return s, err
	})
	return sends, unfrozen, err
}
