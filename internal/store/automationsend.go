package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/tertulia-crm/tertulia/internal/campaign"
)

// send writes to the contacts of effects, as a campaign does: rows of a ledger, which the sending of mails takes from there. The row's step is the
// effect's identity, so that nobody gets it twice, whatever is repeated.
func (w *walker) send(ctx context.Context, effects []effect) error {
	contactsOfEffects(effects)
	f, err := w.ensureRuleSend(ctx, effects[0])
	if err != nil {
		return err
	}
	slices.SortFunc(effects, func(a, b effect) int { return cmp.Compare(a.person.contact, b.person.contact) })
	for some := range slices.Chunk(effects, chunkRows) {
		contacts, steps := make([]int64, len(some)), make([]string, len(some))
		for i, e := range some {
			contacts[i], steps[i] = e.person.contact, e.identity()
		}
		var added Appended
		if err := writeAppended(ctx, w.tx, f, contacts, steps, w.now, &added); err != nil {
			return err
		}
	}
	return nil
}

// ensureRuleSend finds the send of a step, or declares it, and locks it. There is one for each month and for each template, channel and purpose that
// the step ever had.
func (w *walker) ensureRuleSend(ctx context.Context, e effect) (freezing, error) {
	s := e.step.Send
	f := freezing{SendKey: ruleCampaign(e.bound.name, e.step.Name), Purpose: s.Purpose, Variants: []SendVariant{{Name: "a", Template: s.Template, Weight: 1}}}
	priority := campaign.Bulk
	if s.Priority == "Transactional" {
		priority = campaign.Transactional
	}
	f.Occurrence = fmt.Sprintf("%s/%s/%s/%s/%d", w.now.UTC().Format("2006-01"), s.Template, s.Channel, s.Purpose, priority)
	_, err := w.tx.Exec(ctx, `
		insert into send (send_key, occurrence, campaign, purpose, channel, segments, max_recipients, variants, starts_at, deadline, state, frozen_at, priority)
		values ($1, $2, $1, $3, $4, '{}', $5, $6, $7, $7, $8, $7, $9) on conflict (send_key, occurrence) do nothing`,
		f.SendKey, f.Occurrence, f.Purpose, s.Channel, int64(mostRuleRecipients), f.Variants, w.now, campaign.Sending, int(priority))
	if err != nil {
		return f, fmt.Errorf("declare the send: %w", err)
	}
	// Only one transaction adds to it at a time. Who was completed goes on.
	err = w.tx.QueryRow(ctx, "select id from send where send_key = $1 and occurrence = $2 for no key update", f.SendKey, f.Occurrence).Scan(&f.SendID)
	if err != nil {
		return f, fmt.Errorf("lock the send: %w", err)
	}
	if f.Terms, err = loadTerms(ctx, w.tx, f.Purpose); err != nil {
		return f, err
	}
	return f, nil
}

// mostRuleRecipients is what the bound of a send says that has none: maxPerHour bounds a rule.
const mostRuleRecipients = 1 << 50
